import { describe, expect, it } from '@jest/globals';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { hashCommands } from '../../../server/commands/hashes.ts';
import { setAlgebraCommands } from '../../../server/commands/set-algebra.ts';
import { setCommands } from '../../../server/commands/sets.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { checkSequence, keyspaceCommands, type Step } from '../../support/sequences.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/sets.test.ts';
const commands = [...keyspaceCommands, ...hashCommands, ...setCommands, ...setAlgebraCommands];

const comparison = shareComparison(commands);

const LEAST = '-9223372036854775808';

// Integers, which both servers keep in ascending order: where order can be seen at all, it is theirs.
const sequences: Record<string, Step[]> = {
  'SADD, SREM and reading': [
    'SADD s 3 1 2',
    'SADD s 2 5 5',
    'SADD s',
    'SMEMBERS s',
    'SMEMBERS none',
    'SCARD s',
    'SCARD none',
    'SISMEMBER s 1',
    'SISMEMBER s 9',
    'SISMEMBER none 1',
    'SMISMEMBER s 1 9 2',
    'SMISMEMBER none 1 2',
    'TYPE s',
    'OBJECT ENCODING s',
    'SREM s 9',
    'SREM s 1 9 2',
    'SMEMBERS s',
    'SREM s 3 5',
    'EXISTS s',
    'SREM s 3',
    'SADD s -1 10 -20 3',
    'SMEMBERS s',
    'DEL s',
    'SMEMBERS s',
    'SREM s',
    'SISMEMBER s',
  ],
  'members of any bytes': [
    ['SADD', 's', Buffer.from([0, 255, 13, 10])],
    ['SISMEMBER', 's', Buffer.from([0, 255, 13, 10])],
    ['SADD', 's', '', Buffer.alloc(5000, 'y')],
    ['SISMEMBER', 's', ''],
    ['SISMEMBER', 's', Buffer.alloc(5000, 'y')],
    ['SREM', 's', Buffer.alloc(5000, 'y'), ''],
    'SCARD s',
    'SMEMBERS s',
    ['SADD', 'big', Buffer.alloc(65, 'y')],
    'OBJECT ENCODING big',
  ],
  'wrong types': [
    'SET x 1',
    'SADD x 1',
    'SREM x 1',
    'SMEMBERS x',
    'SCARD x',
    'SISMEMBER x 1',
    'SMISMEMBER x 1',
    'SPOP x',
    'SPOP x 2',
    'SRANDMEMBER x',
    'SRANDMEMBER x 2',
    'SSCAN x 0',
    'SADD s 1',
    'SMOVE s x 1',
    'SMOVE x s 1',
    'SMOVE none x 1',
    'SINTER s x',
    'SINTER none x',
    'SUNION s x',
    'SDIFF s x',
    'SINTERSTORE d x s',
    'SINTERCARD 2 s x',
    'HSET s a 1',
    'GET s',
    'HGETALL s',
    'SUNIONSTORE x s',
    'TYPE x',
    'SMEMBERS x',
  ],
  SMOVE: [
    'SADD a 1 2',
    'SADD b 3',
    'SMOVE a b 1',
    'SMOVE a b 9',
    'SMOVE none b 1',
    'SMOVE b b 3',
    'SMOVE b b 9',
    'SMOVE a fresh 2',
    'EXISTS a',
    'SMEMBERS b',
    'SMEMBERS fresh',
    'SMOVE b fresh 1',
    'SMEMBERS fresh',
    'SMOVE b',
  ],
  'union, intersection and difference': [
    'SADD a 1 2 3 4 5',
    'SADD b 4 5 6',
    'SADD c 5 7',
    'SUNION a b c',
    'SUNION a a',
    'SUNION none',
    'SUNION none a',
    'SINTER a b c',
    'SINTER a a',
    'SINTER a',
    'SINTER a none',
    'SINTER none a',
    'SDIFF a b c',
    'SDIFF a a',
    'SDIFF none a',
    'SDIFF a none',
    'SUNIONSTORE d a b c',
    'SMEMBERS d',
    'SINTERSTORE d a b',
    'SMEMBERS d',
    'SDIFFSTORE d a b',
    'SMEMBERS d',
    'SDIFFSTORE d a a',
    'EXISTS d',
    'SUNIONSTORE a a b',
    'SMEMBERS a',
    'SINTERSTORE b a b c',
    'SMEMBERS b',
    'SDIFFSTORE c c a none',
    'SMEMBERS c',
    'SET s x',
    'SUNIONSTORE s none none',
    'EXISTS s',
    'SUNION',
    'SUNIONSTORE d',
  ],
  SINTERCARD: [
    'SADD a 1 2 3',
    'SADD b 2 3 4',
    'SINTERCARD 2 a b',
    'SINTERCARD 1 a',
    'SINTERCARD 2 a none',
    'SINTERCARD 2 a b LIMIT 1',
    'SINTERCARD 2 a b LIMIT 0',
    'SINTERCARD 2 a b LIMIT 10',
    'SINTERCARD 2 a b LIMIT -1',
    'SINTERCARD 2 a b LIMIT x',
    'SINTERCARD 2 a b LIMIT',
    'SINTERCARD 2 a b FOO 1',
    'SINTERCARD 0 a',
    'SINTERCARD -1 a',
    'SINTERCARD x a',
    'SINTERCARD 3 a b',
    'SINTERCARD 1 a b',
    'SINTERCARD 1',
  ],
  'SPOP and SRANDMEMBER': [
    'SPOP none',
    'SPOP none 3',
    'SRANDMEMBER none',
    'SRANDMEMBER none 3',
    'SADD s 1',
    'SRANDMEMBER s',
    'SRANDMEMBER s 0',
    'SRANDMEMBER s 1',
    'SRANDMEMBER s -3',
    'SRANDMEMBER s x',
    'SRANDMEMBER s 1 2',
    `SRANDMEMBER s ${LEAST}`,
    'SPOP s -1',
    'SPOP s x',
    'SPOP s 1 2',
    'SPOP s 0',
    'SPOP s',
    'EXISTS s',
    'SADD s 5',
    'SPOP s 1',
    'EXISTS s',
    'SADD s 1 2 3',
    'SRANDMEMBER s 10',
    'SPOP s 10',
    'EXISTS s',
    'SPOP s 10',
  ],
  SSCAN: [
    'SSCAN none 0',
    'SADD s 1 2 30',
    'SSCAN s 0',
    'SSCAN s 0 MATCH 3*',
    'SSCAN s 0 COUNT 0',
    'SSCAN s 0 FOO',
    'SSCAN s x',
  ],
  'deadlines, copies and transactions': [
    'SADD s 1 2',
    'PEXPIRE s 100000',
    'SADD s 3',
    'TTL s',
    'COPY s t',
    'SMEMBERS t',
    'TTL t',
    'RENAME t u',
    'SMEMBERS u',
    'WATCH s',
    'SPOP s 0',
    'SREM s 9',
    'MULTI',
    'SADD s 4',
    'SMEMBERS s',
    'EXEC',
    'WATCH s u',
    'SADD s 4',
    'SADD u 4',
    'SMOVE s u 4',
    'SADD s 4',
    'MULTI',
    'SCARD s',
    'EXEC',
    'SADD u 4',
    'WATCH s u',
    'SADD s 4',
    'SMOVE s u 77',
    'MULTI',
    'SCARD s',
    'EXEC',
    'SADD v 4',
    'WATCH s',
    'SMOVE v s 4',
    'MULTI',
    'EXISTS v',
    'EXEC',
    'WATCH s',
    'SREM s 4',
    'MULTI',
    'SCARD s',
    'EXEC',
    'SUNIONSTORE s s u',
    'TTL s',
    'EXPIRE s 0',
    'SMEMBERS s',
    'SADD s 9',
    'TTL s',
    'SMEMBERS s',
  ],
};

