/** Sorted sets, member by member: ZADD, ZINCRBY, ZREM, ZSCORE, ZRANK and their kin. */
import { TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import { endChange } from '../../storage/collections/local.ts';
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import { addScore, putScore } from '../../storage/types/sorted-set.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite, elementAt, removeElements } from '../values/collection-use.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { scoreArgument } from '../arguments/score-arguments.ts';
import { openSortedSet, replyScore, useSortedSet, useSortedSetToWrite } from '../values/sorted-set-use.ts';

/** Options of ZADD, as bits. */
export const NX = 1;
export const XX = 2;
const GT = 4;
const LT = 8;
export const CH = 16;
const INCR = 32;
const OPTIONS: readonly string[] = ['NX', 'XX', 'GT', 'LT', 'CH', 'INCR'];
/** Parsed options are one number: the bits above, and this times the index of the first score. */
const FIRST = 64;

function addOptions(call: Call): number {
  let options = 0;
  let index = 2;
  for (; index < call.argc; index++) {
    let option = 0;
    // No option begins with a digit, and every score that is common does.
    if (call.lengths[index] > 4 || call.buffer[call.starts[index]] < 65) break;
    while (option < OPTIONS.length && !call.is(index, OPTIONS[option])) option++;
    if (option === OPTIONS.length) break;
    options |= 1 << option;
  }
  return options + index * FIRST;
}

function checkAddOptions(call: Call, options: number, first: number): void {
  const left = call.argc - first;
  if (left === 0 || left % 2 !== 0) call.syntaxError();
  if ((options & NX) !== 0 && (options & XX) !== 0) {
    throw new CommandError('ERR XX and NX options at the same time are not compatible');
  }
  const conditions =
    (options & (GT | NX)) === (GT | NX) || (options & (LT | NX)) === (LT | NX) || (options & (GT | LT)) === (GT | LT);
  if (conditions) throw new CommandError('ERR GT, LT, and/or NX options at the same time are not compatible');
  if ((options & INCR) !== 0 && left > 2) {
    throw new CommandError('ERR INCR option supports a single increment-element pair');
  }
}

function zadd(call: Call): void {
  const options = addOptions(call);
  const first = Math.floor(options / FIRST);
  checkAddOptions(call, options, first);
  if ((options & INCR) !== 0) {
    increment(call, options, first);
    return;
  }
  for (let index = first; index < call.argc; index += 2) scoreArgument(call, index);
  addMembers(call, options & (NX | XX | GT | LT | CH), first, 2, scoreArgument);
}

/** Whether the options let a member that has the score `current` take another. */
function mayChange(options: number, current: number, score: number): boolean {
  if ((options & (NX | GT | LT)) === 0) return true;
  if ((options & NX) !== 0) return false;
  return (options & GT) !== 0 ? score > current : score < current;
}

/**
 * Gives members scores and replies how many are new. Each takes `stride` arguments from `first` on, the last one being the
 * member; `scoreAt` gives the score whose arguments begin at an index, and has been seen not to fail.
 */
export function addMembers(
  call: Call,
  options: number,
  first: number,
  stride: number,
  scoreAt: (call: Call, index: number) => number,
): void {
  const { keyspace, buffer, starts, lengths } = call;
  const found = useSortedSetToWrite(call, 1);
  let set = found;
  let isOpen = false;
  let added = 0;
  let updated = 0;
  for (let index = first; index < call.argc; index += stride) {
    const score = scoreAt(call, index);
    const start = starts[index + stride - 1];
    const length = lengths[index + stride - 1];
    let element = set === null ? 0 : set.find(buffer, start, length);
    const isNew = element === 0 || !keyspace.elements.isVisible(element);
    let current = NaN;
    if (isNew) {
      if ((options & XX) !== 0) continue;
    } else {
      current = set!.scoreOf(element);
      if (score === current || !mayChange(options, current, score)) continue;
    }
    if (!isOpen) {
      isOpen = true;
      set = openSortedSet(call, 1, found);
      // A set that was made holds what is left of an older one.
      if (found === null) element = set.find(buffer, start, length);
    }
    if (isNew) added++;
    else updated++;
    putScore(keyspace, set!, element, buffer, start, length, score, current);
  }
  if (isOpen) endChange(keyspace, set!, true);
  call.reply.integer((options & CH) !== 0 ? added + updated : added);
}

/** ZINCRBY and ZADD INCR: the increment is at argument `index`, the member after it. */
function increment(call: Call, options: number, index: number): void {
  const { keyspace, reply, buffer, starts, lengths } = call;
  const delta = scoreArgument(call, index);
  const found = useSortedSetToWrite(call, 1);
  const visible = found === null ? 0 : elementAt(call, found, index + 1);
  const current = visible === 0 ? 0 : found!.scoreOf(visible);
  const total = visible === 0 ? delta : current + delta;
  if (visible === 0 && (options & XX) !== 0) {
    reply.nil();
    return;
  }
  if (visible !== 0 && (options & NX) !== 0) {
    reply.nil();
    return;
  }
  if (Number.isNaN(total)) throw new CommandError('ERR resulting score is not a number (NaN)');
  if (visible !== 0 && !mayChange(options, current, total)) {
    reply.nil();
    return;
  }
  if (visible === 0 || total !== current) {
    const set = openSortedSet(call, 1, found);
    const start = starts[index + 1];
    const length = lengths[index + 1];
    const element = visible === 0 ? set.find(buffer, start, length) : visible;
    addScore(keyspace, set, element, buffer, start, length, delta, total);
    endChange(keyspace, set, true);
  }
  replyScore(call, total);
}

function zincrby(call: Call): void {
  increment(call, 0, 2);
}

function zrem(call: Call): void {
  const ref = collectionToWrite(call, 1, TYPE_SORTED_SET);
  call.reply.integer(ref === 0 ? 0 : removeElements(call, ref, TYPE_SORTED_SET));
}

function zcard(call: Call): void {
  call.reply.integer(useSortedSet(call, 1)?.count ?? 0);
}

function replyScoreOf(call: Call, set: SortedSet | null, index: number): void {
  const element = set === null ? 0 : elementAt(call, set, index);
  if (element === 0) call.reply.nil();
  else replyScore(call, set!.scoreOf(element));
}

function zscore(call: Call): void {
  replyScoreOf(call, useSortedSet(call, 1), 2);
}

function zmscore(call: Call): void {
  const set = useSortedSet(call, 1);
  call.reply.array(call.argc - 2);
  for (let index = 2; index < call.argc; index++) replyScoreOf(call, set, index);
}

function replyRank(call: Call, reverse: boolean): void {
  const { reply } = call;
  if (call.argc > 4 || (call.argc === 4 && !call.is(3, 'WITHSCORE'))) call.syntaxError();
  const withScore = call.argc === 4;
  const set = useSortedSet(call, 1);
  const element = set === null ? 0 : elementAt(call, set, 2);
  if (element === 0) {
    if (withScore) reply.nilArray();
    else reply.nil();
    return;
  }
  const rank = set!.rankOf(element);
  if (withScore) reply.array(2);
  reply.integer(reverse ? set!.count - 1 - rank : rank);
  if (withScore) replyScore(call, set!.scoreOf(element));
}

const LAST_SCORE =
  'Each member by itself: the score written last counts on every node, and an add beats a removal that did not know of it.';
const LOCAL_CONDITION =
  ' NX, XX, GT and LT are judged on the node that was asked. What changes no score is not written, and protects from no removal elsewhere.';
const ADDS_UP =
  'Increments of all nodes add up: none is lost. A ZADD of the member starts anew, and takes the increments that it knew of with it.';
const REMOVES_KNOWN = 'Removes what this node knew of: a concurrent ZADD or ZINCRBY elsewhere brings the member back.';

function rankCommand(name: string, reverse: boolean): CommandDefinition {
  return command({
    name,
    summary: `Tells how many members come before one, ${reverse ? 'from the highest' : 'from the lowest'} score on.`,
    since: '2.0.0',
    group: 'sorted-set',
    complexity: 'O(log N)',
    arity: -3,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key member [WITHSCORE]',
    run: (call) => replyRank(call, reverse),
  });
}

export const sortedSetCommands: readonly CommandDefinition[] = [
  command({
    name: 'zadd',
    summary: 'Gives members of a sorted set scores; makes the set.',
    since: '1.2.0',
    group: 'sorted-set',
    complexity: 'O(log N) for each member',
    arity: -4,
    flags: ['write', 'denyoom', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'update')],
    syntax: 'key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]',
    merge: `${LAST_SCORE}${LOCAL_CONDITION} With INCR, increments add up as with ZINCRBY.`,
    run: zadd,
  }),
  command({
    name: 'zincrby',
    summary: 'Adds to the score of a member of a sorted set.',
    since: '1.2.0',
    group: 'sorted-set',
    complexity: 'O(log N)',
    arity: 4,
    flags: ['write', 'denyoom', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update')],
    syntax: 'key increment member',
    merge: ADDS_UP,
    run: zincrby,
  }),
  command({
    name: 'zrem',
    summary: 'Removes members from a sorted set.',
    since: '1.2.0',
    group: 'sorted-set',
    complexity: 'O(log N) for each member',
    arity: -3,
    flags: ['write', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'delete')],
    syntax: 'key member [member ...]',
    merge: REMOVES_KNOWN,
    run: zrem,
  }),
  command({
    name: 'zcard',
    summary: 'Counts the members of a sorted set.',
    since: '1.2.0',
    group: 'sorted-set',
    complexity: 'O(1)',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO')],
    syntax: 'key',
    run: zcard,
  }),
  command({
    name: 'zscore',
    summary: 'Returns the score of a member of a sorted set.',
    since: '1.2.0',
    group: 'sorted-set',
    complexity: 'O(1)',
    arity: 3,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key member',
    run: zscore,
  }),
  command({
    name: 'zmscore',
    summary: 'Returns the scores of members of a sorted set.',
    since: '6.2.0',
    group: 'sorted-set',
    complexity: 'O(1) for each member',
    arity: -3,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key member [member ...]',
    run: zmscore,
  }),
  rankCommand('zrank', false),
  rankCommand('zrevrank', true),
];
