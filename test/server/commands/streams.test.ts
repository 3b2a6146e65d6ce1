import { describe, expect, it } from '@jest/globals';
import { connectionCommands } from '../../../server/commands/connection.ts';
import { keyCommands } from '../../../server/commands/keys.ts';
import { streamClaimCommands } from '../../../server/commands/stream-claims.ts';
import { streamGroupCommands } from '../../../server/commands/stream-groups.ts';
import { streamInfoCommands } from '../../../server/commands/stream-info.ts';
import { streamReadCommands } from '../../../server/commands/stream-reads.ts';
import { streamCommands } from '../../../server/commands/streams.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/streams.test.ts';
const commands = [
  ...streamCommands,
  ...streamReadCommands,
  ...streamGroupCommands,
  ...streamClaimCommands,
  ...streamInfoCommands,
  ...stringCommands,
  ...keyCommands,
  ...connectionCommands,
];
const comparison = shareComparison(commands);

/** Requests as lines of words. */
function lines(text: string): Request[] {
  return text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(' '));
}

const ADDING = `
XADD s 1-1 a b
XADD s 1-1 a b
XADD s 1-0 a b
XADD s 0-0 a b
XADD s 0 a b
XADD s 1-* c d
XADD s 1-* c d
XADD s 0-* c d
XADD s 5-* c d e f
XADD s 5 c d
XADD s 6 c d
XADD s x c d
XADD s 7- c d
XADD s - c d
XADD s + c d
XADD s -1 c d
XADD s 18446744073709551616-0 c d
XADD s 7-18446744073709551615 c d
XADD s 8-1 a
XADD s 8-1 a b c
XADD s NOMKSTREAM 8-1 a b
XADD none NOMKSTREAM 8-1 a b
XADD none NOMKSTREAM * a b
EXISTS none
XADD s MAXLEN 3 9-1 a b
XADD s MAXLEN = 3 9-2 a b
XADD s MAXLEN ~ 3 9-3 a b
XADD s MAXLEN -1 9-4 a b
XADD s MAXLEN x 9-4 a b
XADD s MAXLEN ~ 3 LIMIT 0 9-4 a b
XADD s MAXLEN = 3 LIMIT 5 9-5 a b
XADD s MAXLEN ~ 3 LIMIT -5 9-5 a b
XADD s LIMIT 5 9-5 a b
XADD s MAXLEN 3 MINID 5 9-5 a b
XADD s MINID 9-2 9-5 a b
XADD s MINID = 9-3 9-6 a b
XADD s MINID ~ 9-5 9-7 a b
XADD s MINID x 9-8 a b
XADD s MAXLEN
XADD s MAXLEN 0
XLEN s
XLEN none
XINFO STREAM none
XINFO STREAM none junk
XINFO STREAM none FULL COUNT a
XINFO STREAM none FULL COUNT 1 junk
XRANGE s - +
XADD z MAXLEN 0 1-1 a b
EXISTS z
XLEN z
XRANGE z - +
XADD z 1-1 a b
XADD n MAXLEN ~ 0 1-1 a b
XADD n 2-1 a b
XADD n 3-1 a b
XTRIM n MINID ~ 3-1
XTRIM n MINID ~ 4 LIMIT 1
XTRIM n MINID ~ 4
XLEN n
XADD n 5-1 a b
XTRIM n MAXLEN ~ 0
XADD m 18446744073709551615-18446744073709551615 a b
XADD m * a b
XADD m 1-1 a b
SET t text
XADD t * a b
XLEN t
XRANGE t - +
XDEL t 1-1
XTRIM t MAXLEN 1
TYPE s
XADD b 1-1 f ${'v'.repeat(300)}
XRANGE b - +
DEL b
XADD b 1-1 f v
XSETID none 1-1
XSETID s 9-9
XSETID s 1-1
XSETID s x
XSETID s 9-9 ENTRIESADDED 100 MAXDELETEDID 9-8
XSETID s 9-9 ENTRIESADDED 0 MAXDELETEDID 9-8
XSETID s 9-9 ENTRIESADDED -1 MAXDELETEDID 9-8
XSETID s 9-9 ENTRIESADDED 100 MAXDELETEDID 10-8
XSETID s 9-9 NOTHING 1
XINFO STREAM s
XINFO STREAM s FULL
`;

