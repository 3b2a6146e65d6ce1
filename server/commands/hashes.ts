/** Hashes: fields with values under one key. */
import { parseInteger } from '../../protocol/integer.ts';
import { TYPE_HASH } from '../../storage/arena/block.ts';
import { endChange, putElement } from '../../storage/collections/local.ts';
import { INTEGER_MAX, INTEGER_MIN, formatDecimal, parseDecimal } from '../../storage/types/decimal.ts';
import { addToElement } from '../../storage/types/hash.ts';
import type { Call } from '../dispatch/call.ts';
import {
  collectionToWrite,
  elementAt,
  elementToWrite,
  openAt,
  peekCollection,
  peekWholeHash,
  removeElements,
  replyElementValue,
  replyName,
  useCollection,
  useWholeHash,
} from '../values/collection-use.ts';
import { command, CommandError, keyRange, NOT_A_FLOAT } from '../definitions/command.ts';
import type { CommandDefinition, CommandFlag, KeyFlag } from '../definitions/command.ts';
import { wrongArity } from '../definitions/command-errors.ts';
import { scanElements } from '../values/element-scan.ts';
import { differentElements, randomArguments } from '../values/random-elements.ts';

/** Digits and sign of the longest 64-bit integer. */
const INTEGER_BYTES_MAX = 20;
/** Longer numbers are none that decimal sums are kept of. */
const DECIMAL_BYTES_MAX = 400;
const INFINITE = /^[+-]?inf(inity)?$/i;

// ---- writing ----

/** Sets the fields from argument 2 on; returns how many are new. */
function setFields(call: Call): number {
  const { keyspace, buffer, starts, lengths, argc } = call;
  if (argc % 2 === 1) throw new CommandError(wrongArity(call.command));
  const hash = openAt(call, 1, collectionToWrite(call, 1, TYPE_HASH), TYPE_HASH);
  let before = hash.count;
  for (let index = 2; index < argc; index += 2) {
    const { count } = hash;
    const element = elementToWrite(call, hash, index);
    // One less when the field was past its deadline.
    before += hash.count - count;
    putElement(
      keyspace,
      hash,
      element,
      buffer,
      starts[index],
      lengths[index],
      buffer,
      starts[index + 1],
      lengths[index + 1],
    );
  }
  const added = hash.count - before;
  endChange(keyspace, hash, true);
  return added;
}

function hset(call: Call): void {
  call.reply.integer(setFields(call));
}

function hmset(call: Call): void {
  setFields(call);
  call.reply.ok();
}

function hsetnx(call: Call): void {
  const { keyspace, reply } = call;
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  if (ref !== 0 && elementAt(call, keyspace.collectionAt(ref), 2) !== 0) {
    reply.integer(0);
    return;
  }
  setFields(call);
  reply.integer(1);
}

function hdel(call: Call): void {
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  call.reply.integer(ref === 0 ? 0 : removeElements(call, ref, TYPE_HASH));
}

// ---- numbers ----

/** The bytes of the field at argument 2, or null when there is none. */
function presentText(call: Call, ref: number): string | null {
  if (ref === 0) return null;
  const { elements } = call.keyspace;
  const element = elementAt(call, call.keyspace.collectionAt(ref), 2);
  if (element === 0) return null;
  elements.readValue(element);
  const { valueBuffer, valueStart, valueLength } = elements;
  return valueBuffer.toString('latin1', valueStart, valueStart + Math.min(valueLength, DECIMAL_BYTES_MAX + 1));
}

function addToField(call: Call, ref: number, delta: string): void {
  const { keyspace, buffer, starts, lengths } = call;
  const hash = openAt(call, 1, ref, TYPE_HASH);
  const element = addToElement(keyspace, hash, buffer, starts[2], lengths[2], delta);
  keyspace.elements.readValue(element);
  endChange(keyspace, hash, true);
}

function hincrby(call: Call): void {
  const delta = BigInt(call.integer64(3));
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  const present = presentText(call, ref);
  let total = delta;
  if (present !== null) {
    const bytes = Buffer.from(present, 'latin1');
    const number = bytes.length > INTEGER_BYTES_MAX ? undefined : parseInteger(bytes, 0, bytes.length);
    if (number === undefined) throw new CommandError('ERR hash value is not an integer');
    total += BigInt(number);
  }
  if (total > INTEGER_MAX || total < INTEGER_MIN) {
    throw new CommandError('ERR increment or decrement would overflow');
  }
  addToField(call, ref, String(delta));
  call.reply.bigint(total);
}

