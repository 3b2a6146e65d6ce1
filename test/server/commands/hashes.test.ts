import { describe, expect, it } from '@jest/globals';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { hashCommands } from '../../../server/commands/hashes.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { checkSequence, keyspaceCommands, type Step } from '../../support/sequences.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/hashes.test.ts';
const commands = [...keyspaceCommands, ...hashCommands];

const comparison = shareComparison(commands);

const bytes = Buffer.from([0, 255, 13, 10, 34]);
const long = Buffer.alloc(5000, 'x');
const LEAST = '-9223372036854775808';

const sequences: Record<string, Step[]> = {
  'HSET, HMSET, HSETNX and reading': [
    'HSET h a 1 b 2',
    'HSET h a 3 c 4 c 5',
    'HSET h a',
    'HSET h a 1 b',
    'HSET h',
    'HMSET h x 1 y 2',
    'HMSET h x',
    'HSETNX h a 9',
    'HSETNX h new 9',
    'HSETNX fresh f v',
    'HSETNX h a',
    'HGET h a',
    'HGET h zz',
    'HGET none a',
    'HMGET h a b zz a',
    'HMGET none a b',
    'HMGET h',
    'HGETALL h',
    'HGETALL none',
    'HKEYS h',
    'HVALS h',
    'HKEYS none',
    'HVALS none',
    'HLEN h',
    'HLEN none',
    'HEXISTS h a',
    'HEXISTS h zz',
    'HEXISTS none a',
    'HSTRLEN h a',
    'HSTRLEN h zz',
    'HSTRLEN none a',
    'TYPE h',
    'OBJECT ENCODING h',
    'OBJECT REFCOUNT h',
    'OBJECT IDLETIME h',
    'EXISTS h',
  ],
  HDEL: [
    'HSET h a 1 b 2 c 3',
    'HDEL h zz',
    'HDEL h a zz b a',
    'HGETALL h',
    'HDEL h c',
    'EXISTS h',
    'TYPE h',
    'HDEL h c',
    'HDEL h',
    'HSET h again 1',
    'HGETALL h',
    'DEL h',
    'HGETALL h',
    'DBSIZE',
  ],
  'bytes of any kind and length': [
    ['HSET', 'h', bytes, bytes],
    ['HSET', 'h', '', ''],
    ['HSET', 'h', long, 'short'],
    ['HSET', 'h', 'field', long],
    ['HGET', 'h', bytes],
    ['HGET', 'h', ''],
    ['HGET', 'h', long],
    ['HSTRLEN', 'h', 'field'],
    ['HSET', 'h', 'field', 'short again'],
    ['HGET', 'h', 'field'],
    ['HSET', 'h', 'field', long],
    ['HDEL', 'h', long, 'field', ''],
    'HGETALL h',
    'OBJECT ENCODING h',
  ],
  HINCRBY: [
    'HINCRBY h n 5',
    'HINCRBY h n -7',
    'HGET h n',
    'HSTRLEN h n',
    'HSET h n 10',
    'HINCRBY h n 1',
    'HSET h n abc',
    'HINCRBY h n 1',
    'HINCRBY h n abc',
    'HINCRBY h n 1.5',
    'HSET h n 1.5',
    'HINCRBY h n 1',
    ['HSET', 'h', 'n', ' 1'],
    'HINCRBY h n 1',
    ['HSET', 'h', 'n', ''],
    'HINCRBY h n 1',
    'HSET h n 9223372036854775807',
    'HINCRBY h n 1',
    'HINCRBY h n -1',
    `HSET h n ${LEAST}`,
    'HINCRBY h n -1',
    `HINCRBY h other ${LEAST}`,
    'HINCRBY h other 9223372036854775807',
    'HINCRBY h other 9223372036854775808',
    'HGETALL h',
    'HINCRBY h n',
    'HDEL h n other',
    'EXISTS h',
  ],
  HINCRBYFLOAT: [
    'HINCRBYFLOAT h n 1.5',
    'HINCRBYFLOAT h n 1e2',
    'HINCRBYFLOAT h n -0.5',
    'HGET h n',
    'HINCRBY h n 1',
    'HINCRBYFLOAT h n abc',
    'HINCRBYFLOAT h n inf',
    'HINCRBYFLOAT h n nan',
    'HSET h n abc',
    'HINCRBYFLOAT h n 1',
    'HSET h n 3.0e3',
    'HINCRBYFLOAT h n 200',
    'HINCRBYFLOAT h n',
    'HSET h n 5',
    'HINCRBYFLOAT h n 0.1',
    'HINCRBYFLOAT h n 0.2',
  ],
  'wrong types': [
    'SET s 1',
    'HSET s a 1',
    'HSETNX s a 1',
    'HGET s a',
    'HMGET s a',
    'HGETALL s',
    'HDEL s a',
    'HLEN s',
    'HSTRLEN s a',
    'HEXISTS s a',
    'HINCRBY s a 1',
    'HINCRBYFLOAT s a 1',
    'HRANDFIELD s',
    'HSCAN s 0',
    'HSET h a 1',
    'GET h',
    'APPEND h x',
    'INCR h',
    'SETRANGE h 0 x',
    'GETSET h x',
    'MGET h s',
    'STRLEN h',
    'SET h x GET',
    'SETNX h x',
    'SET h x',
    'GET h',
    'HGET h a',
    'DEL h',
    'HSET h b 2',
    'HGETALL h',
  ],
  HRANDFIELD: [
    'HRANDFIELD none',
    'HRANDFIELD none 3',
    'HRANDFIELD none 3 WITHVALUES',
    'HSET h a 1',
    'HRANDFIELD h',
    'HRANDFIELD h 0',
    'HRANDFIELD h 5',
    'HRANDFIELD h -3',
    'HRANDFIELD h 5 WITHVALUES',
    'HRANDFIELD h -2 withvalues',
    'HRANDFIELD h 1 foo',
    'HRANDFIELD h 1 WITHVALUES foo',
    'HRANDFIELD h x',
    `HRANDFIELD h ${LEAST}`,
    `HRANDFIELD h ${LEAST} WITHVALUES`,
    'HRANDFIELD h -9223372036854775807 WITHVALUES',
    'HRANDFIELD h 9223372036854775807',
  ],
  HSCAN: [
    'HSCAN none 0',
    'HSET h aa 1 ab 2 b 3',
    'HSCAN h 0',
    'HSCAN h 0 MATCH a*',
    'HSCAN h 0 COUNT 1',
    'HSCAN h 0 COUNT 0',
    'HSCAN h 0 COUNT x',
    'HSCAN h 0 COUNT',
    'HSCAN h 0 TYPE hash',
    'HSCAN h x',
    'HSCAN h 0 MATCH zz* COUNT 5',
    'HSCAN none 0 FOO',
    'HSCAN h',
  ],
  'deadlines, copies and databases': [
    'HSET h a 1 b 2',
    'EXPIRE h 100',
    'TTL h',
    'HSET h c 3',
    'TTL h',
    'COPY h copied',
    'TTL copied',
    'HGETALL copied',
    'PERSIST h',
    'TTL h',
    'RENAME h renamed',
    'EXISTS h',
    'HGETALL renamed',
    'SET h x',
    'COPY renamed h',
    'COPY renamed h REPLACE',
    'HGETALL h',
    'MOVE h 1',
    'EXISTS h',
    'SELECT 1',
    'HGETALL h',
    'SWAPDB 0 1',
    'HGETALL renamed',
    'SELECT 0',
    'HGETALL h',
    'EXPIRE h -1',
    'EXISTS h',
    'HGETALL h',
    'HSET h a 1',
    'HGETALL h',
    'TTL h',
    'UNLINK h',
    'FLUSHALL',
    'HGETALL renamed',
    'DBSIZE',
  ],
  transactions: [
    'HSET h a 1',
    'WATCH h',
    'HSET h a 2',
    'MULTI',
    'HGET h a',
    'EXEC',
    'WATCH h',
    'HDEL h a',
    'MULTI',
    'HLEN h',
    'EXEC',
    'MULTI',
    'HSET h a 1',
    'HINCRBY h a 4',
    'HGETALL h',
    'DEL h',
    'HGETALL h',
    'EXEC',
  ],
};

