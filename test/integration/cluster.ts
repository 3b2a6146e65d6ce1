/** Nodes in processes of their own that know each other, and what is asked of all of them. */
import type { Reply } from '../support/resp3-parser.ts';
import { type MantisOptions, type MantisProcess, startMantis } from '../support/mantis-process.ts';
import { type Argument, RespClient } from '../support/resp-client.ts';
import { waitFor } from '../support/wait-for.ts';

/** How soon after the last write all nodes must agree. */
const agreementMs = 5000;
const args = [
  '--enable-debug-command',
  'local',
  '--peer-reconnect-delay-max',
  '500ms',
  '--cluster-secret',
  'shared-secret',
];

export class ClusterNode {
  readonly process: MantisProcess;
  #client: RespClient | null = null;

  constructor(process: MantisProcess) {
    this.process = process;
  }

  get port(): number {
    return this.process.port;
  }

  get address(): string {
    return `127.0.0.1:${this.process.peerPort}`;
  }

  async ask(...words: Argument[]): Promise<Reply> {
    this.#client ??= await RespClient.connect(this.port);
    return this.#client.command(...words);
  }

  /** The number of peers that this node is linked with. */
  async linkedPeers(): Promise<number> {
    const peers = (await this.ask('MANTIS', 'PEERS')) as Reply[][];
    return peers.filter((fields) => fields[fields.indexOf('state') + 1] !== 'down').length;
  }

  async close(): Promise<void> {
    await this.#client?.close();
    this.#client = null;
    await this.process.server.stop();
  }

  async kill(): Promise<void> {
    await this.process.server.kill('SIGKILL');
    await this.#client?.close();
    this.#client = null;
  }
}

/** Starts a node that meets the others through one of them, the seed. */
export async function startNode(seed: ClusterNode | null, options: MantisOptions = {}): Promise<ClusterNode> {
  const peers = seed === null ? [] : ['--peers', seed.address];
  return new ClusterNode(await startMantis({ ...options, args: [...args, ...peers, ...(options.args ?? [])] }));
}

export async function untilMeshed(nodes: readonly ClusterNode[]): Promise<void> {
  await waitFor('every node to be linked with every other one', async () => {
    const linked = await Promise.all(nodes.map((node) => node.linkedPeers()));
    return linked.every((count) => count === nodes.length - 1);
  });
}

/** Waits until MANTIS DIGEST is equal on all nodes, and gives the milliseconds that it took. */
export async function untilAgreed(nodes: readonly ClusterNode[]): Promise<number> {
  const startedAt = performance.now();
  let seen: Reply[] = [];
  try {
    await waitFor(
      'equal digests',
      async () => {
        seen = await Promise.all(nodes.map((node) => node.ask('MANTIS', 'DIGEST')));
        return seen.every((digest) => typeof digest === 'string' && digest === seen[0]);
      },
      { deadlineMs: agreementMs },
    );
  } catch (error) {
    throw new Error(`the nodes do not agree: ${seen.join(' ')}`, { cause: error });
  }
  return performance.now() - startedAt;
}
