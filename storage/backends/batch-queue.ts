/** How a batch's registers are marked for MySQL. */

/** Where registers are queued for MySQL. Both are called inside the batch's exclusive work. */
export interface BatchQueue {
  /** The generation for the batch's markers. */
  beginBatch(bytes: number): number;
  /** The batch is durable. The queue may keep the slices. */
  endBatch(generation: number, slices: readonly Buffer[], count: number): void;
}

/** Slices of a batch that peers bring to MySQL, and the generation for their markers, asked for inside the exclusive work. */
export interface HeldPart {
  slices: ReadonlySet<Buffer>;
  begin(): number;
}
