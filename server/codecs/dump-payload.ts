/** A key's value as the bytes that RESTORE takes, here and in Redis: for DUMP and MIGRATE. */
import { PayloadWriter, RDB_TYPE_STRING } from '../../protocol/rdb-payload.ts';
import { TYPE_STRING } from '../../storage/arena/block.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { CommandError, WRONG_TYPE } from '../definitions/command-error.ts';
import { codecOfType } from './value-codecs.ts';

/** @throws CommandError for a type that has no such bytes */
export function payloadOf(keyspace: Keyspace, ref: number): Buffer {
  const type = keyspace.typeOf(ref);
  if (type === TYPE_STRING) {
    keyspace.readValue(ref);
    const writer = new PayloadWriter(RDB_TYPE_STRING);
    writer.string(keyspace.valueBuffer, keyspace.valueStart, keyspace.valueLength);
    return writer.finish();
  }
  const codec = codecOfType(type);
  if (codec === undefined) throw new CommandError(WRONG_TYPE);
  return codec.dump(keyspace, keyspace.collectionAt(ref));
}
