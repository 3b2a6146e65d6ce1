/** Some neighbouring elements of a list that have blocks: references, with room at both ends. */

export const CHUNK_REFS_MAX = 512;

export class RefChunk {
  refs: Uint32Array;
  start: number;
  end: number;

  constructor(refs: Uint32Array, start: number, end: number) {
    this.refs = refs;
    this.start = start;
    this.end = end;
  }

  static empty(capacity: number, start: number): RefChunk {
    return new RefChunk(new Uint32Array(capacity), start, start);
  }

  get size(): number {
    return this.end - this.start;
  }

  /** Makes room at an end; false when the chunk may not grow any more. */
  grow(atStart: boolean): boolean {
    const { refs, start, end } = this;
    const size = end - start;
    // Half of the room is free after a move, or the same references would be moved again and again.
    const capacity = size * 2 <= refs.length ? refs.length : refs.length * 2;
    if (capacity > CHUNK_REFS_MAX) return false;
    const moved = capacity === refs.length ? refs : new Uint32Array(capacity);
    const to = atStart ? capacity - size : 0;
    if (moved === refs) refs.copyWithin(to, start, end);
    else moved.set(refs.subarray(start, end), to);
    this.refs = moved;
    this.start = to;
    this.end = to + size;
    return true;
  }

  /** Takes in a reference so many behind the first; there is room at the end. */
  insert(place: number, ref: number): void {
    const at = this.start + place;
    this.refs.copyWithin(at + 1, at, this.end);
    this.refs[at] = ref;
    this.end++;
  }

  /** Takes out the reference so many behind the first. */
  remove(place: number): void {
    if (place === 0) {
      this.start++;
      return;
    }
    const at = this.start + place;
    this.refs.copyWithin(at, at + 1, this.end);
    this.end--;
  }

  /** Moves the references to the start, so that all room is at the end. */
  moveToStart(): void {
    this.refs.copyWithin(0, this.start, this.end);
    this.end -= this.start;
    this.start = 0;
  }

  /** A chunk with room for the references from one place to another, of this one, and of another one behind them. */
  copy(from: number, to: number, other: RefChunk | null = null): RefChunk {
    const chunk = RefChunk.empty(CHUNK_REFS_MAX, 0);
    chunk.refs.set(this.refs.subarray(this.start + from, this.start + to));
    chunk.end = to - from;
    if (other === null) return chunk;
    chunk.refs.set(other.refs.subarray(other.start, other.end), chunk.end);
    chunk.end += other.size;
    return chunk;
  }
}
