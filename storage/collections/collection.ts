/**
 * What the collection at one key holds besides its block: the elements, tombstones among them, the key's floor, and which
 * registers have yet to be sent and stored. A subclass keeps the elements in the order that its type needs.
 */
import { compareStamp } from '../../protocol/stamp.ts';
import { parseDecimal, sumTexts } from '../types/decimal.ts';
import type { Arena } from '../arena/arena.ts';
import type { NodeTable } from '../arena/node-table.ts';
import type { Elements } from './element.ts';

/** What a collection needs of the keyspace. */
export interface CollectionHome {
  readonly arena: Arena;
  readonly elements: Elements;
  readonly nodes: NodeTable;
  /** The keyed hash of bytes, 32 bits, signed or not. */
  hashOf(bytes: Uint8Array, start: number, length: number): number;
  /** The same hash of bytes that there is a view of. */
  hashViewed(view: DataView, start: number, length: number): number;
}

/** The KEY register (creation, deadline) or the KEY FLOOR has yet to be sent to peers, or to the stores. */
export const CHANGED_KEY_FEED = 1;
export const CHANGED_KEY_STORE = 2;
export const CHANGED_FLOOR_FEED = 4;
export const CHANGED_FLOOR_STORE = 8;

/** Where a walk over the elements stands. Each type uses what it needs; a fresh one stands at the beginning. */
export class ElementCursor {
  /** Nothing was visited yet, the registers of the key itself neither. */
  isFresh = true;
  /** A position in hash order. */
  hash = 0;
  /** The name of the last element visited, for walks in the order of names. */
  name: Buffer | null = null;
}

/**
 * What fields of 32 unsigned bits begin with, before they are 0. An object whose field holds a small integer has another shape
 * for the compiler than one whose field holds a large one, and code that meets more than four shapes is slow.
 */
export const UNSIGNED = 0xffffffff;

/** Elements past their own deadline: block references, some of them stale. Those in `sealed` were hidden before the seal's stamp. */
export interface ExpiredElements {
  waiting: number[];
  sealed: number[];
  sealHi: number;
  sealLo: number;
}

/** JS objects that a collection is, with its slot and without its elements' index: measured with sets of one member. */
const COLLECTION_BYTES = 750;

export abstract class Collection {
  /** One of block.ts's TYPE_… */
  readonly type: number;
  protected readonly home: CollectionHome;
  protected readonly elements: Elements;
  /** Its place in the object table, its key's block and the number of its database. */
  slot = 0;
  ref = UNSIGNED;
  database = 0;

  /** The key's floor: elements up to (stamp, origin) are dead. 0 for none. */
  floorHi = 0;
  floorLo = UNSIGNED;
  floorOrigin = 0;
  /** The greatest (stamp, origin) that any element ever had here: what DEL makes the floor. */
  maxHi = 0;
  maxLo = UNSIGNED;
  maxOrigin = 0;

  /** Elements that commands see. */
  count = 0;
  /** The most elements, and the longest name or value, since the key was made: what OBJECT ENCODING goes by. */
  mostCount = 0;
  longestBytes = 0;
  /** The XOR of the digests of all visible elements; kept while the keyspace is digesting. */
  digestHi = UNSIGNED;
  digestLo = UNSIGNED;

  /** Where storing all elements again stands: a store was named while the node ran. */
  storeWalk: ElementCursor | null = null;
  /** CHANGED_… */
  changes = 0;
  /** The clock when the collection was last changed, here or by a merge. */
  touchedHi = 0;
  touchedLo = UNSIGNED;
  /** Elements that were removed: block references, some of them stale. Those in `sealed` were removed before the seal's stamp. */
  tombstones: number[] = [];
  sealed: number[] = [];
  sealHi = 0;
  sealLo = UNSIGNED;
  /** The same for elements that were hidden at their own deadline; null while there are none. */
  expired: ExpiredElements | null = null;
  /** A later deadline has brought the key back without its elements: the newest of them, which the stores still have. */
  missing: { hi: number; lo: number; origin: number } | null = null;
  /** Used since the object table last looked: not to be packed yet. */
  isWarm = true;
  /** What the object table has counted of `bytes`. */
  countedBytes = UNSIGNED;
  /** How many elements there were then, and changes since. */
  countedCount = 0;
  uncounted = 0;
  /** Elements to be sent, and to be stored: block references, some of them stale. */
  feed: number[] = [];
  store: number[] = [];
  /** Where those of `store` begin that are still to be looked at: taking the others out each time would move all the rest. */
  storeFrom = 0;

  constructor(type: number, home: CollectionHome) {
    this.type = type;
    this.home = home;
    this.elements = home.elements;
    this.ref = 0;
    this.floorLo = 0;
    this.maxLo = 0;
    this.digestHi = 0;
    this.digestLo = 0;
    this.touchedLo = 0;
    this.sealLo = 0;
    this.countedBytes = 0;
  }

  // ---- what each type provides ----

