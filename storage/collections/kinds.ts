/** Types of collections, as blocks name them, and kinds of registers, as change records name them. */
import {
  COLLECTION_HASH,
  COLLECTION_HYPERLOGLOG,
  COLLECTION_LIST,
  COLLECTION_SET,
  COLLECTION_SORTED_SET,
  COLLECTION_STREAM,
  KIND_ELEMENT_COUNTER_FIRST,
  KIND_ELEMENT_FIRST,
  KIND_KEY_FIRST,
} from '../../protocol/collection-kinds.ts';
import { TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET, TYPE_STREAM, TYPE_STRING } from '../arena/block.ts';

/** The type of each collection in the order that kinds have. A HyperLogLog is a string that is kept as a collection. */
const TYPES: readonly number[] = [TYPE_HASH, TYPE_SET, TYPE_SORTED_SET, TYPE_LIST, TYPE_STREAM, TYPE_STRING];

const PLACES: number[] = [];
PLACES[TYPE_HASH] = COLLECTION_HASH;
PLACES[TYPE_SET] = COLLECTION_SET;
PLACES[TYPE_SORTED_SET] = COLLECTION_SORTED_SET;
PLACES[TYPE_LIST] = COLLECTION_LIST;
PLACES[TYPE_STREAM] = COLLECTION_STREAM;
PLACES[TYPE_STRING] = COLLECTION_HYPERLOGLOG;

export function keyKindOf(type: number): number {
  return KIND_KEY_FIRST + PLACES[type];
}

export function elementKindOf(type: number): number {
  return KIND_ELEMENT_FIRST + PLACES[type];
}

export function elementCounterKindOf(type: number): number {
  return KIND_ELEMENT_COUNTER_FIRST + PLACES[type];
}

/** The type that registers of a KEY, ELEMENT or COUNTER kind belong to. */
export function typeOfKind(kind: number): number {
  return TYPES[kind & 7];
}
