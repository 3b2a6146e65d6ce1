import { describe, expect, it } from '@jest/globals';
import {
  FLAG_DEAD,
  KIND_COUNTER,
  KIND_FLOOR,
  KIND_STRING,
  RecordError,
  RecordReader,
  RecordWriter,
} from '../../../protocol/change-record.ts';
import { compareStamp, stampHiOf, stampLoOf } from '../../../protocol/stamp.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { RegisterModel } from '../register-model.ts';
import { Replica, START_MS } from '../replica.ts';

const FILE = 'test/storage/merging/merge.test.ts';
const NO_BYTES = Buffer.alloc(0);

interface Version {
  ms: number;
  origin: number;
  dead?: boolean;
  value?: string;
  deadline?: { ms: number; atMs: number; origin: number };
}

function stringRecord(key: string, version: Version, database = 0): Buffer {
  const writer = new RecordWriter();
  const bytes = Buffer.from(key);
  const value = Buffer.from(version.value ?? '');
  writer.begin(
    KIND_STRING,
    version.dead === true ? FLAG_DEAD : 0,
    stampHiOf(version.ms),
    stampLoOf(version.ms, 0),
    0,
    version.origin,
    database,
    bytes,
    0,
    bytes.length,
  );
  const { deadline } = version;
  if (deadline !== undefined) {
    writer.deadline(deadline.ms, stampHiOf(deadline.atMs), stampLoOf(deadline.atMs, 0), 0, deadline.origin);
  }
  writer.value(value, 0, value.length);
  writer.end();
  return writer.take();
}

/** Versions that often agree in stamp, origin, deadline's stamp: ties have to be broken alike everywhere. */
function randomVersion(random: SeededRandom): Version {
  const ms = START_MS + random.below(3);
  const origin = 1 + random.below(3);
  if (random.chance(0.3)) return { ms, origin, dead: true };
  // One write has one value, and one deadline's stamp one deadline; what differs is which deadline a version has.
  const version: Version = { ms, origin, value: `value ${ms}-${origin}` };
  if (random.chance(0.6)) {
    const atMs = ms + random.below(3);
    const by = 1 + random.below(3);
    version.deadline = { ms: (atMs + by) % 3 === 0 ? 0 : START_MS + 1000 + (atMs % 7) * 3 + by, atMs, origin: by };
  }
  return version;
}

describe('merging strings', () => {
  it('keeps the greatest version in any order, ties included', async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 60; round++) {
        const records = Array.from({ length: 8 }, () => stringRecord('k', randomVersion(random)));
        const model = new RegisterModel();
        for (const record of records) model.apply(record);
        for (let order = 0; order < 3; order++) {
          const replica = new Replica({ node: 9, databases: 1 });
          for (const record of random.shuffle([...records, ...records])) replica.apply(record);
          expect(replica.contents()).toEqual(model.contents(START_MS));
        }
      }
    });
  });

  it('does nothing for a version that is there already', () => {
    const replica = new Replica();
    const record = stringRecord('k', {
      ms: START_MS,
      origin: 2,
      value: 'v',
      deadline: { ms: START_MS + 9, atMs: START_MS, origin: 2 },
    });
    replica.apply(record);
    const { changes } = replica.keyspace;
    replica.apply(record);
    expect(replica.keyspace.changes).toBe(changes);
  });

  it('makes the next local write the greatest, however far ahead the other clock is', () => {
    const replica = new Replica();
    const aheadMs = START_MS + 50_000;
    replica.apply(stringRecord('k', { ms: aheadMs, origin: 0xffffffff, value: 'theirs' }));
    replica.apply(
      stringRecord('l', { ms: 5, origin: 2, value: 'v', deadline: { ms: 0, atMs: aheadMs + 7, origin: 2 } }),
    );
    expect(
      compareStamp(
        replica.keyspace.clock.hi,
        replica.keyspace.clock.lo,
        stampHiOf(aheadMs + 7),
        stampLoOf(aheadMs + 7, 0),
      ),
    ).toBe(0);
    replica.set('k', 'ours');
    const other = new Replica({ node: 2 });
    other.apply(replica.takeFeed());
    other.apply(stringRecord('k', { ms: aheadMs, origin: 0xffffffff, value: 'theirs' }));
    expect([replica.get('k'), other.get('k')]).toEqual(['ours', 'ours']);
  });

  it('keeps a tombstone only where somebody could bring the value back', () => {
    const tombstone = stringRecord('k', { ms: START_MS, origin: 2, dead: true });
    const kept = new Replica();
    kept.apply(tombstone);
    expect(kept.database().index.count).toBe(1);
    const alone = new Replica({ storing: false, digesting: false });
    alone.apply(tombstone);
    expect(alone.database().index.count).toBe(0);
  });
});

