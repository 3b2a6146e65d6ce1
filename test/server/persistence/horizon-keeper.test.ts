/** What a node knows after a restart, or after a repair from beyond the horizon, of what it has forgotten. */
import { expect, it } from '@jest/globals';
import type { HorizonFacts } from '../../../replication/membership/horizon.ts';
import { HorizonKeeper } from '../../../server/persistence/horizon-keeper.ts';
import type { Identity } from '../../../server/persistence/identity.ts';
import type { Runtime } from '../../../server/runtime/runtime-view.ts';
import type { Flusher } from '../../../storage/flush/flusher.ts';
import { Replica } from '../../storage/collections/replicas.ts';

const identity: Identity = { node: { hi: 0, lo: 1 }, writer: { hi: 0, lo: 1 }, isRenamed: false, seal: null };
const text = (ms: number): string => ms.toString(16).padStart(8, '0').padEnd(16, '0');

/** A store that was left with these facts. */
function storeWith(facts: HorizonFacts): Flusher {
  const bytes = Buffer.from(JSON.stringify({ ...facts, writers: ['0000000000000001'] }));
  const get = (name: string): Promise<Buffer | null> => Promise.resolve(name === 'horizon' ? bytes : null);
  return { meta: { get, set: () => Promise.resolve() } } as unknown as Flusher;
}

function attached(keeper: HorizonKeeper, replicator: unknown = null): Replica {
  const replica = new Replica(1, () => 0x3000);
  const { keyspace } = replica;
  const config = { values: { peers: [], 'tombstone-horizon': 0 } };
  keeper.attach({ keyspace, config, replicator, monotonicMs: () => 0 } as unknown as Runtime);
  return replica;
}

function forgottenUpTo({ keyspace, database }: Replica): number {
  database.forgotten.read(keyspace.nodes, 0);
  return database.forgotten.hi;
}

it.each([
  ['what it had forgotten', 0x1000, 0x2000],
  ['what it had heard of, and a member was set aside', 0x2000, 0x1000],
])('a node that starts may have forgotten whatever was deleted up to %s', async (_what, reaped, held) => {
  const keeper = await HorizonKeeper.load(storeWith({ reaped: text(reaped), held: text(held), former: [] }), identity);
  expect(forgottenUpTo(attached(keeper))).toBe(0x1000);
});

it('a node that has taken the state of another one may have forgotten what that one has', async () => {
  const keeper = await HorizonKeeper.load(null, identity);
  const stamps = { reapedStamp: { hi: 0, lo: 0 }, takenStamp: { hi: 0, lo: 0 } };
  const replicator = { ...stamps, reapableStamp: () => ({ hi: 1, lo: 0 }), noteReaped: () => {} };
  const replica = attached(keeper, replicator);
  await keeper.tick(0x3000);
  expect(forgottenUpTo(replica)).toBe(0);
  replicator.reapedStamp = replicator.takenStamp = { hi: 0x1000, lo: 0 };
  await keeper.tick(0x3000);
  expect(forgottenUpTo(replica)).toBe(0x1000);
});
