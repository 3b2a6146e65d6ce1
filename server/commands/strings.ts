/** Whole values: GET and SET and their kin, MGET, MSET. */
import { TYPE_STRING } from '../../storage/arena/block.ts';
import { deleteRef, keptDeadline, setDeadline, setString } from '../../storage/types/string.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { wrongArity } from '../definitions/command-errors.ts';
import { deadlineArgument, invalidExpireTime } from '../arguments/deadline-argument.ts';
import { useKey } from '../values/key-use.ts';
import { useString } from '../values/string-use.ts';

// ---- options of SET and GETEX ----

const NX = 1;
const XX = 2;
const GET = 4;
const KEEPTTL = 8;
const PERSIST = 16;
const EX = 32;
const PX = 64;
const EXAT = 128;
const PXAT = 256;
const DEADLINE = EX | PX | EXAT | PXAT;
/** Parsed options are one number, so that none is allocated: the bits above, and this times the index of the deadline. */
const DEADLINE_INDEX = 512;

interface ValueOption {
  readonly word: string;
  readonly bit: number;
  /** Options that it may not follow. */
  readonly conflicts: number;
}

function deadlineOption(word: string, bit: number): ValueOption {
  return { word, bit, conflicts: (DEADLINE & ~bit) | KEEPTTL | PERSIST };
}

const DEADLINE_OPTIONS: readonly ValueOption[] = [
  deadlineOption('EX', EX),
  deadlineOption('PX', PX),
  deadlineOption('EXAT', EXAT),
  deadlineOption('PXAT', PXAT),
];
const SET_OPTIONS: readonly ValueOption[] = [
  ...DEADLINE_OPTIONS,
  { word: 'NX', bit: NX, conflicts: XX },
  { word: 'XX', bit: XX, conflicts: NX },
  { word: 'GET', bit: GET, conflicts: 0 },
  { word: 'KEEPTTL', bit: KEEPTTL, conflicts: DEADLINE },
];
const GETEX_OPTIONS: readonly ValueOption[] = [
  ...DEADLINE_OPTIONS,
  { word: 'PERSIST', bit: PERSIST, conflicts: DEADLINE },
];

/** Reads the options from argument `first` on. An option may come again; of deadlines the last one counts, as in Redis. */
function parseOptions(call: Call, first: number, known: readonly ValueOption[]): number {
  let found = 0;
  let deadlineIndex = 0;
  for (let index = first; index < call.argc; index++) {
    let at = 0;
    while (at < known.length && !call.is(index, known[at].word)) at++;
    if (at === known.length || (found & known[at].conflicts) !== 0) call.syntaxError();
    const { bit } = known[at];
    found |= bit;
    if ((bit & DEADLINE) === 0) continue;
    deadlineIndex = ++index;
    if (index === call.argc) call.syntaxError();
  }
  return found + deadlineIndex * DEADLINE_INDEX;
}

/**
 * The deadline at argument `index`, in milliseconds since 1970.
 * @param baseMs what the argument counts from: the present, or 0
 * @throws CommandError when it is not after its base
 */
function positiveDeadline(call: Call, index: number, unitMs: 1 | 1000, baseMs: number): number {
  const deadlineMs = deadlineArgument(call, index, unitMs, baseMs);
  if (deadlineMs <= baseMs) invalidExpireTime(call);
  return deadlineMs;
}

/** The deadline that the options ask for; 0 for none. */
function deadlineOf(call: Call, options: number): number {
  if ((options & DEADLINE) === 0) return 0;
  const index = Math.floor(options / DEADLINE_INDEX);
  const unitMs = (options & (EX | EXAT)) !== 0 ? 1000 : 1;
  return positiveDeadline(call, index, unitMs, (options & (EX | PX)) !== 0 ? call.keyspace.clock.nowMs : 0);
}

// ---- one key ----

/** Gives the key at argument 1 the value at argument `value`. */
function store(call: Call, value: number, deadlineMs: number): void {
  const { buffer, starts, lengths } = call;
  setString(
    call.keyspace,
    call.database,
    buffer,
    starts[1],
    lengths[1],
    buffer,
    starts[value],
    lengths[value],
    deadlineMs,
  );
}

