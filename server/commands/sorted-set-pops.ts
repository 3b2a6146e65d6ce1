/** Taking members off the ends of sorted sets, and waiting for them: ZPOPMIN, ZPOPMAX, ZMPOP, BZPOPMIN, BZPOPMAX, BZMPOP. */
import { WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import { endChange, openCollection } from '../../storage/collections/local.ts';
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { removeFound } from '../../storage/types/sorted-set.ts';
import type { Call } from '../dispatch/call.ts';
import { command, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { replyScore, useSortedSetToWrite } from '../values/sorted-set-use.ts';
import { timeoutSecondsArgument } from '../arguments/timeout-argument.ts';

interface Pop {
  highest: boolean;
  count: number;
  /** Each pair of member and score is an array. */
  nested: boolean;
}

const NO_BYTES = Buffer.alloc(0);

/** Takes members off a set that is not empty and writes them, without a header. `count` is at most the set's. */
function popMembers(keyspace: Keyspace, set: SortedSet, { highest, count, nested }: Pop, reply: ReplyWriter): void {
  const { elements } = keyspace;
  openCollection(keyspace, keyspace.databases[set.database], set.ref, TYPE_SORTED_SET, NO_BYTES, 0, 0);
  for (let left = count; left > 0; left--) {
    const element = set.order.at(highest ? set.count - 1 : 0);
    if (nested) reply.array(2);
    elements.readName(element);
    const { nameView, nameStart, nameLength } = elements;
    if (nameView !== null && nameLength <= WORD_COPY_MAX) reply.bulkView(nameView, nameStart, nameLength);
    else reply.bulk(elements.nameBuffer, nameStart, nameLength);
    replyScore({ reply }, set.order.foundScore);
    removeFound(keyspace, set, element);
  }
  endChange(keyspace, set, true);
}

/** ZPOPMIN and ZPOPMAX. */
function popOne(call: Call, highest: boolean): void {
  const { reply, argc } = call;
  if (argc > 3) call.syntaxError();
  const wanted = argc === 3 ? call.integerIn(2, 0, Infinity, 'ERR value is out of range, must be positive') : 1;
  const set = useSortedSetToWrite(call, 1);
  const count = set === null ? 0 : Math.min(wanted, set.count);
  const nested = reply.protocol === 3 && argc === 3;
  reply.array(nested ? count : count * 2);
  if (count > 0) popMembers(call.keyspace, set!, { highest, count, nested }, reply);
}

/** BZPOPMIN and BZPOPMAX from a set that is not empty. */
function replyFirst(keyspace: Keyspace, set: SortedSet, highest: boolean, key: Buffer, reply: ReplyWriter): void {
  reply.array(3);
  reply.bulk(key, 0, key.length);
  popMembers(keyspace, set, { highest, count: 1, nested: false }, reply);
}

/** ZMPOP and BZMPOP from a set that is not empty. */
function replySome(
  keyspace: Keyspace,
  set: SortedSet,
  highest: boolean,
  wanted: number,
  key: Buffer,
  reply: ReplyWriter,
): void {
  const count = Math.min(wanted, set.count);
  reply.array(2);
  reply.bulk(key, 0, key.length);
  reply.array(count);
  popMembers(keyspace, set, { highest, count, nested: true }, reply);
}

type PopReply = (keyspace: Keyspace, set: SortedSet, key: Buffer, reply: ReplyWriter) => void;

/** Pops from the first of the keys from argument `first` to before `end` that holds something; false when none does. */
function popFirst(call: Call, first: number, end: number, pop: PopReply): boolean {
  for (let index = first; index < end; index++) {
    const set = useSortedSetToWrite(call, index);
    if (set === null) continue;
    pop(call.keyspace, set, call.bytes(index), call.reply);
    return true;
  }
  return false;
}

/** Pops at once, or waits for one of the keys. */
function popOrWait(call: Call, first: number, end: number, timeoutMs: number, pop: PopReply): void {
  if (popFirst(call, first, end, pop)) return;
  if (call.inTransaction) {
    call.reply.nilArray();
    return;
  }
  const { keyspace } = call;
  const database = call.database.number;
  const keys: Buffer[] = [];
  for (let index = first; index < end; index++) keys.push(call.bytes(index));
  call.node.keyWaiters.wait(call.session, {
    kind: 'sorted set',
    commandName: call.command.name,
    words: call.allBytes(),
    timeoutMs,
    database,
    keys,
    attempt: (key, reply) => {
      const ref = keyspace.lookup(keyspace.databases[database], key, 0, key.length);
      if (ref === 0 || keyspace.typeOf(ref) !== TYPE_SORTED_SET) return false;
      pop(keyspace, keyspace.collectionAt(ref) as SortedSet, key, reply);
      return true;
    },
    onTimeout: (reply) => reply.nilArray(),
  });
}

function blockingPop(call: Call, highest: boolean): void {
  const last = call.argc - 1;
  const timeoutMs = timeoutSecondsArgument(call, last);
  popOrWait(call, 1, last, timeoutMs, (keyspace, set, key, reply) => replyFirst(keyspace, set, highest, key, reply));
}

/** Reads ZMPOP's arguments from the number of keys on; returns where the keys end. */
function manyArguments(call: Call, numberIndex: number): { end: number; pop: PopReply } {
  const keyCount = call.integerIn(numberIndex, 1, Infinity, 'ERR numkeys should be greater than 0');
  const end = numberIndex + 1 + keyCount;
  if (end >= call.argc) call.syntaxError();
  const highest = call.is(end, 'MAX');
  if (!highest && !call.is(end, 'MIN')) call.syntaxError();
  let wanted = 0;
  for (let index = end + 1; index < call.argc; index += 2) {
    if (wanted !== 0 || !call.is(index, 'COUNT') || index + 1 === call.argc) call.syntaxError();
    wanted = call.integerIn(index + 1, 1, Infinity, 'ERR count should be greater than 0');
  }
  const count = Math.max(1, wanted);
  return { end, pop: (keyspace, set, key, reply) => replySome(keyspace, set, highest, count, key, reply) };
}

function zmpop(call: Call): void {
  const { end, pop } = manyArguments(call, 1);
  if (!popFirst(call, 2, end, pop)) call.reply.nilArray();
}

function bzmpop(call: Call): void {
  // Redis, too, reads the timeout last.
  const { end, pop } = manyArguments(call, 2);
  const timeoutMs = timeoutSecondsArgument(call, 1);
  popOrWait(call, 3, end, timeoutMs, pop);
}

const MERGE =
  'Removes what this node knew of: two nodes may pop the same member, and a concurrent ZADD or ZINCRBY elsewhere brings it back.';

function popCommand(name: string, highest: boolean): CommandDefinition {
  return command({
    name,
    summary: `Removes the members with the ${highest ? 'highest' : 'lowest'} scores and returns them.`,
    since: '5.0.0',
    group: 'sorted-set',
    complexity: 'O(log N) for each member popped',
    arity: -2,
    flags: ['write', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete')],
    syntax: 'key [count]',
    merge: MERGE,
    run: (call) => popOne(call, highest),
  });
}

function blockingPopCommand(name: string, highest: boolean): CommandDefinition {
  return command({
    name,
    summary: `Removes the member with the ${highest ? 'highest' : 'lowest'} score of the first set that is there, or waits for one.`,
    since: '5.0.0',
    group: 'sorted-set',
    complexity: 'O(log N)',
    arity: -3,
    flags: ['write', 'noscript', 'blocking', 'fast'],
    keys: [keyRange(1, -2, 1, 'RW', 'access', 'delete')],
    syntax: 'key [key ...] timeout',
    merge: MERGE,
    run: (call) => blockingPop(call, highest),
  });
}

export const sortedSetPopCommands: readonly CommandDefinition[] = [
  popCommand('zpopmin', false),
  popCommand('zpopmax', true),
  blockingPopCommand('bzpopmin', false),
  blockingPopCommand('bzpopmax', true),
  command({
    name: 'zmpop',
    summary: 'Removes members off an end of the first sorted set that is there, and returns them.',
    since: '7.0.0',
    group: 'sorted-set',
    complexity: 'O(K) + O(log N) for each member popped, with K the number of keys',
    arity: -4,
    flags: ['write', 'movablekeys'],
    keys: [{ kind: 'numkeys', count: 1, first: 2, flags: ['RW', 'access', 'delete'] }],
    syntax: 'numkeys key [key ...] <MIN|MAX> [COUNT count]',
    merge: MERGE,
    run: zmpop,
  }),
  command({
    name: 'bzmpop',
    summary: 'Removes members off an end of the first sorted set that is there, or waits for one.',
    since: '7.0.0',
    group: 'sorted-set',
    complexity: 'O(K) + O(log N) for each member popped, with K the number of keys',
    arity: -5,
    flags: ['write', 'blocking', 'movablekeys'],
    keys: [{ kind: 'numkeys', count: 2, first: 3, flags: ['RW', 'access', 'delete'] }],
    syntax: 'timeout numkeys key [key ...] <MIN|MAX> [COUNT count]',
    merge: MERGE,
    run: bzmpop,
  }),
];