const RANGES = `
XADD s 1-1 a 1
XADD s 1-2 a 2
XADD s 2-0 a 3
XADD s 3-5 a 4
XADD s 18446744073709551615-1 a 5
XRANGE s - +
XRANGE s - + COUNT 2
XRANGE s - + COUNT 0
XRANGE s - + COUNT -1
XRANGE s - + COUNT x
XRANGE s - + COUNT
XRANGE s - + OTHER 1
XRANGE s 1 1
XRANGE s (1 2
XRANGE s (1-1 (2
XRANGE s (- +
XRANGE s - (+
XRANGE s ( +
XRANGE s 1 (0-0
XRANGE s (18446744073709551615-18446744073709551615 +
XRANGE s 3 1
XRANGE none - +
XRANGE none x +
XREVRANGE s + -
XREVRANGE s + - COUNT 1
XREVRANGE s 2 (1-1
XREVRANGE s - +
XREVRANGE none + -
XDEL s 1-2 9-9 1-2
XDEL s x
XDEL none 1-1
XDEL none x
XRANGE s - +
XINFO STREAM s
XDEL s 18446744073709551615-1
XTRIM s MAXLEN 1
XTRIM s MINID 3-5
XTRIM s MINID 3-6
XTRIM s MINID 3-6 LIMIT 1
XTRIM s MAXLEN 1 LIMIT
XTRIM s NOTHING 1
XTRIM s LIMIT 1
XTRIM none MAXLEN 1
EXISTS s
XADD s 18446744073709551615-0 a b
XREAD STREAMS s 0
XREAD COUNT 1 STREAMS s t 0 0
XADD s 18446744073709551615-5 a b
XADD t 5-5 x y
XREAD STREAMS s t 0 0
XREAD COUNT 1 STREAMS s t 0 $
XREAD STREAMS s t $ $
XREAD STREAMS s >
XREAD STREAMS s x
XREAD COUNT x STREAMS s 0
XREAD COUNT -5 STREAMS s 0
XREAD BLOCK x STREAMS s 0
XREAD BLOCK -1 STREAMS s 0
XREAD BLOCK 0 STREAMS s 0
XREAD GROUP g c STREAMS s 0
XREAD NOACK STREAMS s 0
XREAD COUNT 5 BLOCK 1
`;