function hincrbyfloat(call: Call): void {
  const { keyspace, reply } = call;
  const text = call.latin1(3);
  if (INFINITE.test(text)) throw new CommandError('ERR value is NaN or Infinity');
  const delta = text.length > DECIMAL_BYTES_MAX ? null : parseDecimal(text);
  if (delta === null) throw new CommandError(NOT_A_FLOAT);
  const ref = collectionToWrite(call, 1, TYPE_HASH);
  const present = presentText(call, ref);
  if (present !== null && INFINITE.test(present)) throw new CommandError('ERR increment would produce NaN or Infinity');
  if (present !== null && (present.length > DECIMAL_BYTES_MAX || parseDecimal(present) === null)) {
    throw new CommandError('ERR hash value is not a float');
  }
  addToField(call, ref, formatDecimal(delta));
  const { valueBuffer, valueStart, valueLength } = keyspace.elements;
  reply.bulk(valueBuffer, valueStart, valueLength);
}

// ---- reading ----

function hget(call: Call): void {
  const hash = useCollection(call, 1, TYPE_HASH);
  const element = hash === null ? 0 : elementAt(call, hash, 2);
  if (element === 0) call.reply.nil();
  else replyElementValue(call, element);
}

function hmget(call: Call): void {
  const { reply, argc } = call;
  const hash = useCollection(call, 1, TYPE_HASH);
  reply.array(argc - 2);
  for (let index = 2; index < argc; index++) {
    const element = hash === null ? 0 : elementAt(call, hash, index);
    if (element === 0) reply.nil();
    else replyElementValue(call, element);
  }
}

function hgetall(call: Call): void {
  const { reply } = call;
  const hash = useWholeHash(call, 1);
  reply.map(hash === null ? 0 : hash.count);
  hash?.forEach((element) => {
    replyName(call, element);
    replyElementValue(call, element);
  });
}

function hkeys(call: Call): void {
  const { reply } = call;
  const hash = useWholeHash(call, 1);
  reply.array(hash === null ? 0 : hash.count);
  hash?.forEach((element) => replyName(call, element));
}

function hvals(call: Call): void {
  const { reply } = call;
  const hash = useWholeHash(call, 1);
  reply.array(hash === null ? 0 : hash.count);
  hash?.forEach((element) => replyElementValue(call, element));
}

function hlen(call: Call): void {
  const hash = peekWholeHash(call, 1);
  call.reply.integer(hash === null ? 0 : hash.count);
}

function hexists(call: Call): void {
  const hash = peekCollection(call, 1, TYPE_HASH);
  call.reply.integer(hash !== null && elementAt(call, hash, 2) !== 0 ? 1 : 0);
}

function hstrlen(call: Call): void {
  const { elements } = call.keyspace;
  const hash = peekCollection(call, 1, TYPE_HASH);
  const element = hash === null ? 0 : elementAt(call, hash, 2);
  if (element !== 0) elements.readValue(element);
  call.reply.integer(element === 0 ? 0 : elements.valueLength);
}

function hscan(call: Call): void {
  scanElements(call, TYPE_HASH, true, (element, withValues) => {
    replyName(call, element);
    if (withValues) replyElementValue(call, element);
  });
}

// ---- random fields ----

function hrandfield(call: Call): void {
  const { reply, argc } = call;
  const random = (): number => call.node.random();
  if (argc === 2) {
    const hash = useWholeHash(call, 1);
    if (hash === null) reply.nil();
    else replyName(call, hash.sample(random));
    return;
  }
  const { count, withValues } = randomArguments(call, 'WITHVALUES');
  const hash = useWholeHash(call, 1);
  if (hash === null || count === 0) {
    reply.array(0);
    return;
  }
  const replyField = (element: number): void => {
    if (withValues && reply.protocol === 3) reply.array(2);
    replyName(call, element);
    if (withValues) replyElementValue(call, element);
  };
  const parts = withValues && reply.protocol === 2 ? 2 : 1;
  if (count < 0) {
    reply.array(-count * parts);
    for (let left = -count; left > 0; left--) replyField(hash.sample(random));
    return;
  }
  const chosen = differentElements(hash, count, random);
  reply.array(chosen.length * parts);
  for (const element of chosen) replyField(element);
}

// ---- definitions ----

const FIELD_MERGE =
  'Each field is its own: of writes to one field on several nodes the latest wins, and a field that is written while another ' +
  'node removes it stays. A DEL of the hash removes the fields that its node has seen.';
const REMOVE_MERGE =
  'Removes the value that this node has seen: a field that another node writes at the same time stays.';
const NUMBER_MERGE =
  'No increment is lost: those made on several nodes at once add up. HSET and HDEL of the field start anew; increments that ' +
  'did not know of them are dropped with the value they were added to.';

