/**
 * Changes from elsewhere, peers or durable stores, merged into the keyspace: of two versions of a register the greater
 * stays, in the order (stamp, origin, dead, deadline's stamp, deadline's origin). docs/crdt.md has the rules by command.
 */
import {
  FLAG_DEAD,
  FLAG_EXPIRED,
  FLAG_HAS_DEADLINE,
  KIND_COUNTER,
  KIND_FLOOR,
  KIND_STRING,
  RecordReader,
  RecordWriter,
} from '../../protocol/change-record.ts';
import { isKeyKind } from '../../protocol/collection-kinds.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import type { ContestedWrite, MergeSource } from './conflicts.ts';
import { COUNTER, DEAD, DEADLINE, EXPIRED, HIDDEN, OBJECT, RAW } from '../arena/block.ts';
import { applyCollectionRecord, contestAsString, keepShadow } from '../collections/merge.ts';
import { takeShadow } from '../collections/shadow.ts';
import type { Database } from '../database.ts';
import { applyFloor } from '../tombstones/floor.ts';
import type { Keyspace } from '../keyspace.ts';
import { MergeAhead } from './merge-ahead.ts';
import { checkRecords } from './record-check.ts';
import { type CounterState, encodeCounter } from '../types/counter-payload.ts';
import { COUNTER_BASE_BYTES_MAX, begunAfter, pruneEntries, readCounter, writeCounter } from '../types/counter.ts';

const reader = new RecordReader();
const ahead = new MergeAhead();
const buried = new RecordWriter(1024);
const buriedReader = new RecordReader();

/** A counter with more nodes' sums than this takes no further node's: about 850 nodes that count integers. */
const COUNTER_BYTES_MAX = 24 * 1024;
/** Fewer sums than this fit whatever they are. */
const ENTRIES_SMALL = 40;

/**
 * Merges packed records, all or none, before it returns.
 * @param source the peer that they come from; null for what is loaded from a store, which is not counted
 * @throws RecordError when any record is malformed or of a database that this node does not have
 */
export function applyRecords(
  keyspace: Keyspace,
  records: Buffer,
  start: number,
  end: number,
  source: MergeSource | null = null,
): void {
  checkRecords(keyspace, records, start, end);
  const { merges } = keyspace;
  const { lost, equal } = merges;
  let count = 0;
  merges.source = source;
  for (let at = start; at < end;) {
    const runEnd = ahead.fetch(keyspace, records, at, end);
    for (let index = 0; at < runEnd; index++, count++) {
      at = reader.read(records, at, end);
      ahead.know(keyspace, index, reader);
      applyRecord(keyspace, reader);
    }
  }
  ahead.forget(keyspace);
  merges.source = null;
  if (source === null) Object.assign(merges, { lost, equal });
  else merges.merged += count;
}

function applyRecord(keyspace: Keyspace, record: RecordReader): void {
  const database = keyspace.databases[record.database];
  keyspace.clock.observe(record.stampHi, record.stampLo);
  if ((record.flags & FLAG_HAS_DEADLINE) !== 0) {
    keyspace.clock.observe(record.deadlineStampHi, record.deadlineStampLo);
  }
  if (record.kind === KIND_FLOOR) {
    applyFloor(keyspace, database, record.stampHi, record.stampLo, originOf(keyspace, record), false);
    return;
  }
  if (compareStamp(record.stampHi, record.stampLo, database.floorHi, database.floorLo) <= 0) {
    keyspace.merges.lost++;
    return;
  }
  database.noteStamp(record.stampHi, record.stampLo);
  if (record.kind === KIND_STRING) applyString(keyspace, database, record);
  else if (record.kind !== KIND_COUNTER) applyToCollection(keyspace, database, record);
  else if (record.elementLength === 0) applyCounterDeadline(keyspace, database, record);
  else applyCounterEntry(keyspace, database, record);
}

