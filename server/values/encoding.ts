/** The form in which Redis would keep a collection, as OBJECT ENCODING names it: by what the key has held since it was made. */
import { TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import type { Collection } from '../../storage/collections/collection.ts';
import type { ListCollection } from '../../storage/collections/list-collection.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import type { Call } from '../dispatch/call.ts';
import { listEncoding } from './list-encoding.ts';

function fits(collection: Collection, entriesMax: number, bytesMax: number): boolean {
  return collection.mostCount <= entriesMax && collection.longestBytes <= bytesMax;
}

export function collectionEncoding(call: Call, collection: Collection): string {
  const { values } = call.node.config;
  switch (collection.type) {
    case TYPE_HASH:
      return fits(collection, values['hash-max-listpack-entries'], values['hash-max-listpack-value'])
        ? 'listpack'
        : 'hashtable';
    case TYPE_SET:
      if ((collection as MemberCollection).allIntegers) {
        if (collection.mostCount <= values['set-max-intset-entries']) return 'intset';
        return 'hashtable';
      }
      return fits(collection, values['set-max-listpack-entries'], values['set-max-listpack-value'])
        ? 'listpack'
        : 'hashtable';
    case TYPE_SORTED_SET:
      return fits(collection, values['zset-max-listpack-entries'], values['zset-max-listpack-value'])
        ? 'listpack'
        : 'skiplist';
    case TYPE_LIST:
      return listEncoding(call.keyspace, collection as ListCollection, values['list-max-listpack-size']);
    default:
      return 'stream';
  }
}
