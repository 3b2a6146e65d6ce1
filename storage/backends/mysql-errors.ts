/** MySQL's failures, in terms of what the flusher has to do. Numbers are those of MySQL and MariaDB. */
import { isNativeError } from 'node:util/types';
import { StoreError } from './backend.ts';

interface SqlError extends Error {
  code?: string;
  errno?: number;
}

export function isSqlError(error: unknown): error is SqlError {
  return isNativeError(error) && ('code' in error || 'errno' in error);
}

/** Another transaction was in the way; the same statement again succeeds sooner or later. */
const CONFLICTS = new Set([
  1205, // lock wait timeout
  1213, // deadlock, and Galera's certification failure
  1020, // record changed since last read (MariaDB's snapshot isolation)
  3101, // rolled back by group replication
  3572, // NOWAIT
  8002, // TiDB: write conflict
  8028, // TiDB: schema changed under the transaction
  9007, // TiDB: write conflict
]);

/** One row's bytes are what the server does not take; all others may pass. */
const ROW_FAULTS = new Set([
  1048, // column cannot be null
  1153, // packet too large
  1264, // out of range
  1292, // wrong value
  1366, // wrong value for the column
  1406, // data too long
  1644, // a trigger's SIGNAL
  3819, // CHECK violated
  4025, // CHECK violated (MariaDB)
]);

const SCHEMA_FAULTS = new Set([
  1054, // unknown column
  1146, // no such table
]);

/** Wrong user or password, missing grants; 1820, 1862: the password has expired; 3118, 4151: the account is locked. */
const DENIED = new Set([1044, 1045, 1142, 1143, 1227, 1698, 1820, 1862, 3118, 4151]);
const READ_ONLY = new Set([1290, 1792, 1836, 1874]);
const CROWDED = new Set([1040, 1203, 1226]);

/** Whether the same statement should be sent again at once. */
export function isConflict(error: unknown): boolean {
  return isSqlError(error) && CONFLICTS.has(error.errno ?? 0);
}

/** Whether a row is certainly to blame. */
export function isRowFault(error: unknown): boolean {
  return isSqlError(error) && ROW_FAULTS.has(error.errno ?? 0);
}

/** Server errors that say nothing of the rows: retried later as they are. */
const UNAVAILABLE = new Set([
  ...CONFLICTS,
  ...SCHEMA_FAULTS,
  ...DENIED,
  ...READ_ONLY,
  ...CROWDED,
  1021, // disk full
  1037, // out of memory
  1038,
  1041,
  1046, // no database selected
  1047, // WSREP not ready for queries
  1049, // unknown database
  1053, // shutdown in progress
  1077,
  1079,
  1114, // table full
  1129, // host blocked
  1130, // host not allowed
  1152, // aborted connection
  1158, // network read and write errors
  1159,
  1160,
  1161,
  1184, // aborted connection
  1206, // lock table full
  1317, // query interrupted
  1927, // connection killed
  2006, // server has gone away
  2013, // connection lost
  3024, // execution time exceeded
  4031, // disconnected for inactivity
  9001, // TiDB: placement driver timeout
  9002, // TiDB: storage timeout
  9003, // TiDB: storage busy
  9004, // TiDB: lock timeout
  9005, // TiDB: region unavailable
]);

/** Whether the server is at fault: not reachable, not willing, or gone in mid-sentence. Errors without a number are the network's. */
export function isServerFault(error: unknown): boolean {
  if (!isSqlError(error)) return error instanceof StoreError;
  const number = error.errno ?? 0;
  return number < 1000 || number > 65_535 || UNAVAILABLE.has(number);
}

/** The message for the operator of a failure of a server, with the remedy where there is one. */
export function mysqlErrorOf(error: unknown, server: string): StoreError {
  if (error instanceof StoreError) return error;
  const number = isSqlError(error) ? (error.errno ?? 0) : 0;
  const code = isSqlError(error) && error.code !== undefined ? `${error.code}: ` : '';
  const text = `${code}${isNativeError(error) ? error.message || error.name : String(error)}`;
  let remedy = 'is it running and reachable?';
  if (SCHEMA_FAULTS.has(number)) remedy = 'run `mantis migrate`';
  else if (number === 1049) remedy = 'create the database, then run `mantis migrate`';
  else if (DENIED.has(number)) remedy = 'check the user, the password and the grants';
  else if (READ_ONLY.has(number)) remedy = 'the server is read-only: name one that takes writes';
  else if (CROWDED.has(number)) remedy = 'raise its max_connections';
  return new StoreError('unavailable', `MySQL ${server}: ${text}; ${remedy}`, error);
}

/** A row that no packet can carry. */
export class RowTooLargeError extends Error {
  constructor(bytes: number, maxAllowedPacketBytes: number) {
    super(`row of ${bytes} bytes is larger than the server's max_allowed_packet of ${maxAllowedPacketBytes}`);
  }
}
