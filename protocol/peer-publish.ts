/**
 * The payload of the PUBLISH frame of the peer channel, version 3: what clients of the sender have published, for the subscribers
 * of the receiver. Little-endian.
 *
 *   n × | u8 1 for a sharded channel | u32 channel length | u32 message length | channel | message |
 *
 * Worked example, `hi` on channel `news`, with its frame:
 *
 *   17000000 9639bf14 0c 03 0000  00 04000000 02000000 6e657773 6869
 */
import {
  allocateFrame,
  FRAME_BYTES_MAX_DEFAULT,
  FRAME_HEADER_BYTES,
  FRAME_PART_BYTES,
  FRAME_PUBLISH,
  PEER_VERSION_PUBLISH,
  PeerProtocolError,
  REFUSE_MALFORMED,
  sealFrame,
} from './peer-frame.ts';

/** Bytes before a channel. */
const ENTRY_BYTES = 9;
const SHARDED = 1;
/** Longer messages stay on their node: half of what a peer takes in one frame. */
const MESSAGE_BYTES_MAX = FRAME_BYTES_MAX_DEFAULT / 2;

export interface Published {
  readonly channel: Buffer;
  readonly message: Buffer;
  readonly isSharded: boolean;
}

/** The bytes of one message in a frame. */
function publishedBytes({ channel, message }: Published): number {
  return ENTRY_BYTES + channel.length + message.length;
}

export function encodePublish(all: readonly Published[]): Buffer {
  const bytes = all.reduce((sum, each) => sum + publishedBytes(each), 0);
  const frame = allocateFrame(FRAME_PUBLISH, 0, bytes, PEER_VERSION_PUBLISH);
  let at = FRAME_HEADER_BYTES;
  for (const { channel, message, isSharded } of all) {
    at = frame.writeUInt8(isSharded ? SHARDED : 0, at);
    at = frame.writeUInt32LE(channel.length, at);
    at = frame.writeUInt32LE(message.length, at);
    at += channel.copy(frame, at);
    at += message.copy(frame, at);
  }
  return sealFrame(frame);
}

/** The messages in frames of about FRAME_PART_BYTES; one that is longer has a frame of its own, one that fits none is left out. */
export function framesOf(all: readonly Published[]): Buffer[] {
  const frames: Buffer[] = [];
  let part: Published[] = [];
  let bytes = 0;
  for (const each of all) {
    const own = publishedBytes(each);
    if (own > MESSAGE_BYTES_MAX) continue;
    if (part.length > 0 && bytes + own > FRAME_PART_BYTES) {
      frames.push(encodePublish(part));
      part = [];
      bytes = 0;
    }
    part.push(each);
    bytes += own;
  }
  if (part.length > 0) frames.push(encodePublish(part));
  return frames;
}

/** Copies the messages out of a payload. @throws PeerProtocolError */
export function decodePublish(buffer: Buffer, start: number, end: number): Published[] {
  const found: Published[] = [];
  for (let at = start; at < end;) {
    if (end - at < ENTRY_BYTES || buffer[at] > SHARDED) throw malformed();
    const isSharded = buffer[at] === SHARDED;
    const channelLength = buffer.readUInt32LE(at + 1);
    const messageLength = buffer.readUInt32LE(at + 5);
    at += ENTRY_BYTES;
    if (channelLength + messageLength > end - at) throw malformed();
    const channel = Buffer.from(buffer.subarray(at, at + channelLength));
    at += channelLength;
    found.push({ channel, message: Buffer.from(buffer.subarray(at, at + messageLength)), isSharded });
    at += messageLength;
  }
  return found;
}

function malformed(): PeerProtocolError {
  return new PeerProtocolError(REFUSE_MALFORMED, 'a message on a channel that is no message');
}
