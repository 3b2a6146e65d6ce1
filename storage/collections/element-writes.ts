/** Versions of elements written into a collection, and what follows: counts, order, digest, lists of changes. */
import {
  ELEMENT_COUNTED,
  ELEMENT_DEAD,
  ELEMENT_DEADLINE,
  ELEMENT_EXPIRED,
  ELEMENT_FEED,
  ELEMENT_STORE,
} from './element-layout.ts';
import { HIDDEN, TYPE_HASH, TYPE_SET, TYPE_SORTED_SET } from '../arena/block.ts';
import type { Keyspace } from '../keyspace.ts';
import { type CounterState, decodeCounterAt } from '../types/counter-payload.ts';
import { type Collection, ElementCursor } from './collection.ts';
import { elementCounterKindOf, elementKindOf } from './kinds.ts';

const MARKS = ELEMENT_FEED | ELEMENT_STORE;

/**
 * Opens a collection for changes of its elements, local or merged. Between this and `endChange` no other collection may be
 * opened: what is visible of this one is out of the digest meanwhile.
 */
export function beginChange(keyspace: Keyspace, collection: Collection): void {
  keyspace.elements.deadlineMs = -1;
  if (!keyspace.digesting) return;
  const { ref } = collection;
  const isHidden = (keyspace.flagsOf(ref) & HIDDEN) !== 0;
  if (!isHidden && keyspace.toggleDigest(keyspace.databases[collection.database], ref)) return;
  hashKeyOf(keyspace, collection);
}

