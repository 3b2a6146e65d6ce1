/** SORT and SORT_RO: the elements of a list, set or sorted set in another order, or what belongs to them. */
import { TYPE_LIST, TYPE_SET, TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import type { ListCollection } from '../../storage/collections/list-collection.ts';
import { endChange } from '../../storage/collections/local.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import { pushRight } from '../../storage/types/list.ts';
import { deleteKey } from '../../storage/types/string.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange, WRONG_TYPE } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { mayReadAllKeys } from '../acl/check.ts';
import { KeyPattern } from '../arguments/key-pattern.ts';
import { useKey } from '../values/key-use.ts';
import { openList } from '../values/list-use.ts';

const NOT_NUMBERS = "ERR One or more scores can't be converted into double";

interface SortOptions {
  descending: boolean;
  alpha: boolean;
  /** Nothing is sorted: BY a pattern without a star. */
  unsorted: boolean;
  by: KeyPattern | null;
  get: KeyPattern[];
  offset: number;
  /** Negative for all. */
  count: number;
  /** Index of the argument that names the destination; 0 for none. */
  storeAt: number;
}

interface Sortable {
  element: Buffer;
  score: number;
  /** What ALPHA compares; null when BY names a key that is not there. */
  text: Buffer | null;
}

/** Patterns stand for keys that nobody can tell before: they are for users who may read any. */
function askForAllKeys(call: Call, option: string): void {
  if (call.session.isUnrestricted || mayReadAllKeys(call.session.user, call.command, call)) return;
  call.fail(`ERR ${option} option of SORT denied due to insufficient ACL permissions.`);
}

function sortOptions(call: Call, readOnly: boolean): SortOptions {
  const options: SortOptions = {
    descending: false,
    alpha: false,
    unsorted: false,
    by: null,
    get: [],
    offset: 0,
    count: -1,
    storeAt: 0,
  };
  for (let index = 2; index < call.argc; index++) {
    const left = call.argc - index - 1;
    if (call.is(index, 'ASC')) options.descending = false;
    else if (call.is(index, 'DESC')) options.descending = true;
    else if (call.is(index, 'ALPHA')) options.alpha = true;
    else if (call.is(index, 'LIMIT') && left >= 2) {
      options.offset = call.integer(++index);
      options.count = call.integer(++index);
    } else if (call.is(index, 'STORE') && left >= 1 && !readOnly) {
      options.storeAt = ++index;
    } else if (call.is(index, 'BY') && left >= 1) {
      options.by = new KeyPattern(call.bytes(++index));
      options.unsorted ||= !options.by.hasStar;
      if (options.by.hasStar) askForAllKeys(call, 'BY');
    } else if (call.is(index, 'GET') && left >= 1) {
      askForAllKeys(call, 'GET');
      options.get.push(new KeyPattern(call.bytes(++index)));
    } else {
      call.syntaxError();
    }
  }
  if (options.unsorted) options.by = null;
  return options;
}

/** Copies of all elements, in the order that the collection has. */
function elementsOf(call: Call, ref: number): Buffer[] {
  const { keyspace } = call;
  const { elements } = keyspace;
  const found: Buffer[] = [];
  if (ref === 0) return found;
  const collection = keyspace.collectionAt(ref);
  if (collection.type === TYPE_LIST) {
    const list = collection as ListCollection;
    list.seek(0);
    for (let left = list.count; left > 0; left--) {
      list.readNext();
      found.push(
        Buffer.from(elements.valueBuffer.subarray(elements.valueStart, elements.valueStart + elements.valueLength)),
      );
    }
    return found;
  }
  (collection as MemberCollection).forEach((element) => {
    elements.readName(element);
    found.push(Buffer.from(elements.nameBuffer.subarray(elements.nameStart, elements.nameStart + elements.nameLength)));
  });
  return found;
}

/** As C's strtod reads the whole text; NaN when it does not. */
function readScore(bytes: Buffer): number {
  const text = bytes.toString('latin1').replace(/^[ \t\n\v\f\r]+/, '');
  if (text === '') return bytes.length === 0 ? 0 : NaN;
  const special = /^([+-]?)inf(inity)?$/i.exec(text);
  if (special !== null) return special[1] === '-' ? -Infinity : Infinity;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && !/^0x[0-9a-f]+$/i.test(text)) return NaN;
  const value = Number(text);
  return Number.isFinite(value) ? value : NaN;
}

function compareBytes(first: Buffer | null, second: Buffer | null): number {
  if (first === null || second === null) return (first === null ? 0 : 1) - (second === null ? 0 : 1);
  return Buffer.compare(first, second);
}

