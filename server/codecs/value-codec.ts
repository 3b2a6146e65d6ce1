/** How DUMP writes and RESTORE reads the values of one type. */
import type { PayloadReader } from '../../protocol/rdb-payload.ts';
import type { Collection } from '../../storage/collections/collection.ts';
import type { Keyspace } from '../../storage/keyspace.ts';

/** Fills an open collection, which is empty. Nothing can fail any more. */
export type FillCollection = (keyspace: Keyspace, collection: Collection) => void;

export interface ValueCodec {
  /** One of block.ts's TYPE_… */
  readonly type: number;
  /** RDB's types of values that `parse` takes. */
  readonly rdbTypes: readonly number[];
  /** The whole payload. */
  dump(keyspace: Keyspace, collection: Collection): Buffer;
  /** Reads a value of `reader.type`. @throws PayloadError when it is damaged, or empty */
  parse(reader: PayloadReader): FillCollection;
}

/** What Redis keeps in one piece by default: others can be read as well, so the thresholds that are configured do not matter here. */
const PACKED_ENTRIES_MAX = 128;
const PACKED_BYTES_MAX = 64;

/** Whether DUMP writes the collection as a listpack. */
export function fitsListpack(collection: Collection): boolean {
  return collection.mostCount <= PACKED_ENTRIES_MAX && collection.longestBytes <= PACKED_BYTES_MAX;
}
