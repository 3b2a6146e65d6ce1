/**
 * Off-heap memory for registers: size-classed blocks in 64 KiB pages of 8 MiB SharedArrayBuffers.
 *
 * A block is named by a `ref`, an unsigned 32-bit number of 8-byte units: segment `ref >>> 20`, byte offset
 * `(ref & 0xfffff) << 3` in it. 0 names no block. Garbage collection never sees what is in here, so its pauses do not
 * grow with the data.
 *
 *   page 64 KiB   | block | block | … |  all of one size class; its free blocks are a list through their second word
 *   free block    | byte 0 = 0xff | … | word 1 = next free ref |
 */
import assert from 'node:assert';
import { LargeValues } from './large-values.ts';

const SEGMENT_BYTES = 1 << 23;
const PAGE_BYTES = 1 << 16;
const PAGES_PER_SEGMENT = SEGMENT_BYTES / PAGE_BYTES;
const PAGE_SHIFT = 13;
const PAGE_UNIT_MASK = (1 << PAGE_SHIFT) - 1;
const SEGMENTS_MAX = 4096;

/** The largest block. What does not fit lives in `LargeValues`. */
export const BLOCK_BYTES_MAX = 32768;
const BLOCK_BYTES_MIN = 32;

/** The first byte of a block that is not in use. */
export const FREE_MARK = 0xff;

/** Room that is there before a command begins: untouched it costs nothing. */
const PAGES_RESERVED = 64;

const NO_PAGE = 0xffffffff;

const NO_WORDS = new Uint32Array(0);
const NO_BYTES = Buffer.from(NO_WORDS.buffer);
const NO_VIEW = new DataView(NO_WORDS.buffer);

function sizeClasses(): number[] {
  const sizes: number[] = [];
  for (let size = BLOCK_BYTES_MIN; size <= BLOCK_BYTES_MAX;) {
    sizes.push(size);
    size += size < 256 ? 8 : 1 << (31 - Math.clz32(size) - 4);
  }
  return sizes;
}

const CLASS_BYTES = Uint16Array.from(sizeClasses());
const CLASS_OF_UNITS = new Uint8Array(BLOCK_BYTES_MAX / 8 + 1);
for (let units = 0, sizeClass = 0; units < CLASS_OF_UNITS.length; units++) {
  while (CLASS_BYTES[sizeClass] < units * 8) sizeClass++;
  CLASS_OF_UNITS[units] = sizeClass;
}

/** The bytes of the block that `bytes` would get: what they really cost. */
export function blockBytesFor(bytes: number): number {
  return CLASS_BYTES[CLASS_OF_UNITS[(bytes + 7) >>> 3]];
}

export class Arena {
  /** Per segment, the same memory as bytes, as 32-bit words, and for words at any offset. */
  readonly bytes: Buffer[] = [];
  readonly words: Uint32Array[] = [];
  readonly views: DataView[] = [];
  /** What is too long for a block. */
  readonly large = new LargeValues();
  /** Bytes of all blocks in use. */
  usedBytes = 0;

  #pageClass = new Uint8Array(0);
  #pageUsed = new Uint16Array(0);
  #pageFree = new Uint32Array(0);
  #pageBump = new Uint32Array(0);
  #pageNext = new Uint32Array(0);
  #pagePrevious = new Uint32Array(0);
  #pagesTaken = new Uint16Array(SEGMENTS_MAX);
  readonly #partial = new Uint32Array(CLASS_BYTES.length).fill(NO_PAGE);
  #freePages: number[] = [];
  readonly #freeSegments: number[] = [];
  #segmentsInUse = 0;

  /** Bytes of the segments that are held, whether blocks use them or not. */
  get reservedBytes(): number {
    return this.#segmentsInUse * SEGMENT_BYTES;
  }

