/**
 * The payloads of the repair frames, version 1 (docs/peer-protocol.md tells the conversation). Stamps, hashes and digests are
 * 64 bits big-endian, other numbers little-endian.
 *
 *   REPAIR_ASK        empty: the sender has a gap, the repair's leader is to begin
 *   REPAIR_GROUPS     u64 cover, 256 × u64 digest of a group of 256 buckets (XOR of them)
 *   REPAIR_BUCKETS    u64 cover, u16 number of groups, each: u8 group, 256 × u64 digest of its buckets
 *   REPAIR_PLAN       16,384 bytes: two bits for each bucket, bucket 0 in the low bits of byte 0:
 *                     0 nothing, 1 my summaries follow, 2 each gives all of it
 *   REPAIR_SUMMARIES  n × (u64 key hash, u64 digest of the key); `more` but in the round's last
 *   REPAIR_WANT       n × u64 key hash
 *   REPAIR_RECORDS    change records; `more` when the last one goes on in the next frame
 *   REPAIR_TURN       empty: the sender has sent all that it owes in this round
 *   REPAIR_DONE       empty: everything has been sent, in both directions
 *   REPAIR_TOMBSTONES change records of tombstones and floors, apart from what differs; `more` as in REPAIR_RECORDS
 *   REPAIR_RULE       u64 reaped, u16 flags (1 what the sender lacks proves nothing), u16 number of nodes, each: u64 node id,
 *                     u64 complete; before a repair in which the receiver resynchronises
 *
 * Cover is the stamp up to which the sender's own writes are in the digests.
 */
import {
  FRAME_FLAG_MORE,
  FRAME_HEADER_BYTES,
  FRAME_REPAIR_BUCKETS,
  FRAME_REPAIR_GROUPS,
  FRAME_REPAIR_PLAN,
  FRAME_REPAIR_RECORDS,
  FRAME_REPAIR_RULE,
  PeerProtocolError,
  REFUSE_MALFORMED,
  allocateFrame,
  sealFrame,
} from './peer-frame.ts';

export const REPAIR_GROUP_COUNT = 256;
export const REPAIR_BUCKET_COUNT = 65536;
const BUCKETS_PER_GROUP = REPAIR_BUCKET_COUNT / REPAIR_GROUP_COUNT;
const GROUP_ENTRY_BYTES = 1 + BUCKETS_PER_GROUP * 8;
const PLAN_BYTES = REPAIR_BUCKET_COUNT / 4;
/** Bytes of one entry of REPAIR_SUMMARIES and of REPAIR_WANT. */
export const SUMMARY_BYTES = 16;
export const WANT_BYTES = 8;

export const PLAN_NOTHING = 0;
export const PLAN_COMPARE = 1;
export const PLAN_EXCHANGE = 2;

interface Cover {
  coverHi: number;
  coverLo: number;
}

function malformed(what: string): PeerProtocolError {
  return new PeerProtocolError(REFUSE_MALFORMED, `a malformed ${what} frame`);
}

/** XOR of each group's bucket digests: 2 × 256 words from 2 × 65,536. */
export function groupDigests(buckets: Uint32Array): Uint32Array {
  const groups = new Uint32Array(REPAIR_GROUP_COUNT * 2);
  renewGroups(buckets, groups, new Uint8Array(REPAIR_GROUP_COUNT).fill(1));
  return groups;
}

/** The same where `groups` are known: only those with a 1 in `stale`, which is 0 for all of them then. */
export function renewGroups(buckets: Uint32Array, groups: Uint32Array, stale: Uint8Array): void {
  for (let group = 0; group < REPAIR_GROUP_COUNT; group++) {
    if (stale[group] === 0) continue;
    stale[group] = 0;
    const first = group * BUCKETS_PER_GROUP * 2;
    let hi = 0;
    let lo = 0;
    for (let word = first; word < first + BUCKETS_PER_GROUP * 2; word += 2) {
      hi ^= buckets[word];
      lo ^= buckets[word + 1];
    }
    groups[group * 2] = hi;
    groups[group * 2 + 1] = lo;
  }
}

/** A frame that has no payload. */
export function encodeEmpty(type: number): Buffer {
  return sealFrame(allocateFrame(type, 0, 0));
}

