/** Deadlines of keys: EXPIRE and its kin, TTL and its kin, PERSIST. */
import { deleteRef, setDeadline } from '../../storage/types/string.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { deadlineArgument } from '../arguments/deadline-argument.ts';
import { countUse, peekKey } from '../values/key-use.ts';

const NX = 1;
const XX = 2;
const GT = 4;
const LT = 8;

function conditions(call: Call): number {
  let found = 0;
  for (let index = 3; index < call.argc; index++) {
    if (call.is(index, 'NX')) found |= NX;
    else if (call.is(index, 'XX')) found |= XX;
    else if (call.is(index, 'GT')) found |= GT;
    else if (call.is(index, 'LT')) found |= LT;
    else throw new CommandError(`ERR Unsupported option ${call.text(index)}`);
  }
  if ((found & NX) !== 0 && found !== NX) {
    throw new CommandError('ERR NX and XX, GT or LT options at the same time are not compatible');
  }
  if ((found & GT) !== 0 && (found & LT) !== 0) {
    throw new CommandError('ERR GT and LT options at the same time are not compatible');
  }
  return found;
}

/** Whether the conditions let a deadline take the place of the present one; `presentMs` is 0 or less for none. */
function allows(found: number, presentMs: number, deadlineMs: number): boolean {
  const has = presentMs > 0;
  if ((found & NX) !== 0 && has) return false;
  if ((found & XX) !== 0 && !has) return false;
  // A key without a deadline lives for ever: nothing is later.
  if ((found & GT) !== 0 && (!has || deadlineMs <= presentMs)) return false;
  return (found & LT) === 0 || !has || deadlineMs < presentMs;
}

function setExpiry(call: Call, unitMs: 1 | 1000, baseMs: number): void {
  const { keyspace, reply } = call;
  const found = call.argc > 3 ? conditions(call) : 0;
  const deadlineMs = deadlineArgument(call, 2, unitMs, baseMs);
  const ref = call.lookup(1);
  if (ref !== 0) countUse(call, ref);
  if (ref === 0 || (found !== 0 && !allows(found, keyspace.deadlineOf(ref), deadlineMs))) {
    reply.integer(0);
    return;
  }
  const { hash } = keyspace;
  if (deadlineMs <= keyspace.clock.nowMs) {
    deleteRef(keyspace, call.database, hash, ref, call.buffer, call.starts[1], call.lengths[1]);
  } else {
    setDeadline(keyspace, call.database, hash, ref, deadlineMs);
  }
  reply.integer(1);
}

function expire(call: Call): void {
  setExpiry(call, 1000, call.keyspace.clock.nowMs);
}

function pexpire(call: Call): void {
  setExpiry(call, 1, call.keyspace.clock.nowMs);
}

function expireat(call: Call): void {
  setExpiry(call, 1000, 0);
}

function pexpireat(call: Call): void {
  setExpiry(call, 1, 0);
}

/** The deadline of the key, with TTL's replies written where there is none: then the result is NaN. */
function deadlineOrReply(call: Call): number {
  const ref = peekKey(call, 1);
  const deadlineMs = ref === 0 ? 0 : call.keyspace.deadlineOf(ref);
  if (deadlineMs > 0) return deadlineMs;
  call.reply.integer(ref === 0 ? -2 : -1);
  return NaN;
}

function ttl(call: Call): void {
  const deadlineMs = deadlineOrReply(call);
  const leftMs = deadlineMs - call.keyspace.clock.nowMs;
  if (!Number.isNaN(deadlineMs)) call.reply.integer(Math.floor((leftMs + 500) / 1000));
}

function pttl(call: Call): void {
  const deadlineMs = deadlineOrReply(call);
  if (!Number.isNaN(deadlineMs)) call.reply.integer(deadlineMs - call.keyspace.clock.nowMs);
}

function expiretime(call: Call): void {
  const deadlineMs = deadlineOrReply(call);
  if (!Number.isNaN(deadlineMs)) call.reply.integer(Math.floor((deadlineMs + 500) / 1000));
}

function pexpiretime(call: Call): void {
  const deadlineMs = deadlineOrReply(call);
  if (!Number.isNaN(deadlineMs)) call.reply.integer(deadlineMs);
}

function persist(call: Call): void {
  const { keyspace, reply } = call;
  const ref = call.lookup(1);
  if (ref !== 0) countUse(call, ref);
  if (ref === 0 || keyspace.deadlineOf(ref) <= 0) {
    reply.integer(0);
    return;
  }
  setDeadline(keyspace, call.database, keyspace.hash, ref, 0);
  reply.integer(1);
}

const MERGE =
  'The deadline belongs to the value it was set on; of several, the one set last counts. Every node hides the key at the ' +
  'deadline by itself. A deadline in the past deletes the key as DEL does. Conditions are judged on the node that was asked.';

function expiryCommand(
  name: string,
  since: string,
  summary: string,
  argument: string,
  run: (call: Call) => void,
): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'generic',
    complexity: 'O(1)',
    arity: -3,
    flags: ['write', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RW', 'update')],
    syntax: `key ${argument} [NX|XX|GT|LT]`,
    merge: MERGE,
    run,
  });
}

function remainingCommand(name: string, since: string, summary: string, run: (call: Call) => void): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'generic',
    complexity: 'O(1)',
    arity: 2,
    flags: ['readonly', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key',
    run,
  });
}

export const expiryCommands: readonly CommandDefinition[] = [
  expiryCommand('expire', '1.0.0', 'Lets a key end after so many seconds.', 'seconds', expire),
  expiryCommand('pexpire', '2.6.0', 'Lets a key end after so many milliseconds.', 'milliseconds', pexpire),
  expiryCommand('expireat', '1.2.0', 'Lets a key end at a time, in seconds since 1970.', 'unix-time-seconds', expireat),
  expiryCommand(
    'pexpireat',
    '2.6.0',
    'Lets a key end at a time, in milliseconds since 1970.',
    'unix-time-milliseconds',
    pexpireat,
  ),
  remainingCommand('ttl', '1.0.0', 'Tells how many seconds a key has left: -1 for no end, -2 for no key.', ttl),
  remainingCommand('pttl', '2.6.0', 'Tells how many milliseconds a key has left: -1 for no end, -2 for no key.', pttl),
  remainingCommand(
    'expiretime',
    '7.0.0',
    'Tells when a key ends, in seconds since 1970: -1 for no end, -2 for no key.',
    expiretime,
  ),
  remainingCommand(
    'pexpiretime',
    '7.0.0',
    'Tells when a key ends, in milliseconds since 1970: -1 for no end, -2 for no key.',
    pexpiretime,
  ),
  command({
    name: 'persist',
    summary: 'Takes the deadline of a key away.',
    since: '2.2.0',
    group: 'generic',
    complexity: 'O(1)',
    arity: 2,
    flags: ['write', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RW', 'update')],
    syntax: 'key',
    merge: 'Taking the deadline away is a deadline of its own: of several set on one value, the one set last counts.',
    run: persist,
  }),
];
