/**
 * The payloads of the peer channel's small frames, version 1. Numbers of 64 bits (node ids, incarnations, stamps, wall
 * clocks, hashes, digests) are big-endian, others little-endian. Text is UTF-8 behind its length. (peer-frame.ts draws the frame around them.)
 *
 *   HELLO   u8 lowest version, u8 highest version, u16 0, u64 node id, u64 incarnation, u64 clock, u64 wall clock in ms,
 *           32 bytes nonce, u16 advertised port (0 = none), u8+text advertised host, u8+text cluster id;
 *           then, where the sender knows of the tombstone horizon: u64 held, u64 reaped, u64 writer id;
 *           a later version may append
 *   AUTH    u8 number of proofs (0 … 2), 32 bytes each: HMAC-SHA-256 (see replication/links/handshake.ts)
 *   REFUSE  u16 reason, u16+text
 *   RESUME  u16 flags (1 nothing is missing before it), u64 stamp: what the sender has applied of the receiver's stream
 *   STREAM  u16 flags (1 resumed), u64 stamp: the stream goes on after this stamp
 *   RECORDS u64 stamp, u64 previous stamp, change records (a part of them when `more` is set)
 *   ACK     u64 stamp
 *   PING    u64 clock, u64 wall clock in ms, u32 token, u32 bytes the sender still has to send, u64 stamp of its last turn,
 *           u64 complete (its later turns are stamped above this), u64 held (it has all of every member up to this),
 *           u16 number of members, each: u64 node id, u64 incarnation, u8 flags (1 linked to the sender), u16 port, u8+text host
 *   PONG    u32 token, u64 clock, u64 wall clock in ms
 *   FORGET  u64 node id, u64 stamp of the order, u64 stamp up to which all that it wrote is known; only to peers that told of
 *           the tombstone horizon
 */
import {
  FRAME_ACK,
  FRAME_AUTH,
  FRAME_BROUGHT,
  FRAME_FLAG_MORE,
  FRAME_FORGET,
  FRAME_HEADER_BYTES,
  FRAME_HELLO,
  FRAME_PING,
  FRAME_PONG,
  FRAME_RECORDS,
  FRAME_REFUSE,
  FRAME_RESUME,
  FRAME_STREAM,
  PEER_VERSION_BROUGHT,
  PeerProtocolError,
  REFUSE_MALFORMED,
  allocateFrame,
  sealFrame,
} from './peer-frame.ts';

export const NONCE_BYTES = 32;
const PROOF_BYTES = 32;
export const PROOFS_MAX = 2;
/** Bytes before the records of a RECORDS payload. */
export const RECORDS_PREFIX_BYTES = 16;
const TEXT_BYTES_MAX = 255;
const REASON_BYTES_MAX = 512;
const HELLO_HORIZON_BYTES = 24;
/** A ping never names more members than this. */
export const PING_MEMBERS_MAX = 256;

export interface Hello {
  versionLowest: number;
  versionHighest: number;
  nodeHi: number;
  nodeLo: number;
  incarnationHi: number;
  incarnationLo: number;
  clockHi: number;
  clockLo: number;
  wallMs: number;
  nonce: Buffer;
  port: number;
  host: string;
  clusterId: string;
  /** Null from a node that does not know of the tombstone horizon. */
  horizon: HelloHorizon | null;
}

/** What decides whether one of two nodes has to resynchronise: see replication/membership/horizon.ts. */
export interface HelloHorizon {
  held: StampWords;
  reaped: StampWords;
  /** The origin that the node's writes carry. */
  writer: StampWords;
}

/** The order to forget a node, as it is passed on. */
export interface Forget {
  node: StampWords;
  stamp: StampWords;
  /** All that the node wrote up to here is known. */
  complete: StampWords;
}

/** RESUME and STREAM: a flag (known, resumed) and a stamp. */
export interface Position {
  flag: boolean;
  hi: number;
  lo: number;
}

/** A stamp as its two halves. */
interface StampWords {
  hi: number;
  lo: number;
}

/** One member as a ping tells of it. */
export interface MemberAddress {
  nodeHi: number;
  nodeLo: number;
  incarnationHi: number;
  incarnationLo: number;
  linked: boolean;
  port: number;
  host: string;
}

