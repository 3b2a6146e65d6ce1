import { describe, expect, it } from '@jest/globals';
import { RecordReader } from '../../../protocol/change-record.ts';
import { KIND_KEY_FLOOR } from '../../../protocol/collection-kinds.ts';
import { isOutlived, outlivedOf } from '../../../storage/backends/outlived.ts';
import { splitRecords } from '../../../storage/backends/record-tools.ts';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { Reaper } from '../../../storage/tombstones/reaper.ts';
import { Replica } from '../collections/replicas.ts';

describe('the removal of tombstones', () => {
  it.each([
    ['is dropped', (replica: Replica) => replica.flush()],
    [
      'is dropped and its slot given to another',
      (replica: Replica) => (replica.flush(), replica.put(TYPE_SET, 'u', 'm', '')),
    ],
    ['is written again', (replica: Replica) => replica.put(TYPE_SET, 's', 'gone', '')],
  ])('from a set goes well when, meanwhile, the set %s', async (_what, meanwhile) => {
    const replica = new Replica(1, () => 1_800_000_000_000);
    const { keyspace } = replica;
    keyspace.feeding = false;
    keyspace.digesting = false;
    keyspace.clock.refresh();
    const ends: ((staying: Buffer) => void)[] = [];
    const reaper = new Reaper(keyspace, {
      canRemove: true,
      remove: () => new Promise((resolve) => ends.push(resolve)),
    });
    const step = (): number => reaper.step(keyspace.clock, keyspace.clock);
    for (const member of ['kept', 'gone']) replica.put(TYPE_SET, 's', member, '');
    replica.remove(TYPE_SET, 's', 'gone');
    replica.takeStore(1 << 20);
    // The set's tombstones are sealed by the first sweeps and sent by a later one.
    for (let sweep = 0; sweep < 10 && ends.length === 0; sweep++) step();
    expect(ends).toHaveLength(1);
    meanwhile(replica);
    const view = replica.view();
    for (const end of ends.splice(0)) end(Buffer.alloc(0));
    await new Promise(setImmediate);
    expect(step()).toBe(0);
    expect(replica.view()).toEqual(view);
  });
});

const START_MS = 1_800_000_000_000;

/** Sweeps so often that what can go has gone. */
function sweep(reaper: Reaper, bound: { hi: number; lo: number }): number {
  let dropped = 0;
  for (let step = 0; step < 10; step++) dropped += reaper.step(bound, bound);
  return dropped;
}

describe('a collection that is hidden', () => {
  let nowMs = START_MS;
  const makeReplica = (node: number): Replica => {
    const replica = new Replica(node, () => nowMs);
    replica.keyspace.clock.refresh();
    return replica;
  };

  /** The stamp up to which everybody has everything. */
  const pass = (replica: Replica, ms: number): { hi: number; lo: number } => {
    const { hi, lo } = replica.keyspace.clock;
    nowMs += ms;
    replica.keyspace.clock.refresh();
    return { hi, lo };
  };

  it('past its deadline is not forgotten before everybody has heard of the deadline', () => {
    const replica = makeReplica(1);
    replica.put(TYPE_HASH, 'key', 'field', '1');
    const untilPut = pass(replica, 10);
    replica.expireAt('key', nowMs + 100);
    replica.takeFeed();
    replica.takeStore(1 << 20);
    const untilDeadline = pass(replica, 200);
    expireDue(replica.keyspace, 10);
    const reaper = new Reaper(replica.keyspace);
    expect(sweep(reaper, untilPut)).toBe(0);
    expect(sweep(reaper, untilDeadline)).toBe(1);
  });

  it('is not forgotten before everybody has heard of its removal, also by a node that has only heard of that', () => {
    const writer = makeReplica(1);
    const reader = makeReplica(2);
    writer.put(TYPE_HASH, 'key', 'field', '1');
    const untilPut = pass(writer, 10);
    writer.delete('key');
    const floors = splitRecords(writer.takeFeed()).filter(({ record }) => kindOf(record) === KIND_KEY_FLOOR);
    expect(floors).toHaveLength(1);
    // The link's turn: its stamp goes before its records.
    reader.keyspace.clock.observe(writer.keyspace.clock.hi, writer.keyspace.clock.lo);
    reader.apply(floors[0].record);
    reader.takeStore(1 << 20);
    const reaper = new Reaper(reader.keyspace);
    expect(sweep(reaper, untilPut)).toBe(0);
    expect(sweep(reaper, pass(reader, 10))).toBe(1);
  });

  it('takes the sums along that a field past its deadline had before it was given a value', async () => {
    const replica = makeReplica(1);
    replica.put(TYPE_HASH, 'key', 'other', '1');
    replica.add(TYPE_HASH, 'key', 'field', 31);
    const stored = new Map(splitRecords(replica.takeStore(1 << 20)).map(({ id, record }) => [id, Buffer.from(record)]));
    pass(replica, 10);
    replica.put(TYPE_HASH, 'key', 'field', '7');
    replica.fieldExpireAt('key', 'field', nowMs + 100);
    for (const { id, record } of splitRecords(replica.takeStore(1 << 20))) stored.set(id, Buffer.from(record));
    replica.takeFeed();
    pass(replica, 200);
    replica.hideDue();
    const reader = new RecordReader();
    const reaper = new Reaper(replica.keyspace, {
      canRemove: true,
      remove: (registers) => {
        const all = outlivedOf(registers, reader);
        for (const { id } of splitRecords(registers)) stored.delete(id);
        for (const [id, record] of stored) {
          reader.read(record, 0);
          if (all.some((one) => one.database === 0 && isOutlived(reader, one))) stored.delete(id);
        }
        return Promise.resolve(Buffer.alloc(0));
      },
    });
    for (let step = 0; step < 10; step++) {
      reaper.step(pass(replica, 10), pass(replica, 10));
      await new Promise(setImmediate);
    }
    const restarted = makeReplica(1);
    for (const record of stored.values()) restarted.apply(record);
    expect(restarted.view()).toEqual(['key type 5: other=1']);
    expect(restarted.view()).toEqual(replica.view());
  });
});

function kindOf(record: Buffer): number {
  const reader = new RecordReader();
  reader.read(record, 0);
  return reader.kind;
}