/** Replies with the value at argument 1 and returns its block, or 0 when there is none. */
function replyWithValue(call: Call): number {
  const ref = useString(call, 1);
  if (ref === 0) call.reply.nil();
  else call.replyValue(ref);
  return ref;
}

function get(call: Call): void {
  replyWithValue(call);
}

function set(call: Call): void {
  if (call.argc > 3) {
    setWithOptions(call);
    return;
  }
  store(call, 2, 0);
  call.reply.ok();
}

function setWithOptions(call: Call): void {
  const options = parseOptions(call, 3, SET_OPTIONS);
  let deadlineMs = deadlineOf(call, options);
  const repliesOld = (options & GET) !== 0;
  if (repliesOld) replyWithValue(call);
  if ((options & (NX | XX | KEEPTTL)) !== 0) {
    const ref = call.lookup(1);
    if ((options & (ref === 0 ? XX : NX)) !== 0) {
      if (!repliesOld) call.reply.nil();
      return;
    }
    if ((options & KEEPTTL) !== 0) deadlineMs = keptDeadline(call.keyspace, ref);
  }
  store(call, 2, deadlineMs);
  if (!repliesOld) call.reply.ok();
}

function setnx(call: Call): void {
  const isNew = call.lookup(1) === 0;
  if (isNew) store(call, 2, 0);
  call.reply.integer(isNew ? 1 : 0);
}

function setex(call: Call): void {
  store(call, 3, positiveDeadline(call, 2, 1000, call.keyspace.clock.nowMs));
  call.reply.ok();
}

function psetex(call: Call): void {
  store(call, 3, positiveDeadline(call, 2, 1, call.keyspace.clock.nowMs));
  call.reply.ok();
}

function getset(call: Call): void {
  replyWithValue(call);
  store(call, 2, 0);
}

function deleteFirst(call: Call, ref: number): void {
  const { keyspace } = call;
  deleteRef(keyspace, call.database, keyspace.hash, ref, call.buffer, call.starts[1], call.lengths[1]);
}

function getdel(call: Call): void {
  const ref = replyWithValue(call);
  if (ref !== 0) deleteFirst(call, ref);
}

function getex(call: Call): void {
  const { keyspace } = call;
  const options = parseOptions(call, 2, GETEX_OPTIONS);
  const ref = replyWithValue(call);
  if (ref === 0) return;
  const deadlineMs = deadlineOf(call, options);
  if (deadlineMs !== 0 && deadlineMs <= keyspace.clock.nowMs) {
    deleteFirst(call, ref);
  } else if (deadlineMs !== 0 || ((options & PERSIST) !== 0 && keyspace.deadlineOf(ref) > 0)) {
    setDeadline(keyspace, call.database, keyspace.hash, ref, deadlineMs);
  }
}

// ---- several keys ----

function mget(call: Call): void {
  const { keyspace, reply } = call;
  reply.array(call.argc - 1);
  for (let index = 1; index < call.argc; index++) {
    const ref = useKey(call, index);
    if (ref === 0 || keyspace.typeOf(ref) !== TYPE_STRING) reply.nil();
    else call.replyValue(ref);
  }
}

function storePairs(call: Call): void {
  const { keyspace, database, buffer, starts, lengths } = call;
  for (let at = 1; at < call.argc; at += 2) {
    setString(keyspace, database, buffer, starts[at], lengths[at], buffer, starts[at + 1], lengths[at + 1], 0);
  }
}

function checkPairs(call: Call): void {
  if (call.argc % 2 === 0) throw new CommandError(wrongArity(call.command));
}

function mset(call: Call): void {
  checkPairs(call);
  storePairs(call);
  call.reply.ok();
}

function msetnx(call: Call): void {
  checkPairs(call);
  let allNew = true;
  for (let index = 1; index < call.argc && allNew; index += 2) allNew = call.lookup(index) === 0;
  if (allNew) storePairs(call);
  call.reply.integer(allNew ? 1 : 0);
}

// ---- definitions ----

const LAST_WRITE = 'The value written last counts, on every node.';
const LOCAL_CONDITION =
  'Whether the key exists is judged on the node that was asked: two nodes may both set it, and then the later value counts.';
