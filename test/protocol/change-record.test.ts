import { describe, expect, it } from '@jest/globals';
import {
  FLAG_BATCH_BEGIN,
  FLAG_BATCH_END,
  FLAG_DEAD,
  FLAG_HAS_DEADLINE,
  FLAG_HAS_ELEMENT,
  KIND_COUNTER,
  KIND_STRING,
  LENT_BYTES_MAX,
  OFFSET_FLAGS,
  OFFSET_KEY_LENGTH,
  OFFSET_KIND,
  OFFSET_RESERVED,
  OFFSET_VERSION,
  RecordError,
  RecordReader,
  RecordWriter,
} from '../../protocol/change-record.ts';
import { compareVersions } from '../../protocol/register-order.ts';
import { stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import fc from '../support/properties.ts';

interface Fields {
  kind: number;
  flags: number;
  stampHi: number;
  stampLo: number;
  originHi: number;
  originLo: number;
  database: number;
  key: Buffer;
  element: Buffer | null;
  deadline: { ms: number; stampHi: number; stampLo: number; originHi: number; originLo: number } | null;
  value: Buffer;
}

const word = fc.integer({ min: 0, max: 0xffffffff });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const fieldsArbitrary: fc.Arbitrary<Fields> = fc.record({
  kind: fc.integer({ min: 1, max: 255 }),
  flags: fc.constantFrom(0, FLAG_DEAD, FLAG_BATCH_BEGIN, FLAG_BATCH_END, FLAG_DEAD | FLAG_BATCH_BEGIN | FLAG_BATCH_END),
  stampHi: word,
  stampLo: word,
  originHi: word,
  originLo: word,
  database: fc.integer({ min: 0, max: 0xffff }),
  key: bytes(200),
  element: fc.option(bytes(100)),
  deadline: fc.option(
    fc.record({
      ms: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      stampHi: word,
      stampLo: word,
      originHi: word,
      originLo: word,
    }),
  ),
  value: bytes(300),
});

function write(writer: RecordWriter, fields: Fields): number {
  const start = writer.begin(
    fields.kind,
    fields.flags,
    fields.stampHi,
    fields.stampLo,
    fields.originHi,
    fields.originLo,
    fields.database,
    fields.key,
    0,
    fields.key.length,
  );
  if (fields.element) writer.element(fields.element, 0, fields.element.length);
  const deadline = fields.deadline;
  if (deadline) {
    writer.deadline(deadline.ms, deadline.stampHi, deadline.stampLo, deadline.originHi, deadline.originLo);
  }
  writer.value(fields.value, 0, fields.value.length);
  writer.end();
  return start;
}

function fieldsOf(reader: RecordReader): Fields {
  const { buffer, flags, kind, stampHi, stampLo, originHi, originLo, database } = reader;
  const part = (start: number, length: number) => Buffer.from(buffer.subarray(start, start + length));
  return {
    kind,
    flags: flags & ~(FLAG_HAS_DEADLINE | FLAG_HAS_ELEMENT),
    stampHi,
    stampLo,
    originHi,
    originLo,
    database,
    key: part(reader.keyStart, reader.keyLength),
    element: flags & FLAG_HAS_ELEMENT ? part(reader.elementStart, reader.elementLength) : null,
    deadline:
      flags & FLAG_HAS_DEADLINE
        ? {
            ms: reader.deadlineMs,
            stampHi: reader.deadlineStampHi,
            stampLo: reader.deadlineStampLo,
            originHi: reader.deadlineOriginHi,
            originLo: reader.deadlineOriginLo,
          }
        : null,
    value: part(reader.valueStart, reader.valueLength),
  };
}

const exampleMs = 1_700_000_000_000;
const example: Fields = {
  kind: KIND_STRING,
  flags: 0,
  stampHi: stampHiOf(exampleMs),
  stampLo: stampLoOf(exampleMs, 7),
  originHi: 0,
  originLo: 0xdeadbeef,
  database: 3,
  key: Buffer.from('greeting'),
  element: null,
  deadline: {
    ms: exampleMs + 60_000,
    stampHi: stampHiOf(exampleMs),
    stampLo: stampLoOf(exampleMs, 7),
    originHi: 0,
    originLo: 0xdeadbeef,
  },
  value: Buffer.from('hello'),
};

const exampleHex =
  '450000000101020018bcfe568000000700000000deadbeef0300000008000000' +
  '6772656574696e67' +
  '0000018bcfe6526018bcfe568000000700000000deadbeef' +
  '68656c6c6f';

const counter: Fields = {
  ...example,
  kind: KIND_COUNTER,
  flags: FLAG_DEAD,
  element: Buffer.from('00000000deadbeef', 'hex'),
  deadline: null,
  value: Buffer.from('42'),
};

const counterHex =
  '3600000001020500' + // length 54, version, kind, flags dead | element
  '18bcfe568000000700000000deadbeef0300000008000000' +
  '6772656574696e67' +
  '0800000000000000deadbeef' +
  '3432';

describe('change record', () => {
  it('writes and reads the worked example at the head of the codec', () => {
    const writer = new RecordWriter(8);
    write(writer, example);
    write(writer, counter);
    const packed = writer.take();
    expect(packed.toString('hex')).toBe(exampleHex + counterHex);
    const reader = new RecordReader();
    const next = reader.read(packed, 0);
    expect(fieldsOf(reader)).toEqual(example);
    expect(reader.read(packed, next)).toBe(packed.length);
    expect(fieldsOf(reader)).toEqual(counter);
  });

  it('reads back whatever it writes', () => {
    fc.assert(
      fc.property(fc.array(fieldsArbitrary, { maxLength: 8 }), (all) => {
        const writer = new RecordWriter(16);
        for (const fields of all) write(writer, fields);
        const packed = writer.take();
        const reader = new RecordReader();
        const read: Fields[] = [];
        for (let at = 0; at < packed.length;) {
          at = reader.read(packed, at);
          read.push(fieldsOf(reader));
        }
        expect(read).toEqual(all);
      }),
    );
  });

  it('refuses a record cut off at any byte', () => {
    const writer = new RecordWriter();
    write(writer, { ...example, element: Buffer.from('field') });
    const whole = writer.take();
    const reader = new RecordReader();
    for (let length = 0; length < whole.length; length++) {
      expect(() => reader.read(whole.subarray(0, length), 0)).toThrow(RecordError);
      expect(() => reader.read(whole, 0, length)).toThrow(RecordError);
    }
    for (let length = 0; length < whole.length; length++) {
      // The length word agrees with the cut: only a cut inside the value can still be a record.
      const cut = Buffer.from(whole.subarray(0, length));
      if (length >= 4) cut.writeUInt32LE(length, 0);
      if (length < whole.length - example.value.length) expect(() => reader.read(cut, 0)).toThrow(RecordError);
      else expect(reader.read(cut, 0)).toBe(length);
    }
  });

  it.each([
    ['version', OFFSET_VERSION, 2],
    ['version 0', OFFSET_VERSION, 0],
    ['kind', OFFSET_KIND, 0],
    ['unknown flag', OFFSET_FLAGS, 64],
    ['unknown high flag', OFFSET_FLAGS + 1, 1],
    ['reserved', OFFSET_RESERVED, 1],
    ['reserved', OFFSET_RESERVED + 1, 1],
    ['key length', OFFSET_KEY_LENGTH + 3, 0xff],
    ['key length', OFFSET_KEY_LENGTH, 0xff],
    ['length', 0, 31],
    ['length', 3, 0xff],
    ['deadline', 40, 0xff],
  ])('refuses a wrong %s (byte %d)', (_name, offset, value) => {
    const damaged = Buffer.from(exampleHex, 'hex');
    damaged[offset] = value;
    expect(() => new RecordReader().read(damaged, 0)).toThrow(RecordError);
  });

  it('never reads outside its limits, whatever the bytes', () => {
    fc.assert(
      fc.property(fieldsArbitrary, fc.nat(), fc.nat(255), (fields, at, value) => {
        const writer = new RecordWriter();
        write(writer, fields);
        const damaged = writer.take();
        damaged[at % damaged.length] = value;
        const reader = new RecordReader();
        try {
          expect(reader.read(damaged, 0)).toBeLessThanOrEqual(damaged.length);
        } catch (error) {
          expect(error).toBeInstanceOf(RecordError);
          return;
        }
        expect(reader.keyStart + reader.keyLength).toBeLessThanOrEqual(damaged.length);
        expect(reader.elementStart + reader.elementLength).toBeLessThanOrEqual(damaged.length);
        expect(reader.valueStart + reader.valueLength).toBe(reader.end);
      }),
    );
  });

  it('patches batch flags, resets, takes raw records and hands buffers over', () => {
    const writer = new RecordWriter(8);
    const first = write(writer, example);
    const second = write(writer, counter);
    writer.patchFlags(first, FLAG_BATCH_BEGIN);
    writer.patchFlags(second, FLAG_BATCH_END);
    const packed = writer.take();
    expect(packed.buffer.byteLength).toBeGreaterThanOrEqual(packed.length);
    // What a store needs before the first record.
    expect(packed.byteOffset).toBe(8);
    const reader = new RecordReader();
    const next = reader.read(packed, 0);
    expect(reader.flags).toBe(FLAG_HAS_DEADLINE | FLAG_BATCH_BEGIN);
    reader.read(packed, next);
    expect(reader.flags).toBe(FLAG_DEAD | FLAG_HAS_ELEMENT | FLAG_BATCH_END);
    expect(writer.length).toBe(0);
    writer.raw(packed, 0, next);
    expect(writer.length).toBe(next);
    writer.reset();
    expect(writer.length).toBe(0);
  });

  it('lends what it goes on using, and hands over what is large', () => {
    const writer = new RecordWriter(8);
    write(writer, example);
    const lent = writer.lend();
    writer.reset();
    write(writer, example);
    expect(writer.lend().buffer).toBe(lent.buffer);
    const big: Fields = { ...example, value: Buffer.alloc(LENT_BYTES_MAX, 'v') };
    write(writer, big);
    const given = writer.lend();
    const copy = Buffer.from(given);
    writer.reset();
    write(writer, example);
    expect(writer.buffer.buffer).not.toBe(given.buffer);
    expect(given.equals(copy)).toBe(true);
  });

  it('copies long parts and keeps what was written when it grows', () => {
    const writer = new RecordWriter(8);
    const big: Fields = { ...example, key: Buffer.alloc(5000, 'k'), value: Buffer.alloc(100_000, 'v') };
    write(writer, example);
    write(writer, big);
    const packed = writer.take();
    const reader = new RecordReader();
    reader.read(packed, reader.read(packed, 0));
    expect(fieldsOf(reader)).toEqual(big);
  });
});

describe('register order', () => {
  const chain: Fields[] = [
    { ...example, deadline: null, stampLo: 1 },
    { ...example, deadline: null, stampLo: 2 },
    { ...example, deadline: null, stampLo: 2, originHi: 1 },
    { ...example, deadline: null, stampLo: 2, originHi: 1, value: Buffer.from('hello!') },
    { ...example, deadline: { ms: 9, stampHi: 0, stampLo: 1, originHi: 0, originLo: 0 }, stampLo: 2, originHi: 1 },
    { ...example, deadline: { ms: 1, stampHi: 0, stampLo: 1, originHi: 0, originLo: 1 }, stampLo: 2, originHi: 1 },
    { ...example, deadline: { ms: 1, stampHi: 1, stampLo: 0, originHi: 0, originLo: 0 }, stampLo: 2, originHi: 1 },
    { ...example, deadline: null, flags: FLAG_DEAD, stampLo: 2, originHi: 1 },
    { ...example, deadline: null, stampHi: 0xffffffff },
  ];

  it('goes by stamp, origin, dead, deadline, value', () => {
    const writer = new RecordWriter();
    chain[0] = { ...chain[0], stampHi: 0 };
    for (const fields of chain) write(writer, fields);
    const packed = writer.take();
    const readers: RecordReader[] = [];
    for (let at = 0; at < packed.length;) {
      const reader = new RecordReader();
      at = reader.read(packed, at);
      readers.push(reader);
    }
    for (let i = 0; i < readers.length; i++) {
      for (let j = 0; j < readers.length; j++) {
        expect(Math.sign(compareVersions(readers[i], readers[j]))).toBe(Math.sign(i - j));
      }
    }
  });
});
