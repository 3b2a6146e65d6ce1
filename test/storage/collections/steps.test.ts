/** Large collections go, in whole or in part, in steps whose work is bounded: counted in elements, not in time. */
import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET, TYPE_STREAM } from '../../../storage/arena/block.ts';
import type { ListCollection } from '../../../storage/collections/list-collection.ts';
import { endChange, openCollection, putElement } from '../../../storage/collections/local.ts';
import { pruneSome } from '../../../storage/collections/prune.ts';
import type { SortedSet } from '../../../storage/collections/sorted-set.ts';
import type { Stream } from '../../../storage/collections/stream.ts';
import { RegisterScan } from '../../../storage/digests/register-scan.ts';
import { pushRight } from '../../../storage/types/list.ts';
import { putScore } from '../../../storage/types/sorted-set.ts';
import { addEntry } from '../../../storage/types/stream.ts';
import { hydrateWithin } from '../../../storage/eviction/read-through.ts';
import { Replica } from './replicas.ts';

const ELEMENTS = 20_000;
const STEP = 1000;
/** A walk ends where a part of the index ends. */
const STEP_MOST = 3 * STEP;
const KEY = Buffer.from('large');
const NO_VALUE = Buffer.alloc(0);

const types: [string, number][] = [
  ['hash', TYPE_HASH],
  ['set', TYPE_SET],
  ['sorted set', TYPE_SORTED_SET],
  ['list', TYPE_LIST],
  ['stream', TYPE_STREAM],
];

/** Adds elements `from` to `to` to the collection at KEY. */
function fill({ keyspace, database }: Replica, type: number, from: number, to: number): void {
  const ref = keyspace.lookup(database, KEY, 0, KEY.length);
  const collection = openCollection(keyspace, database, ref, type, KEY, 0, KEY.length);
  for (let index = from; index < to; index++) {
    const name = Buffer.from(`element ${index}`);
    if (type === TYPE_LIST) pushRight(keyspace, collection as ListCollection, name, 0, name.length);
    else if (type === TYPE_SORTED_SET)
      putScore(keyspace, collection as SortedSet, collection.find(name, 0, name.length), name, 0, name.length, index);
    else if (type === TYPE_STREAM) addEntry(keyspace, collection as Stream, { ms: BigInt(index + 1), seq: 0n }, name);
    else {
      const found = collection.find(name, 0, name.length);
      putElement(keyspace, collection, found, name, 0, name.length, NO_VALUE, 0, 0);
    }
  }
  endChange(keyspace, collection, true);
}

function countOf({ keyspace, database }: Replica): number {
  const ref = keyspace.lookup(database, KEY, 0, KEY.length);
  return ref === 0 ? 0 : keyspace.collectionAt(ref).count;
}

/** A and B hold the same elements; B deletes them, and A has added some that B has not heard of. */
function deletedElsewhere(type: number): { a: Replica; feed: Buffer; added: Buffer; b: Replica } {
  let nowMs = 1_700_000_000_000;
  const [a, b] = [1, 2].map((node) => new Replica(node, () => nowMs));
  fill(a, type, 0, ELEMENTS);
  b.apply(a.takeFeed());
  b.delete('large');
  const feed = Buffer.from(b.takeFeed());
  nowMs += 5;
  a.keyspace.clock.refresh();
  fill(a, type, ELEMENTS, ELEMENTS + 3);
  const added = Buffer.from(a.takeFeed());
  return { a, feed, added, b };
}

describe('a large collection', () => {
  it.each(types)('of type %s that was deleted is freed in steps', (_name, type) => {
    const replica = new Replica(1, () => 1_700_000_000_000);
    replica.keyspace.storing = replica.keyspace.digesting = false;
    fill(replica, type, 0, ELEMENTS);
    const { arena, objects, elements } = replica.keyspace;
    let freed = 0;
    const free = elements.free.bind(elements);
    elements.free = (ref) => {
      freed++;
      free(ref);
    };
    replica.delete('large');
    expect(freed).toBeLessThanOrEqual(STEP_MOST);
    for (let steps = 0; objects.hasGarbage; steps++) {
      freed = 0;
      objects.freeSome(STEP);
      expect(freed).toBeLessThanOrEqual(STEP_MOST);
      expect(steps).toBeLessThan(ELEMENTS / STEP + 100);
    }
    expect(objects.lazilyFreed).toBe(1);
    expect(arena.usedBytes).toBeLessThan(100_000);
  });

  it.each(types)('of type %s loses what another node has deleted in steps', (_name, type) => {
    const { a, feed, added, b } = deletedElsewhere(type);
    a.keyspace.prunesInSteps = true;
    let asked = 0;
    a.keyspace.objects.onGarbage = () => asked++;
    a.apply(feed);
    expect(asked).toBe(1);
    for (let before = countOf(a), isDone = false; !isDone; before = countOf(a)) {
      isDone = pruneSome(a.keyspace, STEP);
      expect(before - countOf(a)).toBeLessThanOrEqual(STEP_MOST);
    }
    expect(countOf(a)).toBe(3);
    b.apply(added);
    expect(b.view()).toEqual(a.view());
    expect(a.digest()).toBe(b.digest());
  });
});

