/** Sets: members under one key. Union, intersection and difference are in set-algebra.ts. */
import { TYPE_SET } from '../../storage/arena/block.ts';
import { endChange, endUnseen, putElement, removeElement, renewMember } from '../../storage/collections/local.ts';
import type { Collection } from '../../storage/collections/collection.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import type { Call } from '../dispatch/call.ts';
import {
  collectionToWrite,
  elementAt,
  openAt,
  peekCollection,
  removeElements,
  replyName,
  useCollection,
} from '../values/collection-use.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition, CommandFlag, KeyFlag } from '../definitions/command.ts';
import { collectionEncoding } from '../values/encoding.ts';
import { scanElements } from '../values/element-scan.ts';
import { differentElements, randomCount } from '../values/random-elements.ts';

const NO_BYTES = Buffer.alloc(0);

// ---- writing ----

function sadd(call: Call): void {
  const { keyspace, buffer, starts, lengths, argc } = call;
  const ref = collectionToWrite(call, 1, TYPE_SET);
  if (argc === 3 && ref !== 0) {
    addOne(call, ref);
    return;
  }
  const set = openAt(call, 1, ref, TYPE_SET);
  const before = set.count;
  for (let index = 2; index < argc; index++) {
    // A member that is there is added again: the new stamp outlives a removal elsewhere that has not seen this command.
    const element = set.find(buffer, starts[index], lengths[index]);
    putElement(keyspace, set, element, buffer, starts[index], lengths[index], NO_BYTES, 0, 0);
  }
  endAdding(call, set, before);
}

/** The same of one member to a set that is there: most often it is, too, and then there is little to do. */
function addOne(call: Call, ref: number): void {
  const { keyspace, buffer } = call;
  const start = call.starts[2];
  const length = call.lengths[2];
  const set = keyspace.collectionAt(ref);
  const element = set.find(buffer, start, length);
  if (element !== 0 && renewMember(keyspace, call.database, set, element)) {
    call.reply.integer(0);
    return;
  }
  openAt(call, 1, ref, TYPE_SET);
  const before = set.count;
  putElement(keyspace, set, element, buffer, start, length, NO_BYTES, 0, 0);
  endAdding(call, set, before);
}

function endAdding({ keyspace, reply }: Call, set: Collection, before: number): void {
  const added = set.count - before;
  if (added > 0) endChange(keyspace, set, true);
  else endUnseen(keyspace, set);
  reply.integer(added);
}

function srem(call: Call): void {
  const ref = collectionToWrite(call, 1, TYPE_SET);
  call.reply.integer(ref === 0 ? 0 : removeElements(call, ref, TYPE_SET));
}

function smove(call: Call): void {
  const { keyspace, reply, buffer, starts, lengths } = call;
  const source = collectionToWrite(call, 1, TYPE_SET);
  if (source === 0) {
    reply.integer(0);
    return;
  }
  const target = collectionToWrite(call, 2, TYPE_SET);
  const from = keyspace.collectionAt(source);
  const element = elementAt(call, from, 3);
  if (element === 0 || source === target) {
    reply.integer(element === 0 ? 0 : 1);
    return;
  }
  openAt(call, 1, source, TYPE_SET);
  removeElement(keyspace, from, element);
  endChange(keyspace, from, true);
  // The block may have moved, and the key that was looked up last is another one.
  const into = openAt(call, 2, collectionToWrite(call, 2, TYPE_SET), TYPE_SET);
  const present = into.find(buffer, starts[3], lengths[3]);
  const before = into.count;
  putElement(keyspace, into, present, buffer, starts[3], lengths[3], NO_BYTES, 0, 0);
  if (into.count > before) endChange(keyspace, into, true);
  else endUnseen(keyspace, into);
  reply.integer(1);
}

// ---- reading ----

function scard(call: Call): void {
  const set = peekCollection(call, 1, TYPE_SET);
  call.reply.integer(set === null ? 0 : set.count);
}

