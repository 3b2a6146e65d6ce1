/** A sorted set: members found by name, with the visible ones in the order of (score, member) beside. */
import { TYPE_SORTED_SET } from '../block.ts';
import type { Collection, CollectionHome } from './collection.ts';
import { ELEMENT_COUNTED } from './element-layout.ts';
import { MemberCollection } from './member-collection.ts';
import { OrderedMembers } from './ordered-members.ts';
import { readScore, totalScore } from './score.ts';

export class SortedSet extends MemberCollection {
  readonly order = new OrderedMembers(this.elements);

  constructor(home: CollectionHome) {
    super(TYPE_SORTED_SET, home);
  }

  override createEmpty(): Collection {
    return new SortedSet(this.home);
  }

  /** The score of a visible element. */
  scoreOf(ref: number): number {
    const { elements } = this;
    if ((elements.flagsOf(ref) & ELEMENT_COUNTED) !== 0) {
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
    this.order.insert(this.scoreOf(ref), ref);
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
    if (!super.freeElements(limit)) return false;
    this.order.clear();
    return true;
  }

  override get orderBytes(): number {
    return this.order.nodeBytes;
  }
}