export function encodeGroups(cover: { hi: number; lo: number }, groups: Uint32Array): Buffer {
  const frame = allocateFrame(FRAME_REPAIR_GROUPS, 0, 8 + groups.length * 4);
  frame.writeUInt32BE(cover.hi, FRAME_HEADER_BYTES);
  frame.writeUInt32BE(cover.lo, FRAME_HEADER_BYTES + 4);
  for (let word = 0; word < groups.length; word++) frame.writeUInt32BE(groups[word], FRAME_HEADER_BYTES + 8 + word * 4);
  return sealFrame(frame);
}

export function decodeGroups(buffer: Buffer, start: number, end: number): Cover & { groups: Uint32Array } {
  if (end - start !== 8 + REPAIR_GROUP_COUNT * 8) throw malformed('REPAIR_GROUPS');
  const groups = new Uint32Array(REPAIR_GROUP_COUNT * 2);
  for (let word = 0; word < groups.length; word++) groups[word] = buffer.readUInt32BE(start + 8 + word * 4);
  return { coverHi: buffer.readUInt32BE(start), coverLo: buffer.readUInt32BE(start + 4), groups };
}

/**
 * The digests of one group as words and as bytes: `swap32` makes the one the other's order. All of them at once, because this is done for 65,536
 * buckets in one go, by code that mostly runs for the first time.
 */
function makeGroup(): { words: Uint32Array; bytes: Buffer } {
  const words = new Uint32Array(BUCKETS_PER_GROUP * 2);
  return { words, bytes: Buffer.from(words.buffer) };
}

/** `listed` are the groups to tell of, `buckets` all 2 × 65,536 words. */
export function encodeBuckets(
  cover: { hi: number; lo: number },
  listed: readonly number[],
  buckets: Uint32Array,
): Buffer {
  const frame = allocateFrame(FRAME_REPAIR_BUCKETS, 0, 10 + listed.length * GROUP_ENTRY_BYTES);
  let at = frame.writeUInt32BE(cover.hi, FRAME_HEADER_BYTES);
  at = frame.writeUInt32BE(cover.lo, at);
  at = frame.writeUInt16LE(listed.length, at);
  const { words, bytes } = makeGroup();
  for (const group of listed) {
    at = frame.writeUInt8(group, at);
    words.set(buckets.subarray(group * words.length, (group + 1) * words.length));
    at += bytes.swap32().copy(frame, at);
  }
  return sealFrame(frame);
}

/** `each` is called with a bucket and its digest, for all buckets of the listed groups whose digest is not that in `own`. */
export function decodeBuckets(
  buffer: Buffer,
  start: number,
  end: number,
  own: Uint32Array,
  each: (bucket: number, digestHi: number, digestLo: number) => void,
): Cover & { groupCount: number } {
  if (end - start < 10) throw malformed('REPAIR_BUCKETS');
  const groupCount = buffer.readUInt16LE(start + 8);
  if (groupCount > REPAIR_GROUP_COUNT || end - start !== 10 + groupCount * GROUP_ENTRY_BYTES)
    throw malformed('REPAIR_BUCKETS');
  const { words, bytes } = makeGroup();
  for (let at = start + 10; at < end; at += GROUP_ENTRY_BYTES) {
    const first = buffer[at] * BUCKETS_PER_GROUP;
    buffer.copy(bytes, 0, at + 1, at + GROUP_ENTRY_BYTES);
    bytes.swap32();
    for (let index = 0; index < BUCKETS_PER_GROUP; index++) {
      const hi = words[index * 2];
      const lo = words[index * 2 + 1];
      const word = (first + index) * 2;
      if (hi !== own[word] || lo !== own[word + 1]) each(first + index, hi, lo);
    }
  }
  return { coverHi: buffer.readUInt32BE(start), coverLo: buffer.readUInt32BE(start + 4), groupCount };
}

/** `plan` has one byte (a PLAN_ number) for each bucket. */
export function encodePlan(plan: Uint8Array): Buffer {
  const frame = allocateFrame(FRAME_REPAIR_PLAN, 0, PLAN_BYTES).fill(0, FRAME_HEADER_BYTES);
  const fours = new Uint32Array(plan.buffer, plan.byteOffset, PLAN_BYTES);
  for (let byte = 0; byte < PLAN_BYTES; byte++) {
    // In most buckets there is nothing to do.
    if (fours[byte] === 0) continue;
    const first = byte * 4;
    frame[FRAME_HEADER_BYTES + byte] =
      plan[first] | (plan[first + 1] << 2) | (plan[first + 2] << 4) | (plan[first + 3] << 6);
  }
  return sealFrame(frame);
}

