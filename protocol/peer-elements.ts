/**
 * The payloads of the frames that compare the elements of one key, version 4 (docs/peer-protocol.md tells the conversation).
 * Digests are 64 bits big-endian, other numbers little-endian.
 *
 *   REPAIR_RANGES  u8 kind of the KEY register, u8 bits, u16 0, u32 database, u32 key length, key, then a u64 digest of each range
 *   REPAIR_CELLS   u32 number of the key, u16 flags, then for each range that differs: u16 range, u64 digest of each of its cells;
 *                  `more` when the next one goes on with the same key
 *   REPAIR_PICK    u32 number of the key, u16 flags, then for each range in which cells differ: u16 range, 8 bytes with a bit for
 *                  each of its cells, cell 0 in the low bit of the first byte
 *
 * An element is in the cell that the first `bits` bits of its name's hash say, and 64 cells, or all where there are fewer, are a
 * range. The number of a key is its place among the REPAIR_RANGES of the turn, from 0 on. Flags: 1 = each gives all of the key.
 */
import {
  FRAME_FLAG_MORE,
  FRAME_HEADER_BYTES,
  FRAME_REPAIR_CELLS,
  FRAME_REPAIR_PICK,
  FRAME_REPAIR_RANGES,
  PEER_VERSION_ELEMENTS,
  PeerProtocolError,
  REFUSE_MALFORMED,
  allocateFrame,
  sealFrame,
} from './peer-frame.ts';

/** So many bits of an element's hash may say in which cell it is. */
export const CELL_BITS_LEAST = 2;
export const CELL_BITS_MOST = 18;
/** Keys with longer names are sent whole. */
export const COMPARED_KEY_BYTES_MAX = 64 * 1024;

const RANGE_BITS_MOST = 6;
const RANGES_HEADER_BYTES = 12;
const NUMBER_BYTES = 6;
const PICK_ENTRY_BYTES = 10;
const FLAG_ALL = 1;

/** A collection as frames name it. */
export interface KeyName {
  readonly database: number;
  readonly key: Buffer;
  /** The kind of its KEY register. */
  readonly kind: number;
}

/** What REPAIR_RANGES tells of a key: two words for each range. */
export interface KeyRanges extends KeyName {
  readonly bits: number;
  readonly ranges: Uint32Array;
}

function malformed(what: string): PeerProtocolError {
  return new PeerProtocolError(REFUSE_MALFORMED, `a malformed ${what} frame`);
}

/** How many ranges there are with so many bits. */
export function rangeCount(bits: number): number {
  return bits <= RANGE_BITS_MOST ? 1 : 2 ** (bits - RANGE_BITS_MOST);
}

/** How many cells are in a range. */
export function cellsPerRange(bits: number): number {
  return 2 ** Math.min(bits, RANGE_BITS_MOST);
}

/** The digests of ranges from those of their cells, two words each: the XOR of them. */
export function rangeDigests(cells: Uint32Array, bits: number): Uint32Array {
  const ranges = new Uint32Array(rangeCount(bits) * 2);
  const words = cellsPerRange(bits) * 2;
  for (let word = 0; word < cells.length; word += 2) {
    const range = Math.floor(word / words) * 2;
    ranges[range] ^= cells[word];
    ranges[range + 1] ^= cells[word + 1];
  }
  return ranges;
}

export function encodeRanges({ kind, bits, database, key, ranges }: KeyRanges): Buffer {
  const bytes = RANGES_HEADER_BYTES + key.length + ranges.length * 4;
  const frame = allocateFrame(FRAME_REPAIR_RANGES, 0, bytes, PEER_VERSION_ELEMENTS);
  let at = frame.writeUInt8(kind, FRAME_HEADER_BYTES);
  at = frame.writeUInt8(bits, at);
  at = frame.writeUInt16LE(0, at);
  at = frame.writeUInt32LE(database, at);
  at = frame.writeUInt32LE(key.length, at);
  at += key.copy(frame, at);
  for (const word of ranges) at = frame.writeUInt32BE(word, at);
  return sealFrame(frame);
}

/** The key is a copy. @throws PeerProtocolError */
export function decodeRanges(buffer: Buffer, start: number, end: number): KeyRanges {
  if (end - start < RANGES_HEADER_BYTES) throw malformed('REPAIR_RANGES');
  const kind = buffer[start];
  const bits = buffer[start + 1];
  const database = buffer.readUInt32LE(start + 4);
  const keyLength = buffer.readUInt32LE(start + 8);
  const isSane = bits >= CELL_BITS_LEAST && bits <= CELL_BITS_MOST && keyLength <= COMPARED_KEY_BYTES_MAX;
  const keyStart = start + RANGES_HEADER_BYTES;
  if (!isSane || end - keyStart !== keyLength + rangeCount(bits) * 8) throw malformed('REPAIR_RANGES');
  const key = Buffer.from(buffer.subarray(keyStart, keyStart + keyLength));
  const ranges = new Uint32Array(rangeCount(bits) * 2);
  for (let word = 0; word < ranges.length; word++) ranges[word] = buffer.readUInt32BE(keyStart + keyLength + word * 4);
  return { kind, bits, database, key, ranges };
}

