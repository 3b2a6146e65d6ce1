/** Commands that wait until a list has an element. Inside a transaction they do not wait. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { TYPE_LIST } from '../../storage/arena/block.ts';
import type { Database } from '../../storage/database.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite } from '../values/collection-use.ts';
import { command, keyRange, WRONG_TYPE } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import {
  findList,
  isLeft,
  keyArgument,
  moveElement,
  popElements,
  popMany,
  wholeKey,
  type KeyBytes,
} from '../values/list-use.ts';
import { timeoutSecondsArgument } from '../arguments/timeout-argument.ts';
import { MANY_POP_MERGE, MOVE_MERGE, manyPopArguments, moveBetween, popFirst } from './list-moves.ts';

type Take = (keyspace: Keyspace, database: Database, ref: number, key: Buffer, reply: ReplyWriter) => void;

/** Waits until one of the lists has an element, and takes it then; within a transaction there is none at once. */
function waitForLists(call: Call, timeoutMs: number, firstKey: number, keyCount: number, take: Take): void {
  const { reply, session, command: waiting } = call;
  if (call.inTransaction) {
    reply.nilArray();
    return;
  }
  const { keyspace, keyWaiters } = call.node;
  const { number } = call.database;
  const keys: Buffer[] = [];
  for (let index = firstKey; index < firstKey + keyCount; index++) keys.push(call.bytes(index));
  keyWaiters.wait(session, {
    kind: 'list',
    commandName: waiting.name,
    words: call.allBytes(),
    timeoutMs,
    database: number,
    keys,
    attempt: (key, late) => {
      const database = keyspace.databases[number];
      const ref = findList(keyspace, database, key);
      if (ref === 0) return false;
      take(keyspace, database, ref, key, late);
      return true;
    },
    onTimeout: (late) => late.nilArray(),
  });
}

function popOne(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  key: KeyBytes,
  left: boolean,
  reply: ReplyWriter,
): void {
  reply.array(2);
  reply.bulk(key.buffer, key.start, key.length);
  popElements(keyspace, database, ref, key, left, 1, reply);
}

function blockingPop(call: Call, left: boolean): void {
  const last = call.argc - 1;
  const timeoutMs = timeoutSecondsArgument(call, last);
  for (let index = 1; index < last; index++) {
    const ref = collectionToWrite(call, index, TYPE_LIST);
    if (ref === 0) continue;
    popOne(call.keyspace, call.database, ref, keyArgument(call, index), left, call.reply);
    return;
  }
  waitForLists(call, timeoutMs, 1, last - 1, (keyspace, database, ref, key, reply) => {
    popOne(keyspace, database, ref, wholeKey(key), left, reply);
  });
}

function blockingMove(call: Call, fromLeft: boolean, toLeft: boolean, timeoutMs: number): void {
  if (moveBetween(call, fromLeft, toLeft)) return;
  if (call.inTransaction) {
    call.reply.nil();
    return;
  }
  const destination = call.bytes(2);
  waitForLists(call, timeoutMs, 1, 1, (keyspace, database, _ref, key, reply) => {
    const target = keyspace.lookup(database, destination, 0, destination.length);
    if (target !== 0 && keyspace.typeOf(target) !== TYPE_LIST) {
      reply.error(WRONG_TYPE);
      return;
    }
    const source = keyspace.lookup(database, key, 0, key.length);
    moveElement(keyspace, database, source, wholeKey(key), wholeKey(destination), fromLeft, toLeft, reply);
  });
}

function blmove(call: Call): void {
  const fromLeft = isLeft(call, 3);
  const toLeft = isLeft(call, 4);
  blockingMove(call, fromLeft, toLeft, timeoutSecondsArgument(call, 5));
}

function brpoplpush(call: Call): void {
  blockingMove(call, false, true, timeoutSecondsArgument(call, 3));
}

function blmpop(call: Call): void {
  const pop = manyPopArguments(call, 2);
  const timeoutMs = timeoutSecondsArgument(call, 1);
  if (popFirst(call, pop)) return;
  waitForLists(call, timeoutMs, pop.firstKey, pop.keyCount, (keyspace, database, ref, key, reply) => {
    popMany(keyspace, database, ref, wholeKey(key), pop.left, pop.count, reply);
  });
}

const WAIT_MERGE =
  `${MANY_POP_MERGE} What a peer has pushed ends the wait when it arrives: an element that clients of several nodes wait for is ` +
  'given to one on each.';

function popCommand(name: string, summary: string, left: boolean): CommandDefinition {
  return command({
    name,
    summary,
    since: '2.0.0',
    group: 'list',
    complexity: 'O(N) for N keys',
    arity: -3,
    flags: ['write', 'noscript', 'blocking'],
    keys: [keyRange(1, -2, 1, 'RW', 'access', 'delete')],
    syntax: 'key [key ...] timeout',
    merge: WAIT_MERGE,
    run: (call) => blockingPop(call, left),
  });
}

export const blockingListCommands: readonly CommandDefinition[] = [
  popCommand('blpop', 'Takes the first element off the first of several lists that has any, and waits for one.', true),
  popCommand('brpop', 'Takes the last element off the first of several lists that has any, and waits for one.', false),
  command({
    name: 'blmove',
    summary: 'Moves an element from an end of one list to an end of another, and waits for one.',
    since: '6.2.0',
    group: 'list',
    complexity: 'O(1)',
    arity: 6,
    flags: ['write', 'denyoom', 'noscript', 'blocking'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete'), keyRange(2, 2, 1, 'RW', 'insert')],
    syntax: 'source destination <LEFT|RIGHT> <LEFT|RIGHT> timeout',
    merge: MOVE_MERGE,
    run: blmove,
  }),
  command({
    name: 'brpoplpush',
    summary: 'Moves the last element of one list to the beginning of another, and waits for one.',
    since: '2.2.0',
    group: 'list',
    complexity: 'O(1)',
    arity: 4,
    flags: ['write', 'denyoom', 'noscript', 'blocking'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete'), keyRange(2, 2, 1, 'RW', 'insert')],
    syntax: 'source destination timeout',
    merge: MOVE_MERGE,
    run: brpoplpush,
  }),
  command({
    name: 'blmpop',
    summary: 'Takes elements off an end of the first of several lists that has any, and waits for one.',
    since: '7.0.0',
    group: 'list',
    complexity: 'O(N+M) for N keys and M elements',
    arity: -5,
    flags: ['write', 'blocking', 'movablekeys'],
    keys: [{ kind: 'numkeys', count: 2, first: 3, flags: ['RW', 'access', 'delete'] }],
    syntax: 'timeout numkeys key [key ...] <LEFT|RIGHT> [COUNT count]',
    merge: WAIT_MERGE,
    run: blmpop,
  }),
];
