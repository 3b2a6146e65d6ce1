import { describe, expect, it } from '@jest/globals';
import { FRAME_HEADER_BYTES, PeerProtocolError } from '../../protocol/peer-frame.ts';
import {
  WRITERS_MAX,
  type Written,
  decodeSeen,
  decodeToken,
  encodeSeen,
  encodeToken,
  packWritten,
  unpackWritten,
} from '../../protocol/written.ts';

const one: Written = { writerHi: 0x11111111, writerLo: 0x22222222, stampHi: 0x018bcfe5, stampLo: 0x68000007 };
const other: Written = { writerHi: 0xffffffff, writerLo: 0xfffffffe, stampHi: 0xffffffff, stampLo: 1 };

describe('a token', () => {
  it('is written as it always was', () => {
    expect(encodeToken('', [one])).toBe('m1.AAAAABEREREiIiIiAYvP5WgAAAe42Ole');
    expect(encodeToken('shop', [one, one])).toBe('m1.UQavtxEREREiIiIiAYvP5WgAAAcRERERIiIiIgGLz-VoAAAHdyPA7g');
  });

  it('is read back', () => {
    for (const entries of [[], [one], [one, other]]) {
      expect(decodeToken('shop', encodeToken('shop', entries))).toEqual(entries);
    }
    const many = Array.from({ length: WRITERS_MAX }, (_, index) => ({ ...other, writerLo: index }));
    expect(decodeToken('', encodeToken('', many))).toEqual(many);
  });

  it('of another cluster is told from one that is no token', () => {
    expect(decodeToken('shop', encodeToken('', [one]))).toBe('foreign');
    const whole = encodeToken('', [one]);
    for (let at = 0; at < whole.length; at++) {
      const wrong = whole[at] === 'A' ? 'B' : 'A';
      expect(decodeToken('', whole.slice(0, at) + wrong + whole.slice(at + 1))).toBe('malformed');
      expect(decodeToken('', whole.slice(0, at))).toBe('malformed');
    }
    for (const text of ['', 'm1.', `${whole}=`, `${whole} `, `m2.${whole.slice(3)}`, `m1.${'A'.repeat(100_000)}`]) {
      expect(decodeToken('', text)).toBe('malformed');
    }
  });
});

describe('a SEEN frame', () => {
  it('is read back, and refused when it is not whole', () => {
    const frame = encodeSeen([one, other]);
    expect(decodeSeen(frame, FRAME_HEADER_BYTES, frame.length)).toEqual([one, other]);
    const wrong = [
      [FRAME_HEADER_BYTES, frame.length - 1],
      [FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + 1],
      [FRAME_HEADER_BYTES + 1, frame.length],
    ];
    for (const [start, end] of wrong) expect(() => decodeSeen(frame, start, end)).toThrow(PeerProtocolError);
    const empty = encodeSeen([]);
    expect(() => decodeSeen(empty, FRAME_HEADER_BYTES, empty.length)).toThrow(PeerProtocolError);
  });
});

it('what is kept over a restart is read back, without an entry that was cut', () => {
  const bytes = packWritten([one, other]);
  expect(unpackWritten(bytes)).toEqual([one, other]);
  expect(unpackWritten(bytes.subarray(0, bytes.length - 1))).toEqual([one]);
  expect(unpackWritten(Buffer.alloc(0))).toEqual([]);
});
