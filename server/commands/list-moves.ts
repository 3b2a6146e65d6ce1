/** Commands on several lists at once: elements moved from one to another, and taken off the first that has any. */
import { TYPE_LIST } from '../../storage/arena/block.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite } from '../values/collection-use.ts';
import { command, CommandError, keyRange, WRONG_TYPE } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { isLeft, keyArgument, moveElement, popMany } from '../values/list-use.ts';

/** Moves an element from the list at argument 1 to the one at argument 2; false, with nothing done, when there is none. */
export function moveBetween(call: Call, fromLeft: boolean, toLeft: boolean): boolean {
  const { keyspace, database } = call;
  if (collectionToWrite(call, 1, TYPE_LIST) === 0) return false;
  const destination = call.lookup(2);
  if (destination !== 0 && keyspace.typeOf(destination) !== TYPE_LIST) throw new CommandError(WRONG_TYPE);
  // Looked up again: the destination may have been past its deadline and was taken away.
  const ref = call.lookup(1);
  moveElement(keyspace, database, ref, keyArgument(call, 1), keyArgument(call, 2), fromLeft, toLeft, call.reply);
  return true;
}

function move(call: Call, fromLeft: boolean, toLeft: boolean): void {
  if (!moveBetween(call, fromLeft, toLeft)) call.reply.nil();
}

/** `numkeys key [key …] LEFT|RIGHT [COUNT count]`. */
export interface ManyPop {
  firstKey: number;
  keyCount: number;
  left: boolean;
  count: number;
}

/** The arguments of LMPOP from the number of keys, at `index`, on. @throws CommandError */
export function manyPopArguments(call: Call, index: number): ManyPop {
  const keyCount = call.integerIn(index, 1, Infinity, 'ERR numkeys should be greater than 0');
  const sideAt = index + keyCount + 1;
  if (sideAt >= call.argc) call.syntaxError();
  const left = isLeft(call, sideAt);
  let count = -1;
  for (let at = sideAt + 1; at < call.argc; at += 2) {
    if (count !== -1 || !call.is(at, 'COUNT') || at + 1 >= call.argc) call.syntaxError();
    count = call.integerIn(at + 1, 1, Infinity, 'ERR count should be greater than 0');
  }
  return { firstKey: index + 1, keyCount, left, count: Math.max(1, count) };
}

/** Pops from the first of the lists that has elements; false, with nothing done, when none has. */
export function popFirst(call: Call, { firstKey, keyCount, left, count }: ManyPop): boolean {
  for (let index = firstKey; index < firstKey + keyCount; index++) {
    const ref = collectionToWrite(call, index, TYPE_LIST);
    if (ref === 0) continue;
    popMany(call.keyspace, call.database, ref, keyArgument(call, index), left, count, call.reply);
    return true;
  }
  return false;
}

function lmpop(call: Call): void {
  if (!popFirst(call, manyPopArguments(call, 1))) call.reply.nilArray();
}

export const MOVE_MERGE =
  'A pop and a push, which other nodes apply together. Two nodes may move the same element: it is in the destination twice then.';
export const MANY_POP_MERGE =
  'Removes the elements that this node sees there. Two nodes may pop the same element: each gives it to its client, so every ' +
  'element is popped at least once.';

export const listMoveCommands: readonly CommandDefinition[] = [
  command({
    name: 'lmove',
    summary: 'Moves an element from an end of one list to an end of another.',
    since: '6.2.0',
    group: 'list',
    complexity: 'O(1)',
    arity: 5,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete'), keyRange(2, 2, 1, 'RW', 'insert')],
    syntax: 'source destination <LEFT|RIGHT> <LEFT|RIGHT>',
    merge: MOVE_MERGE,
    run: (call) => move(call, isLeft(call, 3), isLeft(call, 4)),
  }),
  command({
    name: 'rpoplpush',
    summary: 'Moves the last element of one list to the beginning of another.',
    since: '1.2.0',
    group: 'list',
    complexity: 'O(1)',
    arity: 3,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete'), keyRange(2, 2, 1, 'RW', 'insert')],
    syntax: 'source destination',
    merge: MOVE_MERGE,
    run: (call) => move(call, false, true),
  }),
  command({
    name: 'lmpop',
    summary: 'Takes elements off an end of the first of several lists that has any.',
    since: '7.0.0',
    group: 'list',
    complexity: 'O(N+M) for N keys and M elements',
    arity: -4,
    flags: ['write', 'movablekeys'],
    keys: [{ kind: 'numkeys', count: 1, first: 2, flags: ['RW', 'access', 'delete'] }],
    syntax: 'numkeys key [key ...] <LEFT|RIGHT> [COUNT count]',
    merge: MANY_POP_MERGE,
    run: lmpop,
  }),
];
