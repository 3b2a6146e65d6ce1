import { describe, expect, it } from '@jest/globals';
import { followAccessSettings } from '../../../server/runtime/access-settings.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison } from '../../support/comparison.ts';
import { bulkOf, checkSequence, integerOf, keyspaceCommands, type Step } from '../../support/sequences.ts';

const comparison = shareComparison(keyspaceCommands);

const values = [
  '',
  '0',
  '-1',
  '12345678901234567890',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '007',
  '+7',
  '1.5',
  ' 1',
  'x'.repeat(44),
  'x'.repeat(45),
  '9999',
  '10000',
];

const sequences: Record<string, Step[]> = {
  'encodings and references of values as SET keeps them': values.flatMap((value) => [
    ['SET', 'a', value],
    ['OBJECT', 'ENCODING', 'a'],
    ['OBJECT', 'REFCOUNT', 'a'],
  ]),
  'encodings after other writes': [
    'SET a 1',
    'APPEND a 2',
    'OBJECT ENCODING a',
    'COPY a b',
    'OBJECT ENCODING b',
    'RENAME b c',
    'OBJECT ENCODING c',
    'SET a x',
    'SETRANGE a 0 y',
    'OBJECT ENCODING a',
    'INCR n',
    'OBJECT ENCODING n',
    'INCRBYFLOAT f 1.5',
    'OBJECT ENCODING f',
  ],
  'missing keys, wrong calls': [
    'OBJECT ENCODING missing',
    'OBJECT REFCOUNT missing',
    'OBJECT IDLETIME missing',
    'OBJECT FREQ missing',
    'SET a 1',
    'OBJECT FREQ a',
    'OBJECT encoding a',
    'OBJECT ENCODING',
    'OBJECT ENCODING a b',
    'OBJECT',
    'OBJECT NOPE a',
    'MEMORY USAGE missing',
    'MEMORY USAGE a SAMPLES',
    'MEMORY USAGE a SAMPLES x',
    'MEMORY USAGE a SAMPLES -1',
    'MEMORY USAGE missing NOPE 1',
    'MEMORY USAGE',
    'MEMORY NOPE',
    'MEMORY',
    'MEMORY PURGE',
    'MEMORY PURGE x',
  ],
};

describe('OBJECT and MEMORY, as redis-server has them', () => {
  it.each(Object.keys(sequences))('%s', async (name) => {
    await checkSequence(comparison(), sequences[name]);
  });
});

/** What redis-server's DUMP gives for a value. */
async function redisDump(value: string): Promise<Buffer> {
  const [, dumped] = await comparison().redisReplies([
    ['SET', 'dumped', value],
    ['DUMP', 'dumped'],
  ]);
  return bulkOf(dumped);
}