/** What `toggleElement` goes by. */
function hashKeyOf(keyspace: Keyspace, collection: Collection): void {
  keyspace.readKey(collection.ref);
  keyspace.digests.hashKey(collection.database, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
}

/** Closes what `beginChange` opened: shows or hides the key, and tells everybody. */
export function endChange(keyspace: Keyspace, collection: Collection, local: boolean): void {
  const database = keyspace.databases[collection.database];
  const { ref } = collection;
  const wasHidden = (keyspace.flagsOf(ref) & HIDDEN) !== 0;
  const isHidden = collection.count === 0 && collection.isEmpty;
  if (local) database.noteStamp(keyspace.clock.hi, keyspace.clock.lo);
  if (wasHidden !== isHidden) keyspace.setHidden(database, ref, isHidden);
  if (!isHidden && keyspace.digesting) keyspace.toggleDigest(database, ref);
  keyspace.touchedCollection(database, collection, local);
  if (isHidden) {
    if (!local || keyspace.keepsTombstones) return;
    keyspace.readKey(ref);
    keyspace.drop(database, keyspace.hashOf(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength), ref);
  } else if (wasHidden && keyspace.isPastDeadline(ref)) {
    keyspace.readKey(ref);
    keyspace.expire(database, keyspace.hashOf(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength), ref);
  }
}

/** `endChange` of a local change that commands do not see, such as a new stamp of what is there: no WATCH and no event tells of it. */
export function endUnseen(keyspace: Keyspace, collection: Collection): void {
  const { observer } = keyspace;
  keyspace.observer = null;
  endChange(keyspace, collection, true);
  keyspace.observer = observer;
}

/** The counter that a COUNTED element holds. */
export function decodeElementCounter(keyspace: Keyspace, ref: number): CounterState {
  const { words, bytes } = keyspace.arena;
  return decodeCounterAt(words[ref >>> 20], bytes[ref >>> 20], keyspace.elements.payloadWord(ref));
}

/** Adds a live element without a deadline to its collection's digest, or takes it out; the key was hashed by `beginChange`. */
export function togglePlain(
  keyspace: Keyspace,
  collection: Collection,
  name: Uint8Array,
  nameLength: number,
  stampHi: number,
  stampLo: number,
  origin: number,
): void {
  const { digests, nodes, elements } = keyspace;
  const kind = elementKindOf(collection.type);
  if (keyspace.digestStart !== null) {
    // Who knows whether it is ahead of the walk over everything asks for its block.
    const { slot } = collection;
    const ref = elements.allocatePlain(kind, slot, stampHi, stampLo, name, 0, nameLength, name, 0, 0);
    elements.setOrigin(ref, origin);
    toggleElement(keyspace, collection, ref);
    elements.free(ref);
    return;
  }
  const hash = digests.hashElement(kind, name, 0, nameLength);
  digests.hashRegister(hash, stampHi, stampLo, nodes.hi[origin], nodes.lo[origin], 0, 0);
  collection.digestHi = (collection.digestHi ^ digests.registerHi) >>> 0;
  collection.digestLo = (collection.digestLo ^ digests.registerLo) >>> 0;
}

/**
 * Adds what a visible element shows to its collection's digest, or takes it out; the key was hashed by `beginChange`. Returns the
 * hash of the element's name, or 0 when it is yet to be taken in by `digestStart`.
 */
export function toggleElement(keyspace: Keyspace, collection: Collection, ref: number): number {
  const { digests, elements, nodes, digestStart } = keyspace;
  if (digestStart !== null && digestStart.isElementAhead(collection, ref)) return 0;
  const flags = elements.flagsOf(ref);
  elements.readName(ref);
  const hash = digests.hashElement(
    elementKindOf(collection.type),
    elements.nameBuffer,
    elements.nameStart,
    elements.nameLength,
  );
  if ((flags & ELEMENT_DEAD) === 0) {
    elements.readDeadline(ref);
    const origin = elements.originOf(ref);
    const withDeadline = elements.deadlineMs >= 0;
    digests.hashRegister(
      hash,
      elements.stampHiOf(ref),
      elements.stampLoOf(ref),
      nodes.hi[origin],
      nodes.lo[origin],
      withDeadline ? elements.deadlineStampHi : 0,
      withDeadline ? elements.deadlineStampLo : 0,
    );
    // Not the deadline of what is written next.
    elements.deadlineMs = -1;
    collection.digestHi = (collection.digestHi ^ digests.registerHi) >>> 0;
    collection.digestLo = (collection.digestLo ^ digests.registerLo) >>> 0;
  }
  if ((flags & ELEMENT_COUNTED) === 0) return hash;
  if ((flags & (ELEMENT_DEAD | ELEMENT_DEADLINE)) === (ELEMENT_DEAD | ELEMENT_DEADLINE)) {
    toggleSumsDeadline(keyspace, collection, ref, hash);
  }
  for (const entry of decodeElementCounter(keyspace, ref).entries) {
    const kind = hash ^ elementCounterKindOf(collection.type);
    digests.hashRegister(kind, entry.versionHi, entry.versionLo, nodes.hi[entry.origin], nodes.lo[entry.origin], 0, 0);
    collection.digestHi = (collection.digestHi ^ digests.registerHi) >>> 0;
    collection.digestLo = (collection.digestLo ^ digests.registerLo) >>> 0;
  }
  return hash;
}

/** The deadline of sums over a dead base is a register of its own. */
function toggleSumsDeadline(keyspace: Keyspace, collection: Collection, ref: number, hash: number): void {
  const { digests, elements, nodes } = keyspace;
  elements.readDeadline(ref);
  const { deadlineStampHi, deadlineStampLo, deadlineOrigin } = elements;
  elements.deadlineMs = -1;
  digests.hashRegister(
    hash,
    deadlineStampHi,
    deadlineStampLo,
    nodes.hi[deadlineOrigin],
    nodes.lo[deadlineOrigin],
    0,
    0,
  );
  collection.digestHi = (collection.digestHi ^ digests.registerHi) >>> 0;
  collection.digestLo = (collection.digestLo ^ digests.registerLo) >>> 0;
}

/** Computes the digest of a collection's elements afresh: it is not kept while the keyspace is not digesting. */
export function recomputeElements(keyspace: Keyspace, collection: Collection): void {
  const cursor = new ElementCursor();
  while (recomputeSome(keyspace, collection, cursor, 1000));
}

/** The same in steps of about `limit` elements, with one cursor: false when it is done. */
export function recomputeSome(
  keyspace: Keyspace,
  collection: Collection,
  cursor: ElementCursor,
  limit: number,
): boolean {
  const { elements } = keyspace;
  if (cursor.isFresh) {
    cursor.isFresh = false;
    collection.digestHi = 0;
    collection.digestLo = 0;
  }
  hashKeyOf(keyspace, collection);
  const more = collection.walk(cursor, limit, (ref) => {
    if (elements.isVisible(ref)) toggleElement(keyspace, collection, ref);
  });
  elements.deadlineMs = -1;
  return more;
}

/**
 * `writeElement` of a live version by this node, with the clock's stamp, for the common cases: a value as long as the old one,
 * and a new element without a deadline. Returns the block, 0 when it is no such case.
 */
export function writePlain(
  keyspace: Keyspace,
  collection: Collection,
  ref: number,
  name: Uint8Array,
  nameStart: number,
  nameLength: number,
  value: Uint8Array,
  valueStart: number,
  valueLength: number,
): number {
  const { elements, clock } = keyspace;
  const { hi, lo } = clock;
  let target = ref;
  if (ref !== 0) {
    const { type } = collection;
    if (type === TYPE_SORTED_SET) {
      if (!elements.isRenewable(ref, valueLength)) return 0;
      collection.hidden(ref);
      elements.renew(ref, hi, lo, value, valueStart, valueLength);
      collection.shown(ref);
    } else if (
      (type !== TYPE_HASH && type !== TYPE_SET) ||
      !elements.renew(ref, hi, lo, value, valueStart, valueLength)
    ) {
      return 0;
    }
    collection.noteStamp(hi, lo, 0);
  } else {
    const kind = elementKindOf(collection.type);
    const { slot } = collection;
    target = elements.allocatePlain(kind, slot, hi, lo, name, nameStart, nameLength, value, valueStart, valueLength);
    if (target === 0) return 0;
    collection.insert(target);
    if (nameLength > collection.longestBytes) collection.longestBytes = nameLength;
    if (valueLength > collection.longestBytes) collection.longestBytes = valueLength;
    collection.noteStamp(hi, lo, 0);
    if (++collection.count > collection.mostCount) collection.mostCount = collection.count;
    collection.shown(target);
  }
  if (keyspace.storing || keyspace.feeding) markElement(keyspace, collection, target, true);
  return target;
}

/** The element is visible from now on. */
function show(keyspace: Keyspace, collection: Collection, ref: number): void {
  if (!keyspace.elements.isVisible(ref)) return;
  collection.count++;
  if (collection.count > collection.mostCount) collection.mostCount = collection.count;
  if (keyspace.digesting) toggleElement(keyspace, collection, ref);
  collection.shown(ref);
}

/** The element is about to change or go. */
function hide(keyspace: Keyspace, collection: Collection, ref: number): void {
  if (!keyspace.elements.isVisible(ref)) return;
  collection.hidden(ref);
  if (keyspace.digesting) toggleElement(keyspace, collection, ref);
  collection.count--;
}

/**
 * Writes a version of an element, whose deadline is in `elements.deadlineMs` and beside it (-1 for none), over the one in
 * `ref` (0 when `collection.find` has just found none). Returns the block that it is in now. The value may not lie in `ref`.
 */
export function writeElement(
  keyspace: Keyspace,
  collection: Collection,
  ref: number,
  flags: number,
  stampHi: number,
  stampLo: number,
  origin: number,
  name: Uint8Array,
  nameStart: number,
  nameLength: number,
  value: Uint8Array,
  valueStart: number,
  valueLength: number,
  local: boolean,
): number {
  const { elements } = keyspace;
  const { deadlineMs, deadlineStampHi, deadlineStampLo, deadlineOrigin } = elements;
  let marks = 0;
  let target = ref;
  const isPast = deadlineMs > 0 && keyspace.clock.nowMs > deadlineMs;
  const watchedMs = deadlineMs > 0 && ref !== 0 ? elements.deadlineOf(ref) : -1;
  if (isPast) flags |= ELEMENT_EXPIRED;
  if (ref !== 0) {
    marks = elements.flagsOf(ref) & MARKS;
    hide(keyspace, collection, ref);
    elements.deadlineMs = deadlineMs;
    elements.deadlineStampHi = deadlineStampHi;
    elements.deadlineStampLo = deadlineStampLo;
    elements.deadlineOrigin = deadlineOrigin;
  }
  if (ref === 0 || !elements.overwrite(ref, flags | marks, stampHi, stampLo, origin, value, valueStart, valueLength)) {
    target = elements.allocate(
      elementKindOf(collection.type),
      flags,
      collection.slot,
      stampHi,
      stampLo,
      origin,
      name,
      nameStart,
      nameLength,
      value,
      valueStart,
      valueLength,
    );
    if (ref === 0) {
      collection.insert(target);
    } else {
      collection.replace(ref, target);
      elements.free(ref);
      // The old block's places in the lists are stale now.
      if ((marks & ELEMENT_FEED) !== 0) collection.feed.push(target);
      if ((marks & ELEMENT_STORE) !== 0) collection.store.push(target);
      if (marks !== 0) elements.setFlags(target, elements.flagsOf(target) | marks);
    }
  }
  elements.deadlineMs = -1;
  if (nameLength > collection.longestBytes) collection.longestBytes = nameLength;
  if (valueLength > collection.longestBytes && (flags & ELEMENT_COUNTED) === 0) collection.longestBytes = valueLength;
  collection.noteStamp(stampHi, stampLo, origin);
  if (isPast) keepExpired(collection, target);
  else if (deadlineMs > 0 && (target !== ref || watchedMs !== deadlineMs)) pushDeadline(keyspace, deadlineMs, target);
  show(keyspace, collection, target);
  if ((flags & (ELEMENT_DEAD | ELEMENT_COUNTED)) === ELEMENT_DEAD) collection.tombstones.push(target);
  markElement(keyspace, collection, target, local);
  return target;
}

/** Puts the element into the lists of changes that it is not in yet. */
export function markElement(keyspace: Keyspace, collection: Collection, ref: number, local: boolean): void {
  const { elements } = keyspace;
  const flags = elements.flagsOf(ref);
  let marks = 0;
  if (keyspace.storing && (flags & ELEMENT_STORE) === 0) {
    marks = ELEMENT_STORE;
    collection.store.push(ref);
  }
  if (local && keyspace.feeding && (flags & ELEMENT_FEED) === 0) {
    marks |= ELEMENT_FEED;
    collection.feed.push(ref);
  }
  if (marks !== 0) elements.setFlags(ref, flags | marks);
}

/** Of the heap's entries this many may be stale before they are looked through. */
const STALE_ENTRIES = 1024;

function pushDeadline(keyspace: Keyspace, deadlineMs: number, ref: number): void {
  const { elementDeadlines: heap, elements } = keyspace;
  if (heap.length >= heap.sparseLength) {
    heap.rebuild((entry, entryMs) => elements.isElement(entry) && elements.deadlineOf(entry) >= entryMs);
    heap.sparseLength = 2 * heap.length + STALE_ENTRIES;
  }
  heap.push(deadlineMs, ref);
}

/** Puts an element that is hidden among those that are dropped when everybody has them. */
export function keepExpired(collection: Collection, ref: number): void {
  collection.expired ??= { waiting: [], sealed: [], sealHi: 0, sealLo: 0 };
  collection.expired.waiting.push(ref);
}

/** Hides a visible element whose own deadline has passed, in a collection that is open for changes. */
export function expireElement(keyspace: Keyspace, collection: Collection, ref: number): void {
  keyspace.expiredElements++;
  if (!keyspace.keepsTombstones) {
    dropElement(keyspace, collection, ref);
    return;
  }
  hide(keyspace, collection, ref);
  keyspace.elements.setFlags(ref, keyspace.elements.flagsOf(ref) | ELEMENT_EXPIRED);
  keepExpired(collection, ref);
}

/** Takes an element out of the collection for good. */
export function dropElement(keyspace: Keyspace, collection: Collection, ref: number): void {
  hide(keyspace, collection, ref);
  collection.remove(ref);
  keyspace.elements.free(ref);
}
