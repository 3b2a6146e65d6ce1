/** Arguments that number a database. */
import type { Call } from '../dispatch/call.ts';
import { CommandError, NOT_AN_INTEGER } from '../definitions/command.ts';
import type { Database } from '../../storage/database.ts';

const INT_MIN = -2147483648;
const INT_MAX = 2147483647;
const DATABASE_OUT_OF_RANGE = 'ERR DB index is out of range';

/**
 * The number of a database, which may not exist.
 * @param message for an argument that is no 32-bit integer; Redis has two errors for it where none is given
 * @throws CommandError
 */
export function databaseNumber(call: Call, index: number, message?: string): number {
  const number = call.integer(index, message ?? NOT_AN_INTEGER);
  if (number < INT_MIN || number > INT_MAX) {
    throw new CommandError(message ?? `ERR value is out of range, value must between ${INT_MIN} and ${INT_MAX}`);
  }
  return number;
}

/** The database of a number. @throws CommandError when there is none */
export function databaseOf(call: Call, number: number): Database {
  const database = call.keyspace.databases[number];
  if (database === undefined) throw new CommandError(DATABASE_OUT_OF_RANGE);
  return database;
}

/** The database that the argument names. @throws CommandError */
export function databaseArgument(call: Call, index: number): Database {
  return databaseOf(call, databaseNumber(call, index));
}