describe('OBJECT', () => {
  it('tells how long a key was not used, which reading its value ends', async () => {
    let nowMs = 1_700_000_000_000;
    const harness = new CommandHarness(keyspaceCommands, { wallClockMs: () => nowMs });
    const { keyspace } = harness;
    const idle = (): number => integerOf(harness.run('OBJECT', 'IDLETIME', 'a'));
    keyspace.updateAccessClock(false);
    expect(harness.run('RESTORE', 'a', 0, await redisDump('v'), 'IDLETIME', 1000).toString()).toBe('+OK\r\n');
    expect(idle()).toBe(1000);
    nowMs += 10_000;
    keyspace.clock.refresh();
    keyspace.updateAccessClock(false);
    for (const name of ['TTL', 'TYPE', 'EXISTS', 'PTTL', 'EXPIRETIME']) harness.run(name, 'a');
    expect(idle()).toBe(1010);
    harness.client.session.noTouch = true;
    harness.run('DUMP', 'a');
    expect(idle()).toBe(1010);
    harness.client.session.noTouch = false;
    harness.run('RENAME', 'a', 'b');
    harness.run('RENAME', 'b', 'a');
    expect(idle()).toBe(0);
    nowMs += 5_000;
    keyspace.clock.refresh();
    keyspace.updateAccessClock(false);
    expect(idle()).toBe(5);
    harness.run('TOUCH', 'a');
    expect(idle()).toBe(0);
  });

  it('counts uses under an LFU policy, and lets the count decay', async () => {
    let nowMs = 1_700_000_000_000;
    const harness = new CommandHarness(keyspaceCommands, { wallClockMs: () => nowMs });
    const { keyspace } = harness;
    const count = (key: string): number => integerOf(harness.run('OBJECT', 'FREQ', key));
    keyspace.updateAccessClock(true);
    harness.run('SET', 'a', '1');
    expect(count('a')).toBe(5);
    for (let use = 0; use < 200; use++) harness.run('TOUCH', 'a');
    const counted = count('a');
    expect(counted).toBeGreaterThan(6);
    expect(counted).toBeLessThan(60);
    harness.run('SET', 'a', 'another value');
    expect(count('a')).toBeGreaterThanOrEqual(counted);
    harness.run('RESTORE', 'b', 0, await redisDump('v'), 'FREQ', 100);
    expect(count('b')).toBe(100);
    nowMs += 7 * 60_000;
    keyspace.clock.refresh();
    keyspace.updateAccessClock(true);
    expect(count('b')).toBe(93);
    const refused = harness.run('OBJECT', 'IDLETIME', 'b').toString();
    const [, , expected] = await comparison().redisReplies([
      ['CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu'],
      ['SET', 'b', 1],
      ['OBJECT', 'IDLETIME', 'b'],
      ['CONFIG', 'SET', 'maxmemory-policy', 'noeviction'],
    ]);
    expect(refused).toBe(expected);
    expect(harness.run('OBJECT', 'IDLETIME', 'missing').toString()).toBe('$-1\r\n');
  });

  it('follows the options for it as CONFIG SET changes them', () => {
    const harness = new CommandHarness(keyspaceCommands, { settings: { 'maxmemory-policy': 'allkeys-lfu' } });
    const { node, keyspace } = harness;
    followAccessSettings(node.config, keyspace);
    harness.run('SET', 'a', '1');
    expect(integerOf(harness.run('OBJECT', 'FREQ', 'a'))).toBe(5);
    expect(node.config.set(['lfu-log-factor', '0', 'lfu-decay-time', '0'])).toBeNull();
    for (let use = 0; use < 20; use++) harness.run('TOUCH', 'a');
    expect(integerOf(harness.run('OBJECT', 'FREQ', 'a'))).toBe(25);
    expect(node.config.set(['maxmemory-policy', 'allkeys-lru'])).toBeNull();
    expect(harness.run('OBJECT', 'FREQ', 'a').toString()).toContain('An LFU maxmemory policy is not selected');
    harness.run('SET', 'a', '2');
    expect(integerOf(harness.run('OBJECT', 'IDLETIME', 'a'))).toBe(0);
  });

  it('has help', () => {
    const harness = new CommandHarness(keyspaceCommands);
    for (const container of ['OBJECT', 'MEMORY']) {
      const reply = harness.run(container, 'HELP').toString();
      expect(reply).toMatch(/^\*\d+\r\n\+/);
      expect(reply).toContain(`${container} <subcommand>`);
    }
  });
});

describe('MEMORY', () => {
  it('tells what a key costs', () => {
    const harness = new CommandHarness(keyspaceCommands);
    harness.run('SET', 'small', 'v');
    harness.run('SET', 'large', 'v'.repeat(100_000));
    expect(integerOf(harness.run('MEMORY', 'USAGE', 'small'))).toBeLessThan(100);
    const large = integerOf(harness.run('MEMORY', 'USAGE', 'large', 'SAMPLES', 0));
    expect(large).toBeGreaterThanOrEqual(100_000);
    expect(large).toBeLessThan(101_000);
  });

  it('has the fields of MEMORY STATS that clients read, and words for people', () => {
    const harness = new CommandHarness(keyspaceCommands);
    harness.run('SET', 'small', 'v');
    const reply = harness.run('MEMORY', 'STATS').toString();
    for (const field of [
      'peak.allocated',
      'total.allocated',
      'db.0',
      'overhead.total',
      'keys.count',
      'dataset.bytes',
    ]) {
      expect(reply).toContain(`\r\n${field}\r\n`);
    }
    expect(harness.run('MEMORY', 'DOCTOR').toString()).toMatch(/^\$\d+\r\n[A-Z]/);
    expect(harness.run('MEMORY', 'MALLOC-STATS').toString()).toContain('pages held');
  });
});