describe('sets answer as redis-server does', () => {
  it.each(Object.entries(sequences))('%s', async (_name, steps) => {
    await checkSequence(comparison(), steps);
  });

  it('over random sequences of integers', async () => {
    await withSeed(thisFile, async (random) => {
      const one = (): Request => {
        const key = random.pick(['s', 't', 'u']);
        const other = random.pick(['s', 't', 'u']);
        const member = String(random.below(6));
        return random.pick<Request>([
          ['SADD', key, member, String(random.below(6))],
          ['SADD', key, member],
          ['SREM', key, member, String(random.below(6))],
          ['SMEMBERS', key],
          ['SISMEMBER', key, member],
          ['SMOVE', key, other, member],
          ['SINTERSTORE', key, other, 's'],
          ['SUNIONSTORE', key, other, 't'],
          ['SDIFFSTORE', key, other, 'u'],
          ['SDIFF', key, other],
          ['SUNION', key, other],
          ['SINTERCARD', '2', key, other],
          ['SCARD', key],
          ['SPOP', key, '9'],
          ['DEL', key],
          ['HSET', key, 'f', member],
          ['SET', key, member],
          ['RENAME', key, other],
          ['EXISTS', key],
        ]);
      };
      await checkSequence(comparison(), Array.from({ length: 600 }, one));
    });
  });
});

