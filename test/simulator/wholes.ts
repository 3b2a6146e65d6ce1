/** What a transaction or a script writes is one piece: it leaves in one turn, and a crash leaves all of it on the disk or nothing. */
import { RecordReader } from '../../protocol/change-record.ts';
import { isElementKind } from '../../protocol/collection-kinds.ts';
import type { Command } from './workload.ts';

interface OwnRegister {
  readonly key: string;
  /** Null for a key that is no collection. */
  readonly element: string | null;
}

const reader = new RecordReader();

/** What this command writes and no other one ever does; null for most. */
function ownRegister(command: Command): OwnRegister | null {
  const [name, key] = command;
  if (name === 'SET' && /^(mark|carried):/.test(key)) return { key, element: null };
  if ((name === 'SADD' && key === 'members') || (name === 'HSET' && key === 'fields'))
    return { key, element: command[2] };
  return name === 'ZADD' && key === 'roll' ? { key, element: command[3] } : null;
}

function isOf({ key, element }: OwnRegister, record: Buffer): boolean {
  reader.read(record, 0);
  const { database, kind, keyStart, keyLength, elementStart, elementLength } = reader;
  if (database !== 0 || record.toString('latin1', keyStart, keyStart + keyLength) !== key) return false;
  if (element === null) return true;
  return isElementKind(kind) && record.toString('latin1', elementStart, elementStart + elementLength) === element;
}

/**
 * The records of a turn that are of what only these commands write.
 * @returns how many of the commands have none there, too
 */
export function ownRecords(
  commands: readonly Command[],
  records: readonly Buffer[],
): { own: Buffer[]; missingCount: number } {
  const own: Buffer[] = [];
  let missingCount = 0;
  for (const command of commands) {
    const register = ownRegister(command);
    if (register === null) continue;
    const record = records.find((one) => isOf(register, one));
    if (record === undefined) missingCount++;
    else own.push(record);
  }
  return { own, missingCount };
}
