import { afterAll, describe, expect, it } from '@jest/globals';
import { cpSync } from 'node:fs';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';

const args = ['--tombstone-horizon', '1s', '--flush-interval', '50ms'];
const running = new Set<ClusterNode>();

afterAll(() => Promise.all([...running].map((node) => node.close())));

async function start(
  seed: ClusterNode | null,
  dataDir?: string,
  port?: number,
  more: readonly string[] = [],
): Promise<ClusterNode> {
  const where = { ...(dataDir === undefined ? {} : { dataDir }), ...(port === undefined ? {} : { peerPort: port }) };
  const node = await startNode(seed, { args: [...args, ...more], ...where });
  running.add(node);
  return node;
}

async function peerFields(node: ClusterNode, name: string): Promise<unknown[]> {
  const peers = (await node.ask('MANTIS', 'PEERS')) as unknown[][];
  return peers.map((fields) => fields[fields.indexOf(name) + 1]);
}

async function statusField(node: ClusterNode, name: string): Promise<string> {
  const lines = String(await node.ask('MANTIS', 'STATUS')).split('\n');
  return lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? '';
}

async function infoField(node: ClusterNode, name: string): Promise<string | undefined> {
  return new RegExp(`^${name}:(.*)$`, 'm').exec(String(await node.ask('INFO')))?.[1];
}

/** Milliseconds up to which tombstones may be gone. */
async function reapedMs(node: ClusterNode): Promise<number> {
  return Number((await statusField(node, 'reaped')).split('-')[0]);
}

async function untilReaped(nodes: readonly ClusterNode[], ms: number): Promise<void> {
  await waitFor('the tombstones to go', async () => {
    const reaped = await Promise.all(nodes.map((node) => reapedMs(node)));
    return reaped.every((one) => one >= ms);
  });
}

describe('processes', () => {
  it('that come back from beyond the horizon, or with an old disk, bring nothing back', async () => {
    const first = await start(null);
    let second = await start(first);
    await untilMeshed([first, second]);
    await first.ask('MSET', 'deleted', 'old', 'kept', 'old');
    await first.ask('HSET', 'hash', 'deleted', 'old', 'kept', 'old');
    await untilAgreed([first, second]);
    await second.ask('SAVE');
    const { dataDir, peerPort } = second.process;
    await second.kill();
    running.delete(second);
    const backup = temporaryFolder('backup');
    cpSync(dataDir, backup, { recursive: true });

    await first.ask('DEL', 'deleted');
    await first.ask('HDEL', 'hash', 'deleted');
    const deletedAtMs = Number((await statusField(first, 'clock')).split('-')[0]);
    await waitFor('the member to be set aside', async () => (await peerFields(first, 'state')).includes('set-aside'));
    await untilReaped([first], deletedAtMs);
    second = await start(first, dataDir, peerPort);
    await untilMeshed([first, second]);
    await untilAgreed([first, second]);
    expect(await second.ask('GET', 'deleted')).toBeNull();
    expect(await first.ask('GET', 'deleted')).toBeNull();
    expect(await first.ask('HKEYS', 'hash')).toEqual(['kept']);

    // The same member again, from the backup that was made before all this.
    await first.ask('SET', 'newer', 'than the backup');
    await untilAgreed([first, second]);
    await second.kill();
    running.delete(second);
    second = await start(first, backup, peerPort);
    await untilMeshed([first, second]);
    await untilAgreed([first, second]);
    expect(await second.ask('MGET', 'deleted', 'kept', 'newer')).toEqual([null, 'old', 'than the backup']);
    expect(await second.ask('HKEYS', 'hash')).toEqual(['kept']);
  });

  it('that are all there drop tombstones at once, and are told whom to forget', async () => {
    const [first] = running;
    const third = await start(first);
    await waitFor('three nodes', async () => (await third.linkedPeers()) === 2);
    const nodes = [...running];
    await first.ask('MSET', 'a', '1', 'b', '2');
    await first.ask('DEL', 'a', 'b');
    const deletedAtMs = Number((await statusField(first, 'clock')).split('-')[0]);
    await untilReaped(nodes, deletedAtMs);
    const id = await statusField(third, 'node_id');
    await third.kill();
    running.delete(third);
    expect(await first.ask('MANTIS', 'FORGET', id)).toBe('OK');
    for (const node of running) {
      await waitFor('the node to be forgotten', async () => !(await peerFields(node, 'id')).includes(id));
    }
  });
});