export function decodePlan(buffer: Buffer, start: number, end: number): Uint8Array {
  if (end - start !== PLAN_BYTES) throw malformed('REPAIR_PLAN');
  const plan = new Uint8Array(REPAIR_BUCKET_COUNT);
  for (let byte = 0; byte < PLAN_BYTES; byte++) {
    const modes = buffer[start + byte];
    // In most buckets there is nothing to do.
    if (modes === 0) continue;
    for (let one = 0; one < 4; one++) {
      const mode = (modes >>> (one * 2)) & 3;
      if (mode > PLAN_EXCHANGE) throw malformed('REPAIR_PLAN');
      plan[byte * 4 + one] = mode;
    }
  }
  return plan;
}

/** Frame of pairs of 32-bit words: REPAIR_SUMMARIES (4 words an entry) and REPAIR_WANT (2 words an entry). */
export function encodeWords(
  type: number,
  more: boolean,
  words: Uint32Array,
  wordCount: number,
  allocate?: (bytes: number) => Buffer,
): Buffer {
  const frame = allocateFrame(type, more ? FRAME_FLAG_MORE : 0, wordCount * 4, undefined, allocate);
  for (let word = 0; word < wordCount; word++) frame.writeUInt32BE(words[word], FRAME_HEADER_BYTES + word * 4);
  return sealFrame(frame);
}

/** @returns the number of entries in a payload of `entryBytes` each */
export function entryCount(start: number, end: number, entryBytes: number): number {
  if ((end - start) % entryBytes !== 0) throw malformed('REPAIR_SUMMARIES or REPAIR_WANT');
  return (end - start) / entryBytes;
}

/** One part of packed records: records[start, end); of type REPAIR_RECORDS or REPAIR_TOMBSTONES. */
export function encodeRepairRecords(
  more: boolean,
  records: Buffer,
  start: number,
  end: number,
  type = FRAME_REPAIR_RECORDS,
  allocate?: (bytes: number) => Buffer,
): Buffer {
  const frame = allocateFrame(type, more ? FRAME_FLAG_MORE : 0, end - start, undefined, allocate);
  records.copy(frame, FRAME_HEADER_BYTES, start, end);
  return sealFrame(frame);
}

/** What a node that resynchronises may not keep: see replication/membership/horizon.ts. */
export interface RepairRule {
  /** The sender may have dropped tombstones stamped up to here. */
  reaped: { hi: number; lo: number };
  /** False when the sender has evicted keys: then what it lacks has not been deleted. */
  isProof: boolean;
  /** All nodes that the sender has ever known, itself among them, each with the stamp up to which it has all of its writes. */
  nodes: { hi: number; lo: number; completeHi: number; completeLo: number }[];
}

const RULE_NODE_BYTES = 16;
const RULE_NOT_PROOF = 1;

export function encodeRule(rule: RepairRule): Buffer {
  const frame = allocateFrame(FRAME_REPAIR_RULE, 0, 12 + rule.nodes.length * RULE_NODE_BYTES);
  let at = frame.writeUInt32BE(rule.reaped.hi, FRAME_HEADER_BYTES);
  at = frame.writeUInt32BE(rule.reaped.lo, at);
  at = frame.writeUInt16LE(rule.isProof ? 0 : RULE_NOT_PROOF, at);
  at = frame.writeUInt16LE(rule.nodes.length, at);
  for (const { hi, lo, completeHi, completeLo } of rule.nodes) {
    for (const word of [hi, lo, completeHi, completeLo]) at = frame.writeUInt32BE(word, at);
  }
  return sealFrame(frame);
}

export function decodeRule(buffer: Buffer, start: number, end: number): RepairRule {
  if (end - start < 12) throw malformed('REPAIR_RULE');
  const count = buffer.readUInt16LE(start + 10);
  if (end - start !== 12 + count * RULE_NODE_BYTES) throw malformed('REPAIR_RULE');
  const nodes: RepairRule['nodes'] = [];
  for (let at = start + 12; at < end; at += RULE_NODE_BYTES) {
    nodes.push({
      hi: buffer.readUInt32BE(at),
      lo: buffer.readUInt32BE(at + 4),
      completeHi: buffer.readUInt32BE(at + 8),
      completeLo: buffer.readUInt32BE(at + 12),
    });
  }
  return {
    reaped: { hi: buffer.readUInt32BE(start), lo: buffer.readUInt32BE(start + 4) },
    isProof: (buffer.readUInt16LE(start + 8) & RULE_NOT_PROOF) === 0,
    nodes,
  };
}
