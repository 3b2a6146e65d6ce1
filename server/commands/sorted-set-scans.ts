/** Members of a sorted set at random and a few at a time: ZRANDMEMBER, ZSCAN. */
import { TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import type { Call } from '../dispatch/call.ts';
import { replyElementValue, replyName } from '../values/collection-use.ts';
import { command, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { scanElements } from '../values/element-scan.ts';
import { differentElements, randomArguments } from '../values/random-elements.ts';
import { replyEntry, replyMembersHeader, useSortedSet } from '../values/sorted-set-use.ts';

function zscan(call: Call): void {
  // The value of an element is its score as text.
  scanElements(call, TYPE_SORTED_SET, true, (element, withScores) => {
    replyName(call, element);
    if (withScores) replyElementValue(call, element);
  });
}

function zrandmember(call: Call): void {
  const { reply, argc } = call;
  const random = (): number => call.node.random();
  if (argc === 2) {
    const set = useSortedSet(call, 1);
    if (set === null) reply.nil();
    else replyName(call, set.sample(random));
    return;
  }
  const { count, withValues: withScores } = randomArguments(call, 'WITHSCORES');
  const set = useSortedSet(call, 1);
  if (set === null || count === 0) {
    reply.array(0);
    return;
  }
  if (count < 0) {
    replyMembersHeader(call, -count, withScores);
    for (let left = -count; left > 0; left--) {
      const element = set.sample(random);
      replyEntry(call, element, set.scoreOf(element), withScores);
    }
    return;
  }
  const chosen = differentElements(set, count, random);
  replyMembersHeader(call, chosen.length, withScores);
  for (const element of chosen) replyEntry(call, element, set.scoreOf(element), withScores);
}

export const sortedSetScanCommands: readonly CommandDefinition[] = [
  command({
    name: 'zrandmember',
    summary: 'Gives random members of a sorted set.',
    since: '6.2.0',
    group: 'sorted-set',
    complexity: 'O(N) with N the number of members given back',
    arity: -2,
    flags: ['readonly'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key [count [WITHSCORES]]',
    run: zrandmember,
  }),
  command({
    name: 'zscan',
    summary: 'Walks over the members of a sorted set, a few at a time.',
    since: '2.8.0',
    group: 'sorted-set',
    complexity: 'O(1) a call, O(N) for the whole walk',
    arity: -3,
    flags: ['readonly'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key cursor [MATCH pattern] [COUNT count] [NOSCORES]',
    run: zscan,
  }),
];