const GROUPS = `
XGROUP CREATE s g $
XGROUP CREATE s g $ MKSTREAM
XGROUP CREATE s g $ MKSTREAM
XGROUP CREATE s g2 0
XGROUP CREATE s g3 0 ENTRIESREAD 3
XGROUP CREATE s g4 0 ENTRIESREAD -3
XGROUP CREATE s g4 x
XGROUP CREATE s g4 0 NOTHING
XGROUP SETID none g 0
XGROUP SETID s none 0
XGROUP NOTHING s g
XGROUP CREATECONSUMER s none c
XGROUP CREATECONSUMER none g c
XGROUP DELCONSUMER s g nobody
XGROUP DESTROY s none
XINFO GROUPS s
XINFO GROUPS none
XINFO CONSUMERS s none
XINFO STREAM s
XADD s 1-1 a 1
XADD s 2-1 a 2
XADD s 3-1 a 3
XADD s 4-1 a 4
XREADGROUP GROUP g c STREAMS s x
XREADGROUP GROUP g c STREAMS s $
XREADGROUP GROUP none c STREAMS s >
XREADGROUP GROUP g c STREAMS none >
XREADGROUP GROUP g c COUNT 2 STREAMS s >
XREADGROUP GROUP g c STREAMS s 0
XREADGROUP GROUP g c STREAMS s 1-1
XREADGROUP GROUP g d STREAMS s 0
XREADGROUP GROUP g d STREAMS s >
XREADGROUP GROUP g d STREAMS s >
XREADGROUP GROUP g2 d NOACK STREAMS s >
XREADGROUP GROUP g2 d STREAMS s 0
XINFO GROUPS s
XPENDING s g
XPENDING s g2
XPENDING s none
XPENDING none g
XPENDING s g - + x
XPENDING s g - +
XPENDING s g - + 0
XPENDING s g x + 10
XPENDING s g - + 10 nobody
XPENDING s g IDLE 100000 - + 10
XPENDING s g IDLE x - + 10
XPENDING s g IDLE 1 - +
XACK s g 1-1 1-1 9-9
XACK s g x
XACK s none 1-1
XACK none g 1-1
XPENDING s g
XDEL s 2-1
XREADGROUP GROUP g c STREAMS s 0
XINFO GROUPS s
XCLAIM s g e 0 3-1 JUSTID
XCLAIM s g e 0 4-1
XCLAIM s g e 100000 4-1
XCLAIM s g f 0 1-1
XCLAIM s g f 0 1-1 FORCE
XCLAIM s g f 0 1-1 RETRYCOUNT 7 JUSTID
XCLAIM s g f 0 2-1
XCLAIM s none f 0 2-1
XCLAIM none g f 0 2-1
XCLAIM s g f x 2-1
XCLAIM s g f 0 x
XCLAIM s g f 0 1-1 IDLE x
XCLAIM s g f 0 1-1 TIME x
XCLAIM s g f 0 1-1 RETRYCOUNT x
XCLAIM s g f 0 1-1 LASTID x
XCLAIM s g f 0 1-1 LASTID 8-8 JUSTID
XPENDING s g
XREADGROUP GROUP g f STREAMS s 0
XAUTOCLAIM s g h 0 -
XAUTOCLAIM s g h 0 - COUNT 1 JUSTID
XAUTOCLAIM s g h 0 (1-1 COUNT 1
XAUTOCLAIM s g h 0 - COUNT 0
XAUTOCLAIM s g h 0 - NOTHING
XAUTOCLAIM s g h x -
XAUTOCLAIM s g h 0 x
XAUTOCLAIM s none h 0 -
XAUTOCLAIM none g h 0 -
XDEL s 3-1
XAUTOCLAIM s g h 0 -
XPENDING s g
XGROUP CREATE s ends -
XGROUP SETID s g +
XINFO GROUPS s
XGROUP SETID s g -
XREADGROUP GROUP g i STREAMS s >
XPENDING s g
XGROUP SETID s g $ ENTRIESREAD 2
XINFO GROUPS s
XGROUP DELCONSUMER s g i
XGROUP DELCONSUMER s g i
XPENDING s g
XGROUP DESTROY s g
XGROUP DESTROY s g
XINFO GROUPS s
XTRIM s MAXLEN 0
XINFO STREAM s
XINFO GROUPS s
XINFO STREAM s NOTHING
XINFO STREAM s FULL COUNT
XINFO STREAM s FULL NOTHING 1
SET text x
XGROUP CREATE text g 0
XGROUP CREATE text g 0 MKSTREAM
XREADGROUP GROUP g c STREAMS text >
XREAD STREAMS text 0
XACK text g 1-1
XPENDING text g
XCLAIM text g c 0 1-1
XAUTOCLAIM text g c 0 -
XINFO STREAM text
`;

describe('streams answer as redis-server does', () => {
  it.each([
    ['adding', ADDING],
    ['ranges', RANGES],
    ['groups', GROUPS],
  ])('%s', async (_name, text) => {
    await comparison().check(lines(text));
    await comparison().check([['HELLO', '3'], ...lines(text)].slice(1), {
      prepare: (harness) => harness.run('HELLO', '3'),
      prepareRedis: [['HELLO', '3']],
    });
    await comparison().redisReplies([['HELLO', '2']]);
  });

  it('to whatever is done in any order', async () => {
    await withSeed(thisFile, async (random) => {
      for (let round = 0; round < 30; round++) await comparison().check(randomRequests(random));
    });
  }, 60_000);
});

