/** Union, intersection and difference of sorted sets and sets: ZUNION, ZINTER, ZDIFF, their STORE forms, ZINTERCARD. */
import { TYPE_SET, TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import { SortedSet } from '../../storage/collections/sorted-set.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange, WRONG_TYPE } from '../definitions/command.ts';
import type { CommandDefinition, KeyFlag, KeySpec } from '../definitions/command.ts';
import { useKey } from '../values/key-use.ts';
import { scoreArgument } from '../arguments/score-arguments.ts';
import { compareScored, type Scored, storeScored } from '../values/sorted-set-store.ts';
import { replyMembersHeader, replyScore } from '../values/sorted-set-use.ts';

type Operation = 'union' | 'intersection' | 'difference';
type Aggregate = (a: number, b: number) => number;

interface Source {
  /** Null for a key that is not there. */
  set: MemberCollection | null;
  weight: number;
}

interface Request {
  sources: Source[];
  aggregate: Aggregate;
  withScores: boolean;
  /** ZINTERCARD counts no further; 0 for no limit. */
  limit: number;
}

/** inf and -inf together are 0, as in Redis. */
function orZero(value: number): number {
  return Number.isNaN(value) ? 0 : value;
}

const AGGREGATES: Record<string, Aggregate> = {
  SUM: (a, b) => orZero(a + b),
  MIN: (a, b) => (b < a ? b : a),
  MAX: (a, b) => (b > a ? b : a),
};

/** A member of a set has the score 1. */
function scoreOf(set: MemberCollection, ref: number): number {
  return set instanceof SortedSet ? set.scoreOf(ref) : 1;
}

function sourceAt(call: Call, index: number): Source {
  const ref = useKey(call, index);
  if (ref === 0) return { set: null, weight: 1 };
  const type = call.keyspace.typeOf(ref);
  if (type !== TYPE_SET && type !== TYPE_SORTED_SET) throw new CommandError(WRONG_TYPE);
  return { set: call.keyspace.collectionAt(ref) as MemberCollection, weight: 1 };
}

interface Form {
  operation: Operation;
  /** The result is stored at argument 1. */
  stores: boolean;
  counts: boolean;
}

function parse(call: Call, { operation, stores, counts }: Form): Request {
  const numberIndex = stores ? 2 : 1;
  const keyCount = call.integer(numberIndex);
  if (keyCount < 1) throw new CommandError(`ERR at least 1 input key is needed for '${call.command.name}' command`);
  const first = numberIndex + 1;
  if (keyCount > call.argc - first) call.syntaxError();
  const request: Request = { sources: [], aggregate: AGGREGATES.SUM, withScores: false, limit: 0 };
  for (let index = first; index < first + keyCount; index++) request.sources.push(sourceAt(call, index));
  for (let index = first + keyCount; index < call.argc; index++) {
    if (!counts && operation !== 'difference' && call.is(index, 'WEIGHTS') && index + keyCount < call.argc) {
      for (const source of request.sources)
        source.weight = scoreArgument(call, ++index, 'ERR weight value is not a float');
    } else if (!counts && operation !== 'difference' && call.is(index, 'AGGREGATE') && index + 1 < call.argc) {
      request.aggregate = AGGREGATES[call.latin1(++index).toUpperCase()] ?? call.syntaxError();
    } else if (!counts && !stores && call.is(index, 'WITHSCORES')) {
      request.withScores = true;
    } else if (counts && call.is(index, 'LIMIT') && index + 1 < call.argc) {
      request.limit = call.integerIn(++index, 0, Infinity, "ERR LIMIT can't be negative");
    } else {
      call.syntaxError();
    }
  }
  return request;
}

/** Visits each member of a set with its weighted score, its name in the bytes given. `visit` may look into other sets. */
function forEach(
  call: Call,
  { set, weight }: Source,
  visit: (score: number, name: Buffer, start: number, length: number, ref: number) => void,
): void {
  const { elements } = call.keyspace;
  set?.forEach((ref) => {
    const score = orZero(scoreOf(set, ref) * weight);
    elements.readName(ref);
    visit(score, elements.nameBuffer, elements.nameStart, elements.nameLength, ref);
  });
}

function find(call: Call, { set }: Source, name: Buffer, start: number, length: number): number {
  const ref = set === null ? 0 : set.find(name, start, length);
  return ref !== 0 && call.keyspace.elements.isVisible(ref) ? ref : 0;
}

function union(call: Call, { sources, aggregate }: Request): Scored[] {
  const scores = new Map<string, number>();
  for (const source of sources) {
    forEach(call, source, (score, name, start, length) => {
      const text = name.toString('latin1', start, start + length);
      const known = scores.get(text);
      scores.set(text, known === undefined ? score : aggregate(known, score));
    });
  }
  return Array.from(scores, ([text, score]) => ({ member: Buffer.from(text, 'latin1'), score }));
}

function intersection(call: Call, { sources, aggregate, limit }: Request): Scored[] {
  const found: Scored[] = [];
  const [least, ...others] = sources as [Source, ...Source[]];
  if (least.set === null) return found;
  forEach(call, least, (score, name, start, length) => {
    if (limit > 0 && found.length >= limit) return;
    let total = score;
    for (const other of others) {
      const ref = find(call, other, name, start, length);
      if (ref === 0) return;
      total = aggregate(total, orZero(scoreOf(other.set!, ref) * other.weight));
    }
    found.push({ member: Buffer.from(name.subarray(start, start + length)), score: total });
  });
  return found;
}

function difference(call: Call, { sources }: Request): Scored[] {
  const found: Scored[] = [];
  const [first, ...others] = sources as [Source, ...Source[]];
  forEach(call, first, (score, name, start, length) => {
    if (others.some((other) => find(call, other, name, start, length) !== 0)) return;
    found.push({ member: Buffer.from(name.subarray(start, start + length)), score });
  });
  return found;
}

function compute(call: Call, operation: Operation, request: Request): Scored[] {
  if (operation === 'difference') return difference(call, request);
  // As in Redis the least set comes first.
  request.sources.sort((a, b) => (a.set?.count ?? 0) - (b.set?.count ?? 0));
  return operation === 'union' ? union(call, request) : intersection(call, request);
}

function run(call: Call, form: Form): void {
  const { reply } = call;
  const request = parse(call, form);
  const found = compute(call, form.operation, request);
  if (form.counts) {
    reply.integer(found.length);
    return;
  }
  found.sort(compareScored);
  if (form.stores) {
    reply.integer(storeScored(call, 1, found));
    return;
  }
  replyMembersHeader(call, found.length, request.withScores);
  for (const { member, score } of found) {
    if (request.withScores && reply.protocol === 3) reply.array(2);
    reply.bulk(member, 0, member.length);
    if (request.withScores) replyScore(call, score);
  }
}

const READ_FLAGS: readonly KeyFlag[] = ['RO', 'access'];
const WEIGHTS = '[WEIGHTS weight [weight ...]] [AGGREGATE <SUM|MIN|MAX>]';
const COMPLEXITY: Record<Operation, string> = {
  union: 'O(N log N) with N the members of all sets',
  intersection:
    'O(N*K + M log M) with N the members of the least set, K the number of sets, M the members of the result',
  difference: 'O(N*K + M log M) with N the members of the first set, K the number of sets, M the members of the result',
};

function keysAfter(count: number): KeySpec {
  return { kind: 'numkeys', count, first: count + 1, flags: READ_FLAGS };
}

function reading(name: string, operation: Operation, summary: string): CommandDefinition {
  const options = operation === 'difference' ? '' : `${WEIGHTS} `;
  return command({
    name,
    summary,
    since: '6.2.0',
    group: 'sorted-set',
    complexity: COMPLEXITY[operation],
    arity: -3,
    flags: ['readonly', 'movablekeys'],
    keys: [keysAfter(1)],
    syntax: `numkeys key [key ...] ${options}[WITHSCORES]`,
    run: (call) => run(call, { operation, stores: false, counts: false }),
  });
}

function storing(name: string, since: string, operation: Operation, summary: string): CommandDefinition {
  return command({
    name,
    since,
    summary,
    group: 'sorted-set',
    complexity: COMPLEXITY[operation],
    arity: -4,
    flags: ['write', 'denyoom', 'movablekeys'],
    keys: [keyRange(1, 1, 1, 'OW', 'update'), keysAfter(2)],
    syntax: `destination numkeys key [key ...]${operation === 'difference' ? '' : ` ${WEIGHTS}`}`,
    merge:
      'Computed on the node that was asked; the destination is deleted and written anew, so that concurrent writes to it stay beside.',
    run: (call) => run(call, { operation, stores: true, counts: false }),
  });
}

export const sortedSetAlgebraCommands: readonly CommandDefinition[] = [
  reading('zunion', 'union', 'Returns the union of sorted sets.'),
  reading('zinter', 'intersection', 'Returns the intersection of sorted sets.'),
  reading('zdiff', 'difference', 'Returns what the first sorted set has and no other one.'),
  storing('zunionstore', '2.0.0', 'union', 'Stores the union of sorted sets.'),
  storing('zinterstore', '2.0.0', 'intersection', 'Stores the intersection of sorted sets.'),
  storing('zdiffstore', '6.2.0', 'difference', 'Stores what the first sorted set has and no other one.'),
  command({
    name: 'zintercard',
    summary: 'Counts the members of the intersection of sorted sets.',
    since: '7.0.0',
    group: 'sorted-set',
    complexity: 'O(N*K) with N the members of the least set and K the number of sets',
    arity: -3,
    flags: ['readonly', 'movablekeys'],
    keys: [keysAfter(1)],
    syntax: 'numkeys key [key ...] [LIMIT limit]',
    run: (call) => run(call, { operation: 'intersection', stores: false, counts: true }),
  }),
];
