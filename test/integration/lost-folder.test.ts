/** A node that has evicted most of what it holds loses its data-dir: its peer, or the database they share, gives all of it back. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MariadbProcess } from '../support/mariadb-process.ts';
import type { Reply } from '../support/resp3-parser.ts';
import { RespClient } from '../support/resp-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilMeshed } from './cluster.ts';
import { migrateByCli } from './command-line.ts';

const KEYS = 4_000;
const patient = { deadlineMs: 90_000, intervalMs: 100 };
const valueOf = (index: number): string => `value ${index} `.padEnd(1000, '.');
const keysOf = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `key:${from + index}`);
const running = new Set<ClusterNode>();
let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
  await migrateByCli(mariadb.url);
}, 60_000);

afterAll(async () => {
  await Promise.all([...running].map((node) => node.close()));
  await mariadb?.stop();
});

async function start(seed: ClusterNode | null, args: string[], dataDir?: string): Promise<ClusterNode> {
  const node = await startNode(seed, {
    args: ['--flush-interval', '200ms', '--repair-interval', '2s', ...args],
    readyDeadlineMs: 60_000,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  running.add(node);
  return node;
}

async function untilEqual(nodes: readonly ClusterNode[]): Promise<void> {
  const digests = async (): Promise<Reply[]> => Promise.all(nodes.map((node) => node.ask('MANTIS', 'DIGEST')));
  await waitFor('equal digests', async () => new Set(await digests()).size === 1, patient);
}

async function evictedOf(node: ClusterNode): Promise<number> {
  return Number(/^evicted_keys:(\d+)/m.exec(String(await node.ask('INFO', 'stats')))?.[1]);
}

async function fill(node: ClusterNode): Promise<void> {
  const client = await RespClient.connect(node.port);
  for (let at = 0; at < KEYS; at += 500) {
    await client.pipeline(keysOf(at, at + 500).map((key, index) => ['SET', key, valueOf(at + index)]));
  }
  await client.pipeline([
    ['HSET', 'hash', 'f', '1', 'g', '2'],
    ['HDEL', 'hash', 'g'],
    ['RPUSH', 'list', 'a', 'b'],
    ['INCRBY', 'counter', '7'],
  ]);
  await client.close();
}

/** What both show after all: keys below 200 were deleted in two parts, those below 300 written anew. */
async function expectAll(node: ClusterNode): Promise<void> {
  const wrong: string[] = [];
  for (let at = 0; at < KEYS; at += 50) {
    const values = (await node.ask('MGET', ...keysOf(at, at + 50))) as Reply[];
    for (let index = at; index < at + 50; index++) {
      const wanted = index < 200 ? null : index < 300 ? 'anew' : valueOf(index);
      if (values[index - at] !== wanted) wrong.push(`key:${index} is ${String(values[index - at]).slice(0, 20)}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(await node.ask('HMGET', 'hash', 'f', 'g')).toEqual(['1', null]);
  expect(await node.ask('LRANGE', 'list', '0', '-1')).toEqual(['a', 'b']);
  expect(await node.ask('GET', 'counter')).toBe('8');
}

describe('a node with read-through that has lost its data-dir', () => {
  it.each([
    ['its peer, which has all of it in memory', false],
    ['the MySQL that both share, though its peer has evicted as much', true],
  ])(
    'is given all back by %s; nothing that was deleted returns',
    async (_who, isShared) => {
      const small = ['--maxmemory', '2mb', '--maxmemory-policy', 'allkeys-lru', '--read-through', 'yes'];
      const shared = isShared ? ['--mysql', mariadb.url, '--takeover-after', '1s'] : [];
      const first = await start(null, [...shared, ...(isShared ? small : ['--read-through', 'yes'])]);
      let second = await start(first, [...shared, ...small]);
      await untilMeshed([first, second]);
      await fill(second);
      await untilEqual([first, second]);
      await first.ask('DEL', ...keysOf(0, 100));
      await untilEqual([first, second]);
      expect(await evictedOf(second)).toBeGreaterThan(KEYS / 4);
      expect((await evictedOf(first)) > KEYS / 4).toBe(isShared);
      // What one of them alone had neither sent nor stored would be lost with it.
      await second.ask('SAVE');
      if (isShared) expect(await second.ask('MANTIS', 'WAITDB', '60000')).not.toBe(0);

      const { dataDir } = second.process;
      running.delete(second);
      await second.kill();
      rmSync(dataDir, { recursive: true });
      await first.ask('DEL', ...keysOf(100, 200));
      await first.ask('MSET', ...keysOf(200, 300).flatMap((key) => [key, 'anew']));
      await first.ask('INCR', 'counter');

      second = await start(first, [...shared, ...small], dataDir);
      await untilMeshed([first, second]);
      await untilEqual([first, second]);
      await expectAll(second);
      expect(await evictedOf(second)).toBeGreaterThan(KEYS / 4);
      await expectAll(first);
      await untilEqual([first, second]);
      for (const node of [first, second]) await node.close();
      running.clear();
    },
    300_000,
  );
});
