import { describe, expect, it } from '@jest/globals';
import { dumpCommands } from '../../../server/commands/dump.ts';
import { keyCommands } from '../../../server/commands/keys.ts';
import { streamClaimCommands } from '../../../server/commands/stream-claims.ts';
import { streamGroupCommands } from '../../../server/commands/stream-groups.ts';
import { streamInfoCommands } from '../../../server/commands/stream-info.ts';
import { streamReadCommands } from '../../../server/commands/stream-reads.ts';
import { streamCommands } from '../../../server/commands/streams.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';

const commands = [
  ...streamCommands,
  ...streamReadCommands,
  ...streamGroupCommands,
  ...streamClaimCommands,
  ...streamInfoCommands,
  ...dumpCommands,
  ...keyCommands,
];
const comparison = shareComparison(commands);

/** The bytes of a bulk reply. */
function bulk(reply: string): Buffer {
  return Buffer.from(reply.slice(reply.indexOf('\r\n') + 2, -2), 'latin1');
}

const CONTENT: Request[] = [
  ...Array.from({ length: 250 }, (_, index): Request => [
    'XADD',
    's',
    `${1000 + index}-${(index * 7) % 5}`,
    'name',
    `n${index}`,
    'count',
    String(index),
  ]),
  ['XADD', 's', '5000-1', 'other', 'x'.repeat(5000)],
  ['XADD', 's', '18446744073709551615-3', 'a', '-5', 'b', ''],
  ['XGROUP', 'CREATE', 's', 'g', '0'],
  ['XGROUP', 'CREATE', 's', 'h', '$', 'ENTRIESREAD', '7'],
  ['XREADGROUP', 'GROUP', 'g', 'alice', 'COUNT', '3', 'STREAMS', 's', '>'],
  ['XREADGROUP', 'GROUP', 'g', 'bob', 'COUNT', '120', 'STREAMS', 's', '>'],
  ['XACK', 's', 'g', '1001-2'],
  ['XDEL', 's', '1010-0', '1100-0'],
  ['XTRIM', 's', 'MAXLEN', '240'],
];
const LOOKS: Request[] = [
  ['XRANGE', 's', '-', '+'],
  ['XINFO', 'GROUPS', 's'],
  ['XPENDING', 's', 'g'],
  ['XLEN', 's'],
  ['XPENDING', 's', 'h'],
  ['XADD', 's', '*', 'a', 'b'],
];

describe('a stream', () => {
  it('moves to redis-server and from it', async () => {
    const here = new CommandHarness(commands);
    for (const request of CONTENT) here.run(...request);
    const dumped = bulk(here.run('DUMP', 's').toString('latin1'));
    const replies = LOOKS.map((request) => here.run(...request).toString('latin1'));
    const [, restored, ...there] = await comparison().redisReplies([
      ['FLUSHALL'],
      ['RESTORE', 's', '0', dumped],
      ...LOOKS,
    ]);
    expect(restored).toBe('+OK\r\n');
    expect(there).toEqual(replies);

    await comparison().redisReplies([['FLUSHALL'], ...CONTENT]);
    const [theirs] = await comparison().redisReplies([['DUMP', 's']]);
    const back = new CommandHarness(commands);
    expect(back.run('RESTORE', 's', '0', bulk(theirs)).toString()).toBe('+OK\r\n');
    expect(LOOKS.map((request) => back.run(...request).toString('latin1'))).toEqual(replies);
  });

  it('without entries moves as well', async () => {
    const here = new CommandHarness(commands);
    here.run('XGROUP', 'CREATE', 's', 'g', '5-5', 'MKSTREAM');
    const dumped = bulk(here.run('DUMP', 's').toString('latin1'));
    const look: Request[] = [
      ['XLEN', 's'],
      ['XINFO', 'GROUPS', 's'],
    ];
    const [, ...there] = await comparison().redisReplies([['FLUSHALL'], ['RESTORE', 's', '0', dumped], ...look]);
    expect(there).toEqual(['+OK\r\n', ...look.map((request) => here.run(...request).toString('latin1'))]);
    const back = new CommandHarness(commands);
    expect(back.run('RESTORE', 's', '0', dumped).toString()).toBe('+OK\r\n');
    expect(back.run('XLEN', 's').toString()).toBe(':0\r\n');
  });
});
