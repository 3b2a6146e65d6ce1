/** Clients that wait for lists: who is served, in which order, and by what. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { clientCommands } from '../../../server/commands/client.ts';
import { dumpCommands } from '../../../server/commands/dump.ts';
import { expiryCommands } from '../../../server/commands/expiry.ts';
import { keyCommands } from '../../../server/commands/keys.ts';
import { listMoveCommands } from '../../../server/commands/list-moves.ts';
import { blockingListCommands } from '../../../server/commands/lists-blocking.ts';
import { listCommands } from '../../../server/commands/lists.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { transactionCommands } from '../../../server/commands/transactions.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { drainFeed } from '../../../storage/changes/outflow.ts';
import { CommandHarness, type HarnessClient } from '../../support/command-harness.ts';

const commands = [
  ...listCommands,
  ...listMoveCommands,
  ...blockingListCommands,
  ...keyCommands,
  ...stringCommands,
  ...expiryCommands,
  ...transactionCommands,
  ...clientCommands,
  ...dumpCommands,
];

let nowMs = 0;
let harness: CommandHarness;
let clients: HarnessClient[];

function sentTo(client: HarnessClient): string {
  return client.transport.take().toString('latin1');
}

function popped(key: string, value: string): string {
  return `*2\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`;
}

beforeEach(() => {
  nowMs = 0;
  harness = new CommandHarness(commands, { monotonicMs: () => nowMs });
  clients = [harness.connect(), harness.connect(), harness.connect()];
});

afterEach(() => {
  // Nobody is left in the queues who does not wait.
  for (const { session } of clients) harness.node.blocking.cancel(session);
  expect(harness.node.keyWaiters.size).toBe(0);
  expect(harness.keyspace.observer).toBeNull();
});

describe('clients that wait for a list', () => {
  it('are served in the order in which they came', () => {
    for (const client of clients) expect(client.run('BLPOP', 'list', '0')).toHaveLength(0);
    expect(harness.run('RPUSH', 'list', 'a', 'b').toString()).toBe(':2\r\n');
    expect(clients.map(sentTo)).toEqual([popped('list', 'a'), popped('list', 'b'), '']);
    harness.run('RPUSH', 'list', 'c', 'd');
    expect(sentTo(clients[2])).toBe(popped('list', 'c'));
    expect(harness.run('LRANGE', 'list', '0', '-1').toString()).toBe('*1\r\n$1\r\nd\r\n');
  });

  it('get what is in the first of their keys that is filled', () => {
    clients[0].run('BRPOP', 'x', 'y', 'y', '0');
    harness.run('RPUSH', 'y', 'a', 'b');
    expect(sentTo(clients[0])).toBe(popped('y', 'b'));
  });

  it('get several elements where they ask for them', () => {
    clients[0].run('BLMPOP', '0', '2', 'x', 'y', 'RIGHT', 'COUNT', '2');
    harness.run('RPUSH', 'y', 'a', 'b', 'c');
    expect(sentTo(clients[0])).toBe('*2\r\n$1\r\ny\r\n*2\r\n$1\r\nc\r\n$1\r\nb\r\n');
  });

  it('pass elements on to those that wait for the next list', () => {
    clients[0].run('BLMOVE', 'x', 'y', 'LEFT', 'RIGHT', '0');
    clients[1].run('BRPOPLPUSH', 'y', 'z', '0');
    clients[2].run('BLPOP', 'z', '0');
    harness.run('RPUSH', 'x', 'a');
    expect(clients.map(sentTo)).toEqual(['$1\r\na\r\n', '$1\r\na\r\n', popped('z', 'a')]);
    expect(harness.run('EXISTS', 'x', 'y', 'z').toString()).toBe(':0\r\n');
  });

  it('are told when the destination has become another type, and the element stays', () => {
    clients[0].run('BLMOVE', 'x', 'y', 'LEFT', 'RIGHT', '0');
    harness.run('SET', 'y', 's');
    harness.run('RPUSH', 'x', 'a');
    expect(sentTo(clients[0])).toMatch(/^-WRONGTYPE/);
    expect(harness.run('LLEN', 'x').toString()).toBe(':1\r\n');
  });

  it('see a transaction only when it is over', () => {
    clients[0].run('BLPOP', 'list', '0');
    for (const request of [['MULTI'], ['RPUSH', 'list', 'a'], ['DEL', 'list'], ['RPUSH', 'list', 'b'], ['EXEC']]) {
      harness.run(...request);
    }
    expect(sentTo(clients[0])).toBe(popped('list', 'b'));
  });

  it('go on waiting when the key is a string, or gone again', () => {
    clients[0].run('BLPOP', 'list', '0');
    harness.run('SET', 'list', 's');
    harness.run('DEL', 'list');
    for (const request of [['MULTI'], ['RPUSH', 'list', 'a'], ['DEL', 'list'], ['EXEC']]) harness.run(...request);
    expect(sentTo(clients[0])).toBe('');
    harness.run('RPUSH', 'list', 'b');
    expect(sentTo(clients[0])).toBe(popped('list', 'b'));
  });

  it.each([
    ['RENAME', [['RENAME', 'other', 'list']]],
    ['COPY', [['COPY', 'other', 'list']]],
  ])('see a list that %s puts there', (_name, requests) => {
    harness.run('RPUSH', 'other', 'a');
    clients[0].run('BLPOP', 'list', '0');
    for (const request of requests) harness.run(...request);
    expect(sentTo(clients[0])).toBe(popped('list', 'a'));
  });

  it('see a list that RESTORE puts there', () => {
    harness.run('RPUSH', 'other', 'a');
    const dumped = harness.run('DUMP', 'other');
    clients[0].run('BLPOP', 'list', '0');
    harness.run('RESTORE', 'list', '0', dumped.subarray(dumped.indexOf('\n') + 1, -2));
    expect(sentTo(clients[0])).toBe(popped('list', 'a'));
  });

  it('see what a peer has pushed', () => {
    const peer = new CommandHarness(commands, { nodeId: 2 });
    peer.keyspace.feeding = true;
    harness.keyspace.feeding = true;
    clients[0].run('BLPOP', 'list', '0');
    peer.run('RPUSH', 'list', 'a');
    const writer = new RecordWriter();
    drainFeed(peer.keyspace, writer);
    const records = writer.take();
    let asked = 0;
    harness.node.keyWaiters.onReady = () => asked++;
    applyRecords(harness.keyspace, records, 0, records.length);
    expect(asked).toBe(1);
    harness.node.keyWaiters.serve();
    expect(sentTo(clients[0])).toBe(popped('list', 'a'));
  });

  it('run what they have sent meanwhile, when the wait is over', () => {
    clients[0].run('BLPOP', 'list', '0');
    clients[0].run('LLEN', 'list');
    clients[0].run('BLPOP', 'list', '0');
    expect(sentTo(clients[0])).toBe('');
    harness.run('RPUSH', 'list', 'a', 'b', 'c');
    expect(sentTo(clients[0])).toBe(`${popped('list', 'a')}:2\r\n${popped('list', 'b')}`);
  });

  it('are let go at the timeout, by CLIENT UNBLOCK and when they leave', () => {
    clients[0].run('BLPOP', 'list', '0.5');
    clients[1].run('BLPOP', 'list', '0');
    clients[2].run('BLPOP', 'list', '0');
    nowMs = 499;
    harness.node.blocking.tick();
    expect(sentTo(clients[0])).toBe('');
    nowMs = 500;
    harness.node.blocking.tick();
    expect(sentTo(clients[0])).toBe('*-1\r\n');
    expect(harness.run('CLIENT', 'UNBLOCK', String(clients[1].session.id), 'ERROR').toString()).toBe(':1\r\n');
    expect(sentTo(clients[1])).toBe('-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n');
    harness.node.blocking.cancel(clients[2].session);
    harness.run('RPUSH', 'list', 'a');
    expect(harness.run('LLEN', 'list').toString()).toBe(':1\r\n');
  });

  it('count the wait and what ends it as one write each', () => {
    clients[0].run('BLPOP', 'list', '0');
    const { changes } = harness.keyspace;
    harness.run('RPUSH', 'list', 'a');
    expect(harness.keyspace.changes).toBe(changes + 2);
  });
});
