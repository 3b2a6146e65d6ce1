/** Strings as arrays of integers of any width: BITFIELD, BITFIELD_RO. */
import { parseSafeInteger } from '../../protocol/integer.ts';
import { fitField, type IntegerType, type Overflow, readField, writeField } from '../../storage/types/bitfield.ts';
import { editString } from '../../storage/types/string.ts';
import { bitOffset } from '../arguments/bit-offset.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { useString, useStringToWrite } from '../values/string-use.ts';

const TYPE_ERROR = 'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.';
const LOWER_I = 105;
const LOWER_U = 117;

interface Operation {
  readonly kind: 'get' | 'set' | 'incrby';
  readonly type: IntegerType;
  /** In bits. */
  readonly offset: number;
  readonly operand: bigint;
  readonly overflow: Overflow;
}

function integerType(call: Call, index: number): IntegerType {
  const start = call.starts[index];
  const signed = call.buffer[start] === LOWER_I;
  const bits = parseSafeInteger(call.buffer, start + 1, call.lengths[index] - 1);
  const known = signed || (call.lengths[index] > 0 && call.buffer[start] === LOWER_U);
  if (!known || !(bits >= 1 && bits <= (signed ? 64 : 63))) throw new CommandError(TYPE_ERROR);
  return { signed, bits };
}

function overflowAt(call: Call, index: number): Overflow {
  if (call.is(index, 'WRAP')) return 'wrap';
  if (call.is(index, 'SAT')) return 'saturate';
  if (call.is(index, 'FAIL')) return 'fail';
  throw new CommandError('ERR Invalid OVERFLOW type specified');
}

function kindAt(call: Call, index: number): Operation['kind'] {
  const following = call.argc - index - 1;
  if (following >= 2 && call.is(index, 'GET')) return 'get';
  if (following >= 3 && call.is(index, 'SET')) return 'set';
  return following >= 3 && call.is(index, 'INCRBY') ? 'incrby' : call.syntaxError();
}

function parseOperations(call: Call): Operation[] {
  const operations: Operation[] = [];
  let overflow: Overflow = 'wrap';
  let index = 2;
  while (index < call.argc) {
    if (index + 1 < call.argc && call.is(index, 'OVERFLOW')) {
      overflow = overflowAt(call, index + 1);
      index += 2;
      continue;
    }
    const kind = kindAt(call, index);
    const type = integerType(call, index + 1);
    const offset = bitOffset(call, index + 2, type.bits);
    const operand = kind === 'get' ? 0n : BigInt(call.integer64(index + 3));
    operations.push({ kind, type, offset, operand, overflow });
    index += kind === 'get' ? 3 : 4;
  }
  return operations;
}

/** How many bytes long the string has to be for the operations that write. */
function bytesNeeded(operations: readonly Operation[]): number {
  let bytes = 0;
  for (const { kind, type, offset } of operations) {
    if (kind !== 'get') bytes = Math.max(bytes, Math.floor((offset + type.bits - 1) / 8) + 1);
  }
  return bytes;
}

/** What a writing operation makes of the integer that is there; null when it does not fit and that is to be told. */
function resultOf({ kind, type, operand, overflow }: Operation, old: bigint): bigint | null {
  if (kind === 'incrby') return fitField(old + operand, type, overflow);
  // For unsigned integers a negative operand is the large number that has the same 64 bits, as in Redis.
  return fitField(type.signed ? operand : BigInt.asUintN(64, operand), type, overflow);
}

function readOnly(call: Call, operations: readonly Operation[]): void {
  const { keyspace, reply } = call;
  const ref = useString(call, 1);
  if (ref !== 0) keyspace.readValue(ref);
  const length = ref === 0 ? 0 : keyspace.valueLength;
  reply.array(operations.length);
  for (const { offset, type } of operations) {
    reply.bigint(readField(keyspace.valueBuffer, keyspace.valueStart, length, offset, type));
  }
}

function readAndWrite(call: Call, operations: readonly Operation[]): void {
  const { keyspace, reply, buffer, starts, lengths } = call;
  const ref = useStringToWrite(call, 1);
  if (ref !== 0) keyspace.readValue(ref);
  const oldLength = ref === 0 ? 0 : keyspace.valueLength;
  const length = Math.max(oldLength, bytesNeeded(operations));
  let editing = false;
  // The value is opened for writing at the first change: until then nothing has been written that it could lose.
  const edit = (): void => {
    if (!editing) editString(keyspace, call.database, buffer, starts[1], lengths[1], length);
    editing = true;
  };
  if (length > oldLength) edit();
  reply.array(operations.length);
  for (const operation of operations) {
    const { kind, type, offset } = operation;
    const old = readField(keyspace.valueBuffer, keyspace.valueStart, length, offset, type);
    const result = kind === 'get' ? old : resultOf(operation, old);
    if (result !== null && result !== old) {
      edit();
      writeField(keyspace.valueBuffer, keyspace.valueStart, offset, type, result);
    }
    if (result === null) reply.nil();
    else reply.bigint(kind === 'incrby' ? result : old);
  }
}

function bitfield(call: Call): void {
  const operations = parseOperations(call);
  if (bytesNeeded(operations) === 0) readOnly(call, operations);
  else readAndWrite(call, operations);
}

function bitfieldRo(call: Call): void {
  const operations = parseOperations(call);
  if (bytesNeeded(operations) > 0) throw new CommandError('ERR BITFIELD_RO only supports the GET subcommand');
  readOnly(call, operations);
}

export const bitfieldCommands: readonly CommandDefinition[] = [
  command({
    name: 'bitfield',
    summary: 'Reads, sets and adds to integers of any width at any bit of a string.',
    since: '3.2.0',
    group: 'bitmap',
    complexity: 'O(1) for each operation in a string longer than 4096 bytes; a shorter one is copied when it changes',
    arity: -2,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update', 'variable_flags')],
    syntax:
      'key [GET encoding offset|[OVERFLOW WRAP|SAT|FAIL] SET encoding offset value|INCRBY encoding offset increment ' +
      '[GET encoding offset|[OVERFLOW WRAP|SAT|FAIL] SET encoding offset value|INCRBY encoding offset increment ...]]',
    merge:
      'The resulting string is written as a whole: of increments made at once on two nodes, only the later string counts.',
    run: bitfield,
  }),
  command({
    name: 'bitfield_ro',
    summary: 'Reads integers of any width at any bit of a string.',
    since: '6.0.0',
    group: 'bitmap',
    complexity: 'O(1) for each operation',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key [GET encoding offset [GET encoding offset ...]]',
    run: bitfieldRo,
  }),
];
