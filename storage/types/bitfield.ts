/** Integers of any width at any bit of a string, as BITFIELD sees them: the highest bit first, two's complement. */

/** What happens to a value that its integer cannot hold: modulo, the nearest that it can hold, or nothing. */
export type Overflow = 'wrap' | 'saturate' | 'fail';

export interface IntegerType {
  readonly signed: boolean;
  /** 1 to 64, 63 for unsigned ones. */
  readonly bits: number;
}

/** The bits from `offset` on as one unsigned integer, out of the bytes `firstByte` to `lastByte` of a value. */
function readWindow(bytes: Uint8Array, start: number, length: number, firstByte: number, lastByte: number): bigint {
  let window = 0n;
  for (let at = firstByte; at <= lastByte; at++) window = (window << 8n) | BigInt(at < length ? bytes[start + at] : 0);
  return window;
}

/** The integer at bit `offset` of the value `bytes[start, start + length)`; what lies past the value's end is zeros. */
export function readField(bytes: Uint8Array, start: number, length: number, offset: number, type: IntegerType): bigint {
  const lastBit = offset + type.bits - 1;
  const window = readWindow(bytes, start, length, Math.floor(offset / 8), Math.floor(lastBit / 8));
  const value = window >> BigInt(7 - (lastBit & 7));
  return type.signed ? BigInt.asIntN(type.bits, value) : BigInt.asUintN(type.bits, value);
}

/** Writes an integer's lowest bits at bit `offset` of the value that begins at `bytes[start]` and has the room. */
export function writeField(bytes: Uint8Array, start: number, offset: number, type: IntegerType, value: bigint): void {
  const lastBit = offset + type.bits - 1;
  const firstByte = Math.floor(offset / 8);
  const lastByte = Math.floor(lastBit / 8);
  const shift = BigInt(7 - (lastBit & 7));
  const mask = ((1n << BigInt(type.bits)) - 1n) << shift;
  const old = readWindow(bytes, start, Infinity, firstByte, lastByte);
  let window = (old & ~mask) | (BigInt.asUintN(type.bits, value) << shift);
  for (let at = lastByte; at >= firstByte; at--) {
    bytes[start + at] = Number(window & 0xffn);
    window >>= 8n;
  }
}

/** The value as the integer type holds it, or null when it does not and `overflow` is 'fail'. */
export function fitField(value: bigint, type: IntegerType, overflow: Overflow): bigint | null {
  const { signed, bits } = type;
  const least = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const most = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  if (value >= least && value <= most) return value;
  if (overflow === 'fail') return null;
  if (overflow === 'saturate') return value > most ? most : least;
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}
