/** Consumer groups of a stream: what is read from the elements that keep them. */
import { formatNodeId } from '../../protocol/stamp.ts';
import { ID_BYTES, LEAST_ID, idBytes, type StreamId } from '../types/stream-id.ts';
import type { Elements } from './element.ts';
import { OrderedMembers } from './ordered-members.ts';

/** How many entries a group has read is not known. */
export const UNKNOWN_COUNT = -1;

/**
 * The names of the elements that are no entries. All are longer than an entry's 16 bytes, and begin with what they are:
 *
 *   meta:node                        what a node knows of the stream
 *   group:node:group                 a group; groups belong to the node that made them, which goes by its node id, or by a writer's
 *   consumer:node:n:group consumer   n bytes of group, then the consumer, with nothing in between
 *   pending:node:n:group id          n bytes of group, then the entry's 16 bytes
 */
export const META = 'meta';
export const GROUP = 'group';
export const CONSUMER = 'consumer';
export const PENDING = 'pending';

export function nodeText(hi: number, lo: number): string {
  return formatNodeId(hi, lo);
}

export interface ElementName {
  what: string;
  node: string;
  group: string;
  /** Consumer, or the entry's id; latin1. */
  rest: string;
}

/** Reads an element's name, given as latin1; null for one that this release does not know. */
export function parseName(name: string): ElementName | null {
  const match = /^(meta|group|consumer|pending):([0-9a-f]{16})(?::([^]*))?$/.exec(name);
  if (match === null) return null;
  const [, what, node, tail = ''] = match;
  if (what === META) return { what, node, group: '', rest: '' };
  if (what === GROUP) return { what, node, group: tail, rest: '' };
  const colon = tail.indexOf(':');
  const length = Number(tail.slice(0, colon));
  if (colon < 0 || !Number.isSafeInteger(length)) return null;
  const rest = tail.slice(colon + 1 + length);
  if (what === PENDING && rest.length !== ID_BYTES) return null;
  return { what, node, group: tail.slice(colon + 1, colon + 1 + length), rest };
}

/** A count or a time in an element's value: 0 for what is none, since values come from other nodes too. */
export function safeNumber(text: string | undefined): number {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : 0;
}

/** What is known of an entry that was delivered and not acknowledged. */
export interface Delivery {
  deliveredMs: number;
  count: number;
  /** latin1 */
  consumer: string;
}

export function readDelivery(elements: Elements, ref: number): Delivery {
  elements.readPayload(ref);
  const { valueBuffer, valueStart, valueLength } = elements;
  const text = valueBuffer.toString('latin1', valueStart, valueStart + valueLength);
  const first = text.indexOf(' ');
  const second = text.indexOf(' ', first + 1);
  return {
    deliveredMs: safeNumber(text.slice(0, first)),
    count: safeNumber(text.slice(first + 1, second)),
    consumer: text.slice(second + 1),
  };
}

/** Elements of pending entries, in the order of the entries. */
export class PendingList {
  readonly #elements: Elements;
  readonly #members: OrderedMembers;
  readonly #name: Buffer;
  readonly #prefixLength: number;

  constructor(elements: Elements, prefix: Buffer) {
    this.#elements = elements;
    this.#members = new OrderedMembers(elements);
    this.#prefixLength = prefix.length;
    this.#name = Buffer.alloc(prefix.length + ID_BYTES);
    prefix.copy(this.#name);
  }

  get count(): number {
    return this.#members.count;
  }

  #score(ref: number): number {
    this.#elements.readName(ref);
    const { nameBuffer, nameStart, nameLength } = this.#elements;
    return idScore(nameBuffer, nameStart + nameLength - ID_BYTES);
  }

  insert(ref: number): void {
    this.#members.insert(this.#score(ref), ref);
  }

  remove(ref: number): void {
    this.#members.remove(this.#score(ref), ref);
  }

