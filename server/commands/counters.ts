/** Numbers: INCR and its kin. */
import { parseDecimal } from '../../storage/types/decimal.ts';
import {
  COUNTER_BASE_BYTES_MAX,
  type CounterRefusal,
  incrementDecimal,
  incrementExactly,
  incrementFast,
} from '../../storage/types/counter.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange, NOT_A_FLOAT, NOT_AN_INTEGER } from '../definitions/command.ts';
import type { CommandDefinition, CommandFlag } from '../definitions/command.ts';
import { useStringToWrite } from '../values/string-use.ts';

const REFUSALS: Readonly<Record<CounterRefusal, string>> = {
  'not an integer': NOT_AN_INTEGER,
  'not a float': NOT_A_FLOAT,
  overflow: 'ERR increment or decrement would overflow',
  'not finite': 'ERR increment would produce NaN or Infinity',
};
const INT64_MIN = -(2n ** 63n);
/** Digits and sign of a 64-bit integer. */
const INTEGER_BYTES_MAX = 20;
const INFINITE = /^[+-]?inf(inity)?$/i;

/**
 * The value at argument 1 as text, '0' when the key is missing.
 * @throws CommandError when it is longer than a number can be, or of another type
 */
function presentText(call: Call, bytesMax: number, refusal: string): string {
  const { keyspace } = call;
  const ref = useStringToWrite(call, 1);
  if (ref === 0) return '0';
  keyspace.readValue(ref);
  if (keyspace.valueLength > bytesMax) throw new CommandError(refusal);
  return keyspace.valueBuffer.toString('latin1', keyspace.valueStart, keyspace.valueStart + keyspace.valueLength);
}

function incrementByAny(call: Call, delta: bigint): void {
  const { buffer, starts, lengths } = call;
  presentText(call, INTEGER_BYTES_MAX, NOT_AN_INTEGER);
  const result = incrementExactly(call.keyspace, call.database, buffer, starts[1], lengths[1], String(delta));
  if (typeof result !== 'string') throw new CommandError(REFUSALS[result.refused]);
  call.reply.bigint(BigInt(result));
}

function incrementBy(call: Call, delta: number): void {
  const { buffer, starts, lengths } = call;
  const value = incrementFast(call.keyspace, call.database, buffer, starts[1], lengths[1], delta);
  if (Number.isNaN(value)) incrementByAny(call, BigInt(delta));
  else call.reply.integer(value);
}

function incr(call: Call): void {
  incrementBy(call, 1);
}

function decr(call: Call): void {
  incrementBy(call, -1);
}

function incrby(call: Call): void {
  const delta = call.integer64(2);
  if (typeof delta === 'number') incrementBy(call, delta);
  else incrementByAny(call, delta);
}

function decrby(call: Call): void {
  const delta = call.integer64(2);
  if (delta === INT64_MIN) throw new CommandError('ERR decrement would overflow');
  if (typeof delta === 'number') incrementBy(call, delta === 0 ? 0 : -delta);
  else incrementByAny(call, -delta);
}

function isNumber(text: string): boolean {
  return INFINITE.test(text) || parseDecimal(text) !== null;
}

function incrbyfloat(call: Call): void {
  const { keyspace, buffer, starts, lengths } = call;
  const present = presentText(call, COUNTER_BASE_BYTES_MAX, NOT_A_FLOAT);
  const delta = lengths[2] > COUNTER_BASE_BYTES_MAX ? '' : call.latin1(2);
  if (!isNumber(present) || !isNumber(delta)) throw new CommandError(NOT_A_FLOAT);
  if (INFINITE.test(delta) || INFINITE.test(present)) throw new CommandError(REFUSALS['not finite']);
  const result = incrementDecimal(keyspace, call.database, buffer, starts[1], lengths[1], delta);
  if (typeof result !== 'string') throw new CommandError(REFUSALS[result.refused]);
  call.reply.bulkString(result);
}

const MERGE =
  'No increment is lost: those made on several nodes at once add up. A SET or DEL starts anew; increments that did not know ' +
  'of it are dropped with the value they were added to.';
const FLAGS: readonly CommandFlag[] = ['write', 'denyoom', 'fast'];

function counterCommand(
  name: string,
  since: string,
  summary: string,
  operand: string,
  run: (call: Call) => void,
): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'string',
    complexity: 'O(1)',
    arity: operand === '' ? 2 : 3,
    flags: FLAGS,
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update')],
    syntax: operand === '' ? 'key' : `key ${operand}`,
    merge: MERGE,
    run,
  });
}

export const counterCommands: readonly CommandDefinition[] = [
  counterCommand('incr', '1.0.0', 'Adds one to the integer at a key, which is 0 when the key is missing.', '', incr),
  counterCommand('decr', '1.0.0', 'Takes one from the integer at a key, which is 0 when the key is missing.', '', decr),
  counterCommand(
    'incrby',
    '1.0.0',
    'Adds to the integer at a key, which is 0 when the key is missing.',
    'increment',
    incrby,
  ),
  counterCommand(
    'decrby',
    '1.0.0',
    'Takes from the integer at a key, which is 0 when the key is missing.',
    'decrement',
    decrby,
  ),
  counterCommand(
    'incrbyfloat',
    '2.6.0',
    'Adds to the number at a key, exactly, in decimal digits.',
    'increment',
    incrbyfloat,
  ),
];