describe('OBJECT ENCODING of a set', () => {
  it('changes at the configured sizes, as in Redis 7.2, and does not change back', () => {
    const harness = new CommandHarness(commands);
    const encoding = (key: string): string => harness.run('OBJECT', 'ENCODING', key).toString().split('\r\n')[1];
    harness.run('SADD', 's', '1', '2');
    expect(encoding('s')).toBe('intset');
    harness.run('SADD', 's', 'a');
    expect(encoding('s')).toBe('listpack');
    harness.run('SREM', 's', 'a');
    expect(encoding('s')).toBe('listpack');
    for (let index = 0; index < 127; index++) harness.run('SADD', 's', `m${index}`);
    expect(encoding('s')).toBe('hashtable');
    for (let index = 0; index < 127; index++) harness.run('SREM', 's', `m${index}`);
    expect(encoding('s')).toBe('hashtable');
    for (let index = 0; index < 513; index++) harness.run('SADD', 'ints', String(index));
    expect(encoding('ints')).toBe('hashtable');
    harness.run('SADD', 'long', 'x'.repeat(65));
    expect(encoding('long')).toBe('hashtable');
  });
});

describe('random members', () => {
  it.each([false, true])('are all different, and all in time (tombstones kept: %s)', async (digesting) => {
    await withSeed(thisFile, (random) => {
      const harness = new CommandHarness(commands);
      if (digesting) startDigesting(harness.keyspace);
      harness.node.random = () => random.fraction();
      for (let index = 0; index < 3000; index++) harness.run('SADD', 's', `m${index}`);
      const drawn = harness
        .run('SRANDMEMBER', 's', '500')
        .toString()
        .split('\r\n')
        .filter((part) => part.startsWith('m'));
      expect(new Set(drawn).size).toBe(500);
      const popped = new Set<string>();
      while (popped.size < 3000) {
        const reply = harness
          .run('SPOP', 's', String(1 + random.below(400)))
          .toString()
          .split('\r\n');
        const members = reply.filter((part) => part.startsWith('m'));
        expect(members.length).toBeGreaterThan(0);
        for (const member of members) {
          expect(popped.has(member)).toBe(false);
          popped.add(member);
        }
      }
      expect(harness.run('EXISTS', 's').toString()).toBe(':0\r\n');
      expect(harness.run('SPOP', 's').toString()).toBe('$-1\r\n');
    });
  });
});
