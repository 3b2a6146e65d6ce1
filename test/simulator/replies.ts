/** What clients are told, and whether it is so. */
import { RecordReader } from '../../protocol/change-record.ts';
import type { Runtime } from '../../server/runtime.ts';
import type { Schedule } from './schedule.ts';
import type { SimulatedDatabase } from './simulated-database.ts';
import type { Reply } from './simulated-client.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { Command } from './workload.ts';

/** Errors that any of the commands may rightly get. */
const expected =
  /^-(WRONGTYPE|NOGROUP|BUSYGROUP|ERR (no such key|hash value|value is not|source and destination|index out of range|.*not an integer|.*overflow)|MISCONF|EXECABORT)/;

export function isError(reply: Reply | undefined): boolean {
  return typeof reply === 'string' && reply.startsWith('-');
}

/** What is wrong with a reply; null when nothing is. */
export function problemOf(command: Command, reply: Reply): string | null {
  if (!isError(reply) || expected.test(reply as string)) return null;
  return `${command.join(' ')} was answered ${String(reply)}`;
}

/** The replies to what was queued, in the place of QUEUED; what EXEC refused was refused for each. */
export function resultsOf(replies: readonly Reply[]): Reply[] {
  const results = replies.at(-1);
  return replies.map((reply, at) => {
    if (at === 0 || at === replies.length - 1) return reply;
    return Array.isArray(results) ? results[at - 1] : (results ?? '-EXECABORT');
  });
}

/** A command, and what was answered. */
export interface Answered {
  readonly command: Command;
  /** Null also where a script says nothing of what it has run. */
  readonly reply: Reply;
}

/** Keys that are written once and were just acknowledged. */
export function acknowledgedMarks(answered: readonly Answered[]): string[] {
  const isMark = ({ command: [name, key], reply }: Answered): boolean =>
    name === 'SET' && /^(mark|carried):/.test(key) && !isError(reply);
  return answered.filter(isMark).map(({ command }) => command[1]);
}

/** Everything that a write may have to be in. */
export interface Stores {
  readonly schedule: Schedule;
  readonly database: SimulatedDatabase;
  readonly nodes: readonly SimulatedNode[];
}

/** Whether at this moment is so what the durability mode promises of a key that was written once. */
export function isDurable({ schedule, database, nodes }: Stores, node: SimulatedNode, text: string): boolean {
  const key = Buffer.from(text, 'latin1');
  const name = Buffer.alloc(7 + key.length);
  name.writeUInt32BE(key.length, 2);
  key.copy(name, 6);
  name[6 + key.length] = 1;
  const row = name.toString('latin1');
  switch (schedule.durability) {
    case 'memory':
    case 'interval':
      return true;
    case 'always':
      if (!schedule.hasDisk) return database.rows.has(row);
      return node.disk.isDurable(`r${row}`) || node.disk.journal.records().some((records) => names(records, key));
    case 'mysql':
      return database.rows.has(row);
    default:
      return nodes.some((other) => other !== node && other.runtime !== null && hasKey(other.runtime, key));
  }
}

/** Whether packed records have one of a key. */
function names(records: Buffer, key: Buffer): boolean {
  const reader = new RecordReader();
  for (let at = 0; at < records.length;) {
    at = reader.read(records, at);
    if (key.equals(records.subarray(reader.keyStart, reader.keyStart + reader.keyLength))) return true;
  }
  return false;
}

function hasKey(runtime: Runtime, key: Buffer): boolean {
  const { keyspace } = runtime;
  return keyspace.find(keyspace.databases[0], key, 0, key.length) !== 0;
}
