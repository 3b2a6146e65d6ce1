/**
 * A stream: entries in the order of their ids, what nodes know of it (`meta:`), and the consumer groups of this node. An entry
 * is an element named by its id's 16 bytes; stream-group.ts has the names of the others.
 */
import { TYPE_STREAM } from '../arena/block.ts';
import { greaterId, ID_BYTES, idBytes, LEAST_ID, parseFormattedId, readId, type StreamId } from '../types/stream-id.ts';
import { Collection, type CollectionHome, type ElementCursor } from './collection.ts';
import { OrderedMembers } from './ordered-members.ts';
import {
  CONSUMER,
  GROUP,
  idScore,
  META,
  nodeText,
  parseName,
  PENDING,
  readDelivery,
  safeNumber,
  StreamGroup,
} from './stream-group.ts';

/** What one node knows of a stream: all nodes' together make what commands show. */
export interface StreamMeta {
  lastId: StreamId;
  /** Entries that this node has removed. */
  removed: number;
  /** The greatest id that it has deleted. */
  maxDeletedId: StreamId;
}

/** Far enough below 2^53 for the next number. */
const SEQUENCE_MOST = 2 ** 52;
const WALK_ENTRIES = 0;
const WALK_OTHERS = 2;
const WALK_END = 3;

export class Stream extends Collection {
  readonly #live = new OrderedMembers(this.elements);
  readonly #dead = new OrderedMembers(this.elements);
  /** Everything that is no entry, in the order of names. */
  readonly #others = new OrderedMembers(this.elements);
  readonly #trees = [this.#live, this.#dead, this.#others];
  readonly #metas = new Map<string, StreamMeta>();
  /** By name; those of one name in the order of their owners. */
  readonly #groups = new Map<string, StreamGroup[]>();
  /** The writer that this node is, as names have it. */
  readonly node: string;
  /** A visible entry between `insert` and `shown`: it is in no tree. */
  #fresh = 0;
  #freshScore = NaN;
  /** The milliseconds of the entry that is put in next, when it is known to come behind all others; NaN otherwise. */
  appendedMs = NaN;
  #freed = 0;
  /** The greatest `lastId` that a node has told. */
  #toldId: StreamId = LEAST_ID;
  maxDeletedId: StreamId = LEAST_ID;
  /** The last id as numbers; NaN while it is not known. Whoever adds an entry behind all others may set them. */
  lastMs = NaN;
  lastSeq = NaN;
  /** Entries removed, by all nodes. */
  removed = 0;

  constructor(home: CollectionHome) {
    super(TYPE_STREAM, home);
    this.node = nodeText(home.nodes.hi[0], home.nodes.lo[0]);
  }

  override createEmpty(): Collection {
    return new Stream(this.home);
  }

  /** Groups, and what nodes know, are read from the elements anew. */
  override get isPackable(): boolean {
    return true;
  }

  // ---- entries ----

  get length(): number {
    return this.#live.count;
  }

  /** Entries ever added, as far as the nodes have told each other. */
  get entriesAdded(): number {
    return Math.min(Math.max(0, this.length + this.removed), Number.MAX_SAFE_INTEGER);
  }

  /** How many entries have lesser ids. */
  rank(id: StreamId): number {
    const name = idBytes(id);
    return this.#live.rank(idScore(name, 0), name, 0, ID_BYTES);
  }

  /** The entry at a rank that there is. */
  at(rank: number): number {
    return this.#live.at(rank);
  }

  visit(rank: number, count: number, reverse: boolean, visit: (ref: number) => void): void {
    this.#live.visit(rank, count, reverse, visit);
  }

  idOf(ref: number): StreamId {
    this.elements.readName(ref);
    return readId(this.elements.nameBuffer, this.elements.nameStart);
  }

  /** The visible entry of this id, or 0. */
  entry(id: StreamId): number {
    const name = idBytes(id);
    return this.#findIn(this.#live, idScore(name, 0), name, 0, ID_BYTES);
  }

  /** The least id of an entry, 0-0 when there is none. */
  get firstId(): StreamId {
    return this.length === 0 ? LEAST_ID : this.idOf(this.at(0));
  }

  /** The greatest id of an entry that is still there, 0-0 when there is none. */
  get topId(): StreamId {
    return this.length === 0 ? LEAST_ID : this.idOf(this.at(this.length - 1));
  }

