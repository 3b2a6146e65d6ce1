import { describe, expect, it } from '@jest/globals';
import { keyCommands } from '../../../server/commands/keys.ts';
import { streamGroupCommands } from '../../../server/commands/stream-groups.ts';
import { streamReadCommands } from '../../../server/commands/stream-reads.ts';
import { streamCommands } from '../../../server/commands/streams.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { transactionCommands } from '../../../server/commands/transactions.ts';
import { CommandHarness } from '../../support/command-harness.ts';

const commands = [
  ...streamCommands,
  ...streamReadCommands,
  ...streamGroupCommands,
  ...stringCommands,
  ...keyCommands,
  ...transactionCommands,
];

function entry(id: string, ...fields: string[]): string {
  const parts = fields.map((field) => `$${field.length}\r\n${field}\r\n`).join('');
  return `*2\r\n$${id.length}\r\n${id}\r\n*${fields.length}\r\n${parts}`;
}

function stream(key: string, ...entries: string[]): string {
  return `*1\r\n*2\r\n$${key.length}\r\n${key}\r\n*${entries.length}\r\n${entries.join('')}`;
}

function harness(): CommandHarness {
  return new CommandHarness(commands);
}

describe('a blocked XREAD', () => {
  it('gets what is added, as does everybody who waits', () => {
    const node = harness();
    const first = node.connect();
    const second = node.connect();
    expect(first.run('XREAD', 'BLOCK', '0', 'STREAMS', 'a', 'b', '$', '$')).toHaveLength(0);
    expect(second.run('XREAD', 'BLOCK', '0', 'STREAMS', 'b', '5-0')).toHaveLength(0);
    node.run('XADD', 'b', '5-0', 'f', 'v');
    expect(first.transport.take().toString()).toBe(stream('b', entry('5-0', 'f', 'v')));
    expect(second.transport.take()).toHaveLength(0);
    node.run('XADD', 'b', '6-0', 'f', 'v');
    expect(second.transport.take().toString()).toBe(stream('b', entry('6-0', 'f', 'v')));
  });

  it('goes on waiting when the key is something else', () => {
    const node = harness();
    const client = node.connect();
    client.run('XREAD', 'BLOCK', '0', 'STREAMS', 'a', '$');
    node.run('SET', 'a', 'text');
    expect(client.transport.take()).toHaveLength(0);
    node.run('DEL', 'a');
    node.run('XADD', 'a', '1-1', 'f', 'v');
    expect(client.transport.take().toString()).toBe(stream('a', entry('1-1', 'f', 'v')));
  });

  it('does not wait in a transaction', () => {
    const node = harness();
    node.run('MULTI');
    node.run('XREAD', 'BLOCK', '0', 'STREAMS', 'a', '$');
    expect(node.run('EXEC').toString()).toBe('*1\r\n*-1\r\n');
  });
});

describe('a blocked XREADGROUP', () => {
  it('gives an entry to one consumer, the one that has waited longest', () => {
    const node = harness();
    node.run('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    const first = node.connect();
    const second = node.connect();
    first.run('XREADGROUP', 'GROUP', 'g', 'one', 'BLOCK', '0', 'STREAMS', 's', '>');
    second.run('XREADGROUP', 'GROUP', 'g', 'two', 'BLOCK', '0', 'STREAMS', 's', '>');
    node.run('XADD', 's', '1-1', 'f', 'v');
    expect(first.transport.take().toString()).toBe(stream('s', entry('1-1', 'f', 'v')));
    expect(second.transport.take()).toHaveLength(0);
    node.run('XADD', 's', '1-2', 'f', 'v');
    expect(second.transport.take().toString()).toBe(stream('s', entry('1-2', 'f', 'v')));
    expect(node.run('XPENDING', 's', 'g').toString()).toContain('*2\r\n$3\r\none\r\n$1\r\n1\r\n');
  });

  it.each([
    ['XGROUP', 'DESTROY', 's', 'g'],
    ['DEL', 's'],
  ])('is told when its group is gone: %s', (...request) => {
    const node = harness();
    node.run('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    const client = node.connect();
    client.run('XREADGROUP', 'GROUP', 'g', 'one', 'BLOCK', '0', 'STREAMS', 's', '>');
    node.run(...request);
    expect(client.transport.take().toString()).toMatch(/^-NOGROUP /);
  });
});
