/**
 * A turn of a peer's with thousands of new elements of one key, as COPY, RENAME or SUNIONSTORE make them, merged in steps: the elements
 * are put into a collection that no key has, and the key gets it in the turn in which all the rest is merged. Where that cannot be,
 * because there is something at the key by then, everything is merged in one turn as ever. docs/decisions/0029.
 */
import { viewOf } from '../../protocol/byte-view.ts';
import {
  FLAG_HAS_DEADLINE,
  OFFSET_KEY_LENGTH,
  OFFSET_KIND,
  RECORD_HEADER_BYTES,
  RecordReader,
} from '../../protocol/change-record.ts';
import { isElementKind } from '../../protocol/collection-kinds.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { EXPIRED, HIDDEN, OBJECT, PARTIAL, TYPE_STRING } from '../arena/block.ts';
import { type Collection, compareVersion, ElementCursor } from '../collections/collection.ts';
import { mergeElement } from '../collections/element-merge.ts';
import { endChange } from '../collections/element-writes.ts';
import { typeOfKind } from '../collections/kinds.ts';
import { makeCollection } from '../collections/types.ts';
import type { MergeSource } from './conflicts.ts';
import { endOfPiece } from './in-pieces.ts';
import type { Keyspace } from '../keyspace.ts';
import { applyRecords } from './merge.ts';
import { checkRecords } from './record-check.ts';

/** What is done in steps, and in which. */
export interface LongTurnLimits {
  /** Fewer new elements of a key are not put aside. */
  readonly elementsMin: number;
  readonly elementsAStep: number;
  /** Looks at records before they are merged, and throws where they may not be. */
  check(records: Buffer, start: number, end: number): void;
}

/** A node that is so near to its bound of writers merges no turn in steps: whether all of a turn's fit is asked at once. */
const WRITERS_ROOM_MIN = 4096;

interface Part {
  readonly piece: number;
  readonly start: number;
  end: number;
}

/** Elements of one key that follow each other. */
interface Run {
  readonly kind: number;
  readonly database: number;
  /** The key, in the first of the records. */
  readonly keyBuffer: Buffer;
  readonly keyStart: number;
  readonly keyLength: number;
  readonly parts: Part[];
  count: number;
}

/** Elements that are put aside, up to `at` in the part of this index. */
interface Aside {
  readonly run: Run;
  readonly collection: Collection;
  part: number;
  at: number;
  /** The least version of an element. */
  leastHi: number;
  leastLo: number;
  leastOrigin: number;
}

const reader = new RecordReader();

function isPutAside({ kind, flags }: RecordReader): boolean {
  return isElementKind(kind) && (flags & FLAG_HAS_DEADLINE) === 0 && typeOfKind(kind) !== TYPE_STRING;
}

function isOf(run: Run, record: RecordReader): boolean {
  if (record.kind !== run.kind || record.database !== run.database || record.keyLength !== run.keyLength) return false;
  const { buffer, keyStart, keyLength } = record;
  return run.keyBuffer.compare(buffer, keyStart, keyStart + keyLength, run.keyStart, run.keyStart + keyLength) === 0;
}

/** Whether records[start, end) may have so many elements of a key in a row: keys of the same length are not told apart. */
export function mayHaveRun(records: Buffer, start: number, end: number, elementsMin: number): boolean {
  if (end - start < elementsMin * RECORD_HEADER_BYTES) return false;
  const view = viewOf(records);
  let count = 0;
  let lastLength = -1;
  for (let at = start; at + RECORD_HEADER_BYTES <= end && count < elementsMin;) {
    const keyLength = view.getUint32(at + OFFSET_KEY_LENGTH, true);
    count = isElementKind(records[at + OFFSET_KIND]) && keyLength === lastLength ? count + 1 : 1;
    lastLength = keyLength;
    // Malformed ones are found when they are merged.
    at += Math.max(view.getUint32(at, true), RECORD_HEADER_BYTES);
  }
  return count >= elementsMin;
}

export class TurnAside {
  readonly #keyspace: Keyspace;
  readonly #pieces: readonly Buffer[];
  readonly #limits: LongTurnLimits;
  readonly #isDigesting: boolean;
  readonly #isStoring: boolean;
  /** What has been looked at. */
  #piece = 0;
  #at = 0;
  /** The last element's run. */
  #run: Run | null = null;
  /** Runs that are to be put aside, and those that are. */
  readonly #runs: Run[] = [];
  #asides: Aside[] = [];

