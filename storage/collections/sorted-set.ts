/** A sorted set: members found by name, with the visible ones in the order of (score, member) beside. */
import { TYPE_SORTED_SET } from '../arena/block.ts';
import type { Collection, CollectionHome } from './collection.ts';
import {
  ELEMENT_COUNTED,
  ELEMENT_DEADLINE,
  ELEMENT_LARGE_NAME,
  ELEMENT_LARGE_VALUE,
  HEADER_BYTES,
} from './element-layout.ts';
import { MemberCollection } from './member-collection.ts';
import { OrderedMembers } from './ordered-members.ts';
import { readPlainScore, readScore, totalScore } from './score.ts';

/** Flags of elements whose score is no text behind their name. */
const NOT_TEXT = ELEMENT_COUNTED | ELEMENT_DEADLINE | ELEMENT_LARGE_NAME | ELEMENT_LARGE_VALUE;

export class SortedSet extends MemberCollection {
  readonly order = new OrderedMembers(this.elements);
  /** The score of the element that is shown next, where it is known; NaN where it is read. */
  shownScore = NaN;

  constructor(home: CollectionHome) {
    super(TYPE_SORTED_SET, home);
  }

  override createEmpty(): Collection {
    return new SortedSet(this.home);
  }

  /** The score of a visible element. */
  scoreOf(ref: number): number {
    const { elements } = this;
    const { arena } = elements;
    const words = arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    const flags = words[word] >>> 8;
    if ((flags & NOT_TEXT) === 0) {
      const lengths = words[word + 4];
      const start = (word << 2) + HEADER_BYTES + (lengths & 0xffff);
      const score = readPlainScore(arena.bytes[ref >>> 20], start, lengths >>> 16);
      if (!Number.isNaN(score)) return score;
    }
    if ((flags & ELEMENT_COUNTED) !== 0) {
      const total = elements.wholeTotalOf(ref);
      if (!Number.isNaN(total)) return total;
    }
    elements.readValue(ref);
    return readScore(elements.valueBuffer, elements.valueStart, elements.valueLength);
  }

  /** A copy of an element's name. */
  memberOf(ref: number): Buffer {
    const { elements } = this;
    elements.readName(ref);
    return Buffer.from(elements.nameBuffer.subarray(elements.nameStart, elements.nameStart + elements.nameLength));
  }

  /** How many elements come before a visible one. */
  rankOf(ref: number): number {
    return this.order.rankOf(this.scoreOf(ref), ref);
  }

  override shown(ref: number): void {
    this.order.insert(Number.isNaN(this.shownScore) ? this.scoreOf(ref) : this.shownScore, ref);
  }

  override hidden(ref: number): void {
    // A pop has just been there.
    if (this.order.isAt(ref)) this.order.removeFound();
    else this.order.remove(this.scoreOf(ref), ref);
  }

  /** Visits every visible element in order. `visit` may not write to this collection. */
  override forEach(visit: (ref: number) => void): void {
    this.order.visit(0, this.order.count, false, visit);
  }

  override sample(random: () => number): number {
    const { count } = this.order;
    return count === 0 ? 0 : this.order.at(Math.floor(random() * count));
  }

  override total(base: string, sums: readonly string[]): string {
    return totalScore(base, sums);
  }

  override freeElements(limit: number): boolean {
    return super.freeElements(limit) && this.order.freeNodes(limit);
  }

  override get orderBytes(): number {
    return this.order.nodeBytes;
  }
}
