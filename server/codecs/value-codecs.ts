/** The codec of each type of collection: a new one is added here and nowhere else. */
import { hashCodec } from './hash-codec.ts';
import { listCodec } from './list-codec.ts';
import { setCodec } from './set-codec.ts';
import { sortedSetCodec } from './sorted-set-codec.ts';
import { streamCodec } from './stream-codec.ts';
import type { ValueCodec } from './value-codec.ts';

const CODECS: readonly ValueCodec[] = [hashCodec, listCodec, setCodec, sortedSetCodec, streamCodec];

const BY_TYPE = new Map(CODECS.map((codec) => [codec.type, codec]));
const BY_RDB_TYPE = new Map(CODECS.flatMap((codec) => codec.rdbTypes.map((rdbType) => [rdbType, codec])));

/** The codec for one of block.ts's TYPE_… */
export function codecOfType(type: number): ValueCodec | undefined {
  return BY_TYPE.get(type);
}

/** The codec for RDB's type of a value. */
export function codecOfRdbType(rdbType: number): ValueCodec | undefined {
  return BY_RDB_TYPE.get(rdbType);
}
