/**
 * The block of one element of a collection: a field, member, position or id with its value, in the arena beside the blocks
 * of keys. Little-endian 32-bit words:
 *
 *   word 0   u8 kind (32…) | u8 flags | u16 origin (index in the node table)
 *   word 1   slot of the collection that it belongs to (a freed block keeps the arena's free list here)
 *   word 2,3 stamp, high and low half
 *   word 4   u16 name length | u16 value length, as they lie in the block
 *   word 5–9 only when DEADLINE: deadline ms (high, low), the deadline's own stamp (high, low), its origin
 *   then     the name (when LARGE_NAME its 32-bit slot in LargeValues), then the value (4-aligned when COUNTED; when
 *            LARGE_VALUE its 32-bit slot in LargeValues)
 */

/** The element was removed, or never was written but only counted up. */
export const ELEMENT_DEAD = 1;
export const ELEMENT_DEADLINE = 2;
/** The value is a counter payload: HINCRBY, ZINCRBY. */
export const ELEMENT_COUNTED = 4;
export const ELEMENT_LARGE_VALUE = 8;
export const ELEMENT_LARGE_NAME = 16;
/** In the collection's list of changes that peers are sent. */
export const ELEMENT_FEED = 32;
/** In the collection's list of changes that the stores lack. */
export const ELEMENT_STORE = 64;
/** The element's own deadline has passed, and it was hidden; what it was stays, because a later deadline may bring it back. */
export const ELEMENT_EXPIRED = 128;

export const ELEMENT_KIND_LEAST = 32;
export const HEADER_BYTES = 20;
export const DEADLINE_BYTES = 20;
export const SLOT_BYTES = 4;
/** Longer names and values live outside the arena. */
export const NAME_INLINE_MAX = 2048;
export const VALUE_INLINE_MAX = 4096;
