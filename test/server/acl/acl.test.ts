import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ServerPair, type PairRequest } from '../../support/server-pair.ts';

let pair: ServerPair;

beforeAll(async () => {
  pair = await ServerPair.start({ args: ['--enable-debug-command', 'yes'] });
});

afterAll(async () => {
  await pair.stop();
});

const HASH = '34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6';

/** Begins as a user with these rules, who has any password. */
function as(name: string, ...rules: string[]): PairRequest[] {
  return [
    ['ACL', 'SETUSER', name, 'reset', 'on', 'nopass', ...rules],
    ['AUTH', name, 'any'],
  ];
}

const BAD_RULES = [
  ...[
    'foo',
    '+foo',
    '+@foo',
    '-@foo',
    '+',
    '-',
    '+@',
    '+get|',
    '+config|get|x',
    '+config|zz',
    '-config|zz',
    '-select|0',
  ],
  ...['%~', '%X~a', '%RR~q', '(+get', ')', '(on)', '(reset)', '(nopass)', '(foo)', 'a b', '~a b'],
  ...['#12', `#${HASH}q`, `#${HASH.toUpperCase()}`, '<nopw', `!${HASH}`],
];

const conversations: Record<string, PairRequest[]> = {
  'rules that cannot be': [
    ...BAD_RULES.map((rule) => ['ACL', 'SETUSER', 'wrong', 'reset', rule]),
    'ACL SETUSER wrong ~* ~a',
    'ACL SETUSER wrong allkeys %R~a',
    'ACL SETUSER wrong &* &a',
    'ACL SETUSER wrong allchannels &a',
    'ACL SETUSER wrong (~* ~a)',
    ['ACL', 'SETUSER', 'a name'],
    'ACL GETUSER wrong',
    'ACL SETUSER',
    'ACL DELUSER wrong nobody',
    'ACL DELUSER default',
  ],
  'users as they are shown': [
    'ACL SETUSER shown reset on >one >two ~a* %R~b* %W~c* %R~d %W~d %RW~e &news.* resetchannels &x -@all +get',
    'ACL GETUSER shown',
    [
      'ACL',
      'SETUSER',
      'shown',
      'reset',
      '(+get ~x)',
      '( %R~y  +@read )',
      'skip-sanitize-payload',
      'allkeys',
      'allchannels',
    ],
    'ACL GETUSER shown',
    'ACL LIST',
    'ACL SETUSER shown clearselectors nopass resetkeys RESETPASS allcommands -debug',
    'ACL GETUSER shown',
    'ACL SETUSER shown >one <one',
    `ACL SETUSER shown #${HASH} !${HASH} on off`,
    'ACL GETUSER shown',
    'ACL GETUSER nobody',
    'ACL USERS',
    'ACL DELUSER shown',
  ],
  'who may not log in': [
    'ACL SETUSER bob reset >pw',
    'AUTH bob pw',
    'ACL SETUSER bob on',
    'AUTH bob wrong',
    'AUTH bob pw',
    'ACL WHOAMI',
    'GET a',
    'AUTH default anything',
    'ACL WHOAMI',
    'HELLO 3 AUTH bob wrong SETNAME me',
    'CLIENT GETNAME',
    'AUTH nobody pw',
    'CLIENT KILL USER nobody',
    'ACL DELUSER bob',
  ],
  'commands that are not allowed': [
    ...as('commands', '+get', '+client|getname', '+select|0', '+select|1', '+config', '-config|set', '~*'),
    ...[
      'GET a',
      'SET a 1',
      'CLIENT GETNAME',
      'CLIENT LIST',
      'SELECT 1',
      'SELECT 2',
      'SELECT 0',
      'CONFIG GET appendonly',
    ],
    ...['CONFIG SET hz 10', 'CONFIG FOO', 'FOO', 'SET a', 'ACL WHOAMI', 'PING', 'RESET', 'PING'],
    ...as('commands', '+@all', '-@dangerous', '~*'),
    ...[
      'SET a 1',
      'FLUSHALL',
      'KEYS *',
      'CONFIG GET appendonly',
      'CLIENT LIST',
      'CLIENT GETNAME',
      'ACL LIST',
      'SORT a',
      'RESET',
    ],
    ...as('commands', '-@all', '+@read', '+@string', '-getdel', '~*'),
    ...['GET a', 'SET a 1', 'GETDEL a', 'HGET a b', 'LPUSH b 1', 'EVAL_RO return 0', 'OBJECT ENCODING a', 'RESET'],
    'DEL a',
  ],
  'keys that are not allowed': [
    ...as('keys', '+@all', '%R~read*', '%W~write*', '~both*'),
    ...['GET read1', 'GET write1', 'GET both1', 'GET other', 'SET read1 x', 'SET write1 x', 'SET write1 x GET'],
    ...['SET both1 x GET', 'COPY read1 write1', 'COPY write1 read1', 'RENAME write1 write2', 'RENAME both1 write2'],
    ...['MGET read1 read2 other', 'EXISTS write1 read1', 'EXISTS other', 'STRLEN write2', 'TYPE other', 'TOUCH both1'],
    ...[
      'DEL write2 both1 other',
      'DEL write2 both1',
      'GETDEL write1',
      'BITFIELD write1 SET u4 0 1',
      'GETEX both1 PERSIST',
    ],
    ...[
      'BITFIELD read1 GET u4 0',
      'BITFIELD read1 SET u4 0 1',
      'SINTERCARD 2 read1 write1',
      'SINTERCARD 2 read1 read2',
    ],
    ...['SUNIONSTORE write3 read1 read2', 'SUNIONSTORE write3 read1 other', 'ZUNIONSTORE write3 2 read1 both2'],
    ...[
      'ZUNIONSTORE write3 2 read1 write4',
      'XADD write5 1-1 a b',
      'XREAD STREAMS read5 read6 0 0',
      'XREAD STREAMS write5 0',
    ],
    ...['SORT read1 STORE write1', 'SORT read1 STORE read2', 'WATCH read1 write1', 'WATCH other', 'UNWATCH'],
    ...[
      'OBJECT ENCODING both9',
      'OBJECT ENCODING other',
      'GEORADIUS read7 1 1 1 m STORE write7',
      'DBSIZE',
      'RANDOMKEY',
    ],
    ...['GEORADIUS read7 1 1 1 m STOREDIST read8', 'LMPOP 1 both1 LEFT', 'LMPOP 1 read1 LEFT', 'ZADD write8 GT 1 a'],
    'RESET',
    'FLUSHALL',
  ],
  'selectors, each by itself': [
    ...as('parts', '(+get %R~read*)', '(+set ~write*)', '+mget', '~own', '+sort'),
    ...['GET read1', 'SET write1 x', 'GET write1', 'SET read1 x', 'MGET own', 'MGET own read1', 'DEL own', 'SET own x'],
    ...['SORT own BY w_*', 'SORT own GET w_*', 'SORT own BY none GET #', 'SORT own BY none'],
    ...[
      'AUTH default x',
      'ACL SETUSER parts +sort allkeys',
      'AUTH parts x',
      'SORT own BY w_* GET w_*',
      'RESET',
      'FLUSHALL',
    ],
  ],
  'channels that are not allowed': [
    ...as('channels', '+@all', '&news.*', '&one'),
    ...[
      'PUBLISH news.a x',
      'PUBLISH old.a x',
      'SPUBLISH one x',
      'SPUBLISH two x',
      'SUBSCRIBE two',
      'PSUBSCRIBE news.x',
    ],
    ...['PSUBSCRIBE n*', 'SSUBSCRIBE one two', 'MULTI', 'PUBLISH two x', 'EXEC', 'PUBSUB CHANNELS', 'RESET'],
  ],
  transactions: [
    ...as('multi', '+@all', '-set', '~a*', '~k'),
    ...['MULTI', 'GET b', 'GET a', 'EXEC', 'MULTI', 'SET a 1', 'DISCARD', 'MULTI', 'GET a', 'EXEC'],
    ...['MULTI', 'GET a', 'GET k', 'ACL SETUSER multi resetkeys ~a', 'GET a', 'GET k', 'PUBLISH a b', 'EXEC'],
    ...['MULTI', 'GET a', 'ACL SETUSER multi -get', 'GET a', 'EXEC', 'RESET'],
    ...as('multi', '+get', '+multi'),
    ...['MULTI', 'EXEC', 'GET a', 'RESET'],
  ],
  'what scripts may do': [
    ...as('scripts', '+eval', '+eval_ro', '+get', '+publish', '~a*'),
    ['EVAL', "return redis.call('get', 'a')", '0'],
    ['EVAL', "return redis.pcall('get', 'b')", '0'],
    ['EVAL', "return redis.pcall('set', 'a', 1)", '0'],
    ['EVAL', "return redis.pcall('publish', 'a', 1)", '0'],
    ['EVAL', "return redis.call('get', 'b')", '0'],
    ['EVAL', "return redis.call('set', 'a', 1)", '0'],
    ['EVAL', 'return 1', '1', 'b'],
    ['EVAL_RO', 'return 1', '1', 'a'],
    ['EVALSHA', 'x', '0'],
    'RESET',
  ],
  'ACL DRYRUN': [
    'ACL SETUSER dry reset +@all %R~read* %W~write* %RW~rw* resetchannels &channel',
    ...['GET read', 'GET write', 'SORT read STORE write', 'SORT read STORE read', 'EVAL x 1 rw1', 'EVAL x 1 read'],
    ...[
      'EVAL x 0 read',
      'EVAL x -1 read',
      'EVAL x 3 rw rw',
      'EVAL_RO x 1 read',
      'HEXISTS write f',
      'HEXISTS nothing f',
    ],
    ...['GEORADIUS read lon lat r m STORE write', 'GEORADIUS read lon lat r m STORE read', 'MEMORY USAGE write'],
    ...['SPUBLISH channel x', 'SPUBLISH other x', 'SUNSUBSCRIBE other', 'SUBSCRIBE channel other', 'PSUBSCRIBE chan*'],
    ...['CONFIG', 'CONFIG FOO', 'CONFIG GET', 'CONFIG GET x', 'SET k', 'nothing'],
  ].map((request, index) => (index === 0 ? request : `ACL DRYRUN dry ${request}`)),
  'the log of what was denied': [
    'ACL LOG RESET',
    'ACL LOG',
    'ACL LOG -1',
    'ACL LOG x',
    'ACL LOG 1 2',
    'ACL LOG RESET x',
    'ACL SAVE',
    'ACL LOAD',
  ],
};

describe('the same bytes as redis-server', () => {
  it.each(Object.entries(conversations))('%s', async (_name, requests) => {
    for (const { request, redis, mantis } of await pair.replies(requests)) {
      expect({ request, reply: mantis }).toEqual({ request, reply: redis });
    }
  });
});
