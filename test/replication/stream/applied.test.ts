import { describe, expect, it } from '@jest/globals';
import { WRITERS_MAX, type Written } from '../../../protocol/written.ts';
import { Applied, mergeWritten } from '../../../replication/stream/applied.ts';
import { VirtualCluster, type NodeOptions, type VirtualNode } from '../virtual-cluster.ts';

function upTo(writerLo: number, stampLo: number): Written {
  return { writerHi: 7, writerLo, stampHi: 100, stampLo };
}

describe('what has been applied', () => {
  const build = (): Applied => new Applied({ hi: 7, lo: 1 }, () => ({ hi: 100, lo: 50 }));

  it('grows by writer, and is never less than the own clock', () => {
    const applied = build();
    expect(applied.covers([])).toBe(true);
    expect(applied.covers([upTo(1, 50)])).toBe(true);
    expect(applied.covers([upTo(1, 51)])).toBe(false);
    applied.note([upTo(2, 9), upTo(3, 4), upTo(2, 8), upTo(1, 99)]);
    expect(applied.covers([upTo(2, 9), upTo(3, 4)])).toBe(true);
    expect(applied.covers([upTo(2, 9), upTo(3, 5)])).toBe(false);
    expect(applied.covers([upTo(4, 0)])).toBe(false);
    expect(applied.all()).toEqual([upTo(1, 50), upTo(2, 9), upTo(3, 4)]);
  });

  it('lets those go who waited for what has come, and nobody else', async () => {
    const applied = build();
    const ended: string[] = [];
    const first = applied.wait([upTo(2, 5), upTo(3, 5)]);
    const second = applied.wait([upTo(2, 6)]);
    const third = applied.wait([upTo(2, 5)]);
    void first.done.then(() => ended.push('first'));
    void second.done.then(() => ended.push('second'));
    void third.done.then(() => ended.push('third'));
    third.cancel();
    applied.note([upTo(2, 5)]);
    await Promise.resolve();
    expect(ended).toEqual([]);
    applied.note([upTo(3, 7)]);
    await first.done;
    expect(ended).toEqual(['first']);
    expect(applied.isAwaited).toBe(true);
    expect(applied.missingFrom([upTo(2, 5)])).toEqual([]);
    expect(applied.missingFrom([upTo(2, 6)])).toEqual([upTo(2, 6)]);
    second.cancel();
    expect(applied.isAwaited).toBe(false);
  });

  it('stays within its bound, the writers heard of last staying', () => {
    const applied = build();
    for (let writer = 2; writer < 2 * WRITERS_MAX; writer++) applied.note([upTo(writer, writer)]);
    expect(applied.all().length).toBe(WRITERS_MAX);
    expect(applied.covers([upTo(2 * WRITERS_MAX - 1, 1)])).toBe(true);
    expect(applied.covers([upTo(2, 1)])).toBe(false);
  });

  it('merges to the greater stamp of each writer', () => {
    expect(mergeWritten([upTo(1, 5), upTo(2, 5)], [upTo(2, 4), upTo(3, 1), upTo(1, 6)])).toEqual([
      upTo(1, 6),
      upTo(2, 5),
      upTo(3, 1),
    ]);
  });
});

async function meshOf(count: number, options: NodeOptions = {}): Promise<VirtualCluster> {
  const cluster = new VirtualCluster(21);
  for (let index = 0; index < count; index++) await cluster.add(options);
  expect(cluster.settle()).toBe(true);
  cluster.run(3000);
  return cluster;
}

function has(node: VirtualNode, token: readonly Written[]): boolean {
  return node.replicator.applied.covers(token);
}

/** What is needed to read the node's last write elsewhere. */
function lastOf(node: VirtualNode): Written[] {
  return [node.replicator.applied.own(node.replicator.lastPublished)];
}

describe('what nodes say of what they have', () => {
  it('follows the streams', async () => {
    const cluster = await meshOf(3);
    const [first, second, third] = cluster.nodes;
    first.write(['key', 'value']);
    const token = lastOf(first);
    expect([has(first, token), has(second, token), has(third, token)]).toEqual([true, false, false]);
    cluster.run(50);
    expect([has(first, token), has(second, token), has(third, token)]).toEqual([true, true, true]);
  });

  it('comes through a third node when two cannot see each other, soon when somebody waits for it', async () => {
    const cluster = await meshOf(3, { repairIntervalMs: 3_600_000 });
    const [first, second, third] = cluster.nodes;
    cluster.world.cutBoth('n1', 'n3');
    cluster.run(10_000);
    second.write(['before', 'x']);
    first.write(['key', 'value']);
    const token = lastOf(first);
    cluster.run(5000);
    expect([has(second, token), has(third, token)]).toEqual([true, false]);
    expect(third.replica.get('key')).toBeNull();
    const { done } = third.replicator.applied.wait(token);
    expect(cluster.runUntil(() => has(third, token), 5000)).toBe(true);
    await done;
    expect(third.replica.get('key')).toBe('value');
  });

  it('is not taken from a peer that has not got it, and never before the values are there', async () => {
    const cluster = await meshOf(3, { repairIntervalMs: 2000 });
    const [first, , third] = cluster.nodes;
    cluster.world.cutBoth('n1', 'n3');
    cluster.run(10_000);
    for (let round = 0; round < 200; round++) {
      first.write(['key', String(round)]);
      const token = lastOf(first);
      cluster.run(37);
      if (has(third, token)) expect(third.replica.get('key')).toBe(String(round));
      else expect(Number(third.replica.get('key') ?? -1)).toBeLessThanOrEqual(round);
    }
    const token = lastOf(first);
    expect(cluster.runUntil(() => has(third, token), 30_000)).toBe(true);
    expect(third.replica.get('key')).toBe('199');
    cluster.world.crash('n1');
    await first.replicator.stop();
    const later = [{ ...token[0], stampHi: token[0].stampHi + 3 }];
    cluster.run(40_000);
    expect(has(third, later)).toBe(false);
  });

  it('outlives the node that wrote, and a restart of the one that asks', async () => {
    const cluster = await meshOf(3, { repairIntervalMs: 3_600_000 });
    const [first, second, third] = cluster.nodes;
    first.write(['key', 'value']);
    const token = lastOf(first);
    cluster.run(1500);
    cluster.world.crash('n1');
    await first.replicator.stop();
    cluster.run(3000);
    await third.restart({ peers: [{ host: 'n2', port: 7000 }] });
    expect([has(second, token), has(third, token)]).toEqual([true, false]);
    expect(cluster.runUntil(() => has(third, token), 20_000)).toBe(true);
  });
});
