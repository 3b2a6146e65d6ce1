/** The frames that compare the elements of a key. */
import { describe, expect, it } from '@jest/globals';
import {
  CELL_BITS_LEAST,
  CELL_BITS_MOST,
  cellsPerRange,
  decodeCells,
  decodeNumber,
  decodePick,
  decodeRanges,
  encodeAll,
  encodeCells,
  encodePick,
  encodeRanges,
  rangeCount,
  rangeDigests,
} from '../../protocol/peer-elements.ts';
import {
  FRAME_BYTES_MAX_DEFAULT,
  FRAME_FLAG_MORE,
  FRAME_HEADER_BYTES,
  FRAME_PART_BYTES,
  FRAME_REPAIR_CELLS,
  FRAME_REPAIR_PICK,
  FrameDecoder,
  PEER_MAGIC,
  PEER_VERSION_ELEMENTS,
  PeerProtocolError,
  REFUSE_MALFORMED,
} from '../../protocol/peer-frame.ts';
import fc from '../support/properties.ts';

const name = { database: 3, key: Buffer.from('hash'), kind: 16 };

function digestsOf(count: number): Uint32Array {
  return Uint32Array.from({ length: count * 2 }, (_none, word) => Math.imul(word + 1, 0x9e3779b1) >>> 0);
}

/** The frame as a decoder gives it. */
function reread(frame: Buffer): FrameDecoder {
  const decoder = new FrameDecoder(FRAME_BYTES_MAX_DEFAULT);
  const bytes = Buffer.concat([PEER_MAGIC, frame]);
  decoder.feed(bytes, 0, bytes.length);
  expect(decoder.next()).toBe(true);
  return decoder;
}

function refusalOf(decode: (buffer: Buffer, start: number, end: number) => unknown, payload: Buffer): number {
  try {
    decode(payload, 0, payload.length);
  } catch (problem) {
    if (problem instanceof PeerProtocolError) return problem.code;
    throw problem;
  }
  return 0;
}

describe('the wire format of comparing elements, which is a promise', () => {
  it.each([
    [
      'REPAIR_RANGES',
      encodeRanges({ ...name, bits: 7, ranges: Uint32Array.of(1, 2, 3, 4) }),
      '2800000034c2b59a1b0400001007000003000000040000006861736800000001000000020000000300000004',
    ],
    [
      'REPAIR_CELLS',
      encodeCells(5, 2, [0], Uint32Array.of(1, 2, 3, 4, 5, 6, 7, 8), true),
      '3000000043416ac81c04010005000000000000000000000100000002000000030000000400000005000000060000000700000008',
    ],
    ['REPAIR_CELLS, all', encodeAll(FRAME_REPAIR_CELLS, 6), '0e0000000e75cbaf1c040000060000000100'],
    [
      'REPAIR_PICK',
      encodePick(
        7,
        7,
        Uint8Array.from({ length: 128 }, (_none, cell) => (cell === 73 ? 1 : 0)),
      ),
      '18000000fe64e8b21d04000007000000000001000002000000000000',
    ],
    ['REPAIR_PICK, all', encodeAll(FRAME_REPAIR_PICK, 8), '0e0000000081e26d1d040000080000000100'],
  ])('%s', (_name, frame, hex) => {
    expect(frame.toString('hex')).toBe(hex);
    expect(frame[9]).toBe(PEER_VERSION_ELEMENTS);
  });
});

const anyBits = fc.integer({ min: CELL_BITS_LEAST, max: 12 });