it.each([
  ['short', 3, 220],
  ['long', 300, 120 + 4096 / 300],
  ['longer than a node', 6000, 121],
])(
  'about MAXLEN entries are kept where they are %s: with those of one node of redis-server',
  async (_size, bytes, most) => {
    const value = 'v'.repeat(bytes);
    const requests = Array.from({ length: 300 }, (_, index): Request => {
      return ['XADD', 's', 'MAXLEN', '~', '120', `${index + 1}-1`, 'f', value];
    });
    requests.push(['XLEN', 's']);
    const harness = new CommandHarness(commands);
    const ours = requests.map((request) => harness.run(...request).toString('latin1'));
    const theirs = (await comparison().redisReplies([['FLUSHALL'], ...requests])).slice(1);
    for (const replies of [theirs, ours]) {
      const length = Number(replies.at(-1)!.slice(1));
      expect(length).toBeGreaterThanOrEqual(120);
      expect(length).toBeLessThanOrEqual(most);
    }
  },
);

function randomRequests(random: SeededRandom): Request[] {
  // Whether a read that gives nothing makes its consumer differs between releases of Redis: all are made first.
  const consumers = ['alice', 'bob', 'carol'];
  const makeAll = (group: string): Request[] => consumers.map((name) => ['XGROUP', 'CREATECONSUMER', 's', group, name]);
  const requests: Request[] = [
    ['XGROUP', 'CREATE', 's', 'g', '0', 'MKSTREAM'],
    ['XGROUP', 'CREATE', 's', 'h', '$'],
  ];
  requests.push(...makeAll('g'), ...makeAll('h'));
  const id = (): string => `${random.below(40)}-${random.below(3)}`;
  const group = (): string => random.pick(['g', 'h']);
  const consumer = (): string => random.pick(consumers);
  let last = 0;
  const choices: (() => Request)[] = [
    () => ['XADD', 's', `${(last += random.below(2))}-*`, 'f', String(random.below(9))],
    () => ['XADD', 's', 'MAXLEN', String(5 + random.below(20)), `${++last}-1`, 'f', 'v'],
    () => ['XDEL', 's', id(), id()],
    () => ['XRANGE', 's', id(), id()],
    () => ['XREVRANGE', 's', id(), id(), 'COUNT', '3'],
    () => ['XREADGROUP', 'GROUP', group(), consumer(), 'COUNT', String(1 + random.below(4)), 'STREAMS', 's', '>'],
    () => ['XREADGROUP', 'GROUP', group(), consumer(), 'NOACK', 'COUNT', '2', 'STREAMS', 's', '>'],
    () => ['XREADGROUP', 'GROUP', group(), consumer(), 'STREAMS', 's', id()],
    () => ['XACK', 's', group(), id(), id(), id()],
    () => ['XCLAIM', 's', group(), consumer(), '0', id(), id()],
    () => ['XCLAIM', 's', group(), consumer(), '0', id(), 'FORCE', 'JUSTID'],
    () => ['XAUTOCLAIM', 's', group(), consumer(), '0', id(), 'COUNT', '3'],
    () => ['XPENDING', 's', group()],
    () => ['XINFO', 'GROUPS', 's'],
    () => ['XGROUP', 'SETID', 's', group(), id()],
    () => ['XGROUP', 'DELCONSUMER', 's', group(), consumer()],
    () => ['XTRIM', 's', 'MINID', id()],
    () => ['XLEN', 's'],
    () => ['XREAD', 'COUNT', '2', 'STREAMS', 's', id()],
  ];
  for (let step = 0; step < 150; step++) {
    requests.push(random.pick(choices)());
    const [, subcommand, , changed, name] = requests.at(-1)!;
    if (subcommand === 'DELCONSUMER') requests.push(['XGROUP', 'CREATECONSUMER', 's', changed, name]);
  }
  return requests;
}