describe('a process with more keys than memory', () => {
  const small = ['--maxmemory', '2mb', '--maxmemory-policy', 'allkeys-lru', '--read-through', 'yes'];
  const keyCount = 5000;
  const names = Array.from({ length: keyCount }, (_, index) => `key:${index}`);

  /** What the small node shows of the keys, read back where need be. */
  async function shown(node: ClusterNode): Promise<number[]> {
    const found: number[] = [];
    for (let at = 0; at < keyCount; at += 100) {
      const reply = await node.ask('MGET', ...names.slice(at, at + 100));
      if (!Array.isArray(reply)) throw new Error(`MGET: ${String(reply)}`);
      const values = reply as (string | null)[];
      for (const [index, value] of values.entries()) if (value !== null) found.push(at + index);
    }
    return found;
  }

  async function startAgain(node: ClusterNode, seed: ClusterNode): Promise<ClusterNode> {
    const { dataDir, peerPort } = node.process;
    await node.kill();
    running.delete(node);
    return start(seed, dataDir, peerPort, small);
  }

  it.each([
    ['stays', false],
    ['is killed as soon as it has taken the state of another one', true],
  ])('brings back nothing from its store that was deleted while it was away, and %s', async (_what, isKilled) => {
    let first = await start(null);
    let second = await start(first, undefined, undefined, small);
    await untilMeshed([first, second]);
    for (const name of names) void first.ask('SET', name, 'x'.repeat(1000));
    await first.ask('HSET', 'hash', 'deleted', 'old', 'kept', 'old');
    await untilAgreed([first, second]);
    await waitFor('keys to be evicted', async () => Number(await second.ask('DBSIZE')) < keyCount / 2);
    await second.ask('MANTIS', 'LINKS', 'DOWN');
    await first.ask('MANTIS', 'LINKS', 'DOWN');
    for (let at = 0; at < keyCount; at += 2) void first.ask('DEL', names[at]);
    await first.ask('HDEL', 'hash', 'deleted');
    await second.ask('SET', 'mine', 'away');
    const deletedAtMs = Number((await statusField(first, 'clock')).split('-')[0]);
    await untilReaped([first], deletedAtMs);
    await waitFor('nothing to be left of them', async () => Number(await infoField(first, 'tombstones')) === 0);
    // What it has sent is in its outbox until then.
    const { dataDir, peerPort } = first.process;
    await first.close();
    running.delete(first);
    first = await start(null, dataDir, peerPort);
    await second.ask('MANTIS', 'LINKS', 'UP');
    if (isKilled) {
      await waitFor('the state to be taken', async () => (await peerFields(second, 'state')).includes('streaming'));
      second = await startAgain(second, first);
    }
    await untilMeshed([first, second]);
    const isFound = async (): Promise<boolean> => {
      const [held, reaped] = await Promise.all([statusField(second, 'held'), reapedMs(first)]);
      return Number(held.split('-')[0]) >= deletedAtMs && reaped >= deletedAtMs;
    };
    await waitFor('the stores to be gone through', isFound, { deadlineMs: 30_000 });
    expect(await infoField(second, 'evicted_keys_doubted')).toBe('0');
    await untilAgreed([first, second]);
    const kept = names.flatMap((_name, index) => (index % 2 === 1 ? [index] : []));
    expect(await shown(second)).toEqual(kept);
    expect(await second.ask('HGETALL', 'hash')).toEqual(['kept', 'old']);
    expect(await first.ask('GET', 'mine')).toBe('away');
    // It was read back on the way; a restart reads the store anew.
    second = await startAgain(second, first);
    await untilMeshed([first, second]);
    expect(await shown(second)).toEqual(kept);
    await untilAgreed([first, second]);
    expect(Number(await first.ask('DBSIZE'))).toBe(keyCount / 2 + 2);
  });
});
