/** Turns with very many new elements of a key, between nodes on real keyspaces: seen whole or not at all, and merged in steps. */
import { describe, expect, it } from '@jest/globals';
import { CommandCluster, type CommandNode } from '../command-cluster.ts';

const ELEMENTS = 1500;
const A_STEP = 50;
/** By then all has been looked at, and some put aside. */
const HALF_MS = 40;
const longTurns = { elementsMin: 500, elementsAStep: A_STEP, stepsATurn: 1, restMs: 1 };
const settings = { longTurns };

interface Kind {
  name: string;
  add: string;
  element: (index: number) => string;
  count: string;
  /** Adds one more. */
  one: string;
}

const kinds: Kind[] = [
  { name: 'hash', add: 'HSET', element: (index) => `f${index} v${index}`, count: 'HLEN', one: 'HSET copy mine 1' },
  { name: 'set', add: 'SADD', element: (index) => `m${index}`, count: 'SCARD', one: 'SADD copy mine' },
  {
    name: 'sorted set',
    add: 'ZADD',
    element: (index) => `${(index * 7919) % 1009} m${index}`,
    count: 'ZCARD',
    one: 'ZADD copy 5 mine',
  },
  { name: 'list', add: 'RPUSH', element: (index) => `v${index}`, count: 'LLEN', one: 'RPUSH copy mine' },
  { name: 'stream', add: 'XADD', element: () => '', count: 'XLEN', one: 'XADD copy * mine 1' },
];

function fill(node: CommandNode, { add, element }: Kind, key = 'from'): void {
  if (add === 'XADD') for (let index = 0; index < ELEMENTS; index++) node.run(`XADD ${key} ${index + 1}-1 f v${index}`);
  else node.run(`${add} ${key} ${Array.from({ length: ELEMENTS }, (_, index) => element(index)).join(' ')}`);
}

async function filled(kind: Kind): Promise<CommandCluster> {
  const cluster = await CommandCluster.of(2, settings);
  fill(cluster.nodes[0], kind);
  cluster.settle();
  return cluster;
}

function countAt(node: CommandNode, { count }: Kind, key = 'copy'): number {
  return Number(node.run(`${count} ${key}`)[0].slice(1));
}

/** Runs for a while and tells what the second node has shown at the key, and how often at most it has looked up a key in one turn. */
function watch({ world, nodes }: CommandCluster, kind: Kind, meanwhile: (ms: number) => void = () => undefined) {
  const { keyspace } = nodes[1].harness;
  const seen: number[] = [];
  let found = 0;
  let most = 0;
  const find = keyspace.find.bind(keyspace);
  keyspace.find = (...given) => {
    found++;
    return find(...given);
  };
  world.time.afterEvent = () => {
    most = Math.max(most, found);
    found = 0;
  };
  for (let ms = 0; ms < 160; ms++) {
    world.time.run(1);
    found = 0;
    meanwhile(ms);
    const count = countAt(nodes[1], kind);
    if (seen.at(-1) !== count) seen.push(count);
    found = 0;
  }
  keyspace.find = find;
  world.time.afterEvent = () => undefined;
  return { seen, most };
}

/** What both nodes have of the key after all is settled. */
function agreed(cluster: CommandCluster, kind: Kind): number {
  cluster.settle();
  const counts = cluster.nodes.map((node) => countAt(node, kind));
  expect(counts[0]).toBe(counts[1]);
  return counts[0];
}

