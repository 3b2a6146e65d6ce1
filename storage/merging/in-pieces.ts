/** Merging what a store gives in pieces, so that others have a turn of the event loop between: the first pieces take ten times the later ones' time. */
import type { FlushTime } from '../flush/flush-types.ts';

const PIECE_BYTES = 4 << 10;
/** How long the event loop may be held. */
const TURN_MS = 1;

export type TurnTime = Pick<FlushTime, 'monotonicMs' | 'defer'>;

/** Where a piece of whole records that begins at `from` ends; what is malformed is in it. */
export function endOfPiece(records: Buffer, from: number): number {
  let at = from;
  while (at < records.length && at - from < PIECE_BYTES) {
    const length = at + 4 <= records.length ? records.readUInt32LE(at) : 0;
    if (length === 0) return records.length;
    at += length;
  }
  return Math.min(at, records.length);
}

/**
 * Goes through packed records in turns of about a millisecond each.
 * @param take is given where the rest begins, and says up to where it has taken records
 */
export async function inPieces(records: Buffer, time: TurnTime, take: (from: number) => number): Promise<void> {
  let beganMs = time.monotonicMs();
  for (let at = take(0); at < records.length; at = take(at)) {
    if (time.monotonicMs() - beganMs < TURN_MS) continue;
    await new Promise<void>((resolve) => time.defer(resolve));
    beganMs = time.monotonicMs();
  }
}
