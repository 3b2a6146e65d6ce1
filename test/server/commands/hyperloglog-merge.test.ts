/** HyperLogLogs that several nodes add to, and their being strings. */
import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { hyperLogLogCommands } from '../../../server/commands/hyperloglog.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { drainFeed } from '../../../storage/changes/outflow.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { keyspaceCommands } from '../../support/sequences.ts';

const commands = [...keyspaceCommands, ...hyperLogLogCommands];

function node(nodeId: number): CommandHarness {
  const harness = new CommandHarness(commands, { nodeId });
  Object.assign(harness.keyspace, { digesting: true, feeding: true });
  return harness;
}

/** Sends what each node has written since the last call to the other. */
function exchange(a: CommandHarness, b: CommandHarness): void {
  const feeds = [a, b].map(({ keyspace }) => {
    const writer = new RecordWriter();
    drainFeed(keyspace, writer);
    return writer.take();
  });
  applyRecords(a.keyspace, feeds[1], 0, feeds[1].length);
  applyRecords(b.keyspace, feeds[0], 0, feeds[0].length);
}

const elements = (name: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${name}${at}`);

function count(harness: CommandHarness, key: string): number {
  return Number(harness.run('PFCOUNT', key).toString().slice(1));
}

function about(harness: CommandHarness, key: string, expected: number): void {
  expect(Math.abs(count(harness, key) - expected) / expected < 0.04).toBe(true);
}

describe('a HyperLogLog on two nodes', () => {
  it.each([
    [20, 20],
    [5000, 5000],
    [10, 5000],
  ])('counts what both have added at once: %d and %d', (ofA, ofB) => {
    const [a, b] = [node(1), node(2)];
    a.run('PFADD', 'h', ...elements('a', ofA));
    b.run('PFADD', 'h', ...elements('b', ofB));
    exchange(a, b);
    for (const each of [a, b]) about(each, 'h', ofA + ofB);
    expect(a.run('GET', 'h').equals(b.run('GET', 'h'))).toBe(true);
    expect(a.keyspace.digests.total()).toBe(b.keyspace.digests.total());
    // What the other one has added is not written again.
    expect(a.run('PFADD', 'h', 'b0').toString()).toBe(':0\r\n');
    expect(a.run('PFADD', 'h', ...elements('new', 500)).toString()).toBe(':1\r\n');
    a.run('PFADD', 'h', ...elements('c', 3000));
    b.run('PFADD', 'h', ...elements('d', 3000));
    exchange(a, b);
    for (const each of [a, b]) about(each, 'h', ofA + ofB + 6500);
  });

  it('loses what a DEL has seen and keeps what it has not', () => {
    const [a, b] = [node(1), node(2)];
    a.run('PFADD', 'h', ...elements('a', 100));
    exchange(a, b);
    a.run('DEL', 'h');
    b.run('PFADD', 'h', 'unseen');
    exchange(a, b);
    for (const each of [a, b]) expect(count(each, 'h')).toBe(1);
    b.run('DEL', 'h');
    exchange(a, b);
    for (const each of [a, b]) expect(each.run('EXISTS', 'h').toString()).toBe(':0\r\n');
  });

  it('is replaced by a SET, and goes on from one that was written as a string', () => {
    const [a, b] = [node(1), node(2)];
    a.run('PFADD', 'h', 'x', 'y');
    const bytes = a.run('GET', 'h');
    const value = bytes.subarray(bytes.indexOf('\n') + 1, -2);
    exchange(a, b);
    a.run('SET', 'h', 'text');
    a.run('SET', 'old', value, 'EX', '1000');
    exchange(a, b);
    for (const each of [a, b]) expect(each.run('GET', 'h').toString()).toBe('$4\r\ntext\r\n');
    a.run('PFADD', 'old', 'z');
    b.run('PFADD', 'old', 'v', 'w');
    exchange(a, b);
    for (const each of [a, b]) {
      expect(count(each, 'old')).toBe(5);
      expect(each.run('TTL', 'old').toString()).toBe(':1000\r\n');
    }
    expect(a.keyspace.digests.total()).toBe(b.keyspace.digests.total());
  });
});

describe('a HyperLogLog is a string', () => {
  it('to every command', () => {
    const harness = node(1);
    harness.run('PFADD', 'h', 'x');
    const length = Number(harness.run('STRLEN', 'h').toString().slice(1));
    expect(harness.run('GETRANGE', 'h', 0, 3).toString()).toBe('$4\r\nHYLL\r\n');
    expect(harness.run('TYPE', 'h').toString()).toBe('+string\r\n');
    expect(harness.run('SCAN', 0, 'TYPE', 'string').toString()).toContain('$1\r\nh\r\n');
    expect(harness.run('OBJECT', 'ENCODING', 'h').toString()).toBe('$3\r\nraw\r\n');
    expect(harness.run('INCR', 'h').toString()).toContain('not an integer');
    harness.run('COPY', 'h', 'copy');
    harness.run('RENAME', 'copy', 'renamed');
    expect(count(harness, 'renamed')).toBe(1);
    const dump = harness.run('DUMP', 'h');
    harness.run('RESTORE', 'restored', 0, dump.subarray(dump.indexOf('\n') + 1, -2));
    expect(harness.run('PFADD', 'restored', 'x').toString()).toBe(':0\r\n');
    expect(harness.run('APPEND', 'h', '!').toString()).toBe(`:${length + 1}\r\n`);
    expect(harness.run('GETRANGE', 'h', -1, -1).toString()).toBe('$1\r\n!\r\n');
    expect(harness.run('GETDEL', 'renamed').subarray(0, 12).toString()).toContain('HYLL');
    expect(harness.run('EXISTS', 'renamed').toString()).toBe(':0\r\n');
  });
});
