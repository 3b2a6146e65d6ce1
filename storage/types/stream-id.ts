/** Ids of stream entries: milliseconds and a sequence number, 64 bits each; as bytes big-endian, so that memcmp orders them. */
export interface StreamId {
  readonly ms: bigint;
  readonly seq: bigint;
}

export const ID_BYTES = 16;
export const PART_MAX = 2n ** 64n - 1n;
export const LEAST_ID: StreamId = { ms: 0n, seq: 0n };
export const GREATEST_ID: StreamId = { ms: PART_MAX, seq: PART_MAX };

/** Low bits of the sequence number that name the node, on nodes that have peers. */
const MARK_BITS = 20n;
const MARK_MASK = 0xfffff;

export function compareIds(a: StreamId, b: StreamId): number {
  if (a.ms !== b.ms) return a.ms < b.ms ? -1 : 1;
  if (a.seq === b.seq) return 0;
  return a.seq < b.seq ? -1 : 1;
}

export function greaterId(a: StreamId, b: StreamId): StreamId {
  return compareIds(a, b) < 0 ? b : a;
}

/** The id after this one, or null after the last. */
export function idAfter({ ms, seq }: StreamId): StreamId | null {
  if (seq < PART_MAX) return { ms, seq: seq + 1n };
  return ms < PART_MAX ? { ms: ms + 1n, seq: 0n } : null;
}

/** The id before this one, or null before the first. */
export function idBefore({ ms, seq }: StreamId): StreamId | null {
  if (seq > 0n) return { ms, seq: seq - 1n };
  return ms > 0n ? { ms: ms - 1n, seq: PART_MAX } : null;
}

export function formatId({ ms, seq }: StreamId): string {
  return `${ms}-${seq}`;
}

/** Reads what `formatId` wrote; 0-0 for anything else. */
export function parseFormattedId(text = ''): StreamId {
  const match = /^(\d{1,20})-(\d{1,20})$/.exec(text);
  return match === null ? LEAST_ID : { ms: BigInt(match[1]), seq: BigInt(match[2]) };
}

export function readId(buffer: Buffer, start: number): StreamId {
  return { ms: buffer.readBigUInt64BE(start), seq: buffer.readBigUInt64BE(start + 8) };
}

function writeId({ ms, seq }: StreamId, buffer: Buffer, start: number): void {
  buffer.writeBigUInt64BE(ms, start);
  buffer.writeBigUInt64BE(seq, start + 8);
}

export function idBytes(id: StreamId): Buffer {
  const bytes = Buffer.allocUnsafe(ID_BYTES);
  writeId(id, bytes, 0);
  return bytes;
}

/** The node's part of the sequence numbers that it gives out. */
export function nodeMark(nodeHi: number, nodeLo: number): number {
  return (nodeLo ^ (nodeLo >>> 20) ^ Math.imul(nodeHi, 0x9e3779b1)) & MARK_MASK;
}

/**
 * The least sequence number greater than `after` (-1n for none) that a node may give out.
 * @param mark -1 for a node without peers, which may give out every one
 */
function sequenceAfter(after: bigint, mark: number): bigint {
  if (mark < 0) return after + 1n;
  const low = BigInt(mark);
  const candidate = ((after < 0n ? 0n : after >> MARK_BITS) << MARK_BITS) | low;
  return candidate > after ? candidate : candidate + (1n << MARK_BITS);
}

/** `sequenceAfter` in numbers, of which the result may be past 2^53 and then is none. */
export function sequenceNumberAfter(after: number, mark: number): number {
  if (mark < 0) return after + 1;
  const unit = MARK_MASK + 1;
  const candidate = (after < 0 ? 0 : Math.floor(after / unit)) * unit + mark;
  return candidate > after ? candidate : candidate + unit;
}

/** The id that an entry gets which is added now; null when there is none left. `mark` as `nodeMark`, -1 without peers. */
export function generateId(last: StreamId, nowMs: number, mark: number): StreamId | null {
  const now = BigInt(nowMs);
  if (now > last.ms) return { ms: now, seq: sequenceAfter(-1n, mark) };
  return (
    generateSequence(last, last.ms, mark) ??
    (last.ms < PART_MAX ? { ms: last.ms + 1n, seq: sequenceAfter(-1n, mark) } : null)
  );
}

/** The same with the milliseconds given: null when they are past, or when their sequence numbers are used up. */
export function generateSequence(last: StreamId, ms: bigint, mark: number): StreamId | null {
  if (ms < last.ms) return null;
  const seq = sequenceAfter(ms === last.ms ? last.seq : -1n, mark);
  return seq > PART_MAX ? null : { ms, seq };
}
