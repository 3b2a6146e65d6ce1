import { describe, expect, it } from '@jest/globals';
import { ListpackWriter, readIntset, readListpack, readZiplist } from '../../protocol/listpack.ts';
import { PayloadError } from '../../protocol/rdb-payload.ts';
import fc from '../support/properties.ts';

function packed(values: readonly Buffer[]): Buffer {
  const writer = new ListpackWriter();
  for (const value of values) writer.append(value, 0, value.length);
  expect(writer.count).toBe(values.length);
  const { bytes } = writer;
  const listpack = writer.finish();
  expect(listpack).toHaveLength(bytes);
  return listpack;
}

const value = fc.oneof(
  fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((integer) => Buffer.from(String(integer))),
  fc.integer({ min: -40_000, max: 40_000 }).map((integer) => Buffer.from(String(integer))),
  fc.constantFrom(127, 128, 4000, 4095, 4096, 16_380, 16_383, 70_000).map((length) => Buffer.alloc(length, 'x')),
);

describe('listpacks', () => {
  it('have the bytes of the worked example', () => {
    expect(packed([Buffer.from('1'), Buffer.from('a')]).toString('hex')).toBe('0c00000002000101816102ff');
  });

  it('give back what was packed', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 40 }), (values) => {
        const read = readListpack(packed(values));
        expect(read).toHaveLength(values.length);
        expect(read.every((bytes, index) => bytes.equals(values[index]))).toBe(true);
      }),
    );
  });

  it('are refused, and never read beyond, when they are damaged', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), damage, fc.nat(), (values, changes, cut) => {
        const bytes = Buffer.from(packed(values));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const cases = [bytes, bytes.subarray(0, cut % bytes.length)];
        for (const read of [readListpack, readZiplist, readIntset]) {
          for (const damaged of cases) {
            try {
              read(damaged);
            } catch (error) {
              expect(error).toBeInstanceOf(PayloadError);
            }
          }
        }
      }),
    );
  });
});

describe('older packed forms', () => {
  it('are read', () => {
    const ziplist = Buffer.from('14000000' + '11000000' + '0300' + '00026162' + '04feff' + '03f3' + 'ff', 'hex');
    expect(readZiplist(ziplist).map(String)).toEqual(['ab', '-1', '2']);
    const intset = Buffer.from('04000000' + '02000000' + 'ffffffff' + '01000100', 'hex');
    expect(readIntset(intset).map(String)).toEqual(['-1', '65537']);
  });
});
