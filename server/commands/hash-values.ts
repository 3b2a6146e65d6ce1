/** Fields read, written or removed together with their deadlines: HGETEX, HSETEX, HGETDEL. */
import { TYPE_HASH } from '../../storage/arena/block.ts';
import type { Collection } from '../../storage/collections/collection.ts';
import { pendingElementDeadline, setElementDeadline } from '../../storage/collections/element-expiry.ts';
import { endChange, putElement, removeElement } from '../../storage/collections/local.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite, elementAt, elementToWrite, openAt, replyElementValue } from '../values/collection-use.ts';
import { command, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { fieldDeadlineArgument, fieldsArgument, type NamedFields } from '../arguments/field-arguments.ts';

/** What is to become of deadlines: milliseconds since 1970, or a word. */
type Expiry = number | 'keep' | 'clear' | null;

interface Options {
  expiry: Expiry;
  condition: 'FNX' | 'FXX' | null;
  fields: NamedFields;
}

const UNITS: readonly [word: string, unitMs: 1 | 1000, isAbsolute: boolean][] = [
  ['EX', 1000, false],
  ['PX', 1, false],
  ['EXAT', 1000, true],
  ['PXAT', 1, true],
];

/** Reads the options from argument 2 on, which FIELDS ends. */
function options(call: Call, forSetting: boolean): Options {
  let expiry: Expiry = null;
  let condition: Options['condition'] = null;
  let index = 2;
  for (; index < call.argc && !call.is(index, 'FIELDS'); index++) {
    const unit = UNITS.find(([word]) => call.is(index, word));
    const isExpiry = unit !== undefined || call.is(index, forSetting ? 'KEEPTTL' : 'PERSIST');
    if (isExpiry && expiry !== null) call.syntaxError();
    if (unit !== undefined && index + 1 < call.argc) {
      expiry = fieldDeadlineArgument(call, ++index, unit[1], unit[2] ? 0 : call.keyspace.clock.nowMs);
    } else if (isExpiry && unit === undefined) {
      expiry = forSetting ? 'keep' : 'clear';
    } else if (forSetting && condition === null && call.is(index, 'FNX')) {
      condition = 'FNX';
    } else if (forSetting && condition === null && call.is(index, 'FXX')) {
      condition = 'FXX';
    } else {
      call.syntaxError();
    }
  }
  return { expiry, condition, fields: fieldsArgument(call, index, forSetting ? 2 : 1) };
}

function replyValues(call: Call, hash: Collection | null, { first, count }: NamedFields): void {
  call.reply.array(count);
  for (let index = first; index < first + count; index++) {
    const element = hash === null ? 0 : elementAt(call, hash, index);
    if (element === 0) call.reply.nil();
    else replyElementValue(call, element);
  }
}

function hgetex(call: Call): void {
  const { keyspace } = call;
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  const { expiry, fields } = options(call, false);
  replyValues(call, ref === 0 ? null : keyspace.collectionAt(ref), fields);
  if (ref === 0 || expiry === null) return;
  const deadlineMs = typeof expiry === 'number' ? expiry : 0;
  const isPast = typeof expiry === 'number' && expiry <= keyspace.clock.nowMs;
  changeFields(
    call,
    ref,
    fields,
    (hash, element) => {
      if (isPast) removeElement(keyspace, hash, element);
      else setElementDeadline(keyspace, hash, element, deadlineMs);
    },
    (element) => deadlineMs > 0 || isPast || keyspace.elements.deadlineOf(element) > 0,
  );
}

/** Changes those of the fields that are there and wanted. */
function changeFields(
  call: Call,
  ref: number,
  { first, count }: NamedFields,
  change: (hash: Collection, element: number) => void,
  isWanted: (element: number) => boolean = () => true,
): void {
  const { keyspace } = call;
  let hash = keyspace.collectionAt(ref);
  let isOpen = false;
  for (let index = first; index < first + count; index++) {
    const element = elementAt(call, hash, index);
    if (element === 0 || !isWanted(element)) continue;
    if (!isOpen) hash = openAt(call, 1, ref, TYPE_HASH);
    isOpen = true;
    change(hash, element);
  }
  if (isOpen) endChange(keyspace, hash, true);
}

function hgetdel(call: Call): void {
  const { keyspace } = call;
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  const fields = fieldsArgument(call, 2);
  replyValues(call, ref === 0 ? null : keyspace.collectionAt(ref), fields);
  if (ref !== 0) changeFields(call, ref, fields, (hash, element) => removeElement(keyspace, hash, element));
}

function hsetex(call: Call): void {
  const { keyspace, reply } = call;
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  const { expiry, condition, fields } = options(call, true);
  if (condition !== null && !isMet(call, ref, condition, fields)) {
    reply.integer(0);
    return;
  }
  const { first, count } = fields;
  const isPast = typeof expiry === 'number' && expiry <= keyspace.clock.nowMs;
  const hash = openAt(call, 1, ref, TYPE_HASH);
  for (let index = first; index < first + count * 2; index += 2) {
    const element = elementToWrite(call, hash, index);
    if (isPast) {
      if (element !== 0 && keyspace.elements.isVisible(element)) removeElement(keyspace, hash, element);
    } else {
      setField(call, hash, element, index, expiry);
    }
  }
  endChange(keyspace, hash, true);
  reply.integer(1);
}

function setField(call: Call, hash: Collection, element: number, index: number, expiry: Expiry): void {
  const { keyspace, buffer, starts, lengths } = call;
  const { elements } = keyspace;
  const isKept = expiry === 'keep' && element !== 0 && elements.isVisible(element);
  const deadlineMs = isKept ? elements.deadlineOf(element) : typeof expiry === 'number' ? expiry : -1;
  if (deadlineMs > 0) pendingElementDeadline(keyspace, deadlineMs);
  const [value, length] = [starts[index + 1], lengths[index + 1]];
  putElement(keyspace, hash, element, buffer, starts[index], lengths[index], buffer, value, length);
}

/** Whether all fields are there, or none. */
function isMet(call: Call, ref: number, condition: 'FNX' | 'FXX', { first, count }: NamedFields): boolean {
  const hash = ref === 0 ? null : call.keyspace.collectionAt(ref);
  for (let index = first; index < first + count * 2; index += 2) {
    const isThere = hash !== null && elementAt(call, hash, index) !== 0;
    if (isThere === (condition === 'FNX')) return false;
  }
  return true;
}

const BY_FIELDS = 'O(N) with N the number of fields named';
const DEADLINE_MERGE =
  'The deadline belongs to the value it was set on; of several, the one set last counts. A deadline in the past removes the field.';

export const hashValueCommands: readonly CommandDefinition[] = [
  command({
    name: 'hgetex',
    summary: 'Gives the values of fields, and sets or takes away their deadlines.',
    since: '8.0.0',
    group: 'hash',
    complexity: BY_FIELDS,
    arity: -5,
    flags: ['write', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update')],
    syntax:
      'key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] FIELDS numfields field [field ...]',
    merge: DEADLINE_MERGE,
    run: hgetex,
  }),
  command({
    name: 'hsetex',
    summary: 'Sets fields together with their deadline.',
    since: '8.0.0',
    group: 'hash',
    complexity: BY_FIELDS,
    arity: -6,
    flags: ['write', 'denyoom', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'update')],
    syntax:
      'key [FNX|FXX] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL] FIELDS numfields field value [field value ...]',
    merge:
      'Each field is its own: of writes to one field on several nodes the latest wins, with its deadline. FNX and FXX are judged on the node that was asked.',
    run: hsetex,
  }),
  command({
    name: 'hgetdel',
    summary: 'Gives the values of fields and removes them.',
    since: '8.0.0',
    group: 'hash',
    complexity: BY_FIELDS,
    arity: -5,
    flags: ['write', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete')],
    syntax: 'key FIELDS numfields field [field ...]',
    merge:
      'Removes the value that this node has seen: a field that another node writes at the same time stays. Two nodes may give the same value.',
    run: hgetdel,
  }),
];
