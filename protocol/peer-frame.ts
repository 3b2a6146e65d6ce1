/**
 * The frames of the peer channel, versions 1 to 4. A connection begins with the four bytes `MNTS` in each direction, then frames
 * follow back to back. Little-endian unless said; what a frame's payload holds is drawn in peer-message.ts.
 *
 *   offset  size
 *        0  u32   length of what follows this word (8 … bound)
 *        4  u32   CRC-32C of the bytes from offset 8 to the end of the frame
 *        8  u8    type
 *        9  u8    version of the payload's layout
 *       10  u16   flags: 1 more (the next frame of this type goes on with the same thing)
 *       12  …     payload
 *
 * Worked example, an ACK of stamp 1700000000000-7 (018bcfe568000007):
 *
 *   10000000 830a7f50 07 01 0000 018bcfe568000007
 *
 * The length is checked before anything is allocated, the checksum before anything is used.
 */
import { strict as assert } from 'node:assert';
import { crc32c } from './crc32c.ts';

/** The first four bytes of a connection, in both directions. */
export const PEER_MAGIC = Buffer.from('MNTS', 'latin1');

export const PEER_VERSION_LOWEST = 1;
export const PEER_VERSION_HIGHEST = 5;
/** From this version on a peer reads SEEN frames. */
export const PEER_VERSION_SEEN = 2;
/** The layout of every payload but those of PUBLISH and of the comparison of elements: later versions only added frames. */
const FRAME_LAYOUT_VERSION = 1;
/** From this version on a peer takes PUBLISH frames. */
export const PEER_VERSION_PUBLISH = 3;
/** From this version on a peer compares the elements of large collections. */
export const PEER_VERSION_ELEMENTS = 4;

/** From this version on a peer reads BROUGHT frames. */
export const PEER_VERSION_BROUGHT = 5;

/** Bytes before the payload. */
export const FRAME_HEADER_BYTES = 12;
/** The smallest value of the length word: checksum, type, version and flags. */
const FRAME_LENGTH_MIN = FRAME_HEADER_BYTES - 4;
/** The first byte of a frame that its checksum is of. */
const SUMMED_FROM = 8;

/** Longest frame from a peer that has not authenticated yet. */
export const FRAME_BYTES_BEFORE_AUTHENTICATION = 64 * 1024;
/** Longest frame from an authenticated peer, unless configured otherwise. */
export const FRAME_BYTES_MAX_DEFAULT = 64 * 1024 * 1024;
/** What is longer than this is sent in several frames, so that pings and acknowledgements get between. */
export const FRAME_PART_BYTES = 1024 * 1024;

export const FRAME_FLAG_MORE = 1;
const FRAME_FLAGS_KNOWN = FRAME_FLAG_MORE;

export const FRAME_HELLO = 1;
export const FRAME_AUTH = 2;
export const FRAME_REFUSE = 3;
export const FRAME_RESUME = 4;
export const FRAME_STREAM = 5;
export const FRAME_RECORDS = 6;
export const FRAME_ACK = 7;
export const FRAME_PING = 8;
export const FRAME_PONG = 9;
export const FRAME_SEEN = 10;
export const FRAME_FORGET = 11;
export const FRAME_PUBLISH = 12;
export const FRAME_BROUGHT = 13;
export const FRAME_REPAIR_ASK = 16;
export const FRAME_REPAIR_GROUPS = 17;
export const FRAME_REPAIR_BUCKETS = 18;
export const FRAME_REPAIR_PLAN = 19;
export const FRAME_REPAIR_SUMMARIES = 20;
export const FRAME_REPAIR_WANT = 21;
export const FRAME_REPAIR_RECORDS = 22;
export const FRAME_REPAIR_TURN = 23;
export const FRAME_REPAIR_DONE = 24;
export const FRAME_REPAIR_RULE = 25;
export const FRAME_REPAIR_TOMBSTONES = 26;
export const FRAME_REPAIR_RANGES = 27;
export const FRAME_REPAIR_CELLS = 28;
export const FRAME_REPAIR_PICK = 29;

