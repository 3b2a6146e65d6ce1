/** A member that is added again takes a shorter way on a node that keeps no digests: it comes to the same. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_SET } from '../../../storage/arena/block.ts';
import { renewMember } from '../../../storage/collections/local.ts';
import { withSeed } from '../../support/seed.ts';
import { Replica } from './replicas.ts';

const KEY = Buffer.from('key');
const MEMBERS = 12;

/** Adds a member again, or says why it takes the long way: then nothing was done. */
function renew({ keyspace, database }: Replica, member: string): boolean {
  const ref = keyspace.lookup(database, KEY, 0, KEY.length);
  if (ref === 0 || keyspace.typeOf(ref) !== TYPE_SET) return false;
  const set = keyspace.collectionAt(ref);
  const name = Buffer.from(member);
  const element = set.find(name, 0, name.length);
  return element !== 0 && renewMember(keyspace, database, set, element);
}

function alone(node: number, nowMs: () => number): Replica {
  const replica = new Replica(node, nowMs);
  replica.keyspace.digesting = false;
  return replica;
}

/** Feed and store, in each turn, of what they are taken from in random turns. */
function seen(replica: Replica, isFed: boolean, isStored: boolean): string[] {
  const feed = isFed ? replica.takeFeed().toString('hex') : '';
  const store = isStored ? replica.takeStore(1000).toString('hex') : '';
  const { keyspace, database } = replica;
  const { changes, usedBytes, clock } = keyspace;
  return [feed, store, ...replica.view(), `${changes} ${usedBytes} ${clock.hi} ${clock.lo} ${database.stampLo}`];
}

describe('a member that is added again', () => {
  it('is sent, stored and counted as one that takes the long way, whatever happened to it before', () =>
    withSeed('test/storage/collections/renewal.test.ts', (random) => {
      let nowMs = 1_700_000_000_000;
      const [short, long] = [0, 1].map(() => alone(1, () => nowMs));
      const other = new Replica(2, () => nowMs);
      let renewed = 0;
      for (let turn = 0; turn < 2000; turn++) {
        nowMs += random.below(3);
        for (const { keyspace } of [short, long, other]) keyspace.clock.refresh();
        const member = `member ${random.below(MEMBERS)}`;
        const isRemoval = random.below(4) === 0;
        const isPacked = random.below(20) === 0;
        // The floor that it leaves is the greatest stamp of its members.
        if (random.below(40) === 0) for (const replica of [short, long]) replica.delete('key');
        if (random.below(10) === 0) {
          // A change of a peer lies in between.
          if (isRemoval) other.remove(TYPE_SET, 'key', member);
          else other.put(TYPE_SET, 'key', member, '');
          const feed = other.takeFeed();
          for (const replica of [short, long]) replica.apply(feed);
        }
        if (isRemoval) {
          for (const replica of [short, long]) replica.remove(TYPE_SET, 'key', member);
        } else {
          if (renew(short, member)) renewed++;
          else short.put(TYPE_SET, 'key', member, '');
          long.put(TYPE_SET, 'key', member, '');
        }
        const [isFed, isStored] = [random.below(3) === 0, random.below(5) === 0];
        expect(seen(short, isFed, isStored)).toEqual(seen(long, isFed, isStored));
        if (isPacked) for (const replica of [short, long]) replica.pack();
      }
      expect(renewed).toBeGreaterThan(100);
    }));

  it('stays when another node removes what it was before', () => {
    let nowMs = 1_700_000_000_000;
    const a = alone(1, () => nowMs);
    const b = new Replica(2, () => nowMs);
    a.put(TYPE_SET, 'key', 'member', '');
    b.apply(a.takeFeed());
    b.remove(TYPE_SET, 'key', 'member');
    nowMs += 5;
    a.keyspace.clock.refresh();
    expect(renew(a, 'member')).toBe(true);
    const removal = Buffer.from(b.takeFeed());
    b.apply(a.takeFeed());
    a.apply(removal);
    expect(a.view()).toEqual(b.view());
    expect(a.view()).toHaveLength(1);
  });

  it('takes the long way where digests are kept', () => {
    const replica = new Replica(1, () => 1_700_000_000_000);
    replica.put(TYPE_SET, 'key', 'member', '');
    const { hi, lo } = replica.keyspace.clock;
    expect(renew(replica, 'member')).toBe(false);
    expect(replica.keyspace.clock).toMatchObject({ hi, lo });
  });
});