  /** How many pending entries come before the id. */
  rank(id: StreamId): number {
    idBytes(id).copy(this.#name, this.#prefixLength);
    return this.#members.rank(idScore(this.#name, this.#prefixLength), this.#name, 0, this.#name.length);
  }

  at(rank: number): number {
    return this.#members.at(rank);
  }

  /** The element of the entry, or 0. */
  find(id: StreamId): number {
    const rank = this.rank(id);
    if (rank >= this.count) return 0;
    const ref = this.at(rank);
    return this.#elements.nameEquals(ref, this.#name, 0, this.#name.length) ? ref : 0;
  }

  /** The id of the entry that the element is about. */
  idOf(ref: number): StreamId {
    this.#elements.readName(ref);
    const { nameBuffer, nameStart, nameLength } = this.#elements;
    const at = nameStart + nameLength - ID_BYTES;
    return { ms: nameBuffer.readBigUInt64BE(at), seq: nameBuffer.readBigUInt64BE(at + 8) };
  }

  visit(rank: number, count: number, visit: (ref: number) => void): void {
    this.#members.visit(rank, Math.min(count, this.count - rank), false, visit);
  }

  get bytes(): number {
    return this.#members.nodeBytes;
  }

  /** Frees what the order takes; the elements go some other way. */
  free(): void {
    this.#members.clear();
  }
}

/** Orders ids about: monotonic, equal for ids that only their bytes tell apart. */
export function idScore(buffer: Buffer, start: number): number {
  return buffer.readUInt32BE(start) * 0x100000000 + buffer.readUInt32BE(start + 4);
}

export class StreamConsumer {
  /** latin1, as the names of groups. */
  readonly name: string;
  readonly pending: PendingList;
  exists = false;
  /** When it last asked, and when it last got something (-1 for never): milliseconds since 1970. */
  seenMs = 0;
  activeMs = -1;

  constructor(name: string, pending: PendingList) {
    this.name = name;
    this.pending = pending;
  }
}

export class StreamGroup {
  readonly name: string;
  /** The node in the names of its elements. */
  readonly owner: string;
  readonly pending: PendingList;
  readonly consumers = new Map<string, StreamConsumer>();
  readonly #elements: Elements;
  readonly #prefix: Buffer;
  exists = false;
  lastId: StreamId = LEAST_ID;
  /** How many entries it has read since the stream began, or UNKNOWN_COUNT. */
  entriesRead = UNKNOWN_COUNT;

  constructor(name: string, owner: string, elements: Elements) {
    this.name = name;
    this.owner = owner;
    this.#elements = elements;
    this.#prefix = Buffer.from(`${PENDING}:${owner}:${name.length}:${name}`, 'latin1');
    this.pending = new PendingList(elements, this.#prefix);
  }

  /** The consumer, whether it exists or only has entries pending. */
  need(name: string): StreamConsumer {
    let consumer = this.consumers.get(name);
    if (consumer === undefined) {
      consumer = new StreamConsumer(name, new PendingList(this.#elements, this.#prefix));
      this.consumers.set(name, consumer);
    }
    return consumer;
  }

  /** The consumer that commands see. */
  consumer(name: string): StreamConsumer | null {
    const consumer = this.consumers.get(name);
    return consumer !== undefined && consumer.exists ? consumer : null;
  }

  /** The consumers that commands see, by name. */
  get sortedConsumers(): StreamConsumer[] {
    return [...this.consumers.values()].filter(({ exists }) => exists).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get bytes(): number {
    let bytes = this.pending.bytes;
    for (const { pending } of this.consumers.values()) bytes += pending.bytes;
    return bytes;
  }

  /** Frees the orders of a stream that goes. */
  free(): void {
    this.pending.free();
    for (const { pending } of this.consumers.values()) pending.free();
  }

  get isGone(): boolean {
    return !this.exists && this.consumers.size === 0 && this.pending.count === 0;
  }
}