  /** The greatest id that an entry ever had, or that somebody set. */
  get lastId(): StreamId {
    return greaterId(this.topId, this.#toldId);
  }

  /** Leaves `lastId` as numbers in `lastMs` and `lastSeq`; false when a part of it, or of the id after it, may be past 2^53. */
  readLast(): boolean {
    if (Number.isNaN(this.lastMs)) {
      const { ms, seq } = this.lastId;
      if (ms > Number.MAX_SAFE_INTEGER || seq > Number.MAX_SAFE_INTEGER) return false;
      this.lastMs = Number(ms);
      this.lastSeq = Number(seq);
    }
    return this.lastSeq < SEQUENCE_MOST;
  }

  // ---- what is no entry ----

  /** What this node has said of the stream. */
  get ownMeta(): StreamMeta {
    return this.#metas.get(this.node) ?? { lastId: LEAST_ID, removed: 0, maxDeletedId: LEAST_ID };
  }

  /** The consumer group of this name (latin1), or null. */
  group(name: string): StreamGroup | null {
    const found = this.#groups.get(name);
    if (found !== undefined) {
      for (let index = found.length - 1; index >= 0; index--) if (found[index].exists) return found[index];
    }
    return null;
  }

  /** Who is named by the elements of the consumer group, also before there is one. */
  ownerOf(name: string): string {
    return this.group(name)?.owner ?? this.home.nodes.owners[0];
  }

  /** This node's groups, by name. */
  get sortedGroups(): StreamGroup[] {
    const shown = [...this.#groups.keys()].map((name) => this.group(name)).filter((group) => group !== null);
    return shown.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #needGroup(name: string, owner: string): StreamGroup {
    const { owners } = this.home.nodes;
    let found = this.#groups.get(name);
    if (found === undefined) this.#groups.set(name, (found = []));
    let group = found.find((one) => one.owner === owner);
    if (group === undefined) {
      found.push((group = new StreamGroup(name, owner, this.elements)));
      found.sort((a, b) => owners.indexOf(a.owner) - owners.indexOf(b.owner));
    }
    return group;
  }

  #dropGroup(group: StreamGroup): void {
    const others = this.#groups.get(group.name)!.filter((one) => one !== group);
    if (others.length === 0) this.#groups.delete(group.name);
    else this.#groups.set(group.name, others);
  }

  #recount(): void {
    this.removed = 0;
    this.maxDeletedId = LEAST_ID;
    this.#toldId = LEAST_ID;
    for (const meta of this.#metas.values()) {
      this.removed += meta.removed;
      this.maxDeletedId = greaterId(this.maxDeletedId, meta.maxDeletedId);
      this.#toldId = greaterId(this.#toldId, meta.lastId);
    }
  }

  // ---- elements ----

