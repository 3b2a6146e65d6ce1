import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { drainFeed } from '../../../storage/changes/outflow.ts';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison } from '../../support/comparison.ts';
import { checkSequence, keyspaceCommands, type Step } from '../../support/sequences.ts';

const comparison = shareComparison(keyspaceCommands);

const sequences: Record<string, Step[]> = {
  SELECT: [
    'SET a 0',
    'SELECT 1',
    'GET a',
    'SET a 1',
    'SELECT 15',
    'DBSIZE',
    'SELECT 16',
    'SELECT -1',
    'SELECT x',
    'SELECT 1.5',
    ['SELECT', ''],
    'SELECT 3000000000',
    'SELECT -2147483649',
    'SELECT 9223372036854775808',
    'SELECT',
    'SELECT 1 2',
    'DBSIZE',
    'SELECT 0',
    'GET a',
  ],
  SWAPDB: [
    'SET a zero EX 1000',
    'SET b zero',
    'INCR n',
    'SELECT 1',
    'SET a one',
    'SET c one',
    'SWAPDB 44 a',
    'SWAPDB a 44',
    'SWAPDB 44 55',
    'SWAPDB 0 1',
    'GET a',
    'TTL a',
    'GET b',
    'GET c',
    'GET n',
    'INCR n',
    'OBJECT ENCODING n',
    'DBSIZE',
    'SELECT 0',
    'GET a',
    'GET c',
    'EXISTS b n',
    'DBSIZE',
    'SWAPDB 0 0',
    'DBSIZE',
    'SWAPDB 0 2',
    'DBSIZE',
    'SWAPDB 5 6',
    'SWAPDB x 1',
    'SWAPDB 1 x',
    'SWAPDB x x',
    'SWAPDB 0 99',
    'SWAPDB 99 0',
    'SWAPDB -1 0',
    'SWAPDB 0 3000000000',
    'SWAPDB 0',
    'SELECT 0',
  ],
  FLUSHDB: [
    'SET a 1',
    'SELECT 1',
    'SET b 1',
    'FLUSHDB',
    'DBSIZE',
    'GET b',
    'SET b 2',
    'GET b',
    'FLUSHDB ASYNC',
    'FLUSHDB sync',
    'SET b 3',
    'FLUSHDB NOPE',
    'FLUSHDB ASYNC SYNC',
    'DBSIZE',
    'SELECT 0',
    'GET a',
    'FLUSHDB',
    'GET a',
    'KEYS *',
  ],
  FLUSHALL: [
    'SET a 1 EX 100',
    'SELECT 1',
    'SET b 1',
    'FLUSHALL async',
    'DBSIZE',
    'SELECT 0',
    'DBSIZE',
    'SET a 2',
    'TTL a',
    'FLUSHALL NOPE',
    'FLUSHALL SYNC ASYNC',
    'FLUSHALL SYNC',
    'KEYS *',
    'SCAN 0',
    'RANDOMKEY',
    'DBSIZE x',
  ],
};

describe('databases, as redis-server has them', () => {
  it.each(Object.keys(sequences))('%s', async (name) => {
    await checkSequence(comparison(), sequences[name]);
  });

  it('selects for one connection only', () => {
    const harness = new CommandHarness(keyspaceCommands);
    const other = harness.connect();
    harness.run('SELECT', 3);
    harness.run('SET', 'a', 'three');
    expect(other.run('DBSIZE')).toEqual(Buffer.from(':0\r\n'));
    other.run('SELECT', 3);
    expect(other.run('GET', 'a')).toEqual(Buffer.from('$5\r\nthree\r\n'));
  });

  it('exchanges databases as writes that peers are sent, floors first', () => {
    const harness = new CommandHarness(keyspaceCommands);
    const { keyspace } = harness;
    startDigesting(keyspace);
    keyspace.feeding = true;
    harness.run('SET', 'a', 'zero', 'PXAT', 33177117420000);
    harness.run('SELECT', 1);
    harness.run('SET', 'b', 'one');
    const writer = new RecordWriter();
    drainFeed(keyspace, writer);
    const before = Buffer.from(writer.buffer.subarray(0, writer.length));
    writer.reset();
    harness.run('SWAPDB', 0, 1);
    drainFeed(keyspace, writer);
    const swap = Buffer.from(writer.buffer.subarray(0, writer.length));

    const peer = new CommandHarness(keyspaceCommands);
    applyRecords(peer.keyspace, before, 0, before.length);
    applyRecords(peer.keyspace, swap, 0, swap.length);
    expect(peer.run('KEYS', '*').toString()).toBe('*1\r\n$1\r\nb\r\n');
    peer.run('SELECT', 1);
    expect(peer.run('KEYS', '*').toString()).toBe('*1\r\n$1\r\na\r\n');
    expect(peer.run('PEXPIRETIME', 'a').toString()).toBe(':33177117420000\r\n');
  });
});