export interface Ping {
  clockHi: number;
  clockLo: number;
  wallMs: number;
  token: number;
  backlogBytes: number;
  published: StampWords;
  complete: StampWords;
  held: StampWords;
  members: MemberAddress[];
}

export interface Pong {
  token: number;
  clockHi: number;
  clockLo: number;
  wallMs: number;
}

const WORD = 0x1_0000_0000;

/** Writes fields one after another into a frame's payload. */
class FieldWriter {
  readonly frame: Buffer;
  #at = FRAME_HEADER_BYTES;
  constructor(type: number, payloadBytes: number, version?: number) {
    this.frame = allocateFrame(type, 0, payloadBytes, version);
  }
  u8(value: number): this {
    this.#at = this.frame.writeUInt8(value, this.#at);
    return this;
  }
  u16(value: number): this {
    this.#at = this.frame.writeUInt16LE(value, this.#at);
    return this;
  }
  u32(value: number): this {
    this.#at = this.frame.writeUInt32LE(value, this.#at);
    return this;
  }
  u64(hi: number, lo: number): this {
    this.#at = this.frame.writeUInt32BE(hi, this.#at);
    this.#at = this.frame.writeUInt32BE(lo, this.#at);
    return this;
  }
  milliseconds(value: number): this {
    return this.u64(Math.floor(value / WORD), value >>> 0);
  }
  bytes(source: Buffer): this {
    this.#at += source.copy(this.frame, this.#at);
    return this;
  }
  seal(): Buffer {
    return sealFrame(this.frame);
  }
}

/** Reads fields one after another; throws PeerProtocolError when they end early. */
class FieldReader {
  readonly buffer: Buffer;
  #at: number;
  readonly #end: number;
  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer;
    this.#at = start;
    this.#end = end;
  }
  take(count: number): number {
    const at = this.#at;
    if (this.#end - at < count) throw new PeerProtocolError(REFUSE_MALFORMED, 'a frame that ends inside a field');
    this.#at = at + count;
    return at;
  }
  get left(): number {
    return this.#end - this.#at;
  }
  stamp(): StampWords {
    return { hi: this.u32be(), lo: this.u32be() };
  }
  u8(): number {
    return this.buffer[this.take(1)];
  }
  u16(): number {
    return this.buffer.readUInt16LE(this.take(2));
  }
  u32(): number {
    return this.buffer.readUInt32LE(this.take(4));
  }
  u32be(): number {
    return this.buffer.readUInt32BE(this.take(4));
  }
  milliseconds(): number {
    const value = this.u32be() * WORD + this.u32be();
    if (value > Number.MAX_SAFE_INTEGER) throw new PeerProtocolError(REFUSE_MALFORMED, 'a wall clock past 2^53 ms');
    return value;
  }
  /** Copies, because the decoder's buffer is reused. */
  bytes(count: number): Buffer {
    const at = this.take(count);
    return Buffer.from(this.buffer.subarray(at, at + count));
  }
  text(count: number): string {
    const at = this.take(count);
    return this.buffer.toString('utf8', at, at + count);
  }
  finish(): void {
    if (this.#at !== this.#end)
      throw new PeerProtocolError(REFUSE_MALFORMED, `a frame with ${this.#end - this.#at} bytes too many`);
  }
}

function textBytes(text: string, bytesMax = TEXT_BYTES_MAX): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length > bytesMax ? bytes.subarray(0, bytesMax) : bytes;
}

export function encodeHello(hello: Hello): Buffer {
  const host = textBytes(hello.host);
  const cluster = textBytes(hello.clusterId);
  const { horizon } = hello;
  const horizonBytes = horizon === null ? 0 : HELLO_HORIZON_BYTES;
  const fields = new FieldWriter(FRAME_HELLO, 36 + NONCE_BYTES + 4 + host.length + cluster.length + horizonBytes)
    .u8(hello.versionLowest)
    .u8(hello.versionHighest)
    .u16(0)
    .u64(hello.nodeHi, hello.nodeLo)
    .u64(hello.incarnationHi, hello.incarnationLo)
    .u64(hello.clockHi, hello.clockLo)
    .milliseconds(hello.wallMs)
    .bytes(hello.nonce)
    .u16(hello.port)
    .u8(host.length)
    .bytes(host)
    .u8(cluster.length)
    .bytes(cluster);
  if (horizon !== null) for (const { hi, lo } of [horizon.held, horizon.reaped, horizon.writer]) fields.u64(hi, lo);
  return fields.seal();
}

