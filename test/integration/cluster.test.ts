import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RespError, type Reply } from '../support/resp3-parser.ts';
import { RespClient } from '../support/resp-client.ts';
import { SeededRandom, withSeed } from '../support/seed.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';
import { ioredisWriter, nodeRedisWriter, type Writer } from './writers.ts';

const testFile = 'test/integration/cluster.test.ts';
const counterNames = ['visits', 'sales', 'errors'];
const longTtlMs = 3_600_000;

let nodes: ClusterNode[] = [];

beforeAll(async () => {
  const seed = await startNode(null);
  nodes = [seed, ...(await Promise.all([startNode(seed), startNode(seed)]))];
  await untilMeshed(nodes);
}, 60_000);

afterAll(() => Promise.all(nodes.map((node) => node.close())));

/** What the writers did that can be checked afterwards whatever the order was. */
class Ledger {
  readonly counters = new Map<string, number>();
  /** Keys that one writer alone writes, with their last value; null when it was deleted. */
  readonly own = new Map<string, string | null>();

  add(counter: string, by: number): void {
    this.counters.set(counter, (this.counters.get(counter) ?? 0) + by);
  }

  /** Every node shows the exact counters and the last values. */
  async check(asked: readonly ClusterNode[]): Promise<void> {
    for (const node of asked) {
      for (const [name, total] of this.counters)
        expect([name, Number(await node.ask('GET', name))]).toEqual([name, total]);
      const keys = [...this.own.keys()];
      expect(await node.ask('MGET', ...keys)).toEqual([...this.own.values()]);
    }
  }
}

/** Of all tests of this file: they write to the same cluster one after the other. */
const ledger = new Ledger();

/** One random write; keys named `shared:` are everybody's. */
async function writeOnce(writer: Writer, random: SeededRandom): Promise<void> {
  const shared = `shared:${random.below(30)}`;
  const own = `${writer.name}:${random.below(50)}`;
  const value = `${writer.name} ${random.uint32()}`;
  const by = 1 + random.below(9);
  switch (random.below(8)) {
    case 0:
      await writer.set(shared, value);
      return;
    case 1:
      await writer.set(shared, value, random.chance(0.5) ? longTtlMs : 50 + random.below(500));
      return;
    case 2:
      await writer.delete(shared);
      return;
    case 3:
      ledger.own.set(own, value);
      await writer.set(own, value, random.chance(0.5) ? longTtlMs : undefined);
      return;
    case 4:
      ledger.own.set(own, null);
      await writer.delete(own);
      return;
    case 5:
      // Quarters add up without rounding.
      ledger.add('share', by / 4);
      await writer.incrementByFloat('share', by / 4);
      return;
    case 6:
      ledger.add('committed', 1);
      await writer.transact({ values: { [shared]: value, [`${shared}:twin`]: value }, counter: 'committed' });
      return;
    default: {
      const name = random.pick(counterNames);
      ledger.add(name, by);
      await writer.increment(name, by);
    }
  }
}

/** Both clients write on each of the nodes at once, with up to 16 requests under way on each connection. */
async function writeEverywhere(on: readonly ClusterNode[], random: SeededRandom, count: number): Promise<void> {
  const writers = await Promise.all(
    on.flatMap(({ port }) => [Promise.resolve(ioredisWriter(port)), nodeRedisWriter(port)]),
  );
  const seeds = writers.map(() => random.uint32());
  try {
    await Promise.all(
      writers.map(async (writer, index) => {
        const own = new SeededRandom(seeds[index]);
        for (let done = 0; done < count; done += 16) {
          await Promise.all(Array.from({ length: 16 }, () => writeOnce(writer, own)));
        }
      }),
    );
  } finally {
    for (const writer of writers) writer.close();
  }
}

async function agreeExactly(): Promise<void> {
  await untilAgreed(nodes);
  await ledger.check(nodes);
}

