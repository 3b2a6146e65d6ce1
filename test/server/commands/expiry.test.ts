import { describe, expect, it } from '@jest/globals';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison } from '../../support/comparison.ts';
import { checkSequence, keyspaceCommands, type Step } from '../../support/sequences.ts';

const comparison = shareComparison(keyspaceCommands);

const expireCommands = ['EXPIRE', 'PEXPIRE', 'EXPIREAT', 'PEXPIREAT'];

/** What every one of the four commands must refuse, or take, alike. */
function edges(name: string): Step[] {
  const values = [
    'x',
    '1.5',
    '',
    ' 1',
    '+1',
    '9223372036854775807',
    '9223372036854775808',
    '-9223372036854775808',
    '-9223372036854775809',
    '9223372036854775',
    '9223372036854776',
    '-9223372036854775',
    '-9223372036854776',
    '9223372036854775000',
    '9221000000000000',
    '9221000000000000000',
    '-1',
    '0',
  ];
  return values.flatMap((value) => [
    ['SET', 'a', '1'],
    [name, 'a', value],
    ['EXISTS', 'a'],
    [name, 'missing', value],
    [name, 'a', value, 'XX'],
  ]);
}

const sequences: Record<string, Step[]> = {
  'TTL and its kin': [
    'SET a 1',
    'TTL a',
    'PTTL a',
    'EXPIRETIME a',
    'PEXPIRETIME a',
    'TTL missing',
    'PTTL missing',
    'EXPIRETIME missing',
    'PEXPIRETIME missing',
    'EXPIRE a 100',
    'TTL a',
    'PEXPIRE a 100400',
    'TTL a',
    'PEXPIRE a 10000000000000',
    'TTL a',
    'EXPIREAT a 33177117420',
    'EXPIRETIME a',
    'PEXPIRETIME a',
    'PEXPIREAT a 33177117420123',
    'EXPIRETIME a',
    'PEXPIRETIME a',
    'PEXPIREAT a 33177117420500',
    'EXPIRETIME a',
    'PEXPIREAT a 9007199254740991',
    'PEXPIRETIME a',
    'GET a',
    'TTL',
    'TTL a b',
    'EXPIRETIME',
  ],
  PERSIST: ['SET a 1 EX 100', 'PERSIST a', 'TTL a', 'PERSIST a', 'PERSIST missing', 'GET a', 'PERSIST'],
  'deadlines of counters': [
    'INCR c',
    'EXPIRE c 100',
    'TTL c',
    'INCRBY c 5',
    'TTL c',
    'PERSIST c',
    'TTL c',
    'GET c',
    'EXPIRE c 100 NX',
    'EXPIRE c 0',
    'EXISTS c',
    'INCR c',
    'TTL c',
  ],
  'a deadline in the past deletes': [
    'SET a 1',
    'EXPIRE a 0',
    'EXISTS a',
    'SET a 1',
    'EXPIRE a -1',
    'EXISTS a',
    'SET a 1',
    'PEXPIREAT a 1',
    'EXISTS a',
    'SET a 1',
    'EXPIREAT a 1000',
    'DBSIZE',
    'EXPIRE a 0',
  ],
  conditions: [
    'SET a 1',
    'EXPIRE a 100 XX',
    'EXPIRE a 100 GT',
    'TTL a',
    'EXPIRE a 100 NX',
    'EXPIRE a 200 NX',
    'TTL a',
    'EXPIRE a 50 GT',
    'EXPIRE a 200 GT',
    'TTL a',
    'EXPIRE a 300 LT',
    'EXPIRE a 100 LT',
    'TTL a',
    'EXPIRE a 300 XX GT',
    'EXPIRE a 100 xx lt',
    'TTL a',
    'PERSIST a',
    'EXPIRE a 100 XX LT',
    'EXPIRE a 100 LT',
    'TTL a',
    'EXPIRE a -5 GT',
    'EXISTS a',
    'EXPIRE a -5 LT',
    'EXISTS a',
    'EXPIRE a 100 NX XX',
    'EXPIRE a 100 NX GT',
    'EXPIRE a 100 GT NX 1',
    'EXPIRE a 100 GT LT 1',
    'EXPIRE a 100 LT NX',
    'EXPIRE a 100 GT LT',
    'EXPIRE a 100 LT GT',
    'EXPIRE a 100 NX NX',
    'EXPIRE a 100 GT GT',
    'EXPIRE a 100 AB',
    'EXPIRE a 100 AB NX',
    'EXPIRE a 100 NX AB',
    'EXPIRE a x AB',
    'EXPIRE missing 100 AB',
    'EXPIRE missing x',
    'EXPIRE a',
    'PEXPIREAT a',
  ],
  ...Object.fromEntries(expireCommands.map((name) => [`the limits of ${name}`, edges(name)])),
};

describe('deadlines, as redis-server has them', () => {
  it.each(Object.keys(sequences))('%s', async (name) => {
    await checkSequence(comparison(), sequences[name]);
  });

  it('shows a key through its last millisecond and not after it', () => {
    let nowMs = 1_000_000;
    const harness = new CommandHarness(keyspaceCommands, { wallClockMs: () => nowMs });
    harness.run('SET', 'short', '1', 'PX', 50);
    harness.run('SET', 'long', '1', 'EX', 1000);
    nowMs += 50;
    expect(harness.run('PTTL', 'short').toString()).toBe(':0\r\n');
    expect(harness.run('EXISTS', 'short').toString()).toBe(':1\r\n');
    nowMs += 1;
    expect(harness.run('KEYS', '*').toString()).toBe('*1\r\n$4\r\nlong\r\n');
    expect(harness.run('RANDOMKEY').toString()).toBe('$4\r\nlong\r\n');
    expect(harness.run('DBSIZE').toString()).toBe(':2\r\n');
    expect(harness.run('SCAN', 0).toString()).toContain('*1\r\n$4\r\nlong\r\n');
    // SCAN removes what it would come to.
    expect(harness.run('DBSIZE').toString()).toBe(':1\r\n');
    expect(harness.run('PTTL', 'short').toString()).toBe(':-2\r\n');
    expect(harness.run('EXPIRE', 'short', 10).toString()).toBe(':0\r\n');
    expect(harness.run('DBSIZE').toString()).toBe(':1\r\n');
  });

  it('takes keys away at their deadline when nobody looks at them', () => {
    let nowMs = 1_000_000;
    const harness = new CommandHarness(keyspaceCommands, { wallClockMs: () => nowMs });
    for (let index = 0; index < 100; index++) harness.run('SET', `k:${index}`, 'v', 'PX', 10 + index);
    nowMs += 60;
    harness.keyspace.clock.refresh();
    expect(expireDue(harness.keyspace, 1000)).toBe(false);
    expect(harness.run('DBSIZE').toString()).toBe(':50\r\n');
  });

  it('cuts deadlines past 2^53 milliseconds, which Redis keeps', () => {
    const harness = new CommandHarness(keyspaceCommands);
    harness.run('SET', 'a', '1');
    expect(harness.run('PEXPIREAT', 'a', '9223372036854775807').toString()).toBe(':1\r\n');
    expect(harness.run('PEXPIRETIME', 'a').toString()).toBe(':9007199254740991\r\n');
    expect(harness.run('GET', 'a').toString()).toBe('$1\r\n1\r\n');
  });
});