function sismember(call: Call): void {
  const set = peekCollection(call, 1, TYPE_SET);
  call.reply.integer(set !== null && elementAt(call, set, 2) !== 0 ? 1 : 0);
}

function smismember(call: Call): void {
  const { reply, argc } = call;
  const set = useCollection(call, 1, TYPE_SET);
  reply.array(argc - 2);
  for (let index = 2; index < argc; index++) {
    reply.integer(set !== null && elementAt(call, set, index) !== 0 ? 1 : 0);
  }
}

/** The members in Redis's order: integers ascending while they are an intset, else as they were added. */
export function membersInOrder(call: Call, set: MemberCollection): number[] {
  const found: number[] = [];
  set.forEach((element) => found.push(element));
  return isIntset(call, set) ? inAscendingOrder(call, found) : found;
}

export function isIntset(call: Call, set: MemberCollection): boolean {
  return set.allIntegers && collectionEncoding(call, set) === 'intset';
}

/** Elements whose names are integers, the least first. */
export function inAscendingOrder(call: Call, found: number[]): number[] {
  const { elements } = call.keyspace;
  const values = new Map<number, bigint>();
  for (const element of found) {
    elements.readName(element);
    const text = elements.nameBuffer.toString('latin1', elements.nameStart, elements.nameStart + elements.nameLength);
    values.set(element, BigInt(text));
  }
  return found.sort((a, b) => (values.get(a)! < values.get(b)! ? -1 : 1));
}

function smembers(call: Call): void {
  const { reply } = call;
  const set = useCollection(call, 1, TYPE_SET) as MemberCollection | null;
  reply.set(set === null ? 0 : set.count);
  if (set !== null) for (const element of membersInOrder(call, set)) replyName(call, element);
}

function sscan(call: Call): void {
  scanElements(call, TYPE_SET, false, (element) => replyName(call, element));
}

// ---- random members ----

function spop(call: Call): void {
  const { keyspace, reply, argc } = call;
  if (argc > 3) call.syntaxError();
  const count = argc === 2 ? 1 : popCount(call);
  const ref = collectionToWrite(call, 1, TYPE_SET);
  if (ref === 0 || count === 0) {
    if (argc === 2) reply.nil();
    else reply.set(0);
    return;
  }
  const set = keyspace.collectionAt(ref) as MemberCollection;
  const random = (): number => call.node.random();
  if (argc === 2) {
    const element = set.sample(random);
    replyName(call, element);
    openAt(call, 1, ref, TYPE_SET);
    removeElement(keyspace, set, element);
  } else {
    const chosen = chooseMembers(call, set, count);
    reply.set(chosen.length);
    for (const element of chosen) replyName(call, element);
    openAt(call, 1, ref, TYPE_SET);
    for (const element of chosen) removeElement(keyspace, set, element);
  }
  endChange(keyspace, set, true);
}

/** So many different members; all of them in order when there are not more. */
function chooseMembers(call: Call, set: MemberCollection, count: number): number[] {
  return count >= set.count ? membersInOrder(call, set) : differentElements(set, count, () => call.node.random());
}

function popCount(call: Call): number {
  const message = 'ERR value is out of range, must be positive';
  const count = call.integer64(2, message);
  if (count < 0) throw new CommandError(message);
  return Number(count);
}

function srandmember(call: Call): void {
  const { reply, argc } = call;
  if (argc > 3) call.syntaxError();
  const random = (): number => call.node.random();
  const count = argc === 2 ? 1 : randomCount(call);
  const set = useCollection(call, 1, TYPE_SET) as MemberCollection | null;
  if (argc === 2) {
    if (set === null) reply.nil();
    else replyName(call, set.sample(random));
    return;
  }
  if (set === null || count === 0) {
    reply.array(0);
    return;
  }
  if (count < 0) {
    reply.array(-count);
    for (let left = -count; left > 0; left--) replyName(call, set.sample(random));
    return;
  }
  const chosen = chooseMembers(call, set, count);
  reply.array(chosen.length);
  for (const element of chosen) replyName(call, element);
}

