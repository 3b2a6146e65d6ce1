/**
 * HyperLogLogs, as the strings that Redis keeps them as, byte for byte, so that GET, SET, DUMP and RESTORE carry them both ways.
 *
 *    0 "HYLL"   4 u8 encoding: 0 dense, 1 sparse   5 three unused bytes
 *    8 u64le the last cardinality computed; its highest bit says that it no longer holds
 *   16 dense:  16,384 registers of 6 bits, least significant bits first
 *      sparse: runs   00nnnnnn n+1 zeros | 01nnnnnn nnnnnnnn n+1 zeros | 1vvvvvnn n+1 registers of value v+1
 *
 * The estimator is the one of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017.
 */
export const REGISTERS = 16384;
const HEADER_BYTES = 16;
export const DENSE_BYTES = HEADER_BYTES + (REGISTERS * 6) / 8;
export const ENCODING_DENSE = 0;
const ENCODING_SPARSE = 1;

const INDEX_BITS = 14;
const HASH_BITS = 64 - INDEX_BITS;
const REGISTER_MAX = 63;
const STALE = 0x80;
const STALE_AT = 15;
const ALPHA = 0.7213475204444817;

const ZERO_RUN_MAX = 64;
const VALUE_RUN_MAX = 4;
const SPARSE_VALUE_MAX = 32;
const VALUE_MARK = 0x80;
const LONG_ZERO_MARK = 0x40;
/** Runs after a changed one that are looked at for neighbours to join. */
const JOIN_SCAN = 5;

/** What `sparseSet` did. */
const UNCHANGED = 0;
export const CHANGED = 1;
/** The register does not fit the sparse form. */
export const TOO_LARGE = 2;
export const DAMAGED = 3;

export function isHyperLogLog(buffer: Buffer, start: number, length: number): boolean {
  if (length < HEADER_BYTES || buffer.toString('latin1', start, start + 4) !== 'HYLL') return false;
  const encoding = buffer[start + 4];
  return encoding === ENCODING_SPARSE || (encoding === ENCODING_DENSE && length === DENSE_BYTES);
}

export function createEmpty(): Buffer {
  const value = Buffer.alloc(HEADER_BYTES + 2);
  value.write('HYLL', 0, 'latin1');
  value[4] = ENCODING_SPARSE;
  value[HEADER_BYTES] = LONG_ZERO_MARK | ((REGISTERS - 1) >>> 8);
  value[HEADER_BYTES + 1] = (REGISTERS - 1) & 0xff;
  return value;
}

// ---- elements ----

/** Where `hashElement` says that an element counts, and how much. */
export let hashedRegister = 0;
export let hashedValue = 0;

const MULTIPLIER_HI = 0xc6a4a793;
const MULTIPLIER_LO = 0x5bd1e995;
const SEED = 0xadc83b19;
let hi = 0;
let lo = 0;

/** (hi, lo) times the multiplier, modulo 2^64. */
function multiply(): void {
  const a = lo >>> 16;
  const b = lo & 0xffff;
  const low = b * (MULTIPLIER_LO & 0xffff);
  const middle = a * (MULTIPLIER_LO & 0xffff) + (low >>> 16);
  const other = b * (MULTIPLIER_LO >>> 16) + (middle & 0xffff);
  const carry = a * (MULTIPLIER_LO >>> 16) + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000);
  hi = (carry + Math.imul(hi, MULTIPLIER_LO) + Math.imul(lo, MULTIPLIER_HI)) >>> 0;
  lo = Math.imul(lo, MULTIPLIER_LO) >>> 0;
}

/** MurmurHash64A, little-endian; leaves the register and the value in `hashedRegister` and `hashedValue`. */
export function hashElement(buffer: Uint8Array, start: number, length: number): void {
  hi = 0;
  lo = length >>> 0;
  multiply();
  let hashHi = hi;
  let hashLo = (SEED ^ lo) >>> 0;
  const wholeEnd = start + (length & ~7);
  let at = start;
  for (; at < wholeEnd; at += 8) {
    lo = (buffer[at] | (buffer[at + 1] << 8) | (buffer[at + 2] << 16) | (buffer[at + 3] << 24)) >>> 0;
    hi = (buffer[at + 4] | (buffer[at + 5] << 8) | (buffer[at + 6] << 16) | (buffer[at + 7] << 24)) >>> 0;
    multiply();
    lo = (lo ^ (hi >>> 15)) >>> 0;
    multiply();
    hi = (hi ^ hashHi) >>> 0;
    lo = (lo ^ hashLo) >>> 0;
    multiply();
    hashHi = hi;
    hashLo = lo;
  }
  hi = hashHi;
  lo = hashLo;
  const rest = length & 7;
  if (rest > 0) {
    for (let byte = 0; byte < rest; byte++) {
      if (byte < 4) lo = (lo ^ (buffer[at + byte] << (byte * 8))) >>> 0;
      else hi = (hi ^ (buffer[at + byte] << ((byte - 4) * 8))) >>> 0;
    }
    multiply();
  }
  lo = (lo ^ (hi >>> 15)) >>> 0;
  multiply();
  lo = (lo ^ (hi >>> 15)) >>> 0;
  hashedRegister = lo & (REGISTERS - 1);
  // The value is one more than the zeros before the first one bit of what is left; a bit past the end stops it.
  const left = ((lo >>> INDEX_BITS) | (hi << (32 - INDEX_BITS))) >>> 0;
  const leftHi = ((hi >>> INDEX_BITS) | (1 << (HASH_BITS - 32))) >>> 0;
  hashedValue = left !== 0 ? 32 - Math.clz32(left & -left) : 64 - Math.clz32(leftHi & -leftHi);
}

