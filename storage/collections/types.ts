/** The class of each type of collection. */
import { TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET, TYPE_STREAM, TYPE_STRING } from '../arena/block.ts';
import type { Collection, CollectionHome } from './collection.ts';
import { HyperLogLogCollection } from './hyperloglog-collection.ts';
import { ListCollection } from './list-collection.ts';
import { MemberCollection } from './member-collection.ts';
import { SortedSet } from './sorted-set.ts';
import { Stream } from './stream.ts';

type Maker = (home: CollectionHome) => Collection;

const MAKERS: Maker[] = [];
MAKERS[TYPE_HASH] = (home) => new MemberCollection(TYPE_HASH, home);
MAKERS[TYPE_LIST] = (home) => new ListCollection(TYPE_LIST, home);
MAKERS[TYPE_SET] = (home) => new MemberCollection(TYPE_SET, home);
MAKERS[TYPE_SORTED_SET] = (home) => new SortedSet(home);
MAKERS[TYPE_STREAM] = (home) => new Stream(home);
MAKERS[TYPE_STRING] = (home) => new HyperLogLogCollection(home);

/** A collection of the type, in no table yet. */
export function makeCollection(type: number, home: CollectionHome): Collection {
  return MAKERS[type](home);
}

/** Whether this release has the type. */
export function hasCollectionType(type: number): boolean {
  return MAKERS[type] !== undefined;
}
