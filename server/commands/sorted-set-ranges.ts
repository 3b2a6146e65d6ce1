/** Ranges of sorted sets, by rank, score and member: ZRANGE and its kin, ZRANGESTORE, ZCOUNT, ZLEXCOUNT, ZREMRANGEBY…. */
import { endChange, removeElement } from '../../storage/collections/local.ts';
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { indexRange, nameRange, type RangeOf, type RankRange, scoreRange } from '../arguments/score-arguments.ts';
import { collectRange, storeScored } from '../values/sorted-set-store.ts';
import {
  openSortedSet,
  replyEntry,
  replyMembersHeader,
  useSortedSet,
  useSortedSetToWrite,
} from '../values/sorted-set-use.ts';

type By = 'rank' | 'score' | 'name';

interface RangeForm {
  /** What the command's name says; undefined when options do. */
  by?: By;
  reverse?: boolean;
}

interface RangeRequest {
  by: By;
  reverse: boolean;
  withScores: boolean;
  offset: number;
  /** Negative for all. */
  limit: number;
  rangeOf: RangeOf;
}

/** Reads a range whose key is at argument `key`. */
function rangeRequest(call: Call, key: number, form: RangeForm, isStore: boolean): RangeRequest {
  let by = form.by;
  let reverse = form.reverse;
  let withScores = false;
  let offset = 0;
  let limit = -1;
  for (let index = key + 3; index < call.argc; index++) {
    if (!isStore && call.is(index, 'WITHSCORES')) withScores = true;
    else if (call.is(index, 'LIMIT') && index + 2 < call.argc) {
      offset = call.integer(index + 1);
      limit = call.integer(index + 2);
      index += 2;
    } else if (reverse === undefined && call.is(index, 'REV')) reverse = true;
    else if (by === undefined && call.is(index, 'BYLEX')) by = 'name';
    else if (by === undefined && call.is(index, 'BYSCORE')) by = 'score';
    else call.syntaxError();
  }
  by ??= 'rank';
  reverse ??= false;
  if (limit !== -1 && by === 'rank') {
    throw new CommandError('ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX');
  }
  if (withScores && by === 'name') {
    throw new CommandError('ERR syntax error, WITHSCORES not supported in combination with BYLEX');
  }
  const rangeOf = boundsOf(call, by, key + 1, reverse && by !== 'rank');
  return { by, reverse, withScores, offset, limit, rangeOf };
}

/** The range between the arguments at `first` and after it; `swapped` when the greater bound comes first. */
function boundsOf(call: Call, by: By, first: number, swapped: boolean): RangeOf {
  const least = swapped ? first + 1 : first;
  const most = swapped ? first : first + 1;
  if (by === 'score') return scoreRange(call, least, most);
  if (by === 'name') return nameRange(call, least, most);
  return indexRange(call, least, most);
}

/** The ranks that the request is about, from the lowest score on, after its limit. */
function ranksOf(set: SortedSet, request: RangeRequest): RankRange {
  const { by, reverse, offset, limit } = request;
  let { from, to } = request.rangeOf(set);
  // Ranks of a reversed range count from the highest score on.
  if (by === 'rank') return reverse ? { from: set.count - to, to: set.count - from } : { from, to };
  const skipped = offset < 0 ? to - from : Math.min(offset, to - from);
  if (reverse) to -= skipped;
  else from += skipped;
  if (limit >= 0 && limit < to - from) {
    if (reverse) from = to - limit;
    else to = from + limit;
  }
  return { from, to };
}

function replyRange(call: Call, form: RangeForm): void {
  const request = rangeRequest(call, 1, form, false);
  const { reverse, withScores } = request;
  const set = useSortedSet(call, 1);
  const { from, to } = set === null ? { from: 0, to: 0 } : ranksOf(set, request);
  replyMembersHeader(call, to - from, withScores);
  set?.order.visit(reverse ? to - 1 : from, to - from, reverse, (ref, score) =>
    replyEntry(call, ref, score, withScores),
  );
}

function zrangestore(call: Call): void {
  const request = rangeRequest(call, 2, {}, true);
  const set = useSortedSet(call, 2);
  const { from, to } = set === null ? { from: 0, to: 0 } : ranksOf(set, request);
  call.reply.integer(storeScored(call, 1, set === null ? [] : collectRange(set, from, to)));
}

function replyCount(call: Call, rangeOf: RangeOf): void {
  const set = useSortedSet(call, 1);
  const { from, to } = set === null ? { from: 0, to: 0 } : rangeOf(set);
  call.reply.integer(to - from);
}

