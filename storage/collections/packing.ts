/** Turns the packing of small collections on. */
import type { Keyspace } from '../keyspace.ts';
import { pack, unpack } from './packed.ts';

export function installPacking(keyspace: Keyspace): void {
  keyspace.objects.packer = (collection) => {
    // Its digest is not yet that of all its elements.
    if (keyspace.digestStart?.isWithin(collection) === true) return 0;
    return pack(keyspace, collection);
  };
  keyspace.objects.freePacked = (packed) => keyspace.arena.free(packed);
  keyspace.objects.unpacker = (packed, slot) => {
    const collection = unpack(keyspace, packed, slot);
    keyspace.arena.free(packed);
    return collection;
  };
}
