import { describe, expect, it } from '@jest/globals';
import { crc64 } from '../../protocol/crc64.ts';
import { lzfDecompress } from '../../protocol/lzf.ts';
import { PayloadError, PayloadReader, PayloadWriter, RDB_TYPE_STRING } from '../../protocol/rdb-payload.ts';
import { withSeed } from '../support/seed.ts';

const thisFile = 'test/protocol/rdb-payload.test.ts';

function payloadOf(value: Buffer): Buffer {
  const writer = new PayloadWriter(RDB_TYPE_STRING);
  writer.string(value, 0, value.length);
  return writer.finish();
}

describe('crc64', () => {
  it('is that of the published example', () => {
    expect(crc64(Buffer.from('x123456789x'), 1, 10)).toEqual({ hi: 0xe9c6d914, lo: 0xc4b8d9ca });
    expect(crc64(Buffer.alloc(0), 0, 0)).toEqual({ hi: 0, lo: 0 });
  });
});

describe('lzfDecompress', () => {
  it('reads the worked example', () => {
    expect(lzfDecompress(Buffer.from('0061e00100', 'hex'), 0, 5, 11)).toEqual(Buffer.from('a'.repeat(11)));
  });

  it('refuses a claim of more than there can be before making room for it', () => {
    expect(lzfDecompress(Buffer.from('0061e00100', 'hex'), 0, 5, 2 ** 40)).toBeNull();
  });

  it('never reads or writes outside, whatever the bytes are', async () => {
    await withSeed(thisFile, (random) => {
      for (let round = 0; round < 5000; round++) {
        const bytes = random.bytes(1 + random.below(40));
        const start = random.below(bytes.length);
        const length = random.below(300);
        const output = lzfDecompress(bytes, start, bytes.length, length);
        if (output !== null) expect(output).toHaveLength(length);
      }
    });
  });
});

describe('payloads', () => {
  it('are as the worked example', () => {
    expect(payloadOf(Buffer.from('abc')).toString('hex')).toBe('00036162630a00d9ac303d4172a2e2');
  });

  it('give every value back', async () => {
    await withSeed(thisFile, (random) => {
      for (let round = 0; round < 300; round++) {
        const value = random.chance(0.5)
          ? random.bytes(random.below(300))
          : Buffer.from(String(random.uint32() - 2 ** 31));
        const payload = Buffer.concat([random.bytes(3), payloadOf(value), random.bytes(3)]);
        const length = payload.length - 6;
        expect(PayloadReader.isSound(payload, 3, length)).toBe(true);
        const reader = new PayloadReader(payload, 3, length);
        expect(reader.type).toBe(RDB_TYPE_STRING);
        expect(reader.string()).toEqual(value);
      }
    });
  });

  it('are refused when a bit has changed', () => {
    const sound = payloadOf(Buffer.from('abc'));
    for (let bit = 0; bit < sound.length * 8; bit++) {
      const bytes = Buffer.from(sound);
      bytes[bit >> 3] ^= 1 << (bit & 7);
      expect(PayloadReader.isSound(bytes, 0, bytes.length)).toBe(false);
    }
  });

  it('throw only PayloadError, whatever the value is', async () => {
    await withSeed(thisFile, (random) => {
      for (let round = 0; round < 5000; round++) {
        const bytes = random.bytes(10 + random.below(30));
        bytes[1] = random.pick([0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0x80, 0x81, 0x82, 0x40, 3]);
        try {
          new PayloadReader(bytes, 0, bytes.length).string();
        } catch (error) {
          expect(error).toBeInstanceOf(PayloadError);
        }
      }
    });
  });
});
