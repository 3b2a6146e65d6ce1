/** Deadlines of the fields of hashes: HEXPIRE and its kin, HTTL and its kin, HPERSIST. */
import { TYPE_HASH } from '../../storage/arena/block.ts';
import { setElementDeadline } from '../../storage/collections/element-expiry.ts';
import { endChange, removeElement } from '../../storage/collections/local.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite, elementAt, openAt, peekCollection } from '../values/collection-use.ts';
import { command, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { fieldDeadlineArgument, fieldsArgument } from '../arguments/field-arguments.ts';

const NO_FIELD = -2;
const NO_DEADLINE = -1;
const NOT_MET = 0;
const SET = 1;
const DELETED = 2;

const MUST_BE_POSITIVE = 'ERR Parameter `numFields` should be greater than 0';

type Condition = 'NX' | 'XX' | 'GT' | 'LT';
const CONDITIONS: readonly Condition[] = ['NX', 'XX', 'GT', 'LT'];

/** Whether the condition lets a deadline take the place of the present one; `presentMs` is 0 or less for none. */
function allows(condition: Condition | undefined, presentMs: number, deadlineMs: number): boolean {
  const has = presentMs > 0;
  if (condition === 'NX') return !has;
  if (condition === 'XX') return has;
  // A field without a deadline lives for ever: nothing is later.
  if (condition === 'GT') return has && deadlineMs > presentMs;
  return condition !== 'LT' || !has || deadlineMs < presentMs;
}

function replyMissing(call: Call, count: number): void {
  call.reply.array(count);
  for (let left = count; left > 0; left--) call.reply.integer(NO_FIELD);
}

function setExpiry(call: Call, unitMs: 1 | 1000, baseMs: number): void {
  const { keyspace, reply } = call;
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  const deadlineMs = fieldDeadlineArgument(call, 2, unitMs, baseMs);
  const condition = CONDITIONS.find((word) => call.is(3, word));
  const { first, count } = fieldsArgument(call, condition === undefined ? 3 : 4, 1, MUST_BE_POSITIVE);
  if (ref === 0) {
    replyMissing(call, count);
    return;
  }
  const isPast = deadlineMs <= keyspace.clock.nowMs;
  let hash = keyspace.collectionAt(ref);
  let isOpen = false;
  reply.array(count);
  for (let index = first; index < first + count; index++) {
    const element = elementAt(call, hash, index);
    if (element === 0) {
      reply.integer(NO_FIELD);
    } else if (!allows(condition, keyspace.elements.deadlineOf(element), deadlineMs)) {
      reply.integer(NOT_MET);
    } else {
      if (!isOpen) hash = openAt(call, 1, ref, TYPE_HASH);
      isOpen = true;
      if (isPast) removeElement(keyspace, hash, element);
      else setElementDeadline(keyspace, hash, element, deadlineMs);
      reply.integer(isPast ? DELETED : SET);
    }
  }
  if (isOpen) endChange(keyspace, hash, true);
}

function hpersist(call: Call): void {
  const { keyspace, reply } = call;
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  const { first, count } = fieldsArgument(call, 2);
  if (ref === 0) {
    replyMissing(call, count);
    return;
  }
  let hash = keyspace.collectionAt(ref);
  let isOpen = false;
  reply.array(count);
  for (let index = first; index < first + count; index++) {
    const element = elementAt(call, hash, index);
    if (element === 0) {
      reply.integer(NO_FIELD);
    } else if (keyspace.elements.deadlineOf(element) <= 0) {
      reply.integer(NO_DEADLINE);
    } else {
      if (!isOpen) hash = openAt(call, 1, ref, TYPE_HASH);
      isOpen = true;
      setElementDeadline(keyspace, hash, element, 0);
      reply.integer(SET);
    }
  }
  if (isOpen) endChange(keyspace, hash, true);
}

/** Replies with what `show` makes of each field's deadline. */
function replyDeadlines(call: Call, show: (deadlineMs: number) => number): void {
  const { keyspace, reply } = call;
  const hash = peekCollection(call, 1, TYPE_HASH);
  const { first, count } = fieldsArgument(call, 2);
  if (hash === null) {
    replyMissing(call, count);
    return;
  }
  reply.array(count);
  for (let index = first; index < first + count; index++) {
    const element = elementAt(call, hash, index);
    const deadlineMs = element === 0 ? 0 : keyspace.elements.deadlineOf(element);
    if (element === 0) reply.integer(NO_FIELD);
    else reply.integer(deadlineMs <= 0 ? NO_DEADLINE : show(deadlineMs));
  }
}

const MERGE =
  'The deadline belongs to the value it was set on; of several, the one set last counts. Every node hides the field at the ' +
  'deadline by itself. A deadline in the past removes the field as HDEL does. Conditions are judged on the node that was asked.';

function expiryCommand(
  name: string,
  summary: string,
  argument: string,
  unitMs: 1 | 1000,
  isAbsolute: boolean,
): CommandDefinition {
  return command({
    name,
    summary,
    since: '7.4.0',
    group: 'hash',
    complexity: 'O(N) with N the number of fields named',
    arity: -6,
    flags: ['write', 'denyoom', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'update')],
    syntax: `key ${argument} [NX|XX|GT|LT] FIELDS numfields field [field ...]`,
    merge: MERGE,
    run: (call) => setExpiry(call, unitMs, isAbsolute ? 0 : call.keyspace.clock.nowMs),
  });
}