function applyToCollection(keyspace: Keyspace, database: Database, record: RecordReader): void {
  applyCollectionRecord(keyspace, database, record);
  if (!isKeyKind(record.kind)) return;
  const { buffer, keyStart, keyLength } = record;
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  if ((keyspace.flagsOf(ref) & COUNTER) === 0) return;
  // A counter has won the key; its base, and the sums that began before the collection did, are dead as after a DEL.
  buried.reset();
  buried.begin(
    KIND_STRING,
    FLAG_DEAD,
    record.stampHi,
    record.stampLo,
    record.originHi,
    record.originLo,
    record.database,
    buffer,
    keyStart,
    keyLength,
  );
  buried.end();
  buriedReader.read(buried.buffer, 0, buried.length);
  applyString(keyspace, database, buriedReader);
}

function originOf(keyspace: Keyspace, record: RecordReader): number {
  return keyspace.nodes.indexOf(record.originHi, record.originLo);
}

/** Takes the record's version for the pending one. */
function readRecordVersion(keyspace: Keyspace, record: RecordReader): void {
  keyspace.stampHi = record.stampHi;
  keyspace.stampLo = record.stampLo;
  keyspace.origin = originOf(keyspace, record);
  keyspace.deadlineMs = -1;
  if ((record.flags & FLAG_HAS_DEADLINE) === 0) return;
  keyspace.deadlineMs = record.deadlineMs;
  keyspace.deadlineStampHi = record.deadlineStampHi;
  keyspace.deadlineStampLo = record.deadlineStampLo;
  keyspace.deadlineOrigin = keyspace.nodes.indexOf(record.deadlineOriginHi, record.deadlineOriginLo);
}

/** Orders the record against the block's STRING register: positive when the record is the greater. */
function compareWithBlock(keyspace: Keyspace, record: RecordReader, ref: number, flags: number): number {
  const words = keyspace.arena.words[ref >>> 20];
  const word = (ref & 0xfffff) << 1;
  const nodes = keyspace.nodes;
  const order = compareStamp(record.stampHi, record.stampLo, words[word + 2], words[word + 3]);
  if (order !== 0) return order;
  const origin = nodes.compare(originOf(keyspace, record), words[word + 1] & 0xffff);
  if (origin !== 0) return origin;
  const dead = (record.flags & FLAG_DEAD) - ((flags & DEAD) !== 0 ? FLAG_DEAD : 0);
  if (dead !== 0) return dead;
  // A dead base carries no deadline of its own; what its block has is the counter's.
  const hasDeadline = (flags & DEADLINE) !== 0 && (flags & DEAD) === 0;
  const ours = hasDeadline ? words[word + 8] : 0;
  const deadline = compareStamp(
    record.deadlineStampHi,
    record.deadlineStampLo,
    ours,
    hasDeadline ? words[word + 9] : 0,
  );
  if (deadline !== 0 || !hasDeadline) return deadline;
  const deadlineOrigin = keyspace.nodes.indexOf(record.deadlineOriginHi, record.deadlineOriginLo);
  return nodes.compare(deadlineOrigin, words[word + 10] & 0xffff);
}

function applyString(keyspace: Keyspace, database: Database, record: RecordReader): void {
  const { buffer, keyStart, keyLength, valueStart, valueLength } = record;
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  const hash = keyspace.hash;
  const dead = (record.flags & FLAG_DEAD) !== 0;
  let old = 0;
  if (ref !== 0) {
    old = keyspace.flagsOf(ref);
    if ((old & OBJECT) !== 0) {
      contestType(keyspace, ref, record);
      if (!contestAsString(keyspace, database, ref, record.stampHi, record.stampLo, originOf(keyspace, record))) {
        keyspace.merges.lost++;
        return;
      }
    } else {
      const order = compareWithBlock(keyspace, record, ref, old);
      if (isOwn(keyspace, ref)) keyspace.merges.contest('value', order, record, dead, ownWrite(keyspace, ref, old));
      if (order <= 0) {
        keyspace.merges.refused(order);
        return;
      }
    }
    if ((old & COUNTER) !== 0) {
      applyBase(keyspace, database, hash, ref, record);
      return;
    }
  }
  readRecordVersion(keyspace, record);
  const gone = keyspace.deadlineMs > 0 && keyspace.clock.nowMs > keyspace.deadlineMs;
  const expired = (record.flags & FLAG_EXPIRED) !== 0 || (!dead && gone);
  if ((dead || expired) && ref === 0 && !keyspace.keepsTombstones) return;
  const flags = dead ? DEAD | HIDDEN : expired ? EXPIRED | HIDDEN : old & RAW;
  const kept = dead || expired ? 0 : valueLength;
  keyspace.put(database, hash, ref, buffer, keyStart, keyLength, buffer, valueStart, kept, flags, false);
  if ((old & OBJECT) !== 0) takeCounterDeadline(keyspace, database, record);
}

