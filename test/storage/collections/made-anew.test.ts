/** Collections that are made anew after their deadline. */
import { expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { TYPE_HASH } from '../../../storage/arena/block.ts';
import { drainDirty } from '../../../storage/changes/outflow.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { Replica } from './replicas.ts';

const START_MS = 1_700_000_000_000;

it('a collection that is made anew, after its deadline and before a clock that was set back comes to it again, is seen by all', () => {
  let nowMs = START_MS;
  const wrong = new Replica(1, () => nowMs);
  const right = new Replica(2, () => START_MS);
  wrong.put(TYPE_HASH, 'key', 'old', '1');
  wrong.expireAt('key', START_MS + 4000);
  right.apply(wrong.takeFeed());
  nowMs = START_MS + 5000;
  wrong.keyspace.clock.refresh();
  expireDue(wrong.keyspace, 10);
  expect(wrong.view()).toEqual([]);
  nowMs = START_MS + 1000;
  wrong.keyspace.clock.refresh();
  wrong.put(TYPE_HASH, 'key', 'new', '2');
  right.apply(wrong.takeFeed());
  expect(wrong.view()).toHaveLength(1);
  expect(right.view()).toEqual(wrong.view());
  expect(right.digest()).toBe(wrong.digest());
});

it('what a collection had before its deadline is not back from the stores after a node that never had it made it anew', () => {
  let nowMs = START_MS;
  const writer = new Replica(1, () => nowMs);
  const holder = new Replica(2, () => nowMs);
  const newcomer = new Replica(3, () => nowMs);
  const stores = new Replica(4, () => nowMs);
  writer.put(TYPE_HASH, 'key', 'old', '1');
  writer.expireAt('key', START_MS + 1000);
  holder.apply(writer.takeFeed());
  const stored = [Buffer.from(holder.takeStore(1 << 20))];
  nowMs += 2000;
  for (const { keyspace } of [holder, newcomer, stores]) keyspace.clock.refresh();
  expireDue(holder.keyspace, 10);
  newcomer.put(TYPE_HASH, 'key', 'new', '2');
  holder.apply(newcomer.takeFeed());
  stored.push(Buffer.from(holder.takeStore(1 << 20)));
  // The newest version of each register is loaded, in the order of the keys.
  stores.apply(stored[1]);
  stores.apply(stored[0]);
  expect(newcomer.view()).toHaveLength(1);
  expect(holder.view()).toEqual(newcomer.view());
  expect(stores.view()).toEqual(newcomer.view());
});

it('the floor over what a collection had before its deadline is brought to MySQL by whoever comes to it', () => {
  let nowMs = START_MS;
  const [writer, holder, newcomer, table] = [1, 2, 3, 4].map((node) => new Replica(node, () => nowMs));
  const relay = (records: Buffer): void => {
    holder.keyspace.relaying = true;
    holder.apply(records);
    holder.keyspace.relaying = false;
  };
  const rows: Buffer[] = [];
  const bring = (replica: Replica): void => {
    const own = new RecordWriter();
    drainDirty(replica.keyspace, own, 1 << 20, new RecordWriter());
    rows.push(Buffer.from(own.take()));
  };
  writer.put(TYPE_HASH, 'key', 'old', '1');
  writer.expireAt('key', START_MS + 1000);
  bring(writer);
  relay(writer.takeFeed());
  bring(holder);
  nowMs += 2000;
  for (const { keyspace } of [holder, newcomer, table]) keyspace.clock.refresh();
  expireDue(holder.keyspace, 10);
  newcomer.put(TYPE_HASH, 'key', 'new', '2');
  bring(newcomer);
  relay(newcomer.takeFeed());
  bring(holder);
  // The row of the key, and with it the deadline, is the newer one's.
  for (const records of rows.toReversed()) table.apply(records);
  expect(holder.view()).toHaveLength(1);
  expect(table.view()).toEqual(holder.view());
});

it('what is found lapsed while stores are read is buried in the embedded one too, which has not heard of the new beginning', () => {
  let nowMs = START_MS;
  const writer = new Replica(1, () => nowMs);
  const newcomer = new Replica(2, () => nowMs);
  writer.put(TYPE_HASH, 'key', 'old', '1');
  writer.expireAt('key', START_MS + 1000);
  const stored = [Buffer.from(writer.takeStore(1 << 20))];
  nowMs += 2000;
  const [started, alone] = [1, 3].map((node) => new Replica(node, () => nowMs));
  newcomer.keyspace.clock.refresh();
  newcomer.put(TYPE_HASH, 'key', 'new', '2');
  // It starts, and has the new beginning from MySQL.
  Object.assign(started.keyspace, { storing: false, hydrating: true });
  started.apply(stored[0]);
  const anew = Buffer.from(newcomer.takeFeed());
  started.apply(anew);
  Object.assign(started.keyspace, { storing: true, hydrating: false });
  stored.push(Buffer.from(started.takeStore(1 << 20)));
  // Peers give the new beginning again; then the embedded store is all that is read, the newest version of each register.
  alone.apply(anew);
  for (const records of stored) alone.apply(records);
  expect(started.view()).toEqual(newcomer.view());
  expect(alone.view()).toEqual(newcomer.view());
});

/** A node on which a key has lapsed, and a later deadline of a slower clock has come; and what its store has. */
function revived(): { replicas: Replica[]; stored: Buffer[] } {
  let nowMs = START_MS;
  const [fast, other] = [1, 2].map((node) => new Replica(node, () => nowMs));
  const slow = new Replica(3, () => START_MS);
  slow.put(TYPE_HASH, 'key', 'old', '1');
  slow.expireAt('key', START_MS + 1000);
  const first = Buffer.from(slow.takeFeed());
  fast.apply(first);
  const stored = [Buffer.from(fast.takeStore(1 << 20))];
  nowMs += 2000;
  for (const { keyspace } of [fast, other]) keyspace.clock.refresh();
  expireDue(fast.keyspace, 10);
  slow.expireAt('key', START_MS + 5000);
  fast.apply(slow.takeFeed());
  stored.push(Buffer.from(fast.takeStore(1 << 20)));
  return { replicas: [fast, other, slow], stored };
}

it('what had lapsed and was brought back by a later deadline is buried where the key is made anew without it', () => {
  const { replicas, stored } = revived();
  const [fast] = replicas;
  fast.put(TYPE_HASH, 'key', 'new', '2');
  stored.push(Buffer.from(fast.takeStore(1 << 20)));
  const alone = new Replica(4, () => START_MS + 2000);
  for (const records of stored.toReversed()) alone.apply(records);
  expect(fast.view()).toHaveLength(1);
  expect(alone.view()).toEqual(fast.view());
});

it('the same where another node has made it anew', () => {
  const { replicas, stored } = revived();
  const [fast, other] = replicas;
  other.put(TYPE_HASH, 'key', 'new', '2');
  fast.apply(other.takeFeed());
  stored.push(Buffer.from(fast.takeStore(1 << 20)));
  const alone = new Replica(4, () => START_MS + 2000);
  for (const records of stored.toReversed()) alone.apply(records);
  expect(fast.view()).toHaveLength(1);
  expect(alone.view()).toEqual(fast.view());
});
