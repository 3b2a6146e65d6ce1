/** Lists: pushed and popped at both ends, read by index, edited in the middle. */
import { WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import { TYPE_LIST } from '../../storage/arena/block.ts';
import type { ListCollection } from '../../storage/collections/list-collection.ts';
import { endChange, removeElement } from '../../storage/collections/local.ts';
import { insertAt, pushLeft, pushRight, removeRange, setElement } from '../../storage/types/list.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite, openAt, replyReadValue } from '../values/collection-use.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition, KeyFlag } from '../definitions/command.ts';
import { keyArgument, listToPeek, listToRead, popElements } from '../values/list-use.ts';

const OUT_OF_RANGE = 'ERR index out of range';
const NOT_POSITIVE = 'ERR value is out of range, must be positive';

// ---- both ends ----

function push(call: Call, left: boolean, ref: number): void {
  const { keyspace, buffer, starts, lengths, argc } = call;
  const list = openAt(call, 1, ref, TYPE_LIST) as ListCollection;
  if (left) for (let index = 2; index < argc; index++) pushLeft(keyspace, list, buffer, starts[index], lengths[index]);
  else for (let index = 2; index < argc; index++) pushRight(keyspace, list, buffer, starts[index], lengths[index]);
  const { count } = list;
  endChange(keyspace, list, true);
  call.reply.integer(count);
}

function lpush(call: Call): void {
  push(call, true, collectionToWrite(call, 1, TYPE_LIST));
}

function rpush(call: Call): void {
  push(call, false, collectionToWrite(call, 1, TYPE_LIST));
}

function pushExisting(call: Call, left: boolean): void {
  const ref = collectionToWrite(call, 1, TYPE_LIST);
  if (ref === 0) call.reply.integer(0);
  else push(call, left, ref);
}

function pop(call: Call, left: boolean): void {
  const { keyspace, reply } = call;
  if (call.argc > 3) call.fail(`ERR wrong number of arguments for '${call.command.name}' command`);
  const hasCount = call.argc === 3;
  const count = hasCount ? call.integerIn(2, 0, Infinity, NOT_POSITIVE) : 1;
  const ref = collectionToWrite(call, 1, TYPE_LIST);
  if (ref === 0) {
    if (hasCount) reply.nilArray();
    else reply.nil();
    return;
  }
  const popped = Math.min(count, keyspace.collectionAt(ref).count);
  if (hasCount) reply.array(popped);
  if (popped > 0) popElements(keyspace, call.database, ref, keyArgument(call, 1), left, popped, reply);
}

// ---- reading ----

function llen(call: Call): void {
  call.reply.integer(listToPeek(call, 1)?.count ?? 0);
}

function lrange(call: Call): void {
  const { reply } = call;
  let start = call.integer(2);
  let stop = call.integer(3);
  const list = listToRead(call, 1);
  const count = list?.count ?? 0;
  if (start < 0) start = Math.max(0, start + count);
  if (stop < 0) stop += count;
  stop = Math.min(stop, count - 1);
  if (list === null || start > stop) {
    reply.array(0);
    return;
  }
  reply.array(stop - start + 1);
  list.eachValue(start, stop - start + 1, (bytes, view, at, length) => {
    if (view !== null && length <= WORD_COPY_MAX) reply.bulkView(view, at, length);
    else reply.bulk(bytes, at, length);
  });
}

function lindex(call: Call): void {
  const list = listToRead(call, 1);
  if (list === null) {
    call.reply.nil();
    return;
  }
  const index = call.integer(2);
  const at = index < 0 ? index + list.count : index;
  if (at < 0 || at >= list.count) call.reply.nil();
  else {
    list.seek(at);
    list.readNext();
    replyReadValue(call);
  }
}

/** Whether the value that was read last is the argument at `index`. */
function isValue(call: Call, index: number): boolean {
  const { elements } = call.keyspace;
  const length = call.lengths[index];
  if (elements.valueLength !== length) return false;
  const start = call.starts[index];
  const { valueBuffer, valueStart } = elements;
  return valueBuffer.compare(call.buffer, start, start + length, valueStart, valueStart + length) === 0;
}

interface PositionSearch {
  rank: number;
  /** How many are asked for; −1 for one, without an array. */
  count: number;
  comparisonsMax: number;
}

function positionSearch(call: Call): PositionSearch {
  const search: PositionSearch = { rank: 1, count: -1, comparisonsMax: 0 };
  for (let index = 3; index < call.argc; index += 2) {
    const hasMore = index + 1 < call.argc;
    if (call.is(index, 'RANK') && hasMore) {
      search.rank = call.integer(index + 1);
      if (search.rank < -Number.MAX_SAFE_INTEGER && call.integer64(index + 1) === -(2n ** 63n)) {
        call.fail('ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807');
      }
      if (search.rank === 0) {
        call.fail(
          "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
        );
      }
    } else if (call.is(index, 'COUNT') && hasMore) {
      search.count = call.integerIn(index + 1, 0, Infinity, "ERR COUNT can't be negative");
    } else if (call.is(index, 'MAXLEN') && hasMore) {
      search.comparisonsMax = call.integerIn(index + 1, 0, Infinity, "ERR MAXLEN can't be negative");
    } else {
      call.syntaxError();
    }
  }
  return search;
}