/** Why a link is refused or closed; carried by the REFUSE frame. The numbers are part of the wire format. */
export const REFUSE_MAGIC = 1;
export const REFUSE_VERSION = 2;
export const REFUSE_TOO_LONG = 3;
export const REFUSE_CHECKSUM = 4;
export const REFUSE_MALFORMED = 5;
export const REFUSE_SECRET = 6;
export const REFUSE_CLUSTER = 7;
export const REFUSE_SELF = 8;
export const REFUSE_NODE_ID = 9;
export const REFUSE_SECOND_LINK = 10;
export const REFUSE_CLOCK = 11;
export const REFUSE_STAMP = 12;
export const REFUSE_ACK = 13;
export const REFUSE_RECORDS = 14;
export const REFUSE_FORGOTTEN = 15;
export const REFUSE_FULL = 16;
export const REFUSE_STOPPING = 17;
export const REFUSE_SILENT = 18;
export const REFUSE_HORIZON = 19;
export const REFUSE_CERTIFICATE = 20;

/** Bytes that end a link: `code` is one of the REFUSE_ numbers, the message says what was wrong. */
export class PeerProtocolError extends Error {
  override name = 'PeerProtocolError';
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Allocates a frame with room for `payloadBytes`; fill the payload from FRAME_HEADER_BYTES on, then call `sealFrame`. */
export function allocateFrame(
  type: number,
  flags: number,
  payloadBytes: number,
  version = FRAME_LAYOUT_VERSION,
  allocate: (bytes: number) => Buffer = Buffer.allocUnsafe,
): Buffer {
  const frame = allocate(FRAME_HEADER_BYTES + payloadBytes);
  frame.writeUInt32LE(FRAME_LENGTH_MIN + payloadBytes, 0);
  frame[8] = type;
  frame[9] = version;
  frame.writeUInt16LE(flags, 10);
  return frame;
}

/** Writes the checksum; the frame may be sent after that, and shared, but not changed. */
export function sealFrame(frame: Buffer): Buffer {
  assert(frame.readUInt32LE(0) === frame.length - 4, 'a frame whose length word is not its length');
  frame.writeUInt32LE(crc32c(frame, SUMMED_FROM, frame.length), 4);
  return frame;
}

const NO_BYTES = Buffer.alloc(0);
const CARRIED_BYTES_KEPT = 256 * 1024;

/**
 * Cuts a byte stream into frames, in place where a frame lies whole in what was fed. Feed, then call `next` until it returns
 * false; the fed bytes may be reused after that, because an incomplete tail has been copied.
 */
export class FrameDecoder {
  type = 0;
  version = 0;
  flags = 0;
  /** The frame's payload is buffer[payloadStart, payloadEnd), valid until the next call. */
  buffer: Buffer = NO_BYTES;
  payloadStart = 0;
  payloadEnd = 0;

  /** Bound of the length word; may be raised between frames. */
  frameBytesMax: number;
  #magicSeen = false;
  #fed: Buffer = NO_BYTES;
  #fedStart = 0;
  #fedEnd = 0;
  /** What was kept, behind what is looked at. */
  readonly #kept: Buffer[] = [];
  #carried: Buffer = NO_BYTES;
  #carriedLength = 0;
  /** The checksum of the carried frame's bytes up to here, so that a long frame is not summed up at once. */
  #summedLength = SUMMED_FROM;
  #sum = 0;

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax;
  }

  /** Bytes held of a frame that is not complete. */
  get pendingBytes(): number {
    return this.#carriedLength;
  }