describe('records that are not as they should be', () => {
  const good = stringRecord('good', { ms: START_MS, origin: 2, value: 'v' });

  function entry(element: Buffer, value: Buffer, kind = KIND_COUNTER): Buffer {
    const writer = new RecordWriter();
    writer.begin(kind, 0, 100, 5, 0, 2, 0, Buffer.from('k'), 0, 1);
    writer.element(element, 0, element.length);
    writer.value(value, 0, value.length);
    writer.end();
    return writer.take();
  }

  const node = Buffer.from([0, 0, 0, 0, 0, 0, 0, 2]);
  const sum = Buffer.concat([Buffer.from([0, 0, 0, 100, 0, 0, 0, 5]), node, Buffer.from('1')]);
  const bad: [string, Buffer][] = [
    ['of a database that there is not', stringRecord('k', { ms: START_MS, origin: 2, value: 'v' }, 2)],
    ['of a kind that nobody knows', entry(NO_BYTES, NO_BYTES, 200)],
    ['of a sum without its node', entry(NO_BYTES, sum)],
    ['of a sum with half a node', entry(node.subarray(4), sum)],
    ['of a sum without digits', entry(node, sum.subarray(0, 16))],
    ['of a sum that is too long', entry(node, Buffer.concat([sum, Buffer.alloc(512, 0x31)]))],
    ['that is cut off', good.subarray(0, good.length - 1)],
    ['of nothing but zeros', Buffer.alloc(40)],
  ];

  it.each(bad)('are refused with all that came with them: one %s', (_name, record) => {
    const replica = new Replica();
    for (const batch of [Buffer.concat([good, record]), record]) {
      expect(() => {
        replica.apply(batch);
      }).toThrow(RecordError);
    }
    expect(replica.contents()).toEqual({});
    expect(replica.database().index.count).toBe(0);
  });

  it('that are damaged anywhere are refused, or merged, but never break the node', async () => {
    await withSeed(FILE, (random) => {
      const source = new Replica({ node: 2 });
      source.set('string', 'value', START_MS + 1000);
      source.set('n', '5');
      source.increment('n');
      source.incrementDecimal('d', '0.5');
      source.expireAt('d', START_MS + 500);
      const records = source.takeFeed();
      for (let round = 0; round < 300; round++) {
        const damaged = Buffer.from(records);
        for (let count = 1 + random.below(3); count > 0; count--)
          damaged[random.below(damaged.length)] = random.below(256);
        const replica = new Replica({ databases: 1 });
        try {
          replica.apply(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(RecordError);
        }
        replica.apply(records);
        replica.increment('n');
        if (round % 30 === 0) {
          const { kept, recomputed } = replica.bookkeeping();
          expect(kept).toEqual(recomputed);
        }
      }
    });
  });
});

describe('floors', () => {
  it('hide what is stamped up to them, and nothing else', async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 50; round++) {
        const floor = new RecordWriter();
        const floorMs = START_MS + 1;
        floor.begin(KIND_FLOOR, 0, stampHiOf(floorMs), stampLoOf(floorMs, 0), 0, 3, 0, NO_BYTES, 0, 0);
        floor.end();
        const records = ['a', 'b', 'c', 'd'].map((key) => stringRecord(key, randomVersion(random)));
        records.push(floor.take());
        const model = new RegisterModel();
        for (const record of records) model.apply(record);
        const replica = new Replica({ node: 9, databases: 1 });
        for (const record of random.shuffle(records)) replica.apply(record);
        expect(replica.contents()).toEqual(model.contents(START_MS));
        const again = new Replica({ node: 8, databases: 1 });
        again.apply(replica.fullState());
        expect(again.contents()).toEqual(replica.contents());
      }
    });
  });

  it('are written like any other record', () => {
    const replica = new Replica();
    replica.apply(stringRecord('k', { ms: START_MS, origin: 2, value: 'v' }));
    const floor = new RecordWriter();
    floor.begin(KIND_FLOOR, 0, stampHiOf(START_MS), stampLoOf(START_MS, 0), 0, 3, 0, NO_BYTES, 0, 0);
    floor.end();
    replica.apply(floor.take());
    const reader = new RecordReader();
    reader.read(replica.takeDirty(), 0);
    expect([reader.kind, reader.stampHi, reader.originLo]).toEqual([KIND_FLOOR, stampHiOf(START_MS), 3]);
  });
});