/** Whether the block's version was written here. */
function isOwn(keyspace: Keyspace, ref: number): boolean {
  return (
    keyspace.merges.source !== null && (keyspace.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 1] & 0xffff) === 0
  );
}

/** The block's version as a side of a conflict. */
function ownWrite(keyspace: Keyspace, ref: number, flags: number): ContestedWrite {
  const words = keyspace.arena.words[ref >>> 20];
  const word = (ref & 0xfffff) << 1;
  return ownVersion(keyspace, words[word + 2], words[word + 3], (flags & DEAD) !== 0);
}

function ownVersion(keyspace: Keyspace, stampHi: number, stampLo: number, isRemoval: boolean): ContestedWrite {
  return { stampHi, stampLo, writerHi: keyspace.nodes.hi[0], writerLo: keyspace.nodes.lo[0], isRemoval };
}

/** A string has met a collection that was begun here. */
function contestType(keyspace: Keyspace, ref: number, record: RecordReader): void {
  if (!isOwn(keyspace, ref)) return;
  const own = ownWrite(keyspace, ref, 0);
  const isRemoval = (record.flags & FLAG_DEAD) !== 0;
  const order = compareStamp(record.stampHi, record.stampLo, own.stampHi, own.stampLo);
  keyspace.merges.contest('type', order, record, isRemoval, own);
}

/** Increments made here go with a base that another node has replaced. */
function contestIncrements(keyspace: Keyspace, state: CounterState, record: RecordReader): void {
  const own = keyspace.merges.source === null ? undefined : state.entries.find((entry) => entry.origin === 0);
  if (own === undefined || begunAfter(keyspace, own, record.stampHi, record.stampLo, originOf(keyspace, record)))
    return;
  const isRemoval = (record.flags & FLAG_DEAD) !== 0;
  keyspace.merges.contest('increment', 1, record, isRemoval, ownVersion(keyspace, own.versionHi, own.versionLo, false));
}

/** A new base, or a new deadline for the base, under a counter's sums. */
function applyBase(keyspace: Keyspace, database: Database, hash: number, ref: number, record: RecordReader): void {
  const { buffer, keyStart, keyLength, valueStart, valueLength } = record;
  const state = readCounter(keyspace, ref);
  keyspace.readVersion(ref);
  const wasDead = (keyspace.flagsOf(ref) & DEAD) !== 0;
  const dead = (record.flags & FLAG_DEAD) !== 0;
  if (wasDead && keyspace.deadlineMs >= 0) state.dormant = pendingDeadline(keyspace);
  contestIncrements(keyspace, state, record);
  readRecordVersion(keyspace, record);
  pruneEntries(keyspace, state, keyspace.stampHi, keyspace.stampLo, keyspace.origin);
  const { dormant } = state;
  if (dormant !== null && compareStamp(dormant.stampHi, dormant.stampLo, keyspace.stampHi, keyspace.stampLo) <= 0) {
    state.dormant = null;
  }
  if (!dead && valueLength > COUNTER_BASE_BYTES_MAX) {
    state.entries = [];
    state.dormant = null;
  }
  const expired = (record.flags & FLAG_EXPIRED) !== 0;
  if (state.entries.length === 0 && state.dormant === null) {
    const flags = dead ? DEAD | HIDDEN : expired || isPast(keyspace) ? EXPIRED | HIDDEN : 0;
    keyspace.put(
      database,
      hash,
      ref,
      buffer,
      keyStart,
      keyLength,
      buffer,
      valueStart,
      dead ? 0 : valueLength,
      flags,
      false,
    );
    return;
  }
  state.base = dead ? '0' : buffer.toString('latin1', valueStart, valueStart + valueLength);
  writeEffective(keyspace, database, hash, ref, record, state, dead, expired && !dead);
}

