/** Lists on their way to redis-server and back. */
import { describe, expect, it } from '@jest/globals';
import { crc64 } from '../../../protocol/crc64.ts';
import { dumpCommands } from '../../../server/commands/dump.ts';
import { expiryCommands } from '../../../server/commands/expiry.ts';
import { keyCommands } from '../../../server/commands/keys.ts';
import { listCommands } from '../../../server/commands/lists.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { bulkOf } from '../../support/sequences.ts';

const thisFile = 'test/server/commands/list-dump.test.ts';
const commands = [...dumpCommands, ...listCommands, ...keyCommands, ...expiryCommands];

const comparison = shareComparison(commands);

async function redis(...request: Request): Promise<string> {
  const [reply] = await comparison().redisReplies([request]);
  return reply;
}

const INTEGERS = [0, 127, 128, -1, 4095, 4096, -4096, -4097, 32767, -32769, 8388607, -8388609, 2147483647, -2147483649];
const VALUES: (string | Buffer)[] = [
  ...INTEGERS.map(String),
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '',
  'a',
  '007',
  ...[62, 63, 64, 126, 127, 128, 4095, 4096, 8170, 8192, 20_000].map((length) => 'x'.repeat(length)),
];

function randomList(random: SeededRandom): (string | Buffer)[] {
  const length = 1 + random.below(random.below(4) === 0 ? 2000 : 40);
  return Array.from({ length }, () => (random.below(3) === 0 ? random.bytes(random.below(300)) : random.pick(VALUES)));
}

/** A payload of version 10. */
function payloadOf(...pieces: (number | Buffer)[]): Buffer {
  const body = Buffer.concat([
    ...pieces.map((piece) => (typeof piece === 'number' ? Buffer.from([piece]) : piece)),
    Buffer.from([10, 0]),
  ]);
  const { hi, lo } = crc64(body, 0, body.length);
  const sum = Buffer.alloc(8);
  sum.writeUInt32LE(lo, 0);
  sum.writeUInt32LE(hi, 4);
  return Buffer.concat([body, sum]);
}

describe('DUMP and RESTORE of lists', () => {
  it('carry lists from Redis and to Redis', () =>
    withSeed(thisFile, async (random) => {
      const harness = new CommandHarness(commands);
      for (let round = 0; round < 25; round++) {
        const values = randomList(random);
        await redis('DEL', 'a');
        await redis('RPUSH', 'a', ...values);
        const fromRedis = bulkOf(await redis('DUMP', 'a'));
        expect(harness.run('RESTORE', 'a', '0', fromRedis, 'REPLACE').toString()).toBe('+OK\r\n');
        const content = await redis('LRANGE', 'a', '0', '-1');
        expect(harness.run('LRANGE', 'a', '0', '-1').toString('latin1')).toBe(content);
        const toRedis = bulkOf(harness.run('DUMP', 'a'));
        expect(await redis('RESTORE', 'a', '0', toRedis, 'REPLACE')).toBe('+OK\r\n');
        expect(await redis('LRANGE', 'a', '0', '-1')).toBe(content);
      }
    }));

  it('read the forms of older releases', async () => {
    const ziplist = Buffer.from('14000000' + '11000000' + '0300' + '00026162' + '04feff' + '03f3' + 'ff', 'hex');
    const asString = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([bytes.length]), bytes]);
    const payloads = [
      payloadOf(1, 2, Buffer.from('\x01a\xc0\x05', 'latin1')),
      payloadOf(10, asString(ziplist)),
      payloadOf(14, 2, asString(ziplist), asString(ziplist)),
      payloadOf(
        18,
        2,
        1,
        Buffer.from('\x01a', 'latin1'),
        2,
        asString(Buffer.from('0c0000000200' + '0101' + '816102' + 'ff', 'hex')),
      ),
    ];
    const requests = payloads.flatMap((payload) => [
      ['RESTORE', 'a', '0', payload, 'REPLACE'],
      ['LRANGE', 'a', '0', '-1'],
    ]);
    const harness = await comparison().check(requests);
    expect(harness.run('LRANGE', 'a', '0', '-1').toString()).toBe('*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n');
  });

  it('refuse what is damaged, and change nothing', () =>
    withSeed(thisFile, (random) => {
      const harness = new CommandHarness(commands);
      harness.run('RPUSH', 'source', 'a', '1', '-70000', 'x'.repeat(100), 'é');
      harness.run('RPUSH', 'a', 'kept');
      const sound = bulkOf(harness.run('DUMP', 'source'));
      for (let round = 0; round < 2000; round++) {
        const body = Buffer.from(sound.subarray(0, sound.length - 10));
        const cut = random.below(2) === 0 ? body.subarray(0, 1 + random.below(body.length - 1)) : body;
        if (cut === body) body[1 + random.below(body.length - 1)] = random.uint32();
        const reply = harness.run('RESTORE', 'b', '0', payloadOf(cut), 'REPLACE').toString();
        expect(['+OK\r\n', '-ERR Bad data format\r\n']).toContain(reply);
      }
      expect(harness.run('LRANGE', 'a', '0', '-1').toString()).toBe('*1\r\n$4\r\nkept\r\n');
    }));

  it('keep the time to live that is given', () => {
    const harness = new CommandHarness(commands);
    harness.run('RPUSH', 'a', 'x');
    const payload = bulkOf(harness.run('DUMP', 'a'));
    expect(harness.run('RESTORE', 'a', '0', payload).toString()).toMatch(/^-BUSYKEY/);
    harness.run('RESTORE', 'b', '100000', payload);
    expect(Number(harness.run('PTTL', 'b').toString().slice(1))).toBeGreaterThan(90_000);
    expect(harness.run('LRANGE', 'b', '0', '-1').toString()).toBe('*1\r\n$1\r\nx\r\n');
  });
});
