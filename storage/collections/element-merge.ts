/** Versions of elements from elsewhere: the greater one stays, and sums that began after it. */
import { FLAG_DEAD, FLAG_HAS_DEADLINE, type RecordReader } from '../../protocol/change-record.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { TYPE_LIST } from '../arena/block.ts';
import type { ContestedWrite } from '../merging/conflicts.ts';
import type { Keyspace } from '../keyspace.ts';
import { type CounterState, encodeCounter } from '../types/counter-payload.ts';
import { begunAfter } from '../types/counter.ts';
import type { Collection } from './collection.ts';
import { ELEMENT_COUNTED, ELEMENT_DEAD } from './element-layout.ts';
import { decodeElementCounter, dropElement, writeElement } from './element-writes.ts';
import type { ListCollection } from './list-collection.ts';
import { writeInRun } from './list-writes.ts';

const NO_BYTES = Buffer.alloc(0);

/** Merges an ELEMENT record into a collection that is open for changes. */
export function mergeElement(keyspace: Keyspace, collection: Collection, record: RecordReader, origin: number): void {
  const { elements } = keyspace;
  const { buffer, stampHi, stampLo, elementStart, elementLength, valueStart, valueLength } = record;
  const isDead = (record.flags & FLAG_DEAD) !== 0;
  const ref = collection.find(buffer, elementStart, elementLength);
  if (ref !== 0) {
    const order = compareWithElement(keyspace, record, origin, ref);
    if (keyspace.merges.source !== null && elements.originOf(ref) === 0) {
      keyspace.merges.contest('element', order, record, isDead, ownElement(keyspace, ref));
    }
    if (order <= 0) {
      keyspace.merges.refused(order);
      return;
    }
  }
  if (ref === 0 && (record.flags & (FLAG_DEAD | FLAG_HAS_DEADLINE)) === 0 && collection.type === TYPE_LIST) {
    const list = collection as ListCollection;
    if (mergeIntoRun(keyspace, list, record, origin)) return;
  }
  let entries: CounterState['entries'] = [];
  if (ref !== 0 && (elements.flagsOf(ref) & ELEMENT_COUNTED) !== 0) {
    ({ entries } = decodeElementCounter(keyspace, ref));
    entries = entries.filter((entry) => begunAfter(keyspace, entry, stampHi, stampLo, origin));
  }
  elements.deadlineMs = -1;
  if ((record.flags & FLAG_HAS_DEADLINE) !== 0) {
    elements.deadlineMs = record.deadlineMs;
    elements.deadlineStampHi = record.deadlineStampHi;
    elements.deadlineStampLo = record.deadlineStampLo;
    elements.deadlineOrigin = keyspace.nodes.indexOf(record.deadlineOriginHi, record.deadlineOriginLo);
  }
  if (entries.length > 0) {
    const base = isDead ? '0' : buffer.toString('latin1', valueStart, valueStart + valueLength);
    const state: CounterState = { base, total: '', entries, dormant: null };
    writeCounted(
      keyspace,
      collection,
      ref,
      isDead,
      stampHi,
      stampLo,
      origin,
      buffer,
      elementStart,
      elementLength,
      state,
      false,
    );
    return;
  }
  writeElement(
    keyspace,
    collection,
    ref,
    isDead ? ELEMENT_DEAD : 0,
    stampHi,
    stampLo,
    origin,
    buffer,
    elementStart,
    elementLength,
    buffer,
    valueStart,
    isDead ? 0 : valueLength,
    false,
  );
}

/** Puts an element that a list does not have into one of its runs; false when it is to have a block. */
function mergeIntoRun(keyspace: Keyspace, list: ListCollection, record: RecordReader, origin: number): boolean {
  const { buffer, stampHi, stampLo, elementStart, elementLength, valueStart, valueLength } = record;
  return writeInRun(
    keyspace,
    list,
    stampHi,
    stampLo,
    origin,
    buffer,
    elementStart,
    elementLength,
    buffer,
    valueStart,
    valueLength,
    false,
  );
}

/** An element that this node wrote, as a side of a conflict. */
function ownElement({ elements, nodes }: Keyspace, ref: number): ContestedWrite {
  return {
    stampHi: elements.stampHiOf(ref),
    stampLo: elements.stampLoOf(ref),
    writerHi: nodes.hi[0],
    writerLo: nodes.lo[0],
    isRemoval: (elements.flagsOf(ref) & ELEMENT_DEAD) !== 0,
  };
}

/** Orders the record against the element's ELEMENT register: positive when the record is the greater. */
function compareWithElement(keyspace: Keyspace, record: RecordReader, origin: number, ref: number): number {
  const { elements, nodes } = keyspace;
  const order =
    compareStamp(record.stampHi, record.stampLo, elements.stampHiOf(ref), elements.stampLoOf(ref)) ||
    nodes.compare(origin, elements.originOf(ref)) ||
    (record.flags & FLAG_DEAD) - ((elements.flagsOf(ref) & ELEMENT_DEAD) !== 0 ? FLAG_DEAD : 0);
  if (order !== 0) return order;
  elements.readDeadline(ref);
  const has = elements.deadlineMs >= 0;
  const deadline = compareStamp(
    record.deadlineStampHi,
    record.deadlineStampLo,
    has ? elements.deadlineStampHi : 0,
    has ? elements.deadlineStampLo : 0,
  );
  if (deadline !== 0 || !has) return deadline;
  return nodes.compare(nodes.indexOf(record.deadlineOriginHi, record.deadlineOriginLo), elements.deadlineOrigin);
}