  /** @param pieces records, in pieces of whole ones, that stay as they are */
  constructor(keyspace: Keyspace, pieces: readonly Buffer[], limits: LongTurnLimits) {
    this.#keyspace = keyspace;
    this.#pieces = pieces;
    this.#limits = limits;
    this.#isDigesting = keyspace.digesting;
    this.#isStoring = keyspace.storing;
  }

  /**
   * Does some more of what can be done before anybody sees anything of it; false when `finish` is to be called.
   * @throws RecordError when a record is malformed
   */
  step(): boolean {
    if (this.#piece < this.#pieces.length) {
      this.#look();
      return true;
    }
    if (!this.#isSound()) {
      this.close();
      return false;
    }
    const aside = this.#asides.at(-1);
    if (aside !== undefined && aside.part < aside.run.parts.length) this.#putAside(aside);
    else if (this.#runs.length > 0) this.#begin(this.#runs.shift()!);
    else return false;
    return true;
  }

  /** Checks some records, and finds runs. */
  #look(): void {
    const records = this.#pieces[this.#piece];
    const end = endOfPiece(records, this.#at);
    this.#limits.check(records, this.#at, end);
    checkRecords(this.#keyspace, records, this.#at, end);
    while (this.#at < end) {
      const start = this.#at;
      this.#at = reader.read(records, start, end);
      if (this.#run !== null && isPutAside(reader) && isOf(this.#run, reader)) this.#extend(this.#run, start);
      else this.#beginRun(start);
    }
    if (this.#at < records.length) return;
    this.#at = 0;
    if (++this.#piece === this.#pieces.length) this.#endRun();
  }

  #extend(run: Run, start: number): void {
    run.count++;
    const last = run.parts.at(-1)!;
    if (last.piece === this.#piece) last.end = this.#at;
    else run.parts.push({ piece: this.#piece, start, end: this.#at });
  }

  #beginRun(start: number): void {
    this.#endRun();
    if (!isPutAside(reader)) return;
    const { kind, database, buffer: keyBuffer, keyStart, keyLength } = reader;
    const parts = [{ piece: this.#piece, start, end: this.#at }];
    this.#run = { kind, database, keyBuffer, keyStart, keyLength, parts, count: 1 };
  }

  #endRun(): void {
    const run = this.#run;
    this.#run = null;
    const hasRoom = this.#keyspace.nodes.room >= WRITERS_ROOM_MIN;
    if (run !== null && run.count >= this.#limits.elementsMin && hasRoom) this.#runs.push(run);
  }

  /** Whether what is aside is still what would be there, had it been put into a key. */
  #isSound(): boolean {
    const { digesting, storing, objects } = this.#keyspace;
    if (digesting !== this.#isDigesting || storing !== this.#isStoring) return false;
    return this.#asides.every(({ collection }) => objects.holds(collection));
  }

  #begin(run: Run): void {
    const collection = makeCollection(typeOfKind(run.kind), this.#keyspace);
    this.#keyspace.objects.add(collection);
    collection.database = run.database;
    const at = run.parts[0].start;
    this.#asides.push({ run, collection, part: 0, at, leastHi: 0, leastLo: 0, leastOrigin: 0 });
  }

  #putAside(aside: Aside): void {
    const keyspace = this.#keyspace;
    const { run, collection } = aside;
    keyspace.digests.hashKey(run.database, run.keyBuffer, run.keyStart, run.keyLength);
    keyspace.elements.deadlineMs = -1;
    const part = run.parts[aside.part];
    const records = this.#pieces[part.piece];
    for (let count = 0; count < this.#limits.elementsAStep && aside.at < part.end; count++) {
      aside.at = reader.read(records, aside.at, part.end);
      const { stampHi, stampLo } = reader;
      const origin = keyspace.nodes.indexOf(reader.originHi, reader.originLo);
      noteLeast(keyspace, aside, stampHi, stampLo, origin);
      mergeElement(keyspace, collection, reader, origin);
    }
    keyspace.objects.recount(collection);
    if (aside.at < part.end) return;
    aside.part++;
    aside.at = run.parts[aside.part]?.start ?? 0;
  }

  /** Merges everything: the keys get what was put aside. */
  finish(source: MergeSource): void {
    const keyspace = this.#keyspace;
    if (!this.#isSound()) this.close();
    const asides = this.#asides;
    this.#asides = [];
    const parts = asides.flatMap(({ run }) => run.parts);
    for (let piece = 0; piece < this.#pieces.length; piece++) {
      let at = 0;
      for (const part of parts.filter((one) => one.piece === piece)) {
        this.#apply({ piece, start: at, end: part.start }, source);
        at = part.end;
      }
      this.#apply({ piece, start: at, end: this.#pieces[piece].length }, source);
    }
    for (const aside of asides) {
      // A FLUSHALL of the same turn may have taken it.
      const isThere = keyspace.objects.holds(aside.collection);
      if (isThere && giveToKey(keyspace, aside)) {
        keyspace.merges.merged += aside.run.count;
        continue;
      }
      if (isThere) keyspace.objects.release(aside.collection.slot);
      for (const part of aside.run.parts) this.#apply(part, source);
    }
  }

  #apply({ piece, start, end }: Part, source: MergeSource): void {
    if (start < end) applyRecords(this.#keyspace, this.#pieces[piece], start, end, source);
  }

  /** Drops what was put aside. */
  close(): void {
    const { objects } = this.#keyspace;
    for (const { collection } of this.#asides) if (objects.holds(collection)) objects.release(collection.slot);
    this.#asides = [];
    this.#runs.length = 0;
  }
}

function noteLeast(keyspace: Keyspace, aside: Aside, hi: number, lo: number, origin: number): void {
  const { leastHi, leastLo, leastOrigin } = aside;
  if (leastHi !== 0 && compareVersion(keyspace.nodes, hi, lo, origin, leastHi, leastLo, leastOrigin) >= 0) return;
  aside.leastHi = hi;
  aside.leastLo = lo;
  aside.leastOrigin = origin;
}

/** Whether the collection has no element, dead ones neither, and nobody is busy with it. */
function isVacant(keyspace: Keyspace, collection: Collection): boolean {
  if (collection.count > 0 || collection.storeWalk !== null || keyspace.pruning.has(collection)) return false;
  const cursor = new ElementCursor();
  let visited = 0;
  while (visited === 0 && collection.walk(cursor, 1, () => visited++));
  return visited === 0;
}

/** Puts the elements where the key has a collection of their type without any; false when it has not. */
function giveToKey(keyspace: Keyspace, { run, collection, leastHi, leastLo, leastOrigin }: Aside): boolean {
  const { keyBuffer, keyStart, keyLength } = run;
  const database = keyspace.databases[run.database];
  const ref = keyspace.find(database, keyBuffer, keyStart, keyLength);
  const { hash } = keyspace;
  if (ref === 0 || (keyspace.flagsOf(ref) & (OBJECT | HIDDEN | EXPIRED | PARTIAL)) !== (OBJECT | HIDDEN)) return false;
  const vacant = keyspace.collectionAt(ref);
  if (vacant.type !== collection.type || !isVacant(keyspace, vacant)) return false;
  if (vacant.isUnderFloor(leastHi, leastLo, leastOrigin)) return false;
  if (compareStamp(leastHi, leastLo, database.floorHi, database.floorLo) <= 0) return false;
  const { maxHi, maxLo, maxOrigin } = collection;
  // Not before: a FLUSHDB up to the clock is to spare what it has not seen.
  keyspace.clock.observe(maxHi, maxLo);
  collection.inherit(vacant);
  collection.noteStamp(maxHi, maxLo, maxOrigin);
  collection.mostCount = Math.max(collection.mostCount, vacant.mostCount);
  collection.longestBytes = Math.max(collection.longestBytes, vacant.longestBytes);
  keyspace.readVersion(ref);
  keyspace.putObject(database, hash, ref, keyBuffer, keyStart, keyLength, collection, HIDDEN, false);
  database.noteStamp(maxHi, maxLo);
  keyspace.elements.deadlineMs = -1;
  endChange(keyspace, collection, false);
  return true;
}