// ---- the dense form ----

/** The register of a dense value that begins at `start`. */
export function denseGet(buffer: Uint8Array, start: number, register: number): number {
  const bit = register * 6;
  const at = start + HEADER_BYTES + (bit >>> 3);
  const shift = bit & 7;
  return ((buffer[at] >>> shift) | (shift > 2 ? buffer[at + 1] << (8 - shift) : 0)) & REGISTER_MAX;
}

function denseWrite(buffer: Uint8Array, start: number, register: number, value: number): void {
  const bit = register * 6;
  const at = start + HEADER_BYTES + (bit >>> 3);
  const shift = bit & 7;
  buffer[at] = (buffer[at] & ~(REGISTER_MAX << shift)) | (value << shift);
  if (shift > 2) buffer[at + 1] = (buffer[at + 1] & ~(REGISTER_MAX >>> (8 - shift))) | (value >>> (8 - shift));
}

/** Raises a register of a dense value; returns whether it was lower. */
export function denseSet(buffer: Uint8Array, start: number, register: number, value: number): boolean {
  if (denseGet(buffer, start, register) >= value) return false;
  denseWrite(buffer, start, register, value);
  return true;
}

/** The value in the dense form, or null when it is damaged. */
export function toDense(buffer: Buffer, start: number, length: number): Buffer | null {
  const registers = new Uint8Array(REGISTERS);
  if (!raiseRegisters(buffer, start, length, registers)) return null;
  const dense = Buffer.alloc(DENSE_BYTES);
  buffer.copy(dense, 0, start, start + HEADER_BYTES);
  dense[4] = ENCODING_DENSE;
  for (let register = 0; register < REGISTERS; register++) {
    if (registers[register] !== 0) denseWrite(dense, 0, register, registers[register]);
  }
  return dense;
}

// ---- the sparse form ----

function runLength(buffer: Uint8Array, at: number): number {
  const byte = buffer[at];
  if ((byte & VALUE_MARK) !== 0) return (byte & 3) + 1;
  if ((byte & LONG_ZERO_MARK) !== 0) return (((byte & 0x3f) << 8) | buffer[at + 1]) + 1;
  return byte + 1;
}

function runBytes(byte: number): number {
  return (byte & (VALUE_MARK | LONG_ZERO_MARK)) === LONG_ZERO_MARK ? 2 : 1;
}

function runValue(byte: number): number {
  return (byte & VALUE_MARK) !== 0 ? ((byte >>> 2) & 0x1f) + 1 : 0;
}

const run = Buffer.alloc(8);

function writeZeros(at: number, length: number): number {
  if (length > ZERO_RUN_MAX) {
    run[at++] = LONG_ZERO_MARK | ((length - 1) >>> 8);
    run[at++] = (length - 1) & 0xff;
  } else {
    run[at++] = length - 1;
  }
  return at;
}

function valueRun(value: number, length: number): number {
  return VALUE_MARK | ((value - 1) << 2) | (length - 1);
}

/** A sparse value being changed: its bytes are `buffer[0, length)`, with room for what is added. */
export interface SparseValue {
  buffer: Buffer;
  length: number;
}

/** Raises a register of a sparse value that may grow to `bytesMax`. */
export function sparseSet(sparse: SparseValue, register: number, value: number, bytesMax: number): number {
  if (value > SPARSE_VALUE_MAX) return TOO_LARGE;
  const { buffer, length: end } = sparse;
  let at = HEADER_BYTES;
  let first = 0;
  let previous = HEADER_BYTES;
  let span = 0;
  while (at < end) {
    span = runLength(buffer, at);
    if (register < first + span) break;
    previous = at;
    at += runBytes(buffer[at]);
    first += span;
  }
  if (span === 0 || at >= end || at + runBytes(buffer[at]) > end) return DAMAGED;
  const old = runValue(buffer[at]);
  if (old >= value) return UNCHANGED;
  const last = first + span - 1;
  let size = 0;
  if (register > first) {
    if (old === 0) size = writeZeros(size, register - first);
    else run[size++] = valueRun(old, register - first);
  }
  run[size++] = valueRun(value, 1);
  if (register < last) {
    if (old === 0) size = writeZeros(size, last - register);
    else run[size++] = valueRun(old, last - register);
  }
  const replaced = runBytes(buffer[at]);
  const grown = size - replaced;
  if (grown > 0 && end + grown > bytesMax) return TOO_LARGE;
  makeRoom(sparse, grown);
  sparse.buffer.copyWithin(at + size, at + replaced, end);
  run.copy(sparse.buffer, at, 0, size);
  sparse.length = end + grown;
  joinRuns(sparse, previous);
  sparse.buffer[STALE_AT] |= STALE;
  return CHANGED;
}

