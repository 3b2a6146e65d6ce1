/** Moves a block to another place of the arena and corrects all references to it. No data changes: peers and stores hear nothing. */
import type { Arena } from './arena.ts';
import { FEED, HIDDEN, OBJECT, STORE, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET, TYPE_STREAM } from './block.ts';
import {
  ELEMENT_DEAD,
  ELEMENT_EXPIRED,
  ELEMENT_FEED,
  ELEMENT_KIND_LEAST,
  ELEMENT_STORE,
} from '../collections/element-layout.ts';
import { PACKED_KEY_WORD, PACKED_MARK } from '../collections/packed.ts';
import type { Keyspace } from '../keyspace.ts';

const MOVED_TYPES: ReadonlySet<number> = new Set([TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_SORTED_SET]);
/** Lists of changes, removals and deadlines name such elements by their blocks; they soon are something else. */
const UNMOVED = ELEMENT_DEAD | ELEMENT_EXPIRED | ELEMENT_FEED | ELEMENT_STORE;

/** Moves what is in the block; false when it has to stay for now. No command may be running. */
export function moveBlock(keyspace: Keyspace, ref: number): boolean {
  const type = keyspace.typeOf(ref);
  if (type <= TYPE_STREAM) return moveKey(keyspace, ref);
  if (type === PACKED_MARK) return movePacked(keyspace, ref);
  return type >= ELEMENT_KIND_LEAST && moveElement(keyspace, ref);
}

/** A block of the same size with the same content. */
function copyBlock(arena: Arena, ref: number): number {
  const size = arena.capacity(ref);
  const target = arena.allocate(size);
  const at = (ref & 0xfffff) << 3;
  arena.bytes[ref >>> 20].copy(arena.bytes[target >>> 20], (target & 0xfffff) << 3, at, at + size);
  return target;
}

function slotOf(arena: Arena, keyRef: number): number {
  return arena.words[keyRef >>> 20][((keyRef & 0xfffff) << 1) + 5];
}

function moveKey(keyspace: Keyspace, ref: number): boolean {
  const { arena, objects } = keyspace;
  const flags = keyspace.flagsOf(ref);
  // Who waits for what is yet to be stored goes by its place in the ring.
  if ((flags & (FEED | STORE)) !== 0) return false;
  keyspace.readKey(ref);
  const { keyBuffer, keyStart, keyLength } = keyspace;
  const hash = keyspace.hashOf(keyBuffer, keyStart, keyLength);
  const database = keyspace.databases.find(
    ({ index }) => index.count > 0 && index.find(hash, keyBuffer, keyStart, keyLength) === ref,
  );
  if (database === undefined) return false;
  const target = copyBlock(arena, ref);
  database.index.replace(hash, ref, target);
  if ((flags & OBJECT) !== 0) {
    const slot = slotOf(arena, ref);
    const packed = objects.packedAt(slot);
    if (packed === 0) objects.glance(slot).ref = target;
    else arena.words[packed >>> 20][((packed & 0xfffff) << 1) + PACKED_KEY_WORD] = target;
  }
  const deadlineMs = keyspace.deadlineOf(ref);
  if (deadlineMs > 0 && (flags & HIDDEN) === 0) database.deadlines.push(deadlineMs, target);
  arena.free(ref);
  return true;
}

function movePacked(keyspace: Keyspace, ref: number): boolean {
  const { arena, objects } = keyspace;
  const keyRef = arena.words[ref >>> 20][((ref & 0xfffff) << 1) + PACKED_KEY_WORD];
  if (!keyspace.isKeyBlock(keyRef) || (keyspace.flagsOf(keyRef) & OBJECT) === 0) return false;
  const slot = slotOf(arena, keyRef);
  if (objects.packedAt(slot) !== ref) return false;
  objects.movePacked(slot, copyBlock(arena, ref));
  arena.free(ref);
  return true;
}

function moveElement(keyspace: Keyspace, ref: number): boolean {
  const { arena, objects, elements, elementDeadlines } = keyspace;
  if ((elements.flagsOf(ref) & UNMOVED) !== 0) return false;
  const collection = objects.unpackedAt(elements.ownerOf(ref));
  if (collection === null || !MOVED_TYPES.has(collection.type)) return false;
  elements.readName(ref);
  const { nameBuffer, nameStart, nameLength } = elements;
  // Of a collection that is being freed the slot may be another's by now.
  if (collection.find(nameBuffer, nameStart, nameLength) !== ref) return false;
  collection.hidden(ref);
  const target = copyBlock(arena, ref);
  collection.replace(ref, target);
  const deadlineMs = elements.deadlineOf(ref);
  arena.free(ref);
  collection.shown(target);
  if (deadlineMs > 0) elementDeadlines.push(deadlineMs, target);
  return true;
}
