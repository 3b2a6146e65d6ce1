import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { keyCommands } from '../../../server/commands/keys.ts';
import { streamClaimCommands } from '../../../server/commands/stream-claims.ts';
import { streamGroupCommands } from '../../../server/commands/stream-groups.ts';
import { streamInfoCommands } from '../../../server/commands/stream-info.ts';
import { streamReadCommands } from '../../../server/commands/stream-reads.ts';
import { streamCommands } from '../../../server/commands/streams.ts';
import { encodeFloor, encodeKey } from '../../../storage/changes/encode.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { drainFeed } from '../../../storage/changes/outflow.ts';
import { recomputeDigests } from '../../../storage/digests/register-scan.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/stream-merge.test.ts';
const commands = [
  ...streamCommands,
  ...streamReadCommands,
  ...streamGroupCommands,
  ...streamClaimCommands,
  ...streamInfoCommands,
  ...keyCommands,
];
const NODES = 3;

class World {
  nowMs = 1_700_000_000_000;
  readonly nodes: CommandHarness[];
  /** What each node has sent, in order, and how much of each other's each has heard. */
  readonly sent: Buffer[][] = [];
  readonly heard: number[][] = [];
  readonly #writer = new RecordWriter();

  constructor() {
    this.nodes = Array.from({ length: NODES }, (_, index) => this.start(index + 1));
    for (let node = 0; node < NODES; node++) {
      this.sent.push([]);
      this.heard.push(new Array<number>(NODES).fill(0));
    }
  }

  /** A node without content. */
  start(nodeId: number): CommandHarness {
    const node = new CommandHarness(commands, { nodeId, wallClockMs: () => this.nowMs });
    Object.assign(node.keyspace, { digesting: true, feeding: true, isShared: true });
    return node;
  }

  run(node: number, ...request: string[]): string {
    const reply = this.nodes[node].run(...request).toString('latin1');
    drainFeed(this.nodes[node].keyspace, this.#writer);
    if (this.#writer.length > 0) this.sent[node].push(Buffer.from(this.#writer.take()));
    return reply;
  }

  /** The node hears the next thing that another one has sent. */
  hear(node: number, from: number): boolean {
    if (node === from) return false;
    const records = this.sent[from][this.heard[node][from]];
    if (records === undefined) return false;
    this.heard[node][from]++;
    applyRecords(this.nodes[node].keyspace, records, 0, records.length);
    return true;
  }

  settle(): void {
    for (let node = 0; node < NODES; node++) {
      for (let from = NODES - 1; from >= 0; from--) while (this.hear(node, from));
    }
  }

  /** Everything that a node holds. */
  state(node: number): Buffer {
    const { keyspace } = this.nodes[node];
    const database = keyspace.databases[0];
    encodeFloor(keyspace, database, this.#writer);
    database.index.visitRange(0, Infinity, (ref) => encodeKey(keyspace, database, ref, this.#writer));
    return Buffer.from(this.#writer.take());
  }

  digest(node: number): string {
    const { keyspace } = this.nodes[node];
    const kept = keyspace.digests.total();
    recomputeDigests(keyspace);
    expect(keyspace.digests.total()).toBe(kept);
    return kept;
  }
}

/** What every node has to show alike: groups are the node's own. */
function view(node: CommandHarness): string[] {
  const info = node
    .run('XINFO', 'STREAM', 's')
    .toString('latin1')
    .replace(/\$6\r\ngroups\r\n:\d+/, '');
  return [
    info,
    ...[
      ['XRANGE', 's', '-', '+'],
      ['EXISTS', 's'],
    ].map((request) => node.run(...request).toString('latin1')),
  ];
}

function randomRequest(random: SeededRandom): string[] {
  const id = (): string => `1700000000${String(random.below(60)).padStart(3, '0')}-${random.below(4)}`;
  const consumer = (): string => random.pick(['alice', 'bob']);
  const choices: (() => string[])[] = [
    () => ['XADD', 's', '*', 'f', String(random.below(100))],
    () => ['XADD', 's', '*', 'f', String(random.below(100))],
    () => ['XADD', 's', 'MAXLEN', '6', '*', 'f', 'trimmed'],
    () => ['XDEL', 's', id()],
    () => ['XTRIM', 's', 'MINID', id()],
    () => ['XGROUP', 'CREATE', 's', 'g', '0', 'MKSTREAM'],
    () => ['XREADGROUP', 'GROUP', 'g', consumer(), 'COUNT', '2', 'STREAMS', 's', '>'],
    () => ['XAUTOCLAIM', 's', 'g', consumer(), '0', '-'],
    () => ['XACK', 's', 'g', id()],
  ];
  return random.chance(0.02)
    ? ['DEL', 's']
    : random.chance(0.02)
      ? ['XGROUP', 'DESTROY', 's', 'g']
      : random.pick(choices)();
}

describe('streams on three nodes', () => {
  it('never get one id twice, whatever the clocks say, and show the same entries in the same order', async () => {
    const world = new World();
    const ids = new Set<string>();
    for (let round = 0; round < 50; round++) {
      for (let node = 0; node < NODES; node++) ids.add(world.run(node, 'XADD', 's', '*', 'from', String(node)));
      if (round % 7 === 0) world.settle();
      if (round % 10 === 0) world.nowMs -= 3;
    }
    world.settle();
    expect(ids.size).toBe(150);
    expect(view(world.nodes[0])).toEqual(view(world.nodes[1]));
    expect(view(world.nodes[0])).toEqual(view(world.nodes[2]));
    expect(world.nodes[0].run('XLEN', 's').toString()).toBe(':150\r\n');
  });

  it('converge whatever was done, and keep their own groups over a restart', async () => {
    await withSeed(thisFile, (random) => {
      for (let round = 0; round < 60; round++) converge(random);
    });
  }, 60_000);

  it('keep an entry that is added while another node deletes the stream', () => {
    const world = new World();
    world.run(0, 'XADD', 's', '1-1', 'f', 'old');
    world.settle();
    world.run(0, 'DEL', 's');
    world.run(1, 'XADD', 's', '2-1', 'f', 'new');
    world.settle();
    for (const node of world.nodes) expect(node.run('XRANGE', 's', '-', '+').toString()).toMatch(/^\*1\r\n[^]*new/);
  });
});

function converge(random: SeededRandom): void {
  const world = new World();
  for (let step = 0; step < 80; step++) {
    const node = random.below(NODES);
    if (random.chance(0.4)) world.hear(node, random.below(NODES));
    else world.run(node, ...randomRequest(random));
    if (random.chance(0.5)) world.nowMs++;
  }
  world.settle();
  const digests = world.nodes.map((_, node) => world.digest(node));
  const views = world.nodes.map(view);
  expect(views).toEqual(views.map(() => views[0]));
  expect(digests).toEqual(digests.map(() => digests[0]));
  // A node that loads what it had is as it was, and what another one sends it changes nothing.
  for (const source of [0, 1]) {
    const again = world.start(1);
    const records = world.state(source);
    applyRecords(again.keyspace, records, 0, records.length);
    for (const request of [
      ['XINFO', 'GROUPS', 's'],
      ['XPENDING', 's', 'g'],
      ['XPENDING', 's', 'g', '-', '+', '100', 'bob'],
    ]) {
      expect(again.run(...request).toString()).toBe(world.nodes[0].run(...request).toString());
    }
    expect(view(again)).toEqual(views[0]);
  }
}