function sorted(call: Call, elements: readonly Buffer[], options: SortOptions): Buffer[] {
  const { by, alpha } = options;
  let failed = false;
  const sortables = elements.map((element): Sortable => {
    const text = by === null ? element : by.lookup(call.keyspace, call.database, element);
    const score = alpha || text === null ? 0 : readScore(text);
    if (Number.isNaN(score)) failed = true;
    return { element, score, text };
  });
  if (failed) throw new CommandError(NOT_NUMBERS);
  const sign = options.descending ? -1 : 1;
  sortables.sort((first, second) => {
    if (alpha) return sign * compareBytes(first.text, second.text);
    if (first.score !== second.score) return first.score < second.score ? -sign : sign;
    return sign * Buffer.compare(first.element, second.element);
  });
  return sortables.map(({ element }) => element);
}

/** The elements in the order that is asked for, cut to the limit. */
function sortedElements(call: Call, ref: number, type: number, options: SortOptions): Buffer[] {
  let ordered = elementsOf(call, ref);
  if (!options.unsorted) ordered = sorted(call, ordered, options);
  else if (type === TYPE_SET && (options.storeAt !== 0 || call.inScript))
    ordered = sorted(call, ordered, { ...options, alpha: true });
  else if (type !== TYPE_SET && options.descending) ordered.reverse();
  const start = Math.max(0, options.offset);
  return options.count < 0 ? ordered.slice(start) : ordered.slice(start, start + options.count);
}

function sort(call: Call, readOnly: boolean): void {
  const options = sortOptions(call, readOnly);
  const ref = useKey(call, 1);
  const type = ref === 0 ? TYPE_LIST : call.keyspace.typeOf(ref);
  if (type !== TYPE_LIST && type !== TYPE_SET && type !== TYPE_SORTED_SET) throw new CommandError(WRONG_TYPE);
  const elements = sortedElements(call, ref, type, options);
  const { get } = options;
  const values =
    get.length === 0
      ? elements
      : elements.flatMap((element) => get.map((pattern) => pattern.lookup(call.keyspace, call.database, element)));
  if (options.storeAt === 0) reply(call, values);
  else store(call, options.storeAt, values);
}

function reply(call: Call, values: readonly (Buffer | null)[]): void {
  call.reply.array(values.length);
  for (const value of values) {
    if (value === null) call.reply.nil();
    else call.reply.bulk(value, 0, value.length);
  }
}

function store(call: Call, index: number, values: readonly (Buffer | null)[]): void {
  const { keyspace, database, buffer } = call;
  const start = call.starts[index];
  const length = call.lengths[index];
  deleteKey(keyspace, database, buffer, start, length);
  if (values.length > 0) {
    const list = openList(keyspace, database, 0, { buffer, start, length });
    for (const value of values) pushRight(keyspace, list, value ?? Buffer.alloc(0), 0, value?.length ?? 0);
    endChange(keyspace, list, true);
  }
  call.reply.integer(values.length);
}

const COMPLEXITY = 'O(N+M*log(M)) for N elements in the key and M that are given';
const SORT_SYNTAX = 'key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA]';
const CATEGORIES = ['set', 'sortedset', 'list', 'dangerous'];

export const sortCommands: readonly CommandDefinition[] = [
  command({
    name: 'sort',
    summary: 'Gives or stores the elements of a list, set or sorted set in order.',
    since: '1.0.0',
    group: 'generic',
    complexity: COMPLEXITY,
    arity: -2,
    flags: ['write', 'denyoom'],
    categories: CATEGORIES,
    keys: [
      keyRange(1, 1, 1, 'RO', 'access'),
      { kind: 'unknown', keyword: null, flags: ['RO', 'access'] },
      { kind: 'unknown', keyword: 'STORE', flags: ['OW', 'update'] },
    ],
    syntax: `${SORT_SYNTAX} [STORE destination]`,
    merge:
      'With STORE, the destination is deleted and written anew as a list: what other nodes push to it meanwhile stays.',
    run: (call) => sort(call, false),
  }),
  command({
    name: 'sort_ro',
    summary: 'Gives the elements of a list, set or sorted set in order.',
    since: '7.0.0',
    group: 'generic',
    complexity: COMPLEXITY,
    arity: -2,
    flags: ['readonly', 'movablekeys'],
    categories: CATEGORIES,
    keys: [keyRange(1, 1, 1, 'RO', 'access'), { kind: 'unknown', keyword: null, flags: ['RO', 'access'] }],
    syntax: SORT_SYNTAX,
    run: (call) => sort(call, true),
  }),
];
