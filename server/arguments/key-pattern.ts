/** The patterns of SORT's BY and GET: `weight_*` names a string, `object_*->field` a field of a hash, `#` the element itself. */
import { TYPE_HASH, TYPE_STRING } from '../../storage/arena/block.ts';
import type { Database } from '../../storage/database.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { findVisible } from '../../storage/types/hash.ts';

const STAR = 42;

export class KeyPattern {
  readonly isElement: boolean;
  /** Without a star the pattern names no key of an element. */
  readonly hasStar: boolean;
  readonly #before: Buffer;
  readonly #after: Buffer;
  readonly #field: Buffer | null;

  constructor(pattern: Buffer) {
    this.isElement = pattern.length === 1 && pattern[0] === 35;
    const star = pattern.indexOf(STAR);
    this.hasStar = star >= 0;
    const arrow = star < 0 ? -1 : pattern.indexOf('->', star + 1);
    const hasField = arrow >= 0 && arrow + 2 < pattern.length;
    this.#before = pattern.subarray(0, Math.max(0, star));
    this.#after = pattern.subarray(star + 1, hasField ? arrow : pattern.length);
    this.#field = hasField ? pattern.subarray(arrow + 2) : null;
  }

  /** What the pattern gives for an element, or null when there is nothing. */
  lookup(keyspace: Keyspace, database: Database, element: Buffer): Buffer | null {
    if (this.isElement) return element;
    if (!this.hasStar) return null;
    const key = Buffer.concat([this.#before, element, this.#after]);
    const ref = keyspace.lookup(database, key, 0, key.length);
    if (ref === 0) return null;
    const field = this.#field;
    if (field === null) {
      if (keyspace.typeOf(ref) !== TYPE_STRING) return null;
      keyspace.readValue(ref);
      return Buffer.from(
        keyspace.valueBuffer.subarray(keyspace.valueStart, keyspace.valueStart + keyspace.valueLength),
      );
    }
    if (keyspace.typeOf(ref) !== TYPE_HASH) return null;
    const found = findVisible(keyspace, keyspace.collectionAt(ref), field, 0, field.length);
    if (found === 0) return null;
    const { elements } = keyspace;
    elements.readValue(found);
    return Buffer.from(elements.valueBuffer.subarray(elements.valueStart, elements.valueStart + elements.valueLength));
  }
}