/** Bytes behind the known fields are ignored: a later version may append. */
export function decodeHello(buffer: Buffer, start: number, end: number): Hello {
  const fields = new FieldReader(buffer, start, end);
  const versionLowest = fields.u8();
  const versionHighest = fields.u8();
  fields.u16();
  return {
    versionLowest,
    versionHighest,
    nodeHi: fields.u32be(),
    nodeLo: fields.u32be(),
    incarnationHi: fields.u32be(),
    incarnationLo: fields.u32be(),
    clockHi: fields.u32be(),
    clockLo: fields.u32be(),
    wallMs: fields.milliseconds(),
    nonce: fields.bytes(NONCE_BYTES),
    port: fields.u16(),
    host: fields.text(fields.u8()),
    clusterId: fields.text(fields.u8()),
    horizon:
      fields.left < HELLO_HORIZON_BYTES
        ? null
        : { held: fields.stamp(), reaped: fields.stamp(), writer: fields.stamp() },
  };
}

export function encodeAuth(proofs: readonly Buffer[]): Buffer {
  const fields = new FieldWriter(FRAME_AUTH, 1 + proofs.length * PROOF_BYTES).u8(proofs.length);
  for (const proof of proofs) fields.bytes(proof);
  return fields.seal();
}

export function decodeAuth(buffer: Buffer, start: number, end: number): Buffer[] {
  const fields = new FieldReader(buffer, start, end);
  const count = fields.u8();
  if (count > PROOFS_MAX)
    throw new PeerProtocolError(REFUSE_MALFORMED, `${count} proofs where ${PROOFS_MAX} are allowed`);
  const proofs: Buffer[] = [];
  for (let index = 0; index < count; index++) proofs.push(fields.bytes(PROOF_BYTES));
  fields.finish();
  return proofs;
}

export function encodeRefuse(reason: number, message: string): Buffer {
  const text = textBytes(message, REASON_BYTES_MAX);
  return new FieldWriter(FRAME_REFUSE, 4 + text.length).u16(reason).u16(text.length).bytes(text).seal();
}

/** The text comes from the other side: control characters are replaced before anyone logs it. */
export function decodeRefuse(buffer: Buffer, start: number, end: number): { reason: number; message: string } {
  const fields = new FieldReader(buffer, start, end);
  const reason = fields.u16();
  const length = fields.u16();
  if (length > REASON_BYTES_MAX) throw new PeerProtocolError(REFUSE_MALFORMED, 'a refusal with too long a text');
  const message = fields.text(length).replace(/\p{Cc}/gu, ' ');
  fields.finish();
  return { reason, message };
}

function encodePosition(type: number, position: Position): Buffer {
  return new FieldWriter(type, 10)
    .u16(position.flag ? 1 : 0)
    .u64(position.hi, position.lo)
    .seal();
}

export function encodeResume(position: Position): Buffer {
  return encodePosition(FRAME_RESUME, position);
}

export function encodeStream(position: Position): Buffer {
  return encodePosition(FRAME_STREAM, position);
}

/** Reads RESUME and STREAM. */
export function decodePosition(buffer: Buffer, start: number, end: number): Position {
  const fields = new FieldReader(buffer, start, end);
  const flags = fields.u16();
  const position = { flag: (flags & 1) !== 0, hi: fields.u32be(), lo: fields.u32be() };
  fields.finish();
  return position;
}

/** One part of a turn's records: records[start, end). `allocate` gives the frame's memory. */
export function encodeRecords(
  stamp: { hi: number; lo: number },
  previous: { hi: number; lo: number },
  more: boolean,
  records: Buffer,
  start: number,
  end: number,
  allocate?: (bytes: number) => Buffer,
): Buffer {
  const bytes = RECORDS_PREFIX_BYTES + end - start;
  const frame = allocateFrame(FRAME_RECORDS, more ? FRAME_FLAG_MORE : 0, bytes, undefined, allocate);
  frame.writeUInt32BE(stamp.hi, FRAME_HEADER_BYTES);
  frame.writeUInt32BE(stamp.lo, FRAME_HEADER_BYTES + 4);
  frame.writeUInt32BE(previous.hi, FRAME_HEADER_BYTES + 8);
  frame.writeUInt32BE(previous.lo, FRAME_HEADER_BYTES + 12);
  records.copy(frame, FRAME_HEADER_BYTES + RECORDS_PREFIX_BYTES, start, end);
  return sealFrame(frame);
}