const SET_DEADLINE = ' The deadline belongs to the value and goes with it.';
const DEADLINE_SYNTAX = 'EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds';

export const stringCommands: readonly CommandDefinition[] = [
  command({
    name: 'get',
    summary: 'Returns the string at a key.',
    since: '1.0.0',
    group: 'string',
    complexity: 'O(1)',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key',
    run: get,
  }),
  command({
    name: 'set',
    summary: 'Gives a key a string value, whatever it held, with or without a deadline.',
    since: '1.0.0',
    group: 'string',
    complexity: 'O(1)',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update', 'variable_flags')],
    syntax: `key value [NX|XX] [GET] [${DEADLINE_SYNTAX}|KEEPTTL]`,
    merge: `${LAST_WRITE} ${LOCAL_CONDITION}${SET_DEADLINE}`,
    run: set,
  }),
  command({
    name: 'setnx',
    summary: 'Gives a key a string value unless the key exists.',
    since: '1.0.0',
    group: 'string',
    complexity: 'O(1)',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [keyRange(1, 1, 1, 'OW', 'insert')],
    syntax: 'key value',
    merge: LOCAL_CONDITION,
    run: setnx,
  }),
  command({
    name: 'setex',
    summary: 'Gives a key a string value and seconds to live.',
    since: '2.0.0',
    group: 'string',
    complexity: 'O(1)',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'OW', 'update')],
    syntax: 'key seconds value',
    merge: LAST_WRITE + SET_DEADLINE,
    run: setex,
  }),
  command({
    name: 'psetex',
    summary: 'Gives a key a string value and milliseconds to live.',
    since: '2.6.0',
    group: 'string',
    complexity: 'O(1)',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'OW', 'update')],
    syntax: 'key milliseconds value',
    merge: LAST_WRITE + SET_DEADLINE,
    run: psetex,
  }),
  command({
    name: 'getset',
    summary: 'Gives a key a string value and returns the one it had.',
    since: '1.0.0',
    group: 'string',
    complexity: 'O(1)',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update')],
    syntax: 'key value',
    merge: `${LAST_WRITE} The value returned is the one that this node had: two nodes may return the same one.`,
    run: getset,
  }),
  command({
    name: 'getdel',
    summary: 'Returns the string at a key and deletes the key.',
    since: '6.2.0',
    group: 'string',
    complexity: 'O(1)',
    arity: 2,
    flags: ['write', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete')],
    syntax: 'key',
    merge: 'Deletes as DEL does: a later write survives it. Two nodes that do it at once may both return the value.',
    run: getdel,
  }),
  command({
    name: 'getex',
    summary: 'Returns the string at a key and gives the key another deadline, or none.',
    since: '6.2.0',
    group: 'string',
    complexity: 'O(1)',
    arity: -2,
    flags: ['write', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update')],
    syntax: `key [${DEADLINE_SYNTAX}|PERSIST]`,
    merge: 'The deadline belongs to the value it was set on; of several, the one set last counts.',
    run: getex,
  }),
  command({
    name: 'mget',
    summary: 'Returns the strings at several keys, nil for those that hold none.',
    since: '1.0.0',
    group: 'string',
    complexity: 'O(N) where N is the number of keys',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, -1, 1, 'RO', 'access')],
    syntax: 'key [key ...]',
    run: mget,
  }),
  command({
    name: 'mset',
    summary: 'Gives several keys string values in one step.',
    since: '1.0.1',
    group: 'string',
    complexity: 'O(N) where N is the number of keys',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, -1, 2, 'OW', 'update')],
    syntax: 'key value [key value ...]',
    merge: 'Arrives on every node as a whole; of each key the value written last counts.',
    run: mset,
  }),
  command({
    name: 'msetnx',
    summary: 'Gives several keys string values in one step, unless one of the keys exists.',
    since: '1.0.1',
    group: 'string',
    complexity: 'O(N) where N is the number of keys',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, -1, 2, 'OW', 'insert')],
    syntax: 'key value [key value ...]',
    merge:
      'Whether the keys exist is judged on the node that was asked. Arrives on every node as a whole; of each key the value ' +
      'written last counts.',
    run: msetnx,
  }),
];