function lpos(call: Call): void {
  const { reply } = call;
  const search = positionSearch(call);
  const list = listToRead(call, 1);
  const found = list === null ? [] : positionsOf(call, list, search);
  if (search.count >= 0) {
    reply.array(found.length);
    for (const index of found) reply.integer(index);
  } else if (found.length === 0) {
    reply.nil();
  } else {
    reply.integer(found[0]);
  }
}

function positionsOf(call: Call, list: ListCollection, { rank, count, comparisonsMax }: PositionSearch): number[] {
  const found: number[] = [];
  const wanted = count < 0 ? 1 : count === 0 ? Infinity : count;
  const compared = comparisonsMax === 0 ? list.count : Math.min(comparisonsMax, list.count);
  const forward = rank > 0;
  let skipped = Math.abs(rank) - 1;
  list.seek(forward ? 0 : list.count - 1);
  for (let at = 0; at < compared && found.length < wanted; at++) {
    if (forward) list.readNext();
    else list.readPrevious();
    if (!isValue(call, 2)) continue;
    if (skipped-- > 0) continue;
    found.push(forward ? at : list.count - 1 - at);
  }
  return found;
}

// ---- the middle ----

function lset(call: Call): void {
  const { keyspace, buffer, starts, lengths } = call;
  const ref = collectionToWrite(call, 1, TYPE_LIST);
  if (ref === 0) throw new CommandError('ERR no such key');
  const { count } = keyspace.collectionAt(ref);
  const index = call.integer(2);
  const at = index < 0 ? index + count : index;
  if (at < 0 || at >= count) throw new CommandError(OUT_OF_RANGE);
  const list = openAt(call, 1, ref, TYPE_LIST) as ListCollection;
  setElement(keyspace, list, list.at(at), buffer, starts[3], lengths[3]);
  endChange(keyspace, list, true);
  call.reply.ok();
}

function linsert(call: Call): void {
  const { keyspace, reply, buffer, starts, lengths } = call;
  const isAfter = call.is(2, 'AFTER');
  if (!isAfter && !call.is(2, 'BEFORE')) call.syntaxError();
  const ref = collectionToWrite(call, 1, TYPE_LIST);
  if (ref === 0) {
    reply.integer(0);
    return;
  }
  const found = indexOf(call, keyspace.collectionAt(ref) as ListCollection, 3);
  if (found < 0) {
    reply.integer(-1);
    return;
  }
  const list = openAt(call, 1, ref, TYPE_LIST) as ListCollection;
  insertAt(keyspace, list, isAfter ? found + 1 : found, buffer, starts[4], lengths[4]);
  const { count } = list;
  endChange(keyspace, list, true);
  reply.integer(count);
}

function indexOf(call: Call, list: ListCollection, argument: number): number {
  list.seek(0);
  for (let index = 0; list.readNext(); index++) if (isValue(call, argument)) return index;
  return -1;
}

function lrem(call: Call): void {
  const { keyspace, reply } = call;
  const count = call.integer(2);
  const ref = collectionToWrite(call, 1, TYPE_LIST);
  const found = ref === 0 ? [] : equalElements(call, keyspace.collectionAt(ref) as ListCollection, count);
  if (found.length > 0) {
    const list = openAt(call, 1, ref, TYPE_LIST);
    for (const element of found) removeElement(keyspace, list, element);
    endChange(keyspace, list, true);
  }
  reply.integer(found.length);
}

/** Elements whose value is argument 3: `count` from the left, −`count` from the right, or all when it is 0. */
function equalElements(call: Call, list: ListCollection, count: number): number[] {
  const found: number[] = [];
  const wanted = count === 0 ? Infinity : Math.abs(count);
  list.seek(count < 0 ? list.count - 1 : 0);
  for (let left = list.count; left > 0 && found.length < wanted; left--) {
    if (count < 0) list.readPrevious();
    else list.readNext();
    if (isValue(call, 3)) found.push(list.ownRead());
  }
  return found;
}

function ltrim(call: Call): void {
  const { keyspace, reply } = call;
  let start = call.integer(2);
  let stop = call.integer(3);
  const ref = collectionToWrite(call, 1, TYPE_LIST);
  if (ref === 0) {
    reply.ok();
    return;
  }
  const { count } = keyspace.collectionAt(ref);
  if (start < 0) start = Math.max(0, start + count);
  if (stop < 0) stop += count;
  if (start > stop || start >= count) {
    start = count;
    stop = count;
  }
  const fromRight = Math.max(0, count - 1 - stop);
  if (start > 0 || fromRight > 0) {
    const list = openAt(call, 1, ref, TYPE_LIST) as ListCollection;
    removeRange(keyspace, list, count - fromRight, fromRight);
    removeRange(keyspace, list, 0, start);
    endChange(keyspace, list, true);
  }
  reply.ok();
}

// ---- definitions ----

