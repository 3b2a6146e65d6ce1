/** DEBUG DIGEST-VALUE: a digest of what a key holds, computed as redis-server's debug.c does, so that both tell the same. */
import { createHash } from 'node:crypto';
import { formatDouble } from '../../protocol/format-double.ts';
import { TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET, TYPE_STREAM } from '../../storage/arena/block.ts';
import type { ListCollection } from '../../storage/collections/list-collection.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import type { Stream } from '../../storage/collections/stream.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { visitFields } from '../../storage/types/stream.ts';

const DIGEST_BYTES = 20;
const DEADLINE_MARK = '!!expire!!';
/** The numbers that Redis gives its types; a string's is 0. */
const REDIS_TYPES: ReadonlyMap<number, number> = new Map([
  [TYPE_LIST, 1],
  [TYPE_SET, 2],
  [TYPE_SORTED_SET, 3],
  [TYPE_HASH, 4],
  [TYPE_STREAM, 6],
]);

function sha1(bytes: Uint8Array | string): Buffer {
  return createHash('sha1').update(bytes).digest();
}

/** Adds parts whose order does not matter. */
function toggle(digest: Buffer, part: Uint8Array | string): void {
  const hash = sha1(part);
  for (let at = 0; at < DIGEST_BYTES; at++) digest[at] ^= hash[at];
}

/** Adds a part that stands behind those before it. */
function mix(digest: Buffer, part: Uint8Array | string): void {
  toggle(digest, part);
  sha1(digest).copy(digest);
}

function mixList(digest: Buffer, { elements }: Keyspace, list: ListCollection): void {
  list.seek(0);
  for (let left = list.count; left > 0; left--) {
    list.readNext();
    mix(digest, elements.valueBuffer.subarray(elements.valueStart, elements.valueStart + elements.valueLength));
  }
}

function toggleMembers(digest: Buffer, { elements }: Keyspace, collection: MemberCollection): void {
  const { type } = collection;
  collection.forEach((ref) => {
    elements.readName(ref);
    const name = elements.nameBuffer.subarray(elements.nameStart, elements.nameStart + elements.nameLength);
    if (type === TYPE_SET) {
      toggle(digest, name);
      return;
    }
    const member = Buffer.alloc(DIGEST_BYTES);
    mix(member, name);
    if (type === TYPE_SORTED_SET) mix(member, formatDouble((collection as SortedSet).scoreOf(ref)));
    else {
      elements.readValue(ref);
      mix(member, elements.valueBuffer.subarray(elements.valueStart, elements.valueStart + elements.valueLength));
    }
    toggle(digest, member);
  });
}

function mixEntries(digest: Buffer, { elements }: Keyspace, stream: Stream): void {
  stream.visit(0, stream.length, false, (ref) => {
    const { ms, seq } = stream.idOf(ref);
    mix(digest, `${ms}.${seq}`);
    elements.readPayload(ref);
    const { valueBuffer, valueStart, valueLength } = elements;
    visitFields(valueBuffer, valueStart, valueLength, (start, length) =>
      mix(digest, valueBuffer.subarray(start, start + length)),
    );
  });
}

/** The digest of the key's type and value, and of whether it has a deadline: 40 hexadecimal digits. */
export function valueDigest(keyspace: Keyspace, ref: number): string {
  const digest = Buffer.alloc(DIGEST_BYTES);
  const type = keyspace.typeOf(ref);
  mix(digest, Buffer.from([0, 0, 0, REDIS_TYPES.get(type) ?? 0]));
  switch (type) {
    case TYPE_LIST:
      mixList(digest, keyspace, keyspace.collectionAt(ref) as ListCollection);
      break;
    case TYPE_SET:
    case TYPE_HASH:
    case TYPE_SORTED_SET:
      toggleMembers(digest, keyspace, keyspace.collectionAt(ref) as MemberCollection);
      break;
    case TYPE_STREAM:
      mixEntries(digest, keyspace, keyspace.collectionAt(ref) as Stream);
      break;
    default: {
      keyspace.readValue(ref);
      const { valueBuffer, valueStart, valueLength } = keyspace;
      mix(digest, valueBuffer.subarray(valueStart, valueStart + valueLength));
    }
  }
  if (keyspace.deadlineOf(ref) > 0) toggle(digest, DEADLINE_MARK);
  return digest.toString('hex');
}