  /** What has been fed and not been looked at is copied: frames are taken from it later. */
  keep(): void {
    if (this.#fedStart < this.#fedEnd)
      this.#kept.unshift(Buffer.from(this.#fed.subarray(this.#fedStart, this.#fedEnd)));
    this.#fedStart = this.#fedEnd = 0;
  }

  feed(buffer: Buffer, start: number, end: number): void {
    assert(this.#fedStart === this.#fedEnd, 'feed() before next() returned false');
    if (this.#kept.length > 0) {
      this.#kept.push(Buffer.from(buffer.subarray(start, end)));
      return;
    }
    this.#fed = buffer;
    this.#fedStart = start;
    this.#fedEnd = end;
  }

  /**
   * Steps to the next whole frame.
   * @returns false when more bytes are needed
   * @throws PeerProtocolError for a wrong magic, a length out of bounds, a wrong checksum, unknown flags; nothing after it is usable
   */
  next(): boolean {
    while (!this.#nextFed()) {
      const kept = this.#kept.shift();
      if (kept === undefined) return false;
      this.#fed = kept;
      this.#fedStart = 0;
      this.#fedEnd = kept.length;
    }
    return true;
  }

  #nextFed(): boolean {
    if (!this.#magicSeen && !this.#takeMagic()) return false;
    if (this.#carriedLength > 0) return this.#nextCarried();
    const available = this.#fedEnd - this.#fedStart;
    if (available >= 4) {
      const total = this.#totalOf(this.#fed, this.#fedStart);
      if (available >= total) {
        const start = this.#fedStart;
        this.#fedStart += total;
        this.#open(this.#fed, start, total, crc32c(this.#fed, start + SUMMED_FROM, start + total));
        return true;
      }
    }
    this.#carry(available);
    return false;
  }

  #takeMagic(): boolean {
    this.#carry(Math.min(PEER_MAGIC.length - this.#carriedLength, this.#fedEnd - this.#fedStart));
    for (let index = 0; index < this.#carriedLength; index++) {
      if (this.#carried[index] !== PEER_MAGIC[index]) {
        throw new PeerProtocolError(REFUSE_MAGIC, 'the connection does not begin with MNTS: not a Mantis peer');
      }
    }
    if (this.#carriedLength < PEER_MAGIC.length) return false;
    this.#carriedLength = 0;
    this.#magicSeen = true;
    return true;
  }

  /** Goes on with a frame whose beginning came with an earlier feed. */
  #nextCarried(): boolean {
    if (this.#carriedLength < 4) this.#carry(Math.min(4 - this.#carriedLength, this.#fedEnd - this.#fedStart));
    if (this.#carriedLength < 4) return false;
    const total = this.#totalOf(this.#carried, 0);
    this.#carry(Math.min(total - this.#carriedLength, this.#fedEnd - this.#fedStart), total);
    this.#sumCarried();
    if (this.#carriedLength < total) return false;
    const frame = this.#carried;
    const sum = this.#sum;
    this.#carriedLength = this.#sum = 0;
    this.#summedLength = SUMMED_FROM;
    this.#open(frame, 0, total, sum);
    // A large buffer is not kept for the next small tail; that of a busy peer's turns is.
    if (frame.length > CARRIED_BYTES_KEPT) this.#carried = NO_BYTES;
    return true;
  }

  #sumCarried(): void {
    if (this.#carriedLength <= this.#summedLength) return;
    this.#sum = crc32c(this.#carried, this.#summedLength, this.#carriedLength, this.#sum);
    this.#summedLength = this.#carriedLength;
  }

  #totalOf(buffer: Buffer, at: number): number {
    const length = buffer.readUInt32LE(at);
    if (length > this.frameBytesMax) {
      throw new PeerProtocolError(
        REFUSE_TOO_LONG,
        `a frame of ${length} bytes where ${this.frameBytesMax} are allowed`,
      );
    }
    if (length < FRAME_LENGTH_MIN)
      throw new PeerProtocolError(REFUSE_MALFORMED, `a frame of ${length} bytes is too short`);
    return length + 4;
  }

  /** Copies `count` fed bytes behind the carried ones; memory grows with what has arrived, not with what a header claims. */
  #carry(count: number, totalBytes = 4096): void {
    const needed = this.#carriedLength + count;
    if (needed > this.#carried.length) {
      const capacity = Math.max(needed, Math.min(totalBytes, Math.max(4096, needed * 2)));
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#carried.copy(grown, 0, 0, this.#carriedLength);
      this.#carried = grown;
    }
    this.#fed.copy(this.#carried, this.#carriedLength, this.#fedStart, this.#fedStart + count);
    this.#carriedLength = needed;
    this.#fedStart += count;
  }

  #open(buffer: Buffer, start: number, total: number, sum: number): void {
    if (buffer.readUInt32LE(start + 4) !== sum) {
      throw new PeerProtocolError(REFUSE_CHECKSUM, 'a frame with a wrong checksum');
    }
    this.type = buffer[start + 8]!;
    this.version = buffer[start + 9]!;
    this.flags = buffer.readUInt16LE(start + 10);
    if (this.version < PEER_VERSION_LOWEST || this.version > PEER_VERSION_HIGHEST) {
      throw new PeerProtocolError(
        REFUSE_VERSION,
        `a frame of version ${this.version}; this release reads up to ${PEER_VERSION_HIGHEST}`,
      );
    }
    if ((this.flags & ~FRAME_FLAGS_KNOWN) !== 0)
      throw new PeerProtocolError(REFUSE_MALFORMED, `a frame with unknown flags ${this.flags}`);
    this.buffer = buffer;
    this.payloadStart = start + FRAME_HEADER_BYTES;
    this.payloadEnd = start + total;
  }
}
