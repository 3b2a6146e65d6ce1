/** Client-side caching in one process: the bounds of what is remembered and told, and when it is told. */
import { describe, expect, it } from '@jest/globals';
import { clientCommands } from '../../../server/commands/client.ts';
import { databaseCommands } from '../../../server/commands/databases.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { transactionCommands } from '../../../server/commands/transactions.ts';
import { TrackingTable } from '../../../server/tracking/tracking-table.ts';
import { CommandHarness, type HarnessClient } from '../../support/command-harness.ts';
import { withSeed } from '../../support/seed.ts';

const commands = [...clientCommands, ...databaseCommands, ...stringCommands, ...transactionCommands];

/** What a client was sent, on one line. */
const heard = (client: HarnessClient): string =>
  client.transport.take().toString('latin1').replaceAll('\r\n', ' ').trim();
const run = (client: HarnessClient, line: string): string => {
  client.transport.take();
  return client
    .run(...line.split(' '))
    .toString('latin1')
    .replaceAll('\r\n', ' ')
    .trim();
};

interface Bench {
  harness: CommandHarness;
  tracker: HarnessClient;
  writer: HarnessClient;
}

function bench(options = '', settings: Record<string, string> = {}): Bench {
  const harness = new CommandHarness(commands, { settings });
  const [tracker, writer] = [harness.connect(), harness.connect()];
  tracker.session.protocol = 3;
  expect(run(tracker, `CLIENT TRACKING ON${options}`)).toBe('+OK');
  return { harness, tracker, writer };
}

const DROP_ALL = '>2 $10 invalidate _';

describe('a client that tracks', () => {
  it('is told before the writer has its reply, and behind its own', () => {
    const { tracker, writer } = bench();
    run(tracker, 'GET k');
    const order: string[] = [];
    const send = tracker.transport.send.bind(tracker.transport);
    tracker.transport.send = (source, start, end) => {
      order.push('tracker');
      send(source, start, end);
    };
    const reply = writer.transport.send.bind(writer.transport);
    writer.transport.send = (source, start, end) => {
      order.push('writer');
      reply(source, start, end);
    };
    run(writer, 'SET k 1');
    expect(order).toEqual(['tracker', 'writer']);
    expect(heard(tracker)).toBe('>2 $10 invalidate *1 $1 k');
    run(tracker, 'GET k');
    expect(run(tracker, 'SET k 2')).toBe('+OK >2 $10 invalidate *1 $1 k');
  });

  it('is told also while CLIENT REPLY keeps replies back', () => {
    const { tracker, writer } = bench();
    run(tracker, 'GET k');
    run(tracker, 'CLIENT REPLY OFF');
    run(writer, 'SET k 1');
    expect(heard(tracker)).toBe('>2 $10 invalidate *1 $1 k');
  });

  it('hears of a key by whatever bytes its name has', () => {
    const { tracker, writer } = bench();
    const name = Buffer.from([0xff, 0, 13, 10, 0xc3]);
    tracker.run('GET', name);
    writer.run('SET', name, 'x');
    expect(tracker.transport.take()).toEqual(
      Buffer.concat([Buffer.from('>2\r\n$10\r\ninvalidate\r\n*1\r\n$5\r\n'), name, Buffer.from('\r\n')]),
    );
  });

  it('drops all when a command of its own changes more than can wait for the reply', () => {
    const { tracker } = bench(' BCAST');
    const name = 'n'.repeat(100_000);
    run(tracker, 'MULTI');
    for (let index = 0; index < 20; index++) run(tracker, `SET ${index}${name} 1`);
    const told = run(tracker, 'EXEC');
    expect(told.endsWith(DROP_ALL)).toBe(true);
    expect(told.length).toBeLessThan(1000);
  });

  it('is sent much that others change in parts, and what is broadcast at the end of the turn', () => {
    const { harness, tracker, writer } = bench(' BCAST PREFIX k');
    const keys = Array.from({ length: 3000 }, (_, index) => `k${index}`);
    writer.run('MSET', ...keys.flatMap((key) => [key, '1']));
    const early = heard(tracker);
    harness.endTurn();
    const late = heard(tracker);
    expect([early, late].map((text) => text.startsWith('>2 $10 invalidate *'))).toEqual([true, true]);
    expect(`${early} ${late}`.match(/ k\d+/g)?.map((key) => key.trim())).toEqual(keys);
    run(writer, 'SET k1 2');
    run(writer, 'SET k1 3');
    expect(heard(tracker)).toBe('');
    harness.endTurn();
    expect(heard(tracker)).toBe('>2 $10 invalidate *1 $2 k1');
  });

  it('is closed when it does not take what it is told', () => {
    const { tracker, writer } = bench();
    run(tracker, 'GET k');
    Object.defineProperty(tracker.transport, 'pendingBytes', { value: 65 << 20 });
    run(writer, 'SET k 1');
    expect(tracker.transport.closed).toBe(true);
  });

  it('is told of a key that leaves memory, and of a flush of an empty database', () => {
    const { harness, tracker, writer } = bench();
    run(tracker, 'SET k 1');
    run(tracker, 'GET k');
    const { keyspace } = harness;
    const ref = keyspace.lookup(keyspace.databases[0], Buffer.from('k'), 0, 1);
    keyspace.readsThrough = true;
    keyspace.evict(keyspace.databases[0], keyspace.hash, ref);
    harness.endTurn();
    expect(heard(tracker)).toBe('>2 $10 invalidate *1 $1 k');
    run(writer, 'FLUSHALL');
    expect(heard(tracker)).toBe(DROP_ALL);
    run(writer, 'FLUSHALL');
    expect(heard(tracker)).toBe(DROP_ALL);
  });

  it('names only so many prefixes', () => {
    const { tracker } = bench(' BCAST PREFIX first');
    const prefixes = Array.from({ length: 1000 }, (_, index) => `PREFIX p${index}.`).join(' ');
    expect(run(tracker, `CLIENT TRACKING ON BCAST ${prefixes}`)).toMatch(
      /^-ERR a connection has at most 1000 prefixes/,
    );
    expect(run(tracker, `CLIENT TRACKING ON BCAST PREFIX ${'x'.repeat(1 << 20)}`)).toMatch(/^-ERR a connection has/);
  });
});

describe('the table of keys', () => {
  it('is what a plain map of sets would be, over any sequence of steps', async () => {
    await withSeed(import.meta.filename, (random) => {
      const table = new TrackingTable();
      const model = new Map<string, Set<number>>();
      for (let step = 0; step < 5000; step++) {
        const name = `k${random.below(60)}`;
        const id = 1 + random.below(4);
        if (random.chance(0.6)) {
          table.add(name, id);
          model.set(name, (model.get(name) ?? new Set()).add(id));
        } else if (random.chance(0.7) || model.size === 0) {
          const readers = table.take(name);
          expect(typeof readers === 'number' ? new Set([readers]) : readers).toEqual(model.get(name));
          model.delete(name);
        } else {
          const taken = table.takeOne(random.fraction());
          expect(model.delete(taken.name)).toBe(true);
        }
        const items = [...model.values()].reduce((sum, readers) => sum + readers.size, 0);
        expect([table.size, table.items]).toEqual([model.size, items]);
      }
      table.clear();
      expect([table.size, table.items, table.bytes]).toEqual([0, 0, 0]);
    });
  });
});
