import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import type { Keyspace } from '../../../storage/keyspace.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { drainDirty, drainFeed } from '../../../storage/changes/outflow.ts';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import type { Request } from '../../support/comparison.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { keyspaceCommands } from '../../support/sequences.ts';

const thisFile = 'test/server/commands/replicated-keys.test.ts';
const DATABASES = 3;

function someRequest(random: SeededRandom, nowMs: number): Request {
  const key = (): string => `k${random.below(6)}`;
  const database = (): number => random.below(DATABASES);
  const deadline = (): number => nowMs + random.below(400) - 50;
  const choices: (() => Request)[] = [
    () => ['SET', key(), random.chance(0.5) ? random.below(1000) : random.bytes(random.below(60))],
    () => ['SET', key(), 'v', 'PXAT', nowMs + 1 + random.below(400)],
    () => ['SET', key(), 'x'.repeat(5000 + random.below(100))],
    () => ['APPEND', key(), 'tail'],
    () => ['INCRBY', `n${random.below(3)}`, random.below(100)],
    () => ['DEL', key(), key()],
    () => ['PEXPIREAT', random.chance(0.3) ? `n${random.below(3)}` : key(), deadline()],
    () => ['PERSIST', key()],
    () => ['RENAME', key(), key()],
    () => ['RENAMENX', `n${random.below(3)}`, key()],
    () => ['COPY', key(), key(), 'DB', database(), 'REPLACE'],
    () => ['MOVE', key(), database()],
    () => ['SELECT', database()],
    () => ['SWAPDB', database(), database()],
  ];
  if (random.chance(0.03)) return [random.pick(['FLUSHDB', 'FLUSHDB', 'FLUSHALL'])];
  return random.pick(choices)();
}

/** Everything that commands see. */
function contentOf(harness: CommandHarness): string[] {
  const content: string[] = [];
  const names = [...Array.from({ length: 6 }, (_, index) => `k${index}`), 'n0', 'n1', 'n2'];
  const client = harness.connect();
  for (let database = 0; database < DATABASES; database++) {
    client.run('SELECT', database);
    for (const name of names) {
      const value = client.run('GET', name).toString('latin1');
      content.push(`${database} ${name} ${value} ${client.run('PEXPIRETIME', name).toString()}`);
    }
    // After the keys were looked at: those past their deadline count until then.
    content.push(`${database}: ${client.run('DBSIZE').toString()}`);
  }
  return content;
}

/** Nodes that are each other's peers, on one clock that the caller moves. */
function someNodes(count: number, wallClockMs: () => number): CommandHarness[] {
  return Array.from({ length: count }, (_, index) => {
    const node = new CommandHarness(keyspaceCommands, { wallClockMs, nodeId: index + 1 });
    startDigesting(node.keyspace);
    node.keyspace.feeding = true;
    return node;
  });
}

/** Applies what a drain of the node gives to another one. */
function pass(
  from: CommandHarness,
  to: CommandHarness,
  drain: (keyspace: Keyspace, writer: RecordWriter) => void,
): void {
  const writer = new RecordWriter();
  drain(from.keyspace, writer);
  to.keyspace.clock.refresh();
  applyRecords(to.keyspace, writer.buffer, 0, writer.length);
}

function drainStore(keyspace: Keyspace, writer: RecordWriter): void {
  while (drainDirty(keyspace, writer, 1 << 20) > 0);
}

describe('commands on keys', () => {
  it('leave the same content on a peer, and in the durable stores, as they do here', async () => {
    await withSeed(thisFile, (random) => {
      let nowMs = 1_000_000;
      const [node, peer] = someNodes(2, () => nowMs);
      const store = new CommandHarness(keyspaceCommands, { wallClockMs: () => nowMs, nodeId: 3 });
      node.keyspace.storing = true;
      store.keyspace.hydrating = true;
      const history: Request[] = [];
      const compare = (name: string, other: CommandHarness): void => {
        const recent = history.slice(-20).map((request) => request.map(String).join(' ').slice(0, 60));
        expect({ name, recent, content: contentOf(other) }).toEqual({ name, recent, content: contentOf(node) });
      };
      for (let round = 0; round < 1500; round++) {
        const request = someRequest(random, nowMs);
        history.push(request);
        node.run(...request);
        if (random.chance(0.2)) nowMs += random.below(100);
        if (random.chance(0.3)) {
          pass(node, peer, drainFeed);
          compare('peer', peer);
        }
        if (random.chance(0.1)) {
          pass(node, store, drainStore);
          compare('store', store);
        }
      }
    });
  });

  it('leave the same content on all nodes that write at once, when everything has arrived everywhere', async () => {
    await withSeed(thisFile, (random) => {
      let nowMs = 1_000_000;
      const nodes = someNodes(3, () => nowMs);
      const history: string[] = [];
      // What has left a node and not yet arrived, for each receiver, in the order sent.
      const inFlight = nodes.map(() => nodes.map((): Buffer[] => []));
      const publish = (sender: number): void => {
        const writer = new RecordWriter();
        drainFeed(nodes[sender].keyspace, writer);
        const batch = Buffer.from(writer.buffer.subarray(0, writer.length));
        for (const queue of inFlight[sender]) queue.push(batch);
      };
      const deliver = (sender: number, receiver: number, count: number): void => {
        for (const batch of inFlight[sender][receiver].splice(0, count)) {
          if (sender === receiver) continue;
          nodes[receiver].keyspace.clock.refresh();
          applyRecords(nodes[receiver].keyspace, batch, 0, batch.length);
        }
      };
      const settle = (): void => {
        nodes.forEach((_, sender) => publish(sender));
        nodes.forEach((_, sender) => nodes.forEach((__, receiver) => deliver(sender, receiver, Infinity)));
      };
      for (let round = 0; round < 2000; round++) {
        const at = random.below(nodes.length);
        const request = someRequest(random, nowMs);
        history.push(`node ${at} at ${nowMs}: ${request.map(String).join(' ').slice(0, 60)}`);
        nodes[at].run(...request);
        if (random.chance(0.2)) nowMs += random.below(100);
        if (random.chance(0.4)) publish(random.below(nodes.length));
        if (random.chance(0.4)) deliver(random.below(nodes.length), random.below(nodes.length), 1 + random.below(3));
        if (!random.chance(0.02)) continue;
        settle();
        nowMs += 1;
        const [first, ...others] = nodes.map(contentOf);
        for (const content of others)
          expect({ history: history.slice(-40), content }).toEqual({ history: history.slice(-40), content: first });
      }
    });
  });
});