/** Whether the pending deadline has passed. */
function isPast(keyspace: Keyspace): boolean {
  return keyspace.deadlineMs > 0 && keyspace.clock.nowMs > keyspace.deadlineMs;
}

function pendingDeadline(keyspace: Keyspace): CounterState['dormant'] {
  return {
    ms: keyspace.deadlineMs,
    stampHi: keyspace.deadlineStampHi,
    stampLo: keyspace.deadlineStampLo,
    origin: keyspace.deadlineOrigin,
  };
}

/** Writes a merged counter: the dormant deadline is in force while the base is dead. */
function writeEffective(
  keyspace: Keyspace,
  database: Database,
  hash: number,
  ref: number,
  record: RecordReader,
  state: CounterState,
  dead: boolean,
  expired: boolean,
): void {
  if (dead) {
    const deadline = state.dormant;
    keyspace.deadlineMs = deadline === null ? -1 : deadline.ms;
    if (deadline !== null) {
      keyspace.deadlineStampHi = deadline.stampHi;
      keyspace.deadlineStampLo = deadline.stampLo;
      keyspace.deadlineOrigin = deadline.origin;
    }
    state.dormant = null;
  }
  const { buffer, keyStart, keyLength } = record;
  const flags = (dead ? DEAD : 0) | (expired || isPast(keyspace) ? EXPIRED | HIDDEN : 0);
  writeCounter(keyspace, database, hash, ref, buffer, keyStart, keyLength, state, flags, false);
}

/** The counter at the record's key, its version pending; a missing key is a counter over a dead base of stamp 0. */
function openCounter(
  keyspace: Keyspace,
  ref: number,
): { state: CounterState; dead: boolean; baseHi: number; baseLo: number; baseOrigin: number } {
  let state: CounterState = { base: '0', total: '0', entries: [], dormant: null };
  let dead = true;
  keyspace.stampHi = 0;
  keyspace.stampLo = 0;
  keyspace.origin = 0;
  keyspace.deadlineMs = -1;
  if (ref !== 0 && (keyspace.flagsOf(ref) & OBJECT) !== 0) {
    // The creation of the collection, which the sums have won against, stays as the tombstone that they began after.
    keyspace.readVersion(ref);
    keyspace.deadlineMs = -1;
  } else if (ref !== 0) {
    const flags = keyspace.flagsOf(ref);
    dead = (flags & DEAD) !== 0;
    state = readCounter(keyspace, ref);
    keyspace.readVersion(ref);
    if (dead && keyspace.deadlineMs >= 0) state.dormant = pendingDeadline(keyspace);
  }
  return { state, dead, baseHi: keyspace.stampHi, baseLo: keyspace.stampLo, baseOrigin: keyspace.origin };
}