describe.each(kinds)('a turn with thousands of new elements of a $name', (kind) => {
  it('is seen whole or not at all, and no turn of the event loop merges all of it', async () => {
    const cluster = await filled(kind);
    cluster.nodes[0].run('COPY from copy', 'SET beside 1');
    const { seen, most } = watch(cluster, kind);
    expect(seen).toEqual([0, ELEMENTS]);
    expect(most).toBeLessThan(A_STEP);
    expect(agreed(cluster, kind)).toBe(ELEMENTS);
    const [first, second] = cluster.nodes.map((node) => node.run('DUMP copy', 'GET beside'));
    expect(second).toEqual(first);
  });

  it('replaces what was there in one turn', async () => {
    const cluster = await filled(kind);
    cluster.nodes[0].run(kind.one);
    cluster.settle();
    cluster.nodes[0].run('RENAME from copy');
    const { seen, most } = watch(cluster, kind);
    expect(seen).toEqual([1, ELEMENTS]);
    expect(most).toBeLessThan(A_STEP);
    expect(agreed(cluster, kind)).toBe(ELEMENTS);
    expect(cluster.nodes[1].run('EXISTS from')).toEqual([':0\r\n']);
  });

  it('is merged at once where there is something by then', async () => {
    const cluster = await filled(kind);
    cluster.nodes[0].run('COPY from copy');
    const { seen } = watch(cluster, kind, (ms) => {
      if (ms === HALF_MS) cluster.nodes[1].run(kind.one);
    });
    expect(seen).toEqual([0, 1, ELEMENTS + 1]);
    expect(agreed(cluster, kind)).toBe(ELEMENTS + 1);
  });

  it('comes to nothing where the key is of another type by then', async () => {
    const cluster = await filled(kind);
    cluster.nodes[0].run('COPY from copy');
    cluster.world.time.run(HALF_MS);
    expect(cluster.nodes[1].run('SET copy text')).toEqual(['+OK\r\n']);
    cluster.settle();
    for (const node of cluster.nodes) expect(node.run('GET copy')).toEqual(['$4\r\ntext\r\n']);
  });

  it('is dropped with its link, and comes again', async () => {
    const cluster = await filled(kind);
    const { keyspace } = cluster.nodes[1].harness;
    const before = keyspace.arena.usedBytes;
    cluster.nodes[0].run('COPY from copy', 'SET beside 1');
    cluster.world.time.run(HALF_MS);
    expect(keyspace.arena.usedBytes).toBeGreaterThan(before);
    cluster.apart(() => {
      expect(countAt(cluster.nodes[1], kind)).toBe(0);
      while (!keyspace.objects.freeSome(ELEMENTS));
      expect(keyspace.arena.usedBytes).toBeLessThan(before + 10_000);
    });
    cluster.meet();
    expect(agreed(cluster, kind)).toBe(ELEMENTS);
    expect(cluster.nodes[1].run('GET beside')).toEqual(['$1\r\n1\r\n']);
  });

  it('is merged to its end, with what came behind it, where its writer is gone for good meanwhile', async () => {
    const cluster = await filled(kind);
    cluster.nodes[0].run('COPY from copy');
    cluster.nodes[0].run('SET later 1');
    cluster.world.time.run(HALF_MS);
    expect(countAt(cluster.nodes[1], kind)).toBe(0);
    cluster.world.crash('n1');
    const { seen, most } = watch(cluster, kind);
    expect(seen).toEqual([0, ELEMENTS]);
    expect(most).toBeLessThan(A_STEP);
    expect(cluster.nodes[1].run('GET later')).toEqual(['$1\r\n1\r\n']);
    expect(cluster.nodes[1].replicator.linkedPeers).toBe(0);
  });

  it('stays out of a FLUSHALL, which had not seen it', async () => {
    const cluster = await filled(kind);
    cluster.nodes[0].run('COPY from copy');
    cluster.world.time.run(HALF_MS);
    expect(cluster.nodes[1].run('FLUSHALL')).toEqual(['+OK\r\n']);
    const count = agreed(cluster, kind);
    expect(countAt(cluster.nodes[0], kind, 'from')).toBe(0);
    expect(count).toBe(ELEMENTS);
  });

  it('keeps what comes behind it waiting', async () => {
    const cluster = await filled(kind);
    cluster.nodes[0].run('COPY from copy');
    cluster.nodes[0].run('SET later 1');
    cluster.nodes[0].run('COPY from other');
    cluster.nodes[0].run('SET last 1');
    for (let ms = 0; ms < 250; ms++) {
      cluster.world.time.run(1);
      const counts = ['copy', 'other'].map((key) => countAt(cluster.nodes[1], kind, key));
      const [later, last] = cluster.nodes[1].run('EXISTS later', 'EXISTS last');
      expect([0, ELEMENTS]).toContain(counts[0]);
      if (later === ':1\r\n') expect(counts[0]).toBe(ELEMENTS);
      if (last === ':1\r\n') expect(counts[1]).toBe(ELEMENTS);
    }
    expect(cluster.nodes[1].run('EXISTS last')).toEqual([':1\r\n']);
    cluster.settle();
  });
});