function remainingCommand(name: string, summary: string, show: (deadlineMs: number, nowMs: number) => number) {
  return command({
    name,
    summary,
    since: '7.4.0',
    group: 'hash',
    complexity: 'O(N) with N the number of fields named',
    arity: -5,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key FIELDS numfields field [field ...]',
    run: (call) => replyDeadlines(call, (deadlineMs) => show(deadlineMs, call.keyspace.clock.nowMs)),
  });
}

function secondsUp(ms: number): number {
  return Math.floor((ms + 999) / 1000);
}

export const hashExpiryCommands: readonly CommandDefinition[] = [
  expiryCommand('hexpire', 'Lets fields of a hash end after so many seconds.', 'seconds', 1000, false),
  expiryCommand('hpexpire', 'Lets fields of a hash end after so many milliseconds.', 'milliseconds', 1, false),
  expiryCommand(
    'hexpireat',
    'Lets fields of a hash end at a time, in seconds since 1970.',
    'unix-time-seconds',
    1000,
    true,
  ),
  expiryCommand(
    'hpexpireat',
    'Lets fields of a hash end at a time, in milliseconds since 1970.',
    'unix-time-milliseconds',
    1,
    true,
  ),
  remainingCommand(
    'httl',
    'Tells how many seconds fields have left: -1 for no end, -2 for no field.',
    (deadlineMs, nowMs) => secondsUp(deadlineMs - nowMs),
  ),
  remainingCommand(
    'hpttl',
    'Tells how many milliseconds fields have left: -1 for no end, -2 for no field.',
    (deadlineMs, nowMs) => deadlineMs - nowMs,
  ),
  remainingCommand(
    'hexpiretime',
    'Tells when fields end, in seconds since 1970: -1 for no end, -2 for no field.',
    secondsUp,
  ),
  remainingCommand(
    'hpexpiretime',
    'Tells when fields end, in milliseconds since 1970: -1 for no end, -2 for no field.',
    (deadlineMs) => deadlineMs,
  ),
  command({
    name: 'hpersist',
    summary: 'Takes the deadlines of fields away.',
    since: '7.4.0',
    group: 'hash',
    complexity: 'O(N) with N the number of fields named',
    arity: -5,
    flags: ['write', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'update')],
    syntax: 'key FIELDS numfields field [field ...]',
    merge: 'Taking the deadline away is a deadline of its own: of several set on one value, the one set last counts.',
    run: hpersist,
  }),
];
