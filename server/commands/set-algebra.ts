/** Union, intersection and difference of sets, and the forms that store the result. */
import { TYPE_SET } from '../../storage/arena/block.ts';
import { endChange, openCollection, putElement } from '../../storage/collections/local.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import { deleteKey } from '../../storage/types/string.ts';
import type { Call } from '../dispatch/call.ts';
import { replyName, useCollection } from '../values/collection-use.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition, KeyFlag } from '../definitions/command.ts';
import { inAscendingOrder, isIntset, membersInOrder } from './sets.ts';

type Sets = readonly (MemberCollection | null)[];
/** Members of the result, each once; at most `limit` of them. */
type Operation = (call: Call, sets: Sets, limit: number) => number[];

const NO_BYTES = Buffer.alloc(0);

/** The sets at arguments from `first` to before `end`. @throws CommandError WRONGTYPE */
function setsAt(call: Call, first: number, end: number): Sets {
  const sets: (MemberCollection | null)[] = [];
  for (let index = first; index < end; index++) {
    const set = useCollection(call, index, TYPE_SET) as MemberCollection | null;
    sets.push(set);
  }
  return sets;
}

function has(call: Call, set: MemberCollection, element: number): boolean {
  const { elements } = call.keyspace;
  elements.readName(element);
  const found = set.find(elements.nameBuffer, elements.nameStart, elements.nameLength);
  return found !== 0 && elements.isVisible(found);
}

function union(call: Call, sets: Sets): number[] {
  const result: number[] = [];
  const seen: MemberCollection[] = [];
  for (const set of sets) {
    if (set === null || seen.includes(set)) continue;
    set.forEach((element) => {
      if (!seen.some((earlier) => has(call, earlier, element))) result.push(element);
    });
    seen.push(set);
  }
  return seen.every((set) => isIntset(call, set)) ? inAscendingOrder(call, result) : result;
}

function intersection(call: Call, sets: Sets, limit: number): number[] {
  const result: number[] = [];
  if (sets.includes(null)) return result;
  const [least, ...others] = ([...sets] as MemberCollection[]).sort((a, b) => a.count - b.count);
  const different = others.filter((set) => set !== least);
  for (const element of membersInOrder(call, least)) {
    if (result.length >= limit) break;
    if (different.every((set) => has(call, set, element))) result.push(element);
  }
  return result;
}

function difference(call: Call, sets: Sets): number[] {
  const [first, ...others] = sets;
  const result: number[] = [];
  if (first === null) return result;
  for (const element of membersInOrder(call, first)) {
    if (!others.some((set) => set !== null && has(call, set, element))) result.push(element);
  }
  return result;
}

function reading(operation: Operation): (call: Call) => void {
  return (call) => {
    const result = operation(call, setsAt(call, 1, call.argc), Infinity);
    call.reply.set(result.length);
    for (const element of result) replyName(call, element);
  };
}

function storing(operation: Operation): (call: Call) => void {
  return (call) => {
    const result = operation(call, setsAt(call, 2, call.argc), Infinity);
    storeMembers(call, result);
    call.reply.integer(result.length);
  };
}

/** Puts the members in the place of whatever is at argument 1. */
function storeMembers(call: Call, members: readonly number[]): void {
  const { keyspace, database, buffer, starts, lengths } = call;
  const { elements } = keyspace;
  // Copied first: the destination may be one of the sources.
  const names = members.map((element) => {
    elements.readName(element);
    return Buffer.from(elements.nameBuffer.subarray(elements.nameStart, elements.nameStart + elements.nameLength));
  });
  deleteKey(keyspace, database, buffer, starts[1], lengths[1]);
  if (names.length === 0) return;
  const set = openCollection(keyspace, database, 0, TYPE_SET, buffer, starts[1], lengths[1]);
  for (const name of names) {
    putElement(keyspace, set, set.find(name, 0, name.length), name, 0, name.length, NO_BYTES, 0, 0);
  }
  endChange(keyspace, set, true);
}

function sintercard(call: Call): void {
  const { argc } = call;
  const count = call.integerIn(1, 1, Infinity, 'ERR numkeys should be greater than 0');
  if (count > argc - 2) throw new CommandError("ERR Number of keys can't be greater than number of args");
  let limit = 0;
  for (let index = 2 + count; index < argc; index++) {
    if (!call.is(index, 'LIMIT') || index + 1 >= argc) call.syntaxError();
    limit = call.integerIn(++index, 0, Infinity, "ERR LIMIT can't be negative");
  }
  const result = intersection(call, setsAt(call, 2, 2 + count), limit === 0 ? Infinity : limit);
  call.reply.integer(result.length);
}

// ---- definitions ----

const STORE_MERGE =
  'The result is computed from what this node holds, and takes the place of what it has seen at the destination; members that ' +
  'other nodes add there at the same time stay.';

function readCommand(name: string, summary: string, complexity: string, operation: Operation): CommandDefinition {
  return command({
    name,
    summary,
    since: '1.0.0',
    group: 'set',
    complexity,
    arity: -2,
    flags: ['readonly'],
    keys: [keyRange(1, -1, 1, 'RO', 'access')],
    syntax: 'key [key ...]',
    run: reading(operation),
  });
}

function storeCommand(
  name: string,
  summary: string,
  complexity: string,
  access: KeyFlag,
  operation: Operation,
): CommandDefinition {
  return command({
    name,
    summary,
    since: '1.0.0',
    group: 'set',
    complexity,
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, access, 'update'), keyRange(2, -1, 1, 'RO', 'access')],
    syntax: 'destination key [key ...]',
    merge: STORE_MERGE,
    run: storing(operation),
  });
}

const BY_ALL = 'O(N) with N the number of members in all sets';
const BY_LEAST = 'O(N*M) with N the members of the smallest set and M the number of sets';

export const setAlgebraCommands: readonly CommandDefinition[] = [
  readCommand('sunion', 'Gives the members of any of the sets.', BY_ALL, union),
  readCommand('sinter', 'Gives the members that are in all sets.', BY_LEAST, intersection),
  readCommand('sdiff', 'Gives the members of the first set that are in no other.', BY_ALL, difference),
  storeCommand('sunionstore', 'Stores the members of any of the sets.', BY_ALL, 'OW', union),
  storeCommand('sinterstore', 'Stores the members that are in all sets.', BY_LEAST, 'RW', intersection),
  storeCommand('sdiffstore', 'Stores the members of the first set that are in no other.', BY_ALL, 'OW', difference),
  command({
    name: 'sintercard',
    summary: 'Counts the members that are in all sets.',
    since: '7.0.0',
    group: 'set',
    complexity: BY_LEAST,
    arity: -3,
    flags: ['readonly', 'movablekeys'],
    keys: [{ kind: 'numkeys', count: 1, first: 2, flags: ['RO', 'access'] }],
    syntax: 'numkeys key [key ...] [LIMIT limit]',
    run: sintercard,
  }),
];
