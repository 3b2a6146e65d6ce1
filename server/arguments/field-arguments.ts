/** `FIELDS numfields field …`, and deadlines of fields. */
import type { Call } from '../dispatch/call.ts';
import { CommandError } from '../definitions/command.ts';
import { invalidExpireTime } from './deadline-argument.ts';

/** Redis keeps 48 bits of a field's deadline, and takes 46: the year 4199. */
const FIELD_DEADLINE_MS_MAX = 2 ** 46 - 1;

export interface NamedFields {
  /** The first field's argument. */
  first: number;
  /** How many fields there are. */
  count: number;
}

/**
 * The fields behind the word FIELDS at argument `index`, each with so many arguments, up to the last argument.
 * @throws CommandError
 */
export function fieldsArgument(
  call: Call,
  index: number,
  argumentsEach: 1 | 2 = 1,
  mustBePositive = 'ERR Number of fields must be a positive integer',
): NamedFields {
  if (index >= call.argc || !call.is(index, 'FIELDS')) {
    throw new CommandError('ERR Mandatory argument FIELDS is missing or not at the right position');
  }
  if (index + 1 >= call.argc) call.syntaxError();
  const count = call.integerIn(index + 1, 1, Number.MAX_SAFE_INTEGER, mustBePositive);
  if (count * argumentsEach !== call.argc - index - 2) {
    throw new CommandError('ERR The `numfields` parameter must match the number of arguments');
  }
  return { first: index + 2, count };
}

/**
 * The deadline that argument `index` makes, in milliseconds since 1970: so many units after `baseMs`, 0 for times since 1970.
 * @throws CommandError
 */
export function fieldDeadlineArgument(call: Call, index: number, unitMs: 1 | 1000, baseMs: number): number {
  const value = call.integer(index);
  if (value < 0) throw new CommandError('ERR invalid expire time, must be >= 0');
  const deadlineMs = value * unitMs + baseMs;
  if (deadlineMs > FIELD_DEADLINE_MS_MAX) invalidExpireTime(call);
  return deadlineMs;
}
