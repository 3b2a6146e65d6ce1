/** A set: a collection of members that remembers whether all that it ever had are integers, as OBJECT ENCODING shows it. */
import { parseInteger } from '../../protocol/integer.ts';
import type { Collection } from './collection.ts';
import { MemberCollection } from './member-collection.ts';

export class SetCollection extends MemberCollection {
  /** Every member since the key was made is a 64-bit integer. */
  allIntegers = true;

  override createEmpty(): Collection {
    return new SetCollection(this.type, this.home);
  }

  override began(): void {
    super.began();
    this.allIntegers = true;
  }

  override get packedExtra(): number {
    return this.allIntegers ? 1 : 0;
  }

  override set packedExtra(extra: number) {
    this.allIntegers = extra === 1;
  }

  override shown(ref: number): void {
    if (!this.allIntegers) return;
    const { elements } = this;
    elements.readName(ref);
    const value = parseInteger(elements.nameBuffer, elements.nameStart, elements.nameLength);
    if (value === undefined) this.allIntegers = false;
  }
}