  /** Makes sure of some room, for a command to come; false when there is no more memory. */
  reserve(): boolean {
    if (this.#freePages.length >= PAGES_RESERVED) return true;
    if (this.#segmentsInUse >= SEGMENTS_MAX) return false;
    try {
      this.#addSegment();
      return true;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return false;
    }
  }

  /** A block of at least `bytes`; its content is what its last user left. */
  allocate(bytes: number): number {
    assert(bytes <= BLOCK_BYTES_MAX, 'a block has a largest size');
    const sizeClass = CLASS_OF_UNITS[(bytes + 7) >>> 3];
    let page = this.#partial[sizeClass];
    if (page === NO_PAGE) page = this.#takePage(sizeClass);
    const size = CLASS_BYTES[sizeClass];
    let ref = this.#pageFree[page];
    if (ref !== 0) {
      this.#pageFree[page] = this.words[ref >>> 20][((ref & 0xfffff) << 1) + 1]!;
    } else {
      const bump = this.#pageBump[page];
      ref = ((page << PAGE_SHIFT) >>> 0) + (bump >>> 3);
      this.#pageBump[page] = bump + size;
    }
    this.#pageUsed[page]++;
    if (this.#pageFree[page] === 0 && this.#pageBump[page] + size > PAGE_BYTES) this.#unlink(page, sizeClass);
    this.usedBytes += size;
    return ref;
  }

  free(ref: number): void {
    const page = ref >>> PAGE_SHIFT;
    const sizeClass = this.#pageClass[page] - 1;
    const size = CLASS_BYTES[sizeClass];
    const offset = (ref & 0xfffff) << 3;
    const segment = ref >>> 20;
    assert(this.bytes[segment][offset] !== FREE_MARK, 'a block is freed once');
    const wasFull = this.#pageFree[page] === 0 && this.#pageBump[page] + size > PAGE_BYTES;
    this.bytes[segment][offset] = FREE_MARK;
    this.words[segment][(offset >>> 2) + 1] = this.#pageFree[page]!;
    this.#pageFree[page] = ref;
    this.usedBytes -= size;
    if (wasFull) this.#link(page, sizeClass);
    if (--this.#pageUsed[page] === 0) {
      this.#unlink(page, sizeClass);
      this.#releasePage(page);
    }
  }

  /** The bytes that the block at `ref` has room for. */
  capacity(ref: number): number {
    return CLASS_BYTES[this.#pageClass[ref >>> PAGE_SHIFT] - 1];
  }

  /** Whether a block is in use at `ref`, for holders of references that may be stale. */
  isLive(ref: number): boolean {
    const page = ref >>> PAGE_SHIFT;
    const sizeClass = this.#pageClass[page];
    // The page may hold blocks of another size by now, or not that many of them yet.
    const offset = (ref & PAGE_UNIT_MASK) << 3;
    if (sizeClass === 0 || offset >= this.#pageBump[page] || offset % CLASS_BYTES[sizeClass - 1] !== 0) return false;
    return this.bytes[ref >>> 20][(ref & 0xfffff) << 3] !== FREE_MARK;
  }

  /** Frees every block, and all memory but one segment. */
  clear(): void {
    const segments = this.bytes.length;
    this.#pageClass.fill(0);
    this.#pageUsed.fill(0);
    this.#pageFree.fill(0);
    this.#pageBump.fill(0);
    this.#pagesTaken.fill(0);
    this.#partial.fill(NO_PAGE);
    this.#freePages = [];
    this.#freeSegments.length = 0;
    for (let segment = segments - 1; segment >= 1; segment--) {
      this.#giveBack(segment);
    }
    this.#segmentsInUse = Math.min(1, segments);
    if (segments > 0) for (let page = PAGES_PER_SEGMENT - 1; page >= 0; page--) this.#freePages.push(page);
    this.usedBytes = 0;
    this.large.clear();
  }

  #takePage(sizeClass: number): number {
    let page = this.#freePages.pop();
    if (page === undefined) {
      this.#addSegment();
      page = this.#freePages.pop()!;
    }
    const size = CLASS_BYTES[sizeClass];
    this.#pageClass[page] = sizeClass + 1;
    this.#pageUsed[page] = 0;
    this.#pageFree[page] = 0;
    // Ref 0 is "no block", so the very first page begins one block late.
    this.#pageBump[page] = page === 0 ? size : 0;
    this.#pagesTaken[page >>> 7]++;
    this.#link(page, sizeClass);
    return page;
  }

  #releasePage(page: number): void {
    const segment = page >>> 7;
    const first = (page & 127) * PAGE_BYTES;
    // Blocks that were never handed out carry no mark; stale references only ever name ones that were.
    this.#pageClass[page] = 0;
    this.bytes[segment][first] = FREE_MARK;
    this.#freePages.push(page);
    // The first segment stays: `clear` goes on with it.
    if (--this.#pagesTaken[segment] === 0 && segment !== 0 && this.#freePages.length > 2 * PAGES_PER_SEGMENT) {
      this.#dropSegment(segment);
    }
  }

  #dropSegment(segment: number): void {
    this.#freePages = this.#freePages.filter((page) => page >>> 7 !== segment);
    this.#giveBack(segment);
    this.#segmentsInUse--;
  }

  #giveBack(segment: number): void {
    this.bytes[segment] = NO_BYTES;
    this.words[segment] = NO_WORDS;
    this.views[segment] = NO_VIEW;
    this.#freeSegments.push(segment);
  }

  #addSegment(): void {
    const reused = this.#freeSegments.pop();
    const segment = reused ?? this.bytes.length;
    if (segment >= SEGMENTS_MAX) throw new RangeError('the keyspace is at its limit of 32 GiB; set maxmemory below it');
    const memory = new SharedArrayBuffer(SEGMENT_BYTES);
    this.bytes[segment] = Buffer.from(memory);
    this.words[segment] = new Uint32Array(memory);
    this.views[segment] = new DataView(memory);
    this.#segmentsInUse++;
    if (reused === undefined) this.#growPageTables((segment + 1) * PAGES_PER_SEGMENT);
    for (let page = (segment + 1) * PAGES_PER_SEGMENT - 1; page >= segment * PAGES_PER_SEGMENT; page--) {
      this.#freePages.push(page);
    }
  }

  #growPageTables(pages: number): void {
    if (pages <= this.#pageClass.length) return;
    const room = Math.max(pages, this.#pageClass.length * 2);
    const grow = <T extends Uint8Array | Uint16Array | Uint32Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#pageClass = grow(this.#pageClass, new Uint8Array(room));
    this.#pageUsed = grow(this.#pageUsed, new Uint16Array(room));
    this.#pageFree = grow(this.#pageFree, new Uint32Array(room));
    this.#pageBump = grow(this.#pageBump, new Uint32Array(room));
    this.#pageNext = grow(this.#pageNext, new Uint32Array(room));
    this.#pagePrevious = grow(this.#pagePrevious, new Uint32Array(room));
  }

  #link(page: number, sizeClass: number): void {
    const next = this.#partial[sizeClass];
    this.#pageNext[page] = next;
    this.#pagePrevious[page] = NO_PAGE;
    if (next !== NO_PAGE) this.#pagePrevious[next] = page;
    this.#partial[sizeClass] = page;
  }

  #unlink(page: number, sizeClass: number): void {
    const next = this.#pageNext[page];
    const previous = this.#pagePrevious[page];
    if (previous === NO_PAGE) this.#partial[sizeClass] = next;
    else this.#pageNext[previous] = next;
    if (next !== NO_PAGE) this.#pagePrevious[next] = previous;
  }
}