describe('a large collection that a peer is given', () => {
  it.each(types)('of type %s is encoded in steps', (_name, type) => {
    const [first, second] = [1, 2].map((node) => new Replica(node, () => 1_700_000_000_000));
    fill(first, type, 0, ELEMENTS);
    const scan = new RegisterScan(first.keyspace);
    const writer = new RecordWriter();
    while (scan.step((database, ref) => scan.encode(database, ref, writer)));
    expect(writer.length).toBe(0);
    let most = 0;
    while (scan.hasUnfinished) {
      let looks = 0;
      // The time is over at the second look.
      scan.encodeUnfinished(writer, 1 << 20, () => looks++ > 0);
      const records = writer.take();
      second.apply(records);
      most = Math.max(most, records.length);
    }
    expect(most).toBeLessThan(16_000);
    expect(second.view()).toEqual(first.view());
  });
});

describe('a large collection that is loaded', () => {
  it.each(types)('of type %s is merged in steps', async (_name, type) => {
    const [first, again] = [1, 1].map((node) => new Replica(node, () => 1_700_000_000_000));
    fill(first, type, 0, ELEMENTS);
    const records = first.takeStore(1 << 20);
    let before = 0;
    let most = 0;
    const turn = (): void => {
      const count = countOf(again);
      most = Math.max(most, count - before);
      before = count;
    };
    // A clock by which each look at it takes a turn's time.
    let nowMs = 0;
    const defer = (work: () => void): void => {
      turn();
      setImmediate(work);
    };
    await hydrateWithin(again.keyspace, records, Infinity, { monotonicMs: () => (nowMs += 1), defer });
    turn();
    expect(most).toBeLessThan(STEP / 5);
    expect(again.view()).toEqual(first.view());
  });
});

describe('what happens while a deletion has not reached every element', () => {
  function half(type: number): { a: Replica; added: Buffer; b: Replica } {
    const { a, feed, added, b } = deletedElsewhere(type);
    a.keyspace.prunesInSteps = true;
    a.apply(feed);
    pruneSome(a.keyspace, STEP);
    expect(countOf(a)).toBeGreaterThan(ELEMENTS / 2);
    b.apply(added);
    return { a, added, b };
  }

  function finish(a: Replica): void {
    while (!pruneSome(a.keyspace, STEP));
  }

  it('what is written stays, and what is counted up on a value that is gone goes with it', () => {
    const { a, b } = half(TYPE_HASH);
    fill(a, TYPE_HASH, ELEMENTS - 2, ELEMENTS + 1);
    a.remove(TYPE_HASH, 'large', `element ${ELEMENTS + 1}`);
    a.add(TYPE_HASH, 'large', 'number', 4);
    b.apply(a.takeFeed());
    finish(a);
    expect(countOf(a)).toBe(5);
    expect(b.view()).toEqual(a.view());
    expect(a.digest()).toBe(b.digest());
  });

  it('a DEL here, another type, and a FLUSHDB end it', () => {
    const deleted = half(TYPE_SET);
    deleted.a.delete('large');
    deleted.b.apply(deleted.a.takeFeed());
    expect(pruneSome(deleted.a.keyspace, STEP)).toBe(true);
    expect(deleted.a.view()).toEqual([]);
    expect(deleted.b.view()).toEqual([]);

    const replaced = half(TYPE_LIST);
    replaced.a.set('large', 'text');
    replaced.b.apply(replaced.a.takeFeed());
    expect(pruneSome(replaced.a.keyspace, STEP)).toBe(true);
    expect(replaced.a.view()).toEqual(['large type 1: text']);
    expect(replaced.b.view()).toEqual(replaced.a.view());

    const flushed = half(TYPE_HASH);
    flushed.a.flush();
    flushed.b.apply(flushed.a.takeFeed());
    expect(pruneSome(flushed.a.keyspace, STEP)).toBe(true);
    expect(flushed.a.view()).toEqual([]);
    expect(flushed.b.view()).toEqual([]);
  });

  it('a later deletion begins anew', () => {
    const { a, b } = half(TYPE_HASH);
    b.delete('large');
    a.apply(b.takeFeed());
    finish(a);
    expect(a.view()).toEqual([]);
    expect(a.digest()).toBe(b.digest());
  });

  it('it is not packed', () => {
    const { a } = half(TYPE_HASH);
    a.takeStore(1 << 20);
    a.pack();
    finish(a);
    expect(countOf(a)).toBe(3);
  });
});
