/** Of several mistakes in a request, the one that redis-server names is named. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ServerPair } from '../../support/server-pair.ts';

const SETUP = ['XADD s 1-1 a 1', 'XGROUP CREATE s g 0', 'HSET h a 1', 'ZADD z 1 a', 'SADD e a', 'RPUSH l a'];

const REQUESTS = [
  'XGROUP CREATE s new 0 ENTRIESREAD 1 ENTRIESREAD 2',
  'XGROUP CREATE s new 0 MKSTREAM ENTRIESREAD 1 MKSTREAM',
  'XGROUP CREATE s new 0 MKSTREAM MKSTREAM',
  'XGROUP CREATE s new x ENTRIESREAD 1 ENTRIESREAD 2',
  'XGROUP CREATE missing new 0 ENTRIESREAD 1 ENTRIESREAD 2',
  'XGROUP SETID s g 0 ENTRIESREAD 1 ENTRIESREAD 2',
  'XGROUP SETID s g x ENTRIESREAD 1 ENTRIESREAD 2',
  'XGROUP SETID s missing 0 ENTRIESREAD 1 ENTRIESREAD 2',
  'HRANDFIELD h x y',
  'HRANDFIELD h x WITHVALUES y',
  'HRANDFIELD h 1 y',
  'ZRANDMEMBER z x y',
  'ZRANDMEMBER z x WITHSCORES y',
  'ZRANDMEMBER z 1 y',
  'ZRANDMEMBER z -4611686018427387904 WITHSCORES y',
  'ZRANDMEMBER z -4611686018427387905 WITHSCORES',
  'SRANDMEMBER e x',
  'BZMPOP -1 1 z MIN COUNT 0',
  'BZMPOP x 0 z MIN',
  'BZMPOP x 1 z BOTH',
  'BLMPOP x 1 l LEFT COUNT 0',
];

let pair: ServerPair;

beforeAll(async () => {
  pair = await ServerPair.start();
});

afterAll(() => pair.stop());

it('names the mistake that redis-server names', async () => {
  const replies = await pair.replies([...SETUP, ...REQUESTS]);
  expect(replies.map(({ request, mantis }) => `${request} → ${mantis}`)).toEqual(
    replies.map(({ request, redis }) => `${request} → ${redis}`),
  );
});