function makeRoom(sparse: SparseValue, grown: number): void {
  if (sparse.length + grown <= sparse.buffer.length) return;
  const larger = Buffer.alloc((sparse.length + grown) * 2);
  sparse.buffer.copy(larger, 0, 0, sparse.length);
  sparse.buffer = larger;
}

/** Joins neighbouring runs of one value near `at`. */
function joinRuns(sparse: SparseValue, at: number): void {
  const { buffer } = sparse;
  for (let left = JOIN_SCAN; left > 0 && at < sparse.length; left--) {
    const byte = buffer[at];
    if ((byte & VALUE_MARK) === 0) {
      at += runBytes(byte);
      continue;
    }
    if (at + 1 < sparse.length && runValue(buffer[at + 1]) === runValue(byte)) {
      const joined = runLength(buffer, at) + runLength(buffer, at + 1);
      if (joined <= VALUE_RUN_MAX) {
        buffer[at + 1] = valueRun(runValue(byte), joined);
        buffer.copyWithin(at, at + 1, sparse.length);
        sparse.length--;
        continue;
      }
    }
    at++;
  }
}

/** The runs of a sparse value as text, for people. */
export function describeRuns(buffer: Buffer, start: number, length: number): string {
  const words: string[] = [];
  for (let at = start + HEADER_BYTES; at < start + length; at += runBytes(buffer[at])) {
    const byte = buffer[at];
    const span = runLength(buffer, at);
    if (runValue(byte) !== 0) words.push(`v:${runValue(byte)},${span}`);
    else words.push(`${runBytes(byte) === 2 ? 'Z' : 'z'}:${span}`);
  }
  return words.join(' ');
}

// ---- cardinality ----

/** Raises each register to the value's, when it is the greater; returns whether the value is sound. */
export function raiseRegisters(buffer: Buffer, start: number, length: number, registers: Uint8Array): boolean {
  if (buffer[start + 4] === ENCODING_DENSE) {
    for (let register = 0; register < REGISTERS; register++) {
      const value = denseGet(buffer, start, register);
      if (value > registers[register]) registers[register] = value;
    }
    return true;
  }
  const end = start + length;
  let register = 0;
  let at = start + HEADER_BYTES;
  while (at < end) {
    const byte = buffer[at];
    if (at + runBytes(byte) > end) return false;
    const span = runLength(buffer, at);
    if (register + span > REGISTERS) return false;
    const value = runValue(byte);
    if (value !== 0) for (let i = register; i < register + span; i++) if (value > registers[i]) registers[i] = value;
    register += span;
    at += runBytes(byte);
  }
  return register === REGISTERS;
}

function sigma(x: number): number {
  if (x === 1) return Infinity;
  let weight = 1;
  let sum = x;
  let before: number;
  do {
    x *= x;
    before = sum;
    sum += x * weight;
    weight += weight;
  } while (before !== sum);
  return sum;
}

function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let weight = 1;
  let sum = 1 - x;
  let before: number;
  do {
    x = Math.sqrt(x);
    before = sum;
    weight *= 0.5;
    sum -= (1 - x) ** 2 * weight;
  } while (before !== sum);
  return sum / 3;
}

/** How many different elements the registers have probably seen. */
export function estimate(registers: Uint8Array): number {
  const histogram = new Int32Array(64);
  for (const value of registers) histogram[value]++;
  let sum = REGISTERS * tau((REGISTERS - histogram[HASH_BITS + 1]) / REGISTERS);
  for (let value = HASH_BITS; value >= 1; value--) sum = (sum + histogram[value]) * 0.5;
  sum += REGISTERS * sigma(histogram[0] / REGISTERS);
  return Math.round((ALPHA * REGISTERS * REGISTERS) / sum);
}

/** The cardinality that the value remembers, which may be anything that a client wrote; -1 when it no longer holds. */
export function readCached(buffer: Buffer, start: number): bigint {
  return (buffer[start + STALE_AT] & STALE) !== 0 ? -1n : buffer.readBigUInt64LE(start + 8);
}

export function writeCached(buffer: Buffer, start: number, cardinality: number): void {
  buffer.writeBigUInt64LE(BigInt(cardinality), start + 8);
}

/** The remembered cardinality no longer holds. */
export function markStale(buffer: Buffer, start: number): void {
  buffer[start + STALE_AT] |= STALE;
}