const keyAt1 = (...flags: KeyFlag[]) => [keyRange(1, 1, 1, ...flags)];
const PUSH_MERGE =
  'Everything that several nodes push stays, in one order that is the same on all of them; what one node pushes in a row stays ' +
  'together where others push at the same end at the same time.';
const POP_MERGE =
  'Removes the elements that this node sees there. Two nodes may pop the same element: each gives it to its client, so every ' +
  'element is popped at least once.';

function pushCommand(name: string, since: string, summary: string, run: (call: Call) => void): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'list',
    complexity: 'O(1) for each element',
    arity: -3,
    flags: ['write', 'denyoom', 'fast'],
    keys: keyAt1('RW', 'insert'),
    syntax: 'key element [element ...]',
    merge: PUSH_MERGE,
    run,
  });
}

function popCommand(name: string, summary: string, run: (call: Call) => void): CommandDefinition {
  return command({
    name,
    summary,
    since: '1.0.0',
    group: 'list',
    complexity: 'O(1) for each element',
    arity: -2,
    flags: ['write', 'fast'],
    keys: keyAt1('RW', 'access', 'delete'),
    syntax: 'key [count]',
    merge: POP_MERGE,
    run,
  });
}

export const listCommands: readonly CommandDefinition[] = [
  pushCommand('lpush', '1.0.0', 'Puts elements before the first one; makes the list when there is none.', lpush),
  pushCommand('rpush', '1.0.0', 'Puts elements after the last one; makes the list when there is none.', rpush),
  pushCommand('lpushx', '2.2.0', 'Puts elements before the first one of a list that is there.', (call) =>
    pushExisting(call, true),
  ),
  pushCommand('rpushx', '2.2.0', 'Puts elements after the last one of a list that is there.', (call) =>
    pushExisting(call, false),
  ),
  popCommand('lpop', 'Takes the first element, or several of them, off a list.', (call) => pop(call, true)),
  popCommand('rpop', 'Takes the last element, or several of them, off a list.', (call) => pop(call, false)),
  command({
    name: 'llen',
    summary: 'Tells how many elements a list has.',
    since: '1.0.0',
    group: 'list',
    complexity: 'O(1)',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: keyAt1('RO'),
    syntax: 'key',
    run: llen,
  }),
  command({
    name: 'lrange',
    summary: 'Gives the elements from one index to another.',
    since: '1.0.0',
    group: 'list',
    complexity: 'O(log(N)+M) for a list of N elements and M that are given',
    arity: 4,
    flags: ['readonly'],
    keys: keyAt1('RO', 'access'),
    syntax: 'key start stop',
    run: lrange,
  }),
  command({
    name: 'lindex',
    summary: 'Gives the element at an index.',
    since: '1.0.0',
    group: 'list',
    complexity: 'O(log(N)) for a list of N elements',
    arity: 3,
    flags: ['readonly'],
    keys: keyAt1('RO', 'access'),
    syntax: 'key index',
    run: lindex,
  }),
  command({
    name: 'lpos',
    summary: 'Tells at which indexes an element is.',
    since: '6.0.6',
    group: 'list',
    complexity: 'O(N) for N elements that are looked at',
    arity: -3,
    flags: ['readonly'],
    keys: keyAt1('RO', 'access'),
    syntax: 'key element [RANK rank] [COUNT num-matches] [MAXLEN len]',
    run: lpos,
  }),
  command({
    name: 'lset',
    summary: 'Puts another element in the place of the one at an index.',
    since: '1.0.0',
    group: 'list',
    complexity: 'O(log(N)) for a list of N elements',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: keyAt1('RW', 'update'),
    syntax: 'key index element',
    merge:
      'Of several nodes that set the same element, the last one wins; the element survives a pop of its earlier value elsewhere.',
    run: lset,
  }),
  command({
    name: 'linsert',
    summary: 'Puts an element before or after the first one that has a given value.',
    since: '2.2.0',
    group: 'list',
    complexity: 'O(N) for N elements up to that value',
    arity: 5,
    flags: ['write', 'denyoom'],
    keys: keyAt1('RW', 'insert'),
    syntax: 'key <BEFORE|AFTER> pivot element',
    merge:
      'Everything that several nodes insert stays, between the same neighbours, in one order that is the same on all of them.',
    run: linsert,
  }),
  command({
    name: 'lrem',
    summary: 'Removes elements that have a given value.',
    since: '1.0.0',
    group: 'list',
    complexity: 'O(N) for a list of N elements',
    arity: 4,
    flags: ['write'],
    keys: keyAt1('RW', 'delete'),
    syntax: 'key count element',
    merge: 'Removes the elements that this node sees; equal ones that other nodes push meanwhile stay.',
    run: lrem,
  }),
  command({
    name: 'ltrim',
    summary: 'Removes all elements but those from one index to another.',
    since: '1.0.0',
    group: 'list',
    complexity: 'O(N) for N elements that are removed',
    arity: 4,
    flags: ['write'],
    keys: keyAt1('RW', 'delete'),
    syntax: 'key start stop',
    merge: 'Removes the elements that this node sees outside of the range; what other nodes push meanwhile stays.',
    run: ltrim,
  }),
];