describe('hashes answer as redis-server does', () => {
  it.each(Object.entries(sequences))('%s', async (_name, steps) => {
    await checkSequence(comparison(), steps);
  });

  it('over random sequences', async () => {
    await withSeed(thisFile, async (random) => {
      const fields = ['a', 'b', 'c', '1', 'n'];
      const one = (): Request => {
        const key = random.pick(['h', 'g']);
        const field = random.pick(fields);
        return random.pick<Request>([
          ['HSET', key, field, String(random.below(20))],
          ['HSET', key, field, 'x', random.pick(fields), '7'],
          ['HSETNX', key, field, '3'],
          ['HDEL', key, field, random.pick(fields)],
          ['HINCRBY', key, field, String(random.below(10) - 5)],
          ['HINCRBYFLOAT', key, field, '0.5'],
          ['HGETALL', key],
          ['HLEN', key],
          ['HMGET', key, field, random.pick(fields)],
          ['HSCAN', key, '0'],
          ['DEL', key],
          ['SET', key, '5'],
          ['RENAME', 'h', 'g'],
          ['COPY', 'h', 'g', 'REPLACE'],
          ['EXISTS', key],
        ]);
      };
      await checkSequence(comparison(), Array.from({ length: 500 }, one));
    });
  });
});

describe('large hashes', () => {
  it.each([false, true])('keep every field through growth, removal and scans (tombstones kept: %s)', (digesting) => {
    const harness = new CommandHarness(commands);
    if (digesting) startDigesting(harness.keyspace);
    const count = 6000;
    for (let index = 0; index < count; index++) harness.run('HSET', 'h', `field:${index}`, `value:${index}`);
    for (let index = 0; index < count; index += 2) harness.run('HDEL', 'h', `field:${index}`);
    expect(harness.run('HLEN', 'h').toString()).toBe(`:${count / 2}\r\n`);
    expect(harness.run('OBJECT', 'ENCODING', 'h').toString()).toContain('hashtable');
    for (let index = 0; index < count; index++) {
      const expected = index % 2 === 0 ? '$-1\r\n' : `$${`value:${index}`.length}\r\nvalue:${index}\r\n`;
      expect(harness.run('HGET', 'h', `field:${index}`).toString()).toBe(expected);
    }
    const found = new Set<string>();
    let cursor = '0';
    do {
      const reply = harness.run('HSCAN', 'h', cursor, 'COUNT', '100').toString().split('\r\n');
      cursor = reply[2];
      for (const field of reply) if (field.startsWith('field:')) found.add(field);
    } while (cursor !== '0');
    expect(found.size).toBe(count / 2);
    harness.run('DEL', 'h');
    while (!harness.keyspace.objects.freeSome(1000));
    expect(harness.run('HLEN', 'h').toString()).toBe(':0\r\n');
  });

  it('draws every field as often as another', async () => {
    await withSeed(thisFile, (random) => {
      const harness = new CommandHarness(commands);
      harness.node.random = () => random.fraction();
      for (let index = 0; index < 64; index++) harness.run('HSET', 'h', String(index), 'v');
      const drawn = new Map<string, number>();
      for (let round = 0; round < 6400; round++) {
        const field = harness.run('HRANDFIELD', 'h').toString().split('\r\n')[1];
        drawn.set(field, (drawn.get(field) ?? 0) + 1);
      }
      // Chi-squared of 63 degrees: 131 is passed by chance once in 10^6 times.
      const chi =
        [...drawn.values()].reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0) + (64 - drawn.size) * 100;
      expect(chi).toBeLessThan(131);
    });
  });
});