function hashCommand(
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
    group: 'hash',
    complexity,
    arity,
    flags,
    keys: [keyRange(1, 1, 1, ...keyFlags)],
    syntax,
    ...(merge === undefined ? {} : { merge }),
    run,
  });
}

const WRITE: readonly CommandFlag[] = ['write', 'denyoom', 'fast'];
const READ_FAST: readonly CommandFlag[] = ['readonly', 'fast'];
const READ: readonly CommandFlag[] = ['readonly'];
const BY_PAIRS = 'O(N) with N the number of fields given';
const BY_SIZE = 'O(N) with N the number of fields in the hash';

export const hashCommands: readonly CommandDefinition[] = [
  hashCommand(
    'hset',
    '2.0.0',
    'Sets fields of a hash, which is made when it is missing.',
    -4,
    'key field value [field value ...]',
    BY_PAIRS,
    WRITE,
    ['RW', 'update'],
    hset,
    FIELD_MERGE,
  ),
  hashCommand(
    'hsetnx',
    '2.0.0',
    'Sets a field of a hash unless it is there.',
    4,
    'key field value',
    'O(1)',
    WRITE,
    ['RW', 'insert'],
    hsetnx,
    `${FIELD_MERGE} Two nodes may both find the field missing.`,
  ),
  hashCommand(
    'hmset',
    '2.0.0',
    'Sets fields of a hash; HSET does the same.',
    -4,
    'key field value [field value ...]',
    BY_PAIRS,
    WRITE,
    ['RW', 'update'],
    hmset,
    FIELD_MERGE,
  ),
  hashCommand(
    'hget',
    '2.0.0',
    'Gives the value of a field.',
    3,
    'key field',
    'O(1)',
    READ_FAST,
    ['RO', 'access'],
    hget,
  ),
  hashCommand(
    'hmget',
    '2.0.0',
    'Gives the values of several fields.',
    -3,
    'key field [field ...]',
    BY_PAIRS,
    READ_FAST,
    ['RO', 'access'],
    hmget,
  ),
  hashCommand('hgetall', '2.0.0', 'Gives all fields and values.', 2, 'key', BY_SIZE, READ, ['RO', 'access'], hgetall),
  hashCommand('hkeys', '2.0.0', 'Gives all fields.', 2, 'key', BY_SIZE, READ, ['RO', 'access'], hkeys),
  hashCommand('hvals', '2.0.0', 'Gives all values.', 2, 'key', BY_SIZE, READ, ['RO', 'access'], hvals),
  hashCommand('hlen', '2.0.0', 'Counts the fields.', 2, 'key', 'O(1)', READ_FAST, ['RO'], hlen),
  hashCommand(
    'hstrlen',
    '3.2.0',
    'Gives the length of the value of a field.',
    3,
    'key field',
    'O(1)',
    READ_FAST,
    ['RO'],
    hstrlen,
  ),
  hashCommand(
    'hexists',
    '2.0.0',
    'Tells whether a field is there.',
    3,
    'key field',
    'O(1)',
    READ_FAST,
    ['RO'],
    hexists,
  ),
  hashCommand(
    'hdel',
    '2.0.0',
    'Removes fields; the key goes with the last one.',
    -3,
    'key field [field ...]',
    BY_PAIRS,
    ['write', 'fast'],
    ['RW', 'delete'],
    hdel,
    REMOVE_MERGE,
  ),
  hashCommand(
    'hincrby',
    '2.0.0',
    'Adds to the integer in a field, which is 0 when it is missing.',
    4,
    'key field increment',
    'O(1)',
    WRITE,
    ['RW', 'access', 'update'],
    hincrby,
    NUMBER_MERGE,
  ),
  hashCommand(
    'hincrbyfloat',
    '2.6.0',
    'Adds to the number in a field, exactly, in decimal digits.',
    4,
    'key field increment',
    'O(1)',
    WRITE,
    ['RW', 'access', 'update'],
    hincrbyfloat,
    NUMBER_MERGE,
  ),
  hashCommand(
    'hrandfield',
    '6.2.0',
    'Gives random fields.',
    -2,
    'key [count [WITHVALUES]]',
    'O(N) with N the number of fields given back',
    READ,
    ['RO', 'access'],
    hrandfield,
  ),
  hashCommand(
    'hscan',
    '2.8.0',
    'Walks over the fields, a few at a time.',
    -3,
    'key cursor [MATCH pattern] [COUNT count] [NOVALUES]',
    'O(1) a call, O(N) for the whole walk',
    READ,
    ['RO', 'access'],
    hscan,
  ),
];
