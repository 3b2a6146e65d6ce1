import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { GlobPattern } from '../../protocol/glob.ts';
import { badRequests, badRequestsBeforeAuth } from '../support/bad-requests.ts';
import { decodeUntilError, newDecoder } from '../support/decode-requests.ts';
import { startRedis, type RedisProcess } from '../support/redis-process.ts';
import { encodeRequest, RespClient } from '../support/resp-client.ts';
import { RespError } from '../support/resp3-parser.ts';
import { withSeed } from '../support/seed.ts';

const thisFile = 'test/protocol/redis-comparison.test.ts';

let redis: RedisProcess;
let client: RespClient;

beforeAll(async () => {
  redis = await startRedis();
  client = await RespClient.connect(redis.port, { buffers: true });
});

afterAll(async () => {
  client.socket.destroy();
  await redis.server.stop();
});

/** Everything Redis answers until it closes the connection. */
async function answersOf(bytes: string): Promise<string> {
  const socket = connect(redis.port, '127.0.0.1');
  let answers = '';
  socket.on('data', (data) => (answers += data.toString('latin1')));
  // Redis closes without reading the rest, which may show as a reset.
  socket.on('error', () => undefined);
  socket.setTimeout(5000, () => socket.destroy());
  socket.write(bytes, 'latin1');
  await once(socket, 'close');
  return answers;
}

describe('as redis-server does', () => {
  it('refuses bad requests with the same texts', async () => {
    for (const { bytes, reason } of badRequests) {
      const shown = bytes.slice(0, 40);
      expect({ shown, answers: await answersOf(bytes) }).toEqual({
        shown,
        answers: `-ERR Protocol error: ${reason}\r\n`,
      });
    }
  });

  it('splits random inline requests into the same words', async () => {
    await withSeed(thisFile, async (random) => {
      const pieces = ['a', 'b', ' ', '\t', '"', '"', "'", "'", '\\', 'x', '4', '1', 'n', '\v', '\r', '\\"', "\\'"];
      for (let round = 0; round < 400; round++) {
        const line = `ECHO ${Array.from({ length: random.below(9) }, () => random.pick(pieces)).join('')}\n`;
        const { requests, error } = decodeUntilError(newDecoder(), Buffer.from(line));
        if (error !== undefined) {
          expect({ line, answers: await answersOf(line) }).toEqual({ line, answers: `-ERR ${error}\r\n` });
          continue;
        }
        client.write(line);
        const [words] = requests;
        const tooFewOrMany = new RespError("ERR wrong number of arguments for 'echo' command");
        const answer = words.length === 2 ? Buffer.from(words[1]) : tooFewOrMany;
        expect({ line, answer: await client.read() }).toEqual({ line, answer });
      }
    });
  });

  it('matches random patterns against the same keys', async () => {
    await withSeed(thisFile, async (random) => {
      const alphabet = ['a', 'b', 'c', 'B', '*', '?', '[', ']', '^', '-', '\\'];
      const word = (longest: number): string =>
        Array.from({ length: 1 + random.below(longest) }, () => random.pick(alphabet)).join('');
      const keys = [...new Set(Array.from({ length: 300 }, () => word(4)))];
      await client.command('FLUSHALL');
      client.write(Buffer.concat(keys.map((key) => encodeRequest(['SET', key, '1']))));
      for (let count = 0; count < keys.length; count++) await client.read();
      for (let round = 0; round < 1500; round++) {
        const pattern = word(7);
        const glob = new GlobPattern(Buffer.from(pattern), 0, pattern.length);
        const expected = keys.filter((key) => glob.matches(Buffer.from(key), 0, key.length));
        const answer = (await client.command('KEYS', pattern)) as Buffer[];
        expect({ pattern, keys: answer.map(String).sort() }).toEqual({ pattern, keys: expected.sort() });
      }
    });
  });

  it('bounds what may be sent before AUTH', async () => {
    await client.command('CONFIG', 'SET', 'requirepass', 'secret');
    for (const { bytes, reason } of badRequestsBeforeAuth) {
      const answers = await answersOf(bytes);
      expect({ bytes, answers }).toEqual({ bytes, answers: `-ERR Protocol error: ${reason}\r\n` });
    }
  });
});