function applyCounterEntry(keyspace: Keyspace, database: Database, record: RecordReader): void {
  const { buffer, keyStart, keyLength, valueStart, valueLength } = record;
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  const hash = keyspace.hash;
  const { merges } = keyspace;
  merges.lost++;
  if (ref !== 0 && !canCount(keyspace, ref)) return;
  const isObject = ref !== 0 && (keyspace.flagsOf(ref) & OBJECT) !== 0;
  const expired = ref !== 0 && !isObject && (keyspace.flagsOf(ref) & EXPIRED) !== 0;
  const opened = openCounter(keyspace, ref);
  const { state } = opened;
  const entry = {
    origin: originOf(keyspace, record),
    beginHi: buffer.readUInt32BE(valueStart),
    beginLo: buffer.readUInt32BE(valueStart + 4),
    versionHi: record.stampHi,
    versionLo: record.stampLo,
    sum: buffer.toString('latin1', valueStart + 16, valueStart + valueLength),
  };
  if (!isObject && !begunAfter(keyspace, entry, opened.baseHi, opened.baseLo, opened.baseOrigin)) {
    if (ref !== 0 && isOwn(keyspace, ref)) {
      merges.contest('increment', -1, record, false, ownWrite(keyspace, ref, keyspace.flagsOf(ref)));
    }
    return;
  }
  // A floor ends sums as a DEL does, those that have been added to since included.
  if (compareStamp(entry.beginHi, entry.beginLo, database.floorHi, database.floorLo) <= 0) return;
  if (isObject && !contestAsString(keyspace, database, ref, entry.beginHi, entry.beginLo, entry.origin)) return;
  const at = state.entries.findIndex((other) => other.origin === entry.origin);
  if (at >= 0) {
    const ours = state.entries[at];
    const order = compareStamp(entry.versionHi, entry.versionLo, ours.versionHi, ours.versionLo);
    if (order <= 0) {
      merges.lost--;
      merges.refused(order);
      return;
    }
    state.entries[at] = entry;
  } else if (entry.origin === 0) {
    state.entries.unshift(entry);
  } else {
    state.entries.push(entry);
  }
  if (isObject) {
    keyspace.readVersion(ref);
    keyspace.deadlineMs = -1;
  }
  if (state.entries.length > ENTRIES_SMALL && encodeCounter(state).length > COUNTER_BYTES_MAX) return;
  merges.lost--;
  writeEffective(keyspace, database, hash, ref, record, state, opened.dead, expired);
  // A collection that hid a deadline of sums is gone: it lost the key just now, or a FLUSHDB has covered it.
  if (!isObject && ref !== 0) return;
  takeCounterDeadline(keyspace, database, record);
}

/** A deadline of sums that a collection hid is in force again, now that a string or sums have the record's key. */
function takeCounterDeadline(keyspace: Keyspace, database: Database, record: RecordReader): void {
  const apply = (taken: RecordReader): void => {
    const { deadlineStampHi, deadlineStampLo } = taken;
    if (compareStamp(deadlineStampHi, deadlineStampLo, database.floorHi, database.floorLo) <= 0) return;
    applyCounterDeadline(keyspace, database, taken);
  };
  takeShadow(database, record.buffer, record.keyStart, record.keyLength, (kind) => kind === KIND_COUNTER, apply);
}

/** Not on a long text. An expired string takes sums: a later deadline may bring it back. */
function canCount(keyspace: Keyspace, ref: number): boolean {
  const flags = keyspace.flagsOf(ref);
  if ((flags & (COUNTER | DEAD | OBJECT)) !== 0) return true;
  keyspace.readPayload(ref, flags);
  return keyspace.valueLength <= COUNTER_BASE_BYTES_MAX;
}

function applyCounterDeadline(keyspace: Keyspace, database: Database, record: RecordReader): void {
  const { buffer, keyStart, keyLength } = record;
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  const hash = keyspace.hash;
  if (ref !== 0 && !canCount(keyspace, ref)) return;
  const expired = ref !== 0 && (keyspace.flagsOf(ref) & EXPIRED) !== 0;
  const { state, dead, baseHi, baseLo } = openCounter(keyspace, ref);
  const { deadlineStampHi: stampHi, deadlineStampLo: stampLo } = record;
  if (compareStamp(stampHi, stampLo, baseHi, baseLo) <= 0) return;
  if (ref !== 0 && (keyspace.flagsOf(ref) & OBJECT) !== 0) {
    keepShadow(keyspace, database, ref, record);
    return;
  }
  const origin = keyspace.nodes.indexOf(record.deadlineOriginHi, record.deadlineOriginLo);
  const ours = state.dormant;
  if (ours !== null) {
    const order =
      compareStamp(stampHi, stampLo, ours.stampHi, ours.stampLo) || keyspace.nodes.compare(origin, ours.origin);
    if (order <= 0) return;
  }
  state.dormant = { ms: record.deadlineMs, stampHi, stampLo, origin };
  writeEffective(keyspace, database, hash, ref, record, state, dead, expired && !dead);
}