/** Writes an element that counts: the state's total is computed here. Without sums it is a plain one. */
export function writeCounted(
  keyspace: Keyspace,
  collection: Collection,
  ref: number,
  isDead: boolean,
  stampHi: number,
  stampLo: number,
  origin: number,
  name: Uint8Array,
  nameStart: number,
  nameLength: number,
  state: CounterState,
  local: boolean,
): number {
  const dead = isDead ? ELEMENT_DEAD : 0;
  if (state.entries.length === 0) {
    const base = isDead ? NO_BYTES : Buffer.from(state.base, 'latin1');
    return writeElement(
      keyspace,
      collection,
      ref,
      dead,
      stampHi,
      stampLo,
      origin,
      name,
      nameStart,
      nameLength,
      base,
      0,
      base.length,
      local,
    );
  }
  state.total = collection.total(
    state.base,
    state.entries.map((entry) => entry.sum),
  );
  const payload = encodeCounter(state);
  for (const { beginHi, beginLo, origin: by } of state.entries) collection.noteStamp(beginHi, beginLo, by);
  return writeElement(
    keyspace,
    collection,
    ref,
    ELEMENT_COUNTED | dead,
    stampHi,
    stampLo,
    origin,
    name,
    nameStart,
    nameLength,
    payload,
    0,
    payload.length,
    local,
  );
}

/** The counter of an element that may be plain, dead or missing (`ref` 0). */
export function readElementCounter(keyspace: Keyspace, ref: number): CounterState {
  const { elements } = keyspace;
  if (ref === 0) return { base: '0', total: '0', entries: [], dormant: null };
  const flags = elements.flagsOf(ref);
  if ((flags & ELEMENT_COUNTED) !== 0) return decodeElementCounter(keyspace, ref);
  if ((flags & ELEMENT_DEAD) !== 0) return { base: '0', total: '0', entries: [], dormant: null };
  elements.readPayload(ref);
  const base = elements.valueBuffer.toString('latin1', elements.valueStart, elements.valueStart + elements.valueLength);
  return { base, total: base, entries: [], dormant: null };
}

/** Merges a COUNTER record, whose sum began at the version given, into a collection that is open for changes. */
export function mergeSum(
  keyspace: Keyspace,
  collection: Collection,
  record: RecordReader,
  beginHi: number,
  beginLo: number,
  origin: number,
): void {
  const { elements } = keyspace;
  const { buffer, valueStart, valueLength } = record;
  const nameStart = record.elementStart + 4;
  const nameLength = record.elementLength - 12;
  const ref = collection.find(buffer, nameStart, nameLength);
  const sum = buffer.toString('latin1', valueStart + 16, valueStart + valueLength);
  const entry = { origin, beginHi, beginLo, versionHi: record.stampHi, versionLo: record.stampLo, sum };
  const stampHi = ref === 0 ? 0 : elements.stampHiOf(ref);
  const stampLo = ref === 0 ? 0 : elements.stampLoOf(ref);
  const stampOrigin = ref === 0 ? 0 : elements.originOf(ref);
  if (ref !== 0 && !begunAfter(keyspace, entry, stampHi, stampLo, stampOrigin)) {
    keyspace.merges.lost++;
    if (keyspace.merges.source !== null && stampOrigin === 0) {
      keyspace.merges.contest('increment', -1, record, false, ownElement(keyspace, ref));
    }
    return;
  }
  const isDead = ref === 0 || (elements.flagsOf(ref) & ELEMENT_DEAD) !== 0;
  const state = readElementCounter(keyspace, ref);
  const at = state.entries.findIndex((other) => other.origin === origin);
  if (at >= 0) {
    const ours = state.entries[at];
    const order = compareStamp(entry.versionHi, entry.versionLo, ours.versionHi, ours.versionLo);
    if (order <= 0) {
      keyspace.merges.refused(order);
      return;
    }
    state.entries[at] = entry;
  } else if (origin === 0) {
    state.entries.unshift(entry);
  } else {
    state.entries.push(entry);
  }
  keepDeadline(keyspace, ref);
  writeCounted(
    keyspace,
    collection,
    ref,
    isDead,
    stampHi,
    stampLo,
    stampOrigin,
    buffer,
    nameStart,
    nameLength,
    state,
    false,
  );
}

/** The element keeps the deadline that it has. */
export function keepDeadline(keyspace: Keyspace, ref: number): void {
  keyspace.elements.deadlineMs = -1;
  if (ref !== 0) keyspace.elements.readDeadline(ref);
}

/** Takes away what of an element the key's floor has reached. */
export function pruneElement(keyspace: Keyspace, collection: Collection, ref: number): void {
  const { elements } = keyspace;
  const hi = elements.stampHiOf(ref);
  const lo = elements.stampLoOf(ref);
  if (!collection.isUnderFloor(hi, lo, elements.originOf(ref))) return;
  if ((elements.flagsOf(ref) & ELEMENT_COUNTED) === 0) {
    dropElement(keyspace, collection, ref);
    return;
  }
  const { entries } = decodeElementCounter(keyspace, ref);
  const left = entries.filter((entry) => !collection.isUnderFloor(entry.beginHi, entry.beginLo, entry.origin));
  if (left.length === 0) {
    dropElement(keyspace, collection, ref);
    return;
  }
  if (left.length === entries.length && hi === 0) return;
  elements.readName(ref);
  const name = Buffer.from(elements.nameBuffer.subarray(elements.nameStart, elements.nameStart + elements.nameLength));
  elements.deadlineMs = -1;
  const state: CounterState = { base: '0', total: '', entries: left, dormant: null };
  writeCounted(keyspace, collection, ref, true, 0, 0, 0, name, 0, name.length, state, false);
}
