import { describe, expect, it } from '@jest/globals';
import { cpSync, renameSync } from 'node:fs';
import { stopAtEnd, temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';

const args = ['--tombstone-horizon', '1s', '--flush-interval', '50ms'];

async function start(seed: ClusterNode | null, from?: ClusterNode, more: string[] = []): Promise<ClusterNode> {
  const { dataDir, peerPort } = from?.process ?? {};
  const where = { ...(dataDir === undefined ? {} : { dataDir }), ...(peerPort === undefined ? {} : { peerPort }) };
  const node = await startNode(seed, { args: [...args, ...more], ...where });
  stopAtEnd(() => node.close());
  return node;
}

/** A copy of a stopped node's folder, as cp makes it. */
function copyOf(node: ClusterNode): string {
  const folder = temporaryFolder('copy');
  cpSync(node.process.dataDir, folder, { recursive: true });
  return folder;
}

async function add(node: ClusterNode, times: number): Promise<void> {
  for (let time = 0; time < times; time++) await node.ask('INCR', 'counter');
}

async function stampField(node: ClusterNode, name: string): Promise<number> {
  const lines = String(await node.ask('MANTIS', 'STATUS')).split('\n');
  return Number(
    lines
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2)
      .split('-')[0],
  );
}

describe('a copy of the folder of a stopped node', () => {
  it('counts as what it is under another node id, beside the original, and brings nothing deleted back', async () => {
    let original = await start(null);
    const other = await start(original);
    await untilMeshed([original, other]);
    // A second life: what it writes carries another origin than its node id.
    await original.kill();
    original = await start(null, original);
    await untilMeshed([original, other]);
    await add(original, 10);
    await original.ask('SET', 'deleted', 'old');
    await untilAgreed([original, other]);
    await original.close();
    const folder = copyOf(original);
    original = await start(null, original);
    await untilMeshed([original, other]);
    await other.ask('DEL', 'deleted');
    const deletedAtMs = await stampField(other, 'clock');
    const isReaped = async (): Promise<boolean> => {
      const reaped = await Promise.all([original, other].map((node) => stampField(node, 'reaped')));
      return reaped.every((one) => one >= deletedAtMs);
    };
    await waitFor('the tombstone to go', isReaped, { deadlineMs: 60_000 });

    const copy = await startNode(other, { args: [...args, '--node-id', '00000000000000bb'], dataDir: folder });
    stopAtEnd(() => copy.close());
    const nodes = [original, copy, other];
    await untilMeshed(nodes);
    await untilAgreed(nodes);
    expect(await copy.ask('GET', 'deleted')).toBeNull();
    // Neither hears of the other until both have counted.
    for (const node of nodes) await node.ask('MANTIS', 'LINKS', 'DOWN');
    await add(original, 7);
    await add(copy, 5);
    for (const node of nodes) await node.ask('MANTIS', 'LINKS', 'UP');
    await untilMeshed(nodes);
    await untilAgreed(nodes);
    expect(await other.ask('GET', 'counter')).toBe('22');
  }, 180_000);

  it('takes nothing from what was counted since, once it is played back', async () => {
    let node = await start(null);
    const other = await start(node);
    await untilMeshed([node, other]);
    await add(node, 10);
    await untilAgreed([node, other]);
    await node.close();
    const folder = copyOf(node);
    node = await start(null, node);
    await untilMeshed([node, other]);
    await add(node, 20);
    await untilAgreed([node, other]);
    await node.close();

    // To move the folder makes no copy of it: the next start on it counts on with the same sum.
    const moved = `${temporaryFolder('moved')}/data`;
    renameSync(node.process.dataDir, moved);
    renameSync(folder, node.process.dataDir);
    await other.ask('MANTIS', 'LINKS', 'DOWN');
    node = await start(null, node);
    await add(node, 1);
    await other.ask('MANTIS', 'LINKS', 'UP');
    await untilMeshed([node, other]);
    await untilAgreed([node, other]);
    expect(await other.ask('GET', 'counter')).toBe('31');
  }, 180_000);
});