describe('what is told of elements', () => {
  it('comes as it was sent: ranges', () => {
    fc.assert(
      fc.property(anyBits, fc.uint8Array({ maxLength: 40 }), fc.nat(65_535), (bits, key, database) => {
        const told = { key: Buffer.from(key), database, kind: 18, bits, ranges: digestsOf(rangeCount(bits)) };
        const { buffer, payloadStart, payloadEnd } = reread(encodeRanges(told));
        expect(decodeRanges(buffer, payloadStart, payloadEnd)).toEqual(told);
      }),
    );
  });

  it('comes as it was sent: cells', () => {
    fc.assert(
      fc.property(anyBits, fc.nat(), (bits, choice) => {
        const words = digestsOf(2 ** bits);
        const listed = Array.from({ length: rangeCount(bits) }, (_none, range) => range).filter(
          (range) => ((choice >>> (range % 31)) & 1) === 1,
        );
        const { buffer, payloadStart, payloadEnd, flags } = reread(encodeCells(9, bits, listed, words, true));
        expect(flags).toBe(FRAME_FLAG_MORE);
        expect(decodeNumber(buffer, payloadStart, payloadEnd)).toEqual({ number: 9, isAll: false });
        const found: number[] = [];
        decodeCells(buffer, payloadStart, payloadEnd, bits, (cell, hi, lo) => {
          found.push(cell);
          expect([hi, lo]).toEqual([words[cell * 2], words[cell * 2 + 1]]);
        });
        const count = cellsPerRange(bits);
        expect(found).toEqual(
          listed.flatMap((range) => Array.from({ length: count }, (_none, at) => range * count + at)),
        );
      }),
    );
  });

  it('comes as it was sent: picks', () => {
    fc.assert(
      fc.property(anyBits, fc.array(fc.nat(), { maxLength: 20 }), (bits, chosen) => {
        const cells = new Uint8Array(2 ** bits);
        for (const cell of chosen) cells[cell % cells.length] = 1;
        const { buffer, payloadStart, payloadEnd } = reread(encodePick(1, bits, cells));
        expect(decodePick(buffer, payloadStart, payloadEnd, bits)).toEqual(cells);
      }),
    );
  });

  it('has ranges that are the XOR of their cells, and frames that are short enough', () => {
    const words = digestsOf(2 ** CELL_BITS_MOST);
    const ranges = rangeDigests(words, CELL_BITS_MOST);
    expect(ranges).toHaveLength(4096 * 2);
    let expected = 0;
    for (let cell = 64; cell < 128; cell++) expected ^= words[cell * 2 + 1];
    expect(ranges[3]).toBe(expected >>> 0);
    expect(rangeDigests(Uint32Array.of(1, 2, 4, 8, 16, 32, 64, 128), 2)).toEqual(Uint32Array.of(85, 170));
    const all = new Uint8Array(2 ** CELL_BITS_MOST).fill(1);
    expect(encodePick(0, CELL_BITS_MOST, all).length).toBeLessThan(FRAME_PART_BYTES);
    expect(encodeRanges({ ...name, bits: CELL_BITS_MOST, ranges }).length).toBeLessThan(FRAME_PART_BYTES);
  });
});

describe('malformed frames about elements', () => {
  const payloadOf = (frame: Buffer): Buffer => Buffer.from(frame.subarray(FRAME_HEADER_BYTES));
  const changed = (frame: Buffer, at: number, byte: number): Buffer => {
    const payload = payloadOf(frame);
    payload[at] = byte;
    return payload;
  };
  const ranges = encodeRanges({ ...name, bits: 7, ranges: digestsOf(2) });
  const cells = encodeCells(0, 7, [1], digestsOf(128), false);
  const pick = encodePick(0, 7, new Uint8Array(128).fill(1));
  const readCells = (buffer: Buffer, start: number, end: number): void =>
    decodeCells(buffer, start, end, 7, () => undefined);
  const readPick = (buffer: Buffer, start: number, end: number): Uint8Array => decodePick(buffer, start, end, 7);

  it.each([
    ['ranges that are cut off', decodeRanges, payloadOf(ranges).subarray(0, -1)],
    ['ranges without a head', decodeRanges, payloadOf(ranges).subarray(0, 11)],
    ['fewer bits than there can be', decodeRanges, changed(ranges, 1, 1)],
    ['more bits than there can be', decodeRanges, changed(ranges, 1, 19)],
    ['more bits than ranges', decodeRanges, changed(ranges, 1, 8)],
    ['a key that is longer than the frame', decodeRanges, changed(ranges, 8, 5)],
    ['a key that is too long', decodeRanges, changed(ranges, 10, 255)],
    ['no number', decodeNumber, payloadOf(cells).subarray(0, 5)],
    ['unknown flags', decodeNumber, changed(cells, 4, 2)],
    ['all, and cells', decodeNumber, changed(cells, 4, 1)],
    ['cells that are cut off', readCells, payloadOf(cells).subarray(0, -1)],
    ['cells of a range that is not there', readCells, changed(cells, 6, 2)],
    ['a pick that is cut off', readPick, payloadOf(pick).subarray(0, -1)],
    ['a pick in a range that is not there', readPick, changed(pick, 6, 2)],
  ])('are refused: %s', (_name, decode, payload) => {
    expect(refusalOf(decode, payload)).toBe(REFUSE_MALFORMED);
  });
});
