import { describe, expect, it } from '@jest/globals';
import { TYPE_SET } from '../../storage/block.ts';
import { Reaper } from '../../storage/reaper.ts';
import { Replica } from './collections/replicas.ts';

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
