import { describe, expect, it } from '@jest/globals';
import { FRAME_PART_BYTES, FRAME_PUBLISH, FrameDecoder, PEER_MAGIC } from '../../protocol/peer-frame.ts';
import { decodePublish, encodePublish, framesOf, type Published } from '../../protocol/peer-publish.ts';

const news: Published = { channel: Buffer.from('news'), message: Buffer.from('hi'), isSharded: false };
const binary: Published = { channel: Buffer.from([0, 255]), message: Buffer.alloc(0), isSharded: true };

function payloadOf(frame: Buffer): Published[] {
  const decoder = new FrameDecoder(1 << 26);
  const bytes = Buffer.concat([PEER_MAGIC, frame]);
  decoder.feed(bytes, 0, bytes.length);
  expect(decoder.next()).toBe(true);
  expect([decoder.type, decoder.version]).toEqual([FRAME_PUBLISH, 3]);
  return decodePublish(decoder.buffer, decoder.payloadStart, decoder.payloadEnd);
}

describe('the PUBLISH frame', () => {
  it('has the bytes of its worked example', () => {
    expect(encodePublish([news]).toString('hex')).toBe('170000009639bf140c0300000004000000020000006e6577736869');
  });

  it('carries several messages of any bytes', () => {
    expect(payloadOf(encodePublish([news, binary, news]))).toEqual([news, binary, news]);
  });

  it('refuses what is no message', () => {
    const whole = encodePublish([news]).subarray(12);
    for (let length = 1; length < whole.length; length++) {
      expect(() => decodePublish(whole, 0, length)).toThrow('a message on a channel that is no message');
    }
    const unknown = Buffer.from(whole);
    unknown[0] = 2;
    expect(() => decodePublish(unknown, 0, unknown.length)).toThrow('no message');
    expect(decodePublish(whole, 0, 0)).toEqual([]);
  });

  it('is cut where it grows long, and leaves out what fits none', () => {
    const half = { ...news, message: Buffer.alloc(FRAME_PART_BYTES / 2) };
    const long = { ...news, message: Buffer.alloc(3 * FRAME_PART_BYTES) };
    const tooLong = { ...news, message: Buffer.alloc(33 << 20) };
    const frames = framesOf([half, half, tooLong, long, news, news]);
    expect(frames.map((frame) => payloadOf(frame).length)).toEqual([1, 1, 1, 2]);
    expect(framesOf([])).toEqual([]);
  });
});