/**
 * @param listed the ranges to tell of
 * @param cells two words for each cell of the key
 */
export function encodeCells(
  number: number,
  bits: number,
  listed: readonly number[],
  cells: Uint32Array,
  more: boolean,
): Buffer {
  const words = cellsPerRange(bits) * 2;
  const bytes = NUMBER_BYTES + listed.length * (2 + words * 4);
  const frame = allocateFrame(FRAME_REPAIR_CELLS, more ? FRAME_FLAG_MORE : 0, bytes, PEER_VERSION_ELEMENTS);
  let at = writeNumber(frame, number, 0);
  for (const range of listed) {
    at = frame.writeUInt16LE(range, at);
    for (let word = range * words; word < (range + 1) * words; word++) at = frame.writeUInt32BE(cells[word], at);
  }
  return sealFrame(frame);
}

/** A REPAIR_CELLS or REPAIR_PICK that asks for all of the key, and promises all of it. */
export function encodeAll(type: number, number: number): Buffer {
  const frame = allocateFrame(type, 0, NUMBER_BYTES, PEER_VERSION_ELEMENTS);
  writeNumber(frame, number, FLAG_ALL);
  return sealFrame(frame);
}

function writeNumber(frame: Buffer, number: number, flags: number): number {
  return frame.writeUInt16LE(flags, frame.writeUInt32LE(number, FRAME_HEADER_BYTES));
}

/** The number of the key that a REPAIR_CELLS or REPAIR_PICK is about. @throws PeerProtocolError */
export function decodeNumber(buffer: Buffer, start: number, end: number): { number: number; isAll: boolean } {
  if (end - start < NUMBER_BYTES) throw malformed('REPAIR_CELLS or REPAIR_PICK');
  const flags = buffer.readUInt16LE(start + 4);
  const isAll = flags === FLAG_ALL;
  if (flags > FLAG_ALL || (isAll && end - start !== NUMBER_BYTES)) throw malformed('REPAIR_CELLS or REPAIR_PICK');
  return { number: buffer.readUInt32LE(start), isAll };
}

/** `each` is called with a cell and its digest, for all cells of the ranges told of. @throws PeerProtocolError */
export function decodeCells(
  buffer: Buffer,
  start: number,
  end: number,
  bits: number,
  each: (cell: number, digestHi: number, digestLo: number) => void,
): void {
  const count = cellsPerRange(bits);
  const entryBytes = 2 + count * 8;
  const first = start + NUMBER_BYTES;
  if ((end - first) % entryBytes !== 0) throw malformed('REPAIR_CELLS');
  for (let at = first; at < end; at += entryBytes) {
    const range = readRange(buffer, at, bits, 'REPAIR_CELLS');
    for (let cell = 0; cell < count; cell++) {
      const digest = at + 2 + cell * 8;
      each(range * count + cell, buffer.readUInt32BE(digest), buffer.readUInt32BE(digest + 4));
    }
  }
}

function readRange(buffer: Buffer, at: number, bits: number, what: string): number {
  const range = buffer.readUInt16LE(at);
  if (range >= rangeCount(bits)) throw malformed(what);
  return range;
}

/** @param cells a byte for each cell, not 0 for those that are picked */
export function encodePick(number: number, bits: number, cells: Uint8Array): Buffer {
  const count = cellsPerRange(bits);
  const picked: number[] = [];
  for (let range = 0; range < rangeCount(bits); range++) {
    if (cells.subarray(range * count, (range + 1) * count).some((cell) => cell !== 0)) picked.push(range);
  }
  const bytes = NUMBER_BYTES + picked.length * PICK_ENTRY_BYTES;
  const frame = allocateFrame(FRAME_REPAIR_PICK, 0, bytes, PEER_VERSION_ELEMENTS);
  let at = writeNumber(frame, number, 0);
  for (const range of picked) {
    at = frame.writeUInt16LE(range, at);
    frame.fill(0, at, at + 8);
    for (let cell = 0; cell < count; cell++) {
      if (cells[range * count + cell] !== 0) frame[at + (cell >>> 3)] |= 1 << (cell & 7);
    }
    at += 8;
  }
  return sealFrame(frame);
}

/** A byte for each cell, 1 for those that are picked. @throws PeerProtocolError */
export function decodePick(buffer: Buffer, start: number, end: number, bits: number): Uint8Array {
  const first = start + NUMBER_BYTES;
  if ((end - first) % PICK_ENTRY_BYTES !== 0) throw malformed('REPAIR_PICK');
  const count = cellsPerRange(bits);
  const cells = new Uint8Array(2 ** bits);
  for (let at = first; at < end; at += PICK_ENTRY_BYTES) {
    const range = readRange(buffer, at, bits, 'REPAIR_PICK');
    for (let cell = 0; cell < count; cell++) {
      if (((buffer[at + 2 + (cell >>> 3)] >>> (cell & 7)) & 1) === 1) cells[range * count + cell] = 1;
    }
  }
  return cells;
}