export function encodeAck(hi: number, lo: number): Buffer {
  return new FieldWriter(FRAME_ACK, 8).u64(hi, lo).seal();
}

/** A node that writes to a database has brought there what came to it up to this stamp; one that does not tells the highest of all. */
export function encodeBrought({ hi, lo }: { hi: number; lo: number }): Buffer {
  return new FieldWriter(FRAME_BROUGHT, 8, PEER_VERSION_BROUGHT).u64(hi, lo).seal();
}

/** Reads the one stamp of an ACK, or of a BROUGHT. */
export function decodeAck(buffer: Buffer, start: number, end: number): { hi: number; lo: number } {
  const fields = new FieldReader(buffer, start, end);
  const stamp = { hi: fields.u32be(), lo: fields.u32be() };
  fields.finish();
  return stamp;
}

export function encodePing(ping: Ping): Buffer {
  const members = ping.members.slice(0, PING_MEMBERS_MAX);
  const hosts = members.map((member) => textBytes(member.host));
  const bytes = hosts.reduce((sum, host) => sum + 20 + host.length, 50);
  const fields = new FieldWriter(FRAME_PING, bytes)
    .u64(ping.clockHi, ping.clockLo)
    .milliseconds(ping.wallMs)
    .u32(ping.token)
    .u32(Math.min(ping.backlogBytes, WORD - 1))
    .u64(ping.published.hi, ping.published.lo)
    .u64(ping.complete.hi, ping.complete.lo)
    .u64(ping.held.hi, ping.held.lo)
    .u16(members.length);
  members.forEach((member, index) => {
    fields
      .u64(member.nodeHi, member.nodeLo)
      .u64(member.incarnationHi, member.incarnationLo)
      .u8(member.linked ? 1 : 0)
      .u16(member.port)
      .u8(hosts[index].length)
      .bytes(hosts[index]);
  });
  return fields.seal();
}

export function decodePing(buffer: Buffer, start: number, end: number): Ping {
  const fields = new FieldReader(buffer, start, end);
  const ping: Ping = {
    clockHi: fields.u32be(),
    clockLo: fields.u32be(),
    wallMs: fields.milliseconds(),
    token: fields.u32(),
    backlogBytes: fields.u32(),
    published: { hi: fields.u32be(), lo: fields.u32be() },
    complete: { hi: fields.u32be(), lo: fields.u32be() },
    held: { hi: fields.u32be(), lo: fields.u32be() },
    members: [],
  };
  const count = fields.u16();
  if (count > PING_MEMBERS_MAX) throw new PeerProtocolError(REFUSE_MALFORMED, `a ping with ${count} members`);
  for (let index = 0; index < count; index++) {
    ping.members.push({
      nodeHi: fields.u32be(),
      nodeLo: fields.u32be(),
      incarnationHi: fields.u32be(),
      incarnationLo: fields.u32be(),
      linked: (fields.u8() & 1) !== 0,
      port: fields.u16(),
      host: fields.text(fields.u8()),
    });
  }
  fields.finish();
  return ping;
}

export function encodePong(pong: Pong): Buffer {
  return new FieldWriter(FRAME_PONG, 20)
    .u32(pong.token)
    .u64(pong.clockHi, pong.clockLo)
    .milliseconds(pong.wallMs)
    .seal();
}

export function decodePong(buffer: Buffer, start: number, end: number): Pong {
  const fields = new FieldReader(buffer, start, end);
  const pong = { token: fields.u32(), clockHi: fields.u32be(), clockLo: fields.u32be(), wallMs: fields.milliseconds() };
  fields.finish();
  return pong;
}

export function encodeForget({ node, stamp, complete }: Forget): Buffer {
  const fields = new FieldWriter(FRAME_FORGET, 24);
  for (const { hi, lo } of [node, stamp, complete]) fields.u64(hi, lo);
  return fields.seal();
}

export function decodeForget(buffer: Buffer, start: number, end: number): Forget {
  const fields = new FieldReader(buffer, start, end);
  const forget = { node: fields.stamp(), stamp: fields.stamp(), complete: fields.stamp() };
  fields.finish();
  return forget;
}