  /** A collection of the same type without elements. */
  abstract createEmpty(): Collection;
  /** The element of this name, tombstones included, or 0. */
  abstract find(name: Uint8Array, start: number, length: number): number;
  /** Takes in an element whose name is not there. It may be a tombstone. Called right after `find` of the same name. */
  abstract insert(ref: number): void;
  /** The element has moved to another block. */
  abstract replace(oldRef: number, newRef: number): void;
  /** Takes an element out; the caller frees its block then. */
  abstract remove(ref: number): void;
  /**
   * Visits about `limit` more elements, tombstones included; false when all were visited. A reference is good for that visit. With
   * `writes`, `visit` may take elements away that the floor has reached, and need not see others.
   */
  abstract walk(cursor: ElementCursor, limit: number, visit: (ref: number) => void, writes?: boolean): boolean;
  /** Whether a walk that stands at `cursor` has yet to come to a visible element. */
  abstract isAhead(cursor: ElementCursor, ref: number): boolean;
  /** Frees about `limit` of the blocks of a collection that is in no table any more; true when none is left. */
  abstract freeElements(limit: number): boolean;
  /** Bytes of the index and order, about; the elements' blocks are counted by the arena. */
  abstract get indexBytes(): number;

  /** Bytes of the order that are blocks of the arena, which counts them. */
  get orderBytes(): number {
    return 0;
  }

  /** The element is visible from now on, or has its new value: for types that keep visible elements in an order of their own. */
  shown(_ref: number): void {}
  /** The element is about to go, or to change its value. */
  hidden(_ref: number): void {}
  /** The key is made anew: what was learned of the elements that it had is forgotten. */
  began(): void {
    this.mostCount = 0;
    this.longestBytes = 0;
    this.missing = null;
  }
  /** Whether commands see a key here. A stream is there without entries. */
  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** What an element shows whose value is `base` and to which nodes have added `sums`, as decimal text. */
  total(base: string, sums: readonly string[]): string {
    return parseDecimal(base) === null ? base : sumTexts([base, ...sums]);
  }

  /** Whether the elements, one after the other as `walk` gives them, are all that there is: then a small one may be packed. */
  get isPackable(): boolean {
    return false;
  }
  /** What else the type remembers, in 8 bits, while it is packed. */
  get packedExtra(): number {
    return 0;
  }
  set packedExtra(_extra: number) {}

  // ---- elements without blocks of their own ----

  /** Visits those that have yet to be sent, each in a block that it has for as long; they are sent then. */
  takeUnsent(_visit: (ref: number) => void): void {}
  /** The same with those that have yet to be stored, until `isFull`; false when some are left. */
  takeUnstored(_visit: (ref: number) => void, _isFull: () => boolean): boolean {
    return true;
  }
  /** About how many of them have to be sent or stored: 0 when none has. */
  get waitingRuns(): number {
    return 0;
  }
  /** What a visited element costs. */
  bytesOf(ref: number): number {
    return this.elements.bytesOf(ref, this.home.arena.capacity(ref));
  }

  // ---- floors ----

  get bytes(): number {
    return (
      COLLECTION_BYTES +
      this.indexBytes +
      (this.feed.length + this.store.length + this.tombstones.length + this.sealed.length) * 8
    );
  }

  isUnderFloor(hi: number, lo: number, origin: number): boolean {
    return compareVersion(this.home.nodes, hi, lo, origin, this.floorHi, this.floorLo, this.floorOrigin) <= 0;
  }

  /** Raises the floor; returns whether it was lower. Elements under it are the caller's. */
  raiseFloor(hi: number, lo: number, origin: number): boolean {
    if (this.isUnderFloor(hi, lo, origin)) return false;
    this.floorHi = hi;
    this.floorLo = lo;
    this.floorOrigin = origin;
    return true;
  }

  noteStamp(hi: number, lo: number, origin: number): void {
    if (hi < this.maxHi || (hi === this.maxHi && lo < this.maxLo)) return;
    const isSame = hi === this.maxHi && lo === this.maxLo;
    if (isSame && this.home.nodes.compare(origin, this.maxOrigin) <= 0) return;
    this.maxHi = hi;
    this.maxLo = lo;
    this.maxOrigin = origin;
  }

  /** Whether it has neither elements nor tombstones. */
  get isBare(): boolean {
    return this.count + this.tombstones.length + this.sealed.length === 0 && this.expired === null;
  }

  /** Takes over everything but the elements: what stays of a collection that is emptied at once. */
  inherit(from: Collection): void {
    this.ref = from.ref;
    this.database = from.database;
    this.floorHi = from.floorHi;
    this.floorLo = from.floorLo;
    this.floorOrigin = from.floorOrigin;
    this.maxHi = from.maxHi;
    this.maxLo = from.maxLo;
    this.maxOrigin = from.maxOrigin;
    this.changes = from.changes;
    this.touchedHi = from.touchedHi;
    this.touchedLo = from.touchedLo;
  }
}

/** Orders (stamp, origin) pairs; origins are indexes in the node table. */
export function compareVersion(
  nodes: NodeTable,
  aHi: number,
  aLo: number,
  aOrigin: number,
  bHi: number,
  bLo: number,
  bOrigin: number,
): number {
  return compareStamp(aHi, aLo, bHi, bLo) || nodes.compare(aOrigin, bOrigin);
}