describe('three nodes from one seed', () => {
  it('agree after ioredis and node-redis wrote on all of them at once, counters exact', async () => {
    await withSeed(testFile, async (random) => {
      await writeEverywhere(nodes, random, 800);
      await agreeExactly();
    });
  });

  it('agree again after one was cut off and both sides wrote', async () => {
    await withSeed(testFile, async (random) => {
      expect(await nodes[2].ask('MANTIS', 'LINKS', 'DOWN')).toBe('OK');
      await waitFor('the links to be gone', async () => {
        const linked = await Promise.all(nodes.map((node) => node.linkedPeers()));
        return linked.join() === '1,1,0';
      });
      await writeEverywhere(nodes, random, 400);
      const [here, , there] = await Promise.all(nodes.map((node) => node.ask('MANTIS', 'DIGEST')));
      expect(here).not.toBe(there);
      expect(await nodes[2].ask('MANTIS', 'LINKS', 'UP')).toBe('OK');
      await untilMeshed(nodes);
      await agreeExactly();
    });
  });

  it('give everything to a node that joins', async () => {
    const joining = await startNode(nodes[1], { args: ['--data-dir', 'none'] });
    await untilMeshed([...nodes, joining]);
    await untilAgreed([...nodes, joining]);
    await ledger.check([joining]);
    const id = String(await joining.ask('MANTIS', 'STATUS')).match(/[0-9a-f]{16}/)![0];
    await joining.close();
    for (const node of nodes) expect(await node.ask('MANTIS', 'FORGET', id)).toBe('OK');
    await untilMeshed(nodes);
  });

  it('catch a node up that was killed, and its increments made right after the start add to those made before', async () => {
    await withSeed(testFile, async (random) => {
      await writeEverywhere(nodes, random, 160);
      for (let count = 0; count < 20; count++) await nodes[2].ask('INCR', 'last words');
      // What WAIT has counted is at both peers; the node's own store may not have it yet.
      expect(await nodes[2].ask('WAIT', 2, 5000)).toBe(2);
      const { process } = nodes[2];
      await nodes[2].kill();
      await writeEverywhere(nodes.slice(0, 2), random, 160);
      nodes[2] = await startNode(nodes[0], process);
      await nodes[2].ask('INCR', 'last words');
      ledger.add('last words', 21);
      await untilMeshed(nodes);
      await agreeExactly();
    });
  });

  it('show a transaction of another node whole or not at all', async () => {
    const keys = Array.from({ length: 10 }, (_, index) => `together:${index}`);
    const writer = ioredisWriter(nodes[0].port);
    const reader = await RespClient.connect(nodes[1].port);
    let isWriting = true;
    const seen = new Set<Reply>();
    const reading = (async (): Promise<void> => {
      while (isWriting) {
        for (const row of (await reader.pipeline(Array.from({ length: 20 }, () => ['MGET', ...keys]))) as Reply[][]) {
          expect(new Set(row).size).toBe(1);
          seen.add(row[0]);
        }
      }
    })();
    for (let round = 0; round < 2000; round += 10) {
      await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          writer.transact({
            values: Object.fromEntries(keys.map((key) => [key, String(round + index)])),
            counter: 'committed',
          }),
        ),
      );
    }
    ledger.add('committed', 2000);
    isWriting = false;
    await reading;
    writer.close();
    await reader.close();
    expect(seen.size).toBeGreaterThan(20);
    await agreeExactly();
  });

  it('are counted by WAIT', async () => {
    const [here, , cut] = nodes;
    await here.ask('SET', 'awaited', 'by two');
    expect(await here.ask('WAIT', 2, 5000)).toBe(2);
    expect(await nodes[1].ask('GET', 'awaited')).toBe('by two');
    await cut.ask('MANTIS', 'LINKS', 'DOWN');
    await waitFor('the link to be gone', async () => (await here.linkedPeers()) === 1);
    await here.ask('SET', 'awaited', 'by one');
    expect(await here.ask('WAIT', 2, 200)).toBe(1);
    await cut.ask('MANTIS', 'LINKS', 'UP');
    expect(await here.ask('WAIT', 2, 5000)).toBe(2);
    expect(await cut.ask('GET', 'awaited')).toBe('by one');
  });
});

it('cuts links and shifts its clock only where enable-debug-command allows it', async () => {
  const node = await startNode(null, { args: ['--enable-debug-command', 'no'] });
  expect(await node.ask('MANTIS', 'LINKS', 'DOWN')).toBeInstanceOf(RespError);
  expect(await node.ask('MANTIS', 'CLOCK', 'OFFSET', '1')).toBeInstanceOf(RespError);
  await node.close();
});
