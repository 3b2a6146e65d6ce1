/**
 * CRC-32C of long runs of bytes, some ten instructions for each sixteen of them. The polynomial divides
 *
 *   x^343 + x^177 + x^163 + x^155 + x^136 + 1
 *
 * (`test/protocol/crc32c.test.ts` divides), and so also the one with all exponents times eight. A byte may therefore be left out when it is
 * XORed onto those 166, 180, 188, 207 and 343 bytes behind it: the checksum stays what it was. WebAssembly's vectors do so with sixteen
 * bytes at once, until 343 or a few more are left, which the tables are for. With a first distance of 65 it took half
 * as long again: what is loaded is better not what was stored a moment ago.
 */

/** Exponents of that polynomial, the least first; the run is folded from the front, so they are offsets from the byte 343 before. */
const DEGREE = 343;
const OFFSETS = [0, 136, 155, 163, 177];
const VECTOR_BYTES = 16;

/** The memory: bytes that stay 0, the run, what is left of it. */
const RUN_AT = 512;
const RUN_BYTES = 16 * 1024;
/** Shorter runs are summed faster by tables. */
export const FOLDED_BYTES_MIN = 1024;
/** What is left behind a run is never too short for one. */
const RUN_BYTES_MAX = RUN_BYTES + FOLDED_BYTES_MIN;
const REST_AT = RUN_AT + RUN_BYTES_MAX + 512;

/** The state behind `bytes[start, end)`, by tables. A state is what is kept between bytes: the checksum is its complement. */
type PlainSum = (state: number, bytes: Uint8Array, start: number, end: number) => number;

interface Folder {
  readonly bytes: Uint8Array;
  /** XORs onto each vector from `from + 343 + distance` on those at the offsets from `from` on, until `from` is `to`. */
  readonly fold: (from: number, to: number, distance: number) => void;
}

const leb = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]);
const section = (id: number, ...content: number[]): number[] => [id, ...leb(content.length), ...content];

/** The module in WebAssembly's binary format, version 1. */
function moduleBytes(): Uint8Array<ArrayBuffer> {
  const [i32, none, from, to, distance, target] = [0x7f, 0x40, 0, 1, 2, 3];
  const get = (local: number): number[] => [0x20, local];
  const add = 0x6a;
  const load = (offset: number): number[] => [0xfd, 0x00, 0, ...leb(offset)];
  const xorLoaded = OFFSETS.flatMap((offset) => [...get(from), ...load(offset), 0xfd, 0x51]);
  const loop = [
    ...[...get(from), ...get(distance), add, 0x22, target],
    ...[...get(target), ...load(DEGREE), ...xorLoaded, 0xfd, 0x0b, 0, ...leb(DEGREE)],
    ...[...get(from), 0x41, VECTOR_BYTES, add, 0x22, from, ...get(to), 0x49, 0x0d, 0],
  ];
  const body = [1, 1, i32, 0x03, none, ...loop, 0x0b, 0x0b];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, 0x60, 3, i32, i32, i32, 0),
    ...section(3, 1, 0),
    ...section(5, 1, 1, 1, 1),
    ...section(7, 2, 1, 0x66, 0, 0, 1, 0x6d, 2, 0),
    ...section(10, 1, ...leb(body.length), ...body),
  ]);
}

/** Null where there is no WebAssembly, or no address space for its memory. */
function makeFolder(): Folder | null {
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()), {});
    const bytes = new Uint8Array((exports['m'] as WebAssembly.Memory).buffer);
    return { bytes, fold: exports['f'] as Folder['fold'] };
  } catch {
    return null;
  }
}

/** Undefined until the first long run. */
let folder: Folder | null | undefined;

/** Whether `sumFolded` can be called. */
export function canFold(): boolean {
  if (folder === undefined) folder = makeFolder();
  return folder !== null;
}

/**
 * The state of the checksum behind `buffer[start, end)`, which is FOLDED_BYTES_MIN bytes or more.
 * @param state that before it
 */
export function sumFolded(state: number, buffer: Uint8Array, start: number, end: number, sumPlain: PlainSum): number {
  while (end - start > RUN_BYTES_MAX) {
    state = sumRun(state, buffer, start, RUN_BYTES, sumPlain);
    start += RUN_BYTES;
  }
  return sumRun(state, buffer, start, end - start, sumPlain);
}

function sumRun(state: number, buffer: Uint8Array, start: number, length: number, sumPlain: PlainSum): number {
  const { bytes, fold } = folder!;
  bytes.set(buffer.subarray(start, start + length), RUN_AT);
  for (let index = 0; index < 4; index++) bytes[RUN_AT + index] ^= state >>> (8 * index);
  const folded = (length - DEGREE) & -VECTOR_BYTES;
  const rest = length - folded;
  const from = RUN_AT - DEGREE;
  fold(from, from + folded, 0);
  const restAt = RUN_AT + folded;
  bytes.copyWithin(REST_AT, restAt, restAt + rest);
  bytes.fill(0, restAt, restAt + rest);
  fold(from + folded, from + folded + rest, REST_AT - restAt);
  return sumPlain(0, bytes, REST_AT, REST_AT + rest);
}