function removeRange(call: Call, by: By): void {
  const { keyspace, reply } = call;
  const rangeOf = boundsOf(call, by, 2, false);
  const set = useSortedSetToWrite(call, 1);
  const { from, to } = set === null ? { from: 0, to: 0 } : rangeOf(set);
  if (set !== null && to > from) {
    const refs: number[] = [];
    set.order.visit(from, to - from, false, (ref) => refs.push(ref));
    openSortedSet(call, 1, set);
    for (const ref of refs) removeElement(keyspace, set, ref);
    endChange(keyspace, set, true);
  }
  reply.integer(to - from);
}

const LOGARITHMIC = 'O(log N + M) with M the members in the range';
const REMOVES_KNOWN = 'Removes what this node knew of: a concurrent ZADD or ZINCRBY elsewhere brings a member back.';
const LIMIT_SYNTAX = '[LIMIT offset count]';

function rangeCommand(
  name: string,
  since: string,
  summary: string,
  syntax: string,
  form: RangeForm,
): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'sorted-set',
    complexity: LOGARITHMIC,
    arity: -4,
    flags: ['readonly'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax,
    run: (call) => replyRange(call, form),
  });
}

function countCommand(name: string, since: string, summary: string, range: typeof scoreRange): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'sorted-set',
    complexity: 'O(log N)',
    arity: 4,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key min max',
    run: (call) => replyCount(call, range(call, 2, 3)),
  });
}

function removeCommand(name: string, since: string, by: By, bounds: string, what: string): CommandDefinition {
  return command({
    name,
    since,
    summary: `Removes the members of a sorted set in a range of ${what}.`,
    group: 'sorted-set',
    complexity: LOGARITHMIC,
    arity: 4,
    flags: ['write'],
    keys: [keyRange(1, 1, 1, 'RW', 'delete')],
    syntax: `key ${bounds}`,
    merge: REMOVES_KNOWN,
    run: (call) => removeRange(call, by),
  });
}

export const sortedSetRangeCommands: readonly CommandDefinition[] = [
  rangeCommand(
    'zrange',
    '1.2.0',
    'Returns the members of a sorted set in a range of ranks, scores or members.',
    `key start stop [BYSCORE|BYLEX] [REV] ${LIMIT_SYNTAX} [WITHSCORES]`,
    {},
  ),
  rangeCommand(
    'zrevrange',
    '1.2.0',
    'Returns the members in a range of ranks, from the highest score on.',
    'key start stop [WITHSCORES]',
    { by: 'rank', reverse: true },
  ),
  rangeCommand(
    'zrangebyscore',
    '1.0.5',
    'Returns the members in a range of scores.',
    `key min max [WITHSCORES] ${LIMIT_SYNTAX}`,
    { by: 'score', reverse: false },
  ),
  rangeCommand(
    'zrevrangebyscore',
    '2.2.0',
    'Returns the members in a range of scores, from the highest on.',
    `key max min [WITHSCORES] ${LIMIT_SYNTAX}`,
    { by: 'score', reverse: true },
  ),
  rangeCommand(
    'zrangebylex',
    '2.8.9',
    'Returns the members in a range of members, when all have the same score.',
    `key min max ${LIMIT_SYNTAX}`,
    { by: 'name', reverse: false },
  ),
  rangeCommand(
    'zrevrangebylex',
    '2.8.9',
    'Returns the members in a range of members, from the last on.',
    `key max min ${LIMIT_SYNTAX}`,
    { by: 'name', reverse: true },
  ),
  command({
    name: 'zrangestore',
    summary: 'Stores a range of a sorted set as another one.',
    since: '6.2.0',
    group: 'sorted-set',
    complexity: LOGARITHMIC,
    arity: -5,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'OW', 'update'), keyRange(2, 2, 1, 'RO', 'access')],
    syntax: `dst src min max [BYSCORE|BYLEX] [REV] ${LIMIT_SYNTAX}`,
    merge:
      'Computed on the node that was asked; the destination is deleted and written anew, so that concurrent writes to it stay beside.',
    run: zrangestore,
  }),
  countCommand('zcount', '2.0.0', 'Counts the members in a range of scores.', scoreRange),
  countCommand(
    'zlexcount',
    '2.8.9',
    'Counts the members in a range of members, when all have the same score.',
    nameRange,
  ),
  removeCommand('zremrangebyrank', '2.0.0', 'rank', 'start stop', 'ranks'),
  removeCommand('zremrangebyscore', '1.2.0', 'score', 'min max', 'scores'),
  removeCommand('zremrangebylex', '2.8.9', 'name', 'min max', 'members'),
];
