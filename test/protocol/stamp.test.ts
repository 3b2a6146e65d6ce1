import { describe, expect, it } from '@jest/globals';
import { crc32c } from '../../protocol/crc32c.ts';
import {
  compareStamp,
  formatNodeId,
  formatStamp,
  parseNodeId,
  STAMP_COUNTER_LIMIT,
  STAMP_MS_MAX,
  stampCounter,
  stampHiOf,
  stampLoOf,
  stampMs,
} from '../../protocol/stamp.ts';
import fc from '../support/properties.ts';

const milliseconds = fc.integer({ min: 0, max: STAMP_MS_MAX });
const counters = fc.integer({ min: 0, max: STAMP_COUNTER_LIMIT - 1 });

describe('stamp', () => {
  it('is the milliseconds and the counter side by side', () => {
    fc.assert(
      fc.property(milliseconds, counters, (ms, counter) => {
        const hi = stampHiOf(ms);
        const lo = stampLoOf(ms, counter);
        expect((BigInt(hi) << 32n) | BigInt(lo)).toBe((BigInt(ms) << 20n) | BigInt(counter));
        expect(stampMs(hi, lo)).toBe(ms);
        expect(stampCounter(lo)).toBe(counter);
        expect(formatStamp(hi, lo)).toBe(`${ms}-${counter}`);
      }),
    );
  });

  it('is ordered as the 64-bit number', () => {
    fc.assert(
      fc.property(milliseconds, counters, milliseconds, counters, (aMs, aCounter, bMs, bCounter) => {
        const order = compareStamp(stampHiOf(aMs), stampLoOf(aMs, aCounter), stampHiOf(bMs), stampLoOf(bMs, bCounter));
        expect(Math.sign(order)).toBe(Math.sign(aMs - bMs || aCounter - bCounter));
      }),
    );
  });
});

describe('node id', () => {
  it('is written as 16 hex digits and read back', () => {
    expect(formatNodeId(0, 0xdeadbeef)).toBe('00000000deadbeef');
    expect(parseNodeId('FFFFFFFF00000001')).toEqual({ hi: 0xffffffff, lo: 1 });
  });

  it.each(['', '1', 'xyz', '00000000deadbeef0', '00000000deadbee', '0x000000deadbeef', ' 0000000deadbeef'])(
    'refuses %j',
    (text) => {
      expect(parseNodeId(text)).toBeNull();
    },
  );
});

describe('crc32c', () => {
  const ascending = Buffer.from(Array.from({ length: 32 }, (_, index) => index));

  // The vectors of RFC 3720 B.4, and the customary check value.
  it.each<[string, Buffer, number]>([
    ['nothing', Buffer.alloc(0), 0],
    ['123456789', Buffer.from('123456789'), 0xe3069283],
    ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
    ['32 ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
    ['ascending', ascending, 0x46dd794e],
    ['descending', Buffer.from(ascending).reverse(), 0x113fdb5c],
  ])('of %s', (_name, bytes, expected) => {
    expect(crc32c(bytes, 0, bytes.length)).toBe(expected);
  });

  it('goes on from the checksum of the bytes before, and sees every flipped bit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.nat(), fc.nat(7), (bytes, at, bit) => {
        const whole = crc32c(bytes, 0, bytes.length);
        const cut = at % bytes.length;
        expect(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut))).toBe(whole);
        bytes[cut] ^= 1 << bit;
        expect(crc32c(bytes, 0, bytes.length)).not.toBe(whole);
      }),
    );
  });
});