// ---- definitions ----

const ADD_MERGE =
  'Each member is its own: one that is added while another node removes it stays. A DEL of the set removes the members that ' +
  'its node has seen.';
const REMOVE_MERGE =
  'Removes the members that this node has seen added: one that another node adds at the same time stays.';

function setCommand(
  name: string,
  since: string,
  summary: string,
  arity: number,
  syntax: string,
  complexity: string,
  flags: readonly CommandFlag[],
  keyFlags: readonly KeyFlag[],
  run: (call: Call) => void,
  merge?: string,
): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'set',
    complexity,
    arity,
    flags,
    keys: [keyRange(1, 1, 1, ...keyFlags)],
    syntax,
    ...(merge === undefined ? {} : { merge }),
    run,
  });
}

const READ_FAST: readonly CommandFlag[] = ['readonly', 'fast'];
const READ: readonly CommandFlag[] = ['readonly'];
const BY_MEMBERS = 'O(N) with N the number of members given';
const BY_SIZE = 'O(N) with N the number of members in the set';

export const setCommands: readonly CommandDefinition[] = [
  setCommand(
    'sadd',
    '1.0.0',
    'Adds members to a set, which is made when it is missing.',
    -3,
    'key member [member ...]',
    BY_MEMBERS,
    ['write', 'denyoom', 'fast'],
    ['RW', 'insert'],
    sadd,
    ADD_MERGE,
  ),
  setCommand(
    'srem',
    '1.0.0',
    'Removes members; the key goes with the last one.',
    -3,
    'key member [member ...]',
    BY_MEMBERS,
    ['write', 'fast'],
    ['RW', 'delete'],
    srem,
    REMOVE_MERGE,
  ),
  setCommand('smembers', '1.0.0', 'Gives all members.', 2, 'key', BY_SIZE, READ, ['RO', 'access'], smembers),
  setCommand(
    'sismember',
    '1.0.0',
    'Tells whether a member is in a set.',
    3,
    'key member',
    'O(1)',
    READ_FAST,
    ['RO'],
    sismember,
  ),
  setCommand(
    'smismember',
    '6.2.0',
    'Tells which members are in a set.',
    -3,
    'key member [member ...]',
    BY_MEMBERS,
    READ_FAST,
    ['RO', 'access'],
    smismember,
  ),
  setCommand('scard', '1.0.0', 'Counts the members.', 2, 'key', 'O(1)', READ_FAST, ['RO'], scard),
  setCommand(
    'spop',
    '1.0.0',
    'Removes random members and gives them.',
    -2,
    'key [count]',
    'O(N) with N the count',
    ['write', 'fast'],
    ['RW', 'access', 'delete'],
    spop,
    `${REMOVE_MERGE} Two nodes may pop the same member.`,
  ),
  setCommand(
    'srandmember',
    '1.0.0',
    'Gives random members.',
    -2,
    'key [count]',
    'O(N) with N the count',
    READ,
    ['RO', 'access'],
    srandmember,
  ),
  setCommand(
    'sscan',
    '2.8.0',
    'Walks over the members, a few at a time.',
    -3,
    'key cursor [MATCH pattern] [COUNT count]',
    'O(1) a call, O(N) for the whole walk',
    READ,
    ['RO', 'access'],
    sscan,
  ),
  command({
    name: 'smove',
    summary: 'Moves a member from one set to another.',
    since: '1.0.0',
    group: 'set',
    complexity: 'O(1)',
    arity: 4,
    flags: ['write', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete'), keyRange(2, 2, 1, 'RW', 'insert')],
    syntax: 'source destination member',
    merge:
      'A removal and an addition, which other nodes apply together. Two nodes that move a member at the same time to ' +
      'different sets leave it in both.',
    run: smove,
  }),
];
