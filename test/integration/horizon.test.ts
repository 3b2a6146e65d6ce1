import { afterAll, describe, expect, it } from '@jest/globals';
import { cpSync } from 'node:fs';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';

const args = ['--tombstone-horizon', '1s', '--flush-interval', '50ms'];
const running = new Set<ClusterNode>();

afterAll(() => Promise.all([...running].map((node) => node.close())));

async function start(seed: ClusterNode | null, dataDir?: string, port?: number): Promise<ClusterNode> {
  const where = { ...(dataDir === undefined ? {} : { dataDir }), ...(port === undefined ? {} : { peerPort: port }) };
  const node = await startNode(seed, { args, ...where });
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