  #findIn(tree: OrderedMembers, score: number, name: Uint8Array, start: number, length: number): number {
    if (tree.count === 0) return 0;
    const rank = tree.rank(score, name, start, length);
    if (rank === tree.count) return 0;
    const ref = tree.at(rank);
    return this.elements.nameEquals(ref, name, start, length) ? ref : 0;
  }

  override find(name: Uint8Array, start: number, length: number): number {
    if (length !== ID_BYTES) return this.#findIn(this.#others, 0, name, start, length);
    const score = idScore(name as Buffer, start);
    return this.#findIn(this.#live, score, name, start, length) || this.#findIn(this.#dead, score, name, start, length);
  }

  /** The order of an entry, or -1 of what is none. */
  #entryScore(ref: number): number {
    const { elements } = this;
    elements.readName(ref);
    const { nameView, nameStart } = elements;
    if (elements.nameLength !== ID_BYTES) return -1;
    if (nameView === null) return idScore(elements.nameBuffer, nameStart);
    return nameView.getUint32(nameStart) * 0x100000000 + nameView.getUint32(nameStart + 4);
  }

  override insert(ref: number): void {
    if (!Number.isNaN(this.appendedMs)) {
      this.#fresh = ref;
      return;
    }
    const score = this.#entryScore(ref);
    if (score < 0) this.#others.insert(0, ref);
    else if (this.elements.isVisible(ref)) {
      this.#fresh = ref;
      this.#freshScore = score;
    } else this.#dead.insert(score, ref);
  }

  override replace(oldRef: number, newRef: number): void {
    this.remove(oldRef);
    const score = this.#entryScore(newRef);
    if (score < 0) this.#others.insert(0, newRef);
    else this.#dead.insert(score, newRef);
  }

  /** Takes out an element that is not shown. */
  override remove(ref: number): void {
    const score = this.#entryScore(ref);
    if (score < 0) this.#others.remove(0, ref);
    else this.#dead.remove(score, ref);
  }

  override shown(ref: number): void {
    this.lastMs = NaN;
    if (ref === this.#fresh) {
      this.#fresh = 0;
      if (Number.isNaN(this.appendedMs)) this.#live.insert(this.#freshScore, ref);
      else this.#live.append(this.appendedMs, ref);
      return;
    }
    const score = this.#entryScore(ref);
    if (score < 0) {
      this.#showOther(ref);
      return;
    }
    this.#dead.remove(score, ref);
    this.#live.insert(score, ref);
  }

  override hidden(ref: number): void {
    this.lastMs = NaN;
    const score = this.#entryScore(ref);
    if (score < 0) {
      this.#hideOther(ref);
      return;
    }
    this.#live.remove(score, ref);
    this.#dead.insert(score, ref);
  }

  #nameOf(ref: number): string {
    const { elements } = this;
    elements.readName(ref);
    return elements.nameBuffer.toString('latin1', elements.nameStart, elements.nameStart + elements.nameLength);
  }

  #valueOf(ref: number): string {
    const { elements } = this;
    elements.readPayload(ref);
    return elements.valueBuffer.toString('latin1', elements.valueStart, elements.valueStart + elements.valueLength);
  }

  #showOther(ref: number): void {
    const name = parseName(this.#nameOf(ref));
    if (name === null) return;
    if (name.what === META) {
      const [lastId, removed, maxDeletedId] = this.#valueOf(ref).split(' ');
      this.#metas.set(name.node, {
        lastId: parseFormattedId(lastId),
        removed: safeNumber(removed),
        maxDeletedId: parseFormattedId(maxDeletedId),
      });
      this.#recount();
    } else if (this.home.nodes.owners.includes(name.node)) {
      const group = this.#needGroup(name.group, name.node);
      if (name.what === GROUP) {
        const [lastId, entriesRead] = this.#valueOf(ref).split(' ');
        group.exists = true;
        group.lastId = parseFormattedId(lastId);
        group.entriesRead = safeNumber(entriesRead);
      } else if (name.what === CONSUMER) {
        const [seenMs, activeMs] = this.#valueOf(ref).split(' ');
        const consumer = group.need(name.rest);
        Object.assign(consumer, { exists: true, seenMs: safeNumber(seenMs), activeMs: safeNumber(activeMs) });
      } else if (name.what === PENDING) {
        group.pending.insert(ref);
        group.need(readDelivery(this.elements, ref).consumer).pending.insert(ref);
      }
    }
  }

  #hideOther(ref: number): void {
    const name = parseName(this.#nameOf(ref));
    if (name === null) return;
    if (name.what === META) {
      this.#metas.delete(name.node);
      this.#recount();
      return;
    }
    if (!this.home.nodes.owners.includes(name.node)) return;
    const group = this.#needGroup(name.group, name.node);
    if (name.what === GROUP) {
      group.exists = false;
    } else {
      const consumer = group.need(name.what === PENDING ? readDelivery(this.elements, ref).consumer : name.rest);
      if (name.what === PENDING) {
        group.pending.remove(ref);
        consumer.pending.remove(ref);
      } else {
        consumer.exists = false;
      }
      if (!consumer.exists && consumer.pending.count === 0) group.consumers.delete(consumer.name);
    }
    if (group.isGone) this.#dropGroup(group);
  }

  override walk(cursor: ElementCursor, limit: number, visit: (ref: number) => void): boolean {
    const batch: number[] = [];
    while (batch.length < limit && cursor.hash < WALK_END) {
      const tree = this.#trees[cursor.hash];
      const from = cursor.name === null ? 0 : this.#rankAfter(tree, cursor.hash === WALK_OTHERS, cursor.name);
      const taken = Math.min(limit - batch.length, tree.count - from);
      tree.visit(from, taken, false, (ref) => batch.push(ref));
      if (from + taken === tree.count) {
        cursor.hash++;
        cursor.name = null;
      } else {
        cursor.name = Buffer.from(this.#nameOf(batch.at(-1)!), 'latin1');
      }
    }
    for (const ref of batch) visit(ref);
    return cursor.hash < WALK_END;
  }

  override isAhead(cursor: ElementCursor, ref: number): boolean {
    const place = this.#entryScore(ref) < 0 ? WALK_OTHERS : WALK_ENTRIES;
    if (place !== cursor.hash) return place > cursor.hash;
    return cursor.name === null || this.elements.compareName(ref, cursor.name, 0, cursor.name.length) > 0;
  }

  #rankAfter(tree: OrderedMembers, isOther: boolean, name: Buffer): number {
    const rank = tree.rank(isOther ? 0 : idScore(name, 0), name, 0, name.length);
    const isThere = rank < tree.count && this.elements.nameEquals(tree.at(rank), name, 0, name.length);
    return isThere ? rank + 1 : rank;
  }

  override freeElements(limit: number): boolean {
    let before = 0;
    for (let place = WALK_ENTRIES; place < WALK_END && limit > 0; place++) {
      const tree = this.#trees[place];
      const from = this.#freed - before;
      if (from >= 0 && from < tree.count) {
        const taken = Math.min(limit, tree.count - from);
        tree.visit(from, taken, false, (ref) => this.elements.free(ref));
        this.#freed += taken;
        limit -= taken;
      }
      before += tree.count;
    }
    if (this.#freed < this.#live.count + this.#dead.count + this.#others.count) return false;
    for (const group of [...this.#groups.values()].flat()) group.free();
    return this.#trees.every((tree) => tree.freeNodes(limit));
  }

  override get indexBytes(): number {
    return this.#others.count * 24;
  }

  override get orderBytes(): number {
    let bytes = 0;
    for (const tree of this.#trees) bytes += tree.nodeBytes;
    for (const groups of this.#groups.values()) for (const group of groups) bytes += group.bytes;
    return bytes;
  }
}
