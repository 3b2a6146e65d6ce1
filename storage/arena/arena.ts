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

/** How finely pages are told apart by what of them is in use. */
const SHARES = 64;

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

/** Words of a block that are read ahead: in the header, and where a key of 16 bytes ends and a value of 64. */
const FIRST_WORD = 4;
const SECOND_WORD = 24;
const SEGMENT_WORD_MASK = (1 << 21) - 1;

export class Arena {
  /** Per segment, the same memory as bytes, as 32-bit words, and for words at any offset. */
  readonly bytes: Buffer[] = [];
  readonly words: Uint32Array[] = [];
  readonly views: DataView[] = [];
  /** What is too long for a block. */
  readonly large = new LargeValues();
  /** Bytes of all blocks in use. */
  usedBytes = 0;

  /** Where blocks are to be moved away from: nothing is allocated there. */
  #pageSealed = new Uint8Array(0);
  /** Written to since its segment was made: until then it is no memory of the process. */
  #pageTouched = new Uint8Array(0);
  #pageClass = new Uint8Array(0);
  #pageUsed = new Uint16Array(0);
  #pageFree = new Uint32Array(0);
  #pageBump = new Uint32Array(0);
  #pageNext = new Uint32Array(0);
  #pagePrevious = new Uint32Array(0);
  #pagesTaken = new Uint16Array(SEGMENTS_MAX);
  readonly #partial = new Uint32Array(CLASS_BYTES.length).fill(NO_PAGE);
  /** Empty pages, those that are memory of the process already and those that would become it. */
  #freePages: number[] = [];
  #freshPages: number[] = [];
  readonly #freeSegments: number[] = [];
  readonly #segmentSealed = new Uint8Array(SEGMENTS_MAX);
  #segmentsInUse = 0;
  #pagesTouched = 0;
  /** Bytes that were given back to the system, and are gone from the process once V8 collects their buffers. */
  droppedBytes = 0;
  /** With more empty pages than this a segment that becomes empty is given back at once. */
  emptyBytesMost = 2 * SEGMENT_BYTES;

  /** The sum of what was read ahead, so that the reads are not found to be useless and left out. */
  #readAheadSum = 0;

  /**
   * Reads of the blocks at every second word of `refs`, in a loop that does little else, so that the processor waits for many of them
   * at once.
   */
  readAhead(refs: Uint32Array, wordCount: number): void {
    const { words } = this;
    let sum = 0;
    for (let at = 0; at < wordCount; at += 2) {
      const ref = refs[at];
      const segment = words[ref >>> 20];
      const word = (ref & 0xfffff) << 1;
      sum ^= segment[word + FIRST_WORD] ^ segment[(word + SECOND_WORD) & SEGMENT_WORD_MASK];
    }
    this.#readAheadSum ^= sum;
  }

  /** Bytes of the pages that are memory of the process, whether blocks use them or not. */
  get residentBytes(): number {
    return this.#pagesTouched * PAGE_BYTES;
  }

  /** Of those, bytes of pages without a block. */
  get emptyBytes(): number {
    return this.#freePages.length * PAGE_BYTES;
  }

  /** Makes sure of some room, for a command to come; false when there is no more memory. */
  reserve(): boolean {
    if (this.#freePages.length + this.#freshPages.length >= PAGES_RESERVED) return true;
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
    if (wasFull && this.#pageSealed[page] === 0) this.#link(page, sizeClass);
    if (--this.#pageUsed[page] === 0) {
      if (this.#pageSealed[page] === 0) this.#unlink(page, sizeClass);
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
    this.#pageSealed.fill(0);
    this.#segmentSealed.fill(0);
    this.#pagesTaken.fill(0);
    this.#partial.fill(NO_PAGE);
    this.#freePages = [];
    this.#freshPages = [];
    this.#freeSegments.length = 0;
    for (let segment = segments - 1; segment >= 1; segment--) this.#giveBack(segment);
    this.#segmentsInUse = Math.min(1, segments);
    if (segments > 0) for (let page = PAGES_PER_SEGMENT - 1; page >= 0; page--) this.#addFree(page);
    this.usedBytes = 0;
    this.large.clear();
  }

  // ---- moving blocks together ----

  /**
   * Pages whose blocks would fit into other pages of their size, the emptiest first: about `limit` of them. Goes through the
   * tables of all pages.
   */
  sparsePages(limit: number): number[] {
    const pages = this.#pageClass.length;
    const freeBlocks = new Float64Array(CLASS_BYTES.length);
    const counts = new Uint32Array(SHARES + 1);
    for (let page = 0; page < pages; page++) {
      if (!this.#isPartial(page)) continue;
      freeBlocks[this.#pageClass[page] - 1] += this.#blocksOf(page) - this.#pageUsed[page];
      counts[this.#shareOf(page)]++;
    }
    let most = 0;
    for (let sum = counts[0]; sum < limit && most < SHARES;) sum += counts[++most];
    const candidates: number[] = [];
    for (let page = 0; page < pages; page++) {
      if (this.#isPartial(page) && this.#shareOf(page) <= most) candidates.push(page);
    }
    candidates.sort((one, other) => this.#shareOf(one) - this.#shareOf(other));
    return candidates.filter((page) => {
      const sizeClass = this.#pageClass[page] - 1;
      const blocks = this.#blocksOf(page);
      // Its own free blocks go with it, and as many as it has in use are taken elsewhere.
      if (freeBlocks[sizeClass] < blocks) return false;
      freeBlocks[sizeClass] -= blocks;
      return true;
    });
  }

  #isPartial(page: number): boolean {
    return this.#pageClass[page] !== 0 && this.#pageSealed[page] === 0 && this.#pageUsed[page] < this.#blocksOf(page);
  }

  #blocksOf(page: number): number {
    return Math.floor(PAGE_BYTES / CLASS_BYTES[this.#pageClass[page] - 1]);
  }

  #shareOf(page: number): number {
    return Math.floor((this.#pageUsed[page] / this.#blocksOf(page)) * SHARES);
  }

  /** No blocks are allocated in the page from now on, so that those in it can be moved elsewhere. */
  seal(page: number): void {
    const sizeClass = this.#pageClass[page];
    if (sizeClass === 0 || this.#pageSealed[page] !== 0) return;
    if (this.#hasRoom(page)) this.#unlink(page, sizeClass - 1);
    this.#pageSealed[page] = 1;
  }

  /** The page is used again, with the blocks that could not be moved. */
  unseal(page: number): void {
    if (this.#pageSealed[page] === 0) return;
    this.#pageSealed[page] = 0;
    if (this.#hasRoom(page)) this.#link(page, this.#pageClass[page] - 1);
  }

  #hasRoom(page: number): boolean {
    return this.#pageFree[page] !== 0 || this.#pageBump[page] + CLASS_BYTES[this.#pageClass[page] - 1] <= PAGE_BYTES;
  }

  isEmpty(page: number): boolean {
    return this.#pageClass[page] === 0;
  }

  /** The blocks in use of a page. */
  blocksIn(page: number): number[] {
    const refs: number[] = [];
    if (this.#pageClass[page] === 0) return refs;
    const size = CLASS_BYTES[this.#pageClass[page] - 1];
    const bytes = this.bytes[page >>> 7];
    const first = (page & 127) * PAGE_BYTES;
    for (let offset = page === 0 ? size : 0; offset < this.#pageBump[page]; offset += size) {
      if (bytes[first + offset] !== FREE_MARK) refs.push(((page << PAGE_SHIFT) >>> 0) + (offset >>> 3));
    }
    return refs;
  }

  /**
   * The pages in use of the segment with the fewest, which is given back when they are empty: nothing is allocated in it from now
   * on. Null when what is in it would not fit into the empty pages of others. `isTried` names those that did not become empty.
   */
  retireSegment(isTried: (segment: number) => boolean): { segment: number; pages: number[] } | null {
    let segment = 0;
    for (let at = 1; at < this.bytes.length; at++) {
      if (this.bytes[at].length === 0 || this.#segmentSealed[at] !== 0 || isTried(at)) continue;
      if (segment === 0 || this.#pagesTaken[at] < this.#pagesTaken[segment]) segment = at;
    }
    const isInside = (page: number): boolean => page >>> 7 === segment;
    const elsewhere = this.#freePages.filter((page) => !isInside(page));
    if (segment === 0 || elsewhere.length < this.#pagesTaken[segment]) return null;
    this.#freePages = elsewhere;
    this.#freshPages = this.#freshPages.filter((page) => !isInside(page));
    this.#segmentSealed[segment] = 1;
    const pages: number[] = [];
    for (let page = segment * PAGES_PER_SEGMENT; page < (segment + 1) * PAGES_PER_SEGMENT; page++) {
      if (this.#pageClass[page] === 0) continue;
      this.seal(page);
      pages.push(page);
    }
    if (pages.length === 0) this.#dropSegment(segment);
    return { segment, pages };
  }

  /** A segment that did not become empty is used again; false when it has been given back. */
  keepSegment(segment: number): boolean {
    if (this.#segmentSealed[segment] === 0) return false;
    this.#segmentSealed[segment] = 0;
    for (let page = segment * PAGES_PER_SEGMENT; page < (segment + 1) * PAGES_PER_SEGMENT; page++) {
      if (this.#pageClass[page] === 0) this.#addFree(page);
      else this.unseal(page);
    }
    return true;
  }

  /** Gives back segments without a block while more than `bytesMost` are in empty pages. */
  giveBackEmpty(bytesMost: number): void {
    for (let segment = 1; segment < this.bytes.length && this.emptyBytes > bytesMost; segment++) {
      if (this.bytes[segment].length > 0 && this.#pagesTaken[segment] === 0) this.#dropSegment(segment);
    }
  }

  #addFree(page: number): void {
    if (this.#pageTouched[page] !== 0) this.#freePages.push(page);
    else this.#freshPages.push(page);
  }

  #takePage(sizeClass: number): number {
    if (this.#freePages.length + this.#freshPages.length === 0) this.#addSegment();
    const page = this.#freePages.pop() ?? this.#freshPages.pop()!;
    if (this.#pageTouched[page] === 0) {
      this.#pageTouched[page] = 1;
      this.#pagesTouched++;
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
    this.#pageSealed[page] = 0;
    this.bytes[segment][first] = FREE_MARK;
    const isSealed = this.#segmentSealed[segment] !== 0;
    if (!isSealed) this.#freePages.push(page);
    if (--this.#pagesTaken[segment] > 0) return;
    // The first segment stays: `clear` goes on with it.
    if (isSealed || (segment !== 0 && this.emptyBytes > this.emptyBytesMost)) this.#dropSegment(segment);
  }

  #dropSegment(segment: number): void {
    this.#freePages = this.#freePages.filter((page) => page >>> 7 !== segment);
    this.#freshPages = this.#freshPages.filter((page) => page >>> 7 !== segment);
    this.#segmentSealed[segment] = 0;
    this.#giveBack(segment);
    this.#segmentsInUse--;
  }

  #giveBack(segment: number): void {
    this.bytes[segment] = NO_BYTES;
    this.words[segment] = NO_WORDS;
    this.views[segment] = NO_VIEW;
    for (let page = segment * PAGES_PER_SEGMENT; page < (segment + 1) * PAGES_PER_SEGMENT; page++) {
      this.#pagesTouched -= this.#pageTouched[page];
      this.droppedBytes += this.#pageTouched[page] * PAGE_BYTES;
      this.#pageTouched[page] = 0;
    }
    this.#freeSegments.push(segment);
  }

  #addSegment(): void {
    const reused = this.#freeSegments.pop();
    const segment = reused ?? this.bytes.length;
    if (segment >= SEGMENTS_MAX) throw new RangeError('the keyspace is at its limit of 32 GiB; set maxmemory below it');
    // One that could grow is mapped by itself, so that a page that nothing was written to is none of the process.
    const memory = new SharedArrayBuffer(SEGMENT_BYTES, { maxByteLength: SEGMENT_BYTES });
    this.bytes[segment] = Buffer.from(memory, 0, SEGMENT_BYTES);
    this.words[segment] = new Uint32Array(memory, 0, SEGMENT_BYTES / 4);
    this.views[segment] = new DataView(memory, 0, SEGMENT_BYTES);
    this.#segmentsInUse++;
    if (reused === undefined) this.#growPageTables((segment + 1) * PAGES_PER_SEGMENT);
    for (let page = (segment + 1) * PAGES_PER_SEGMENT - 1; page >= segment * PAGES_PER_SEGMENT; page--) {
      this.#freshPages.push(page);
    }
  }

  #growPageTables(pages: number): void {
    if (pages <= this.#pageClass.length) return;
    const room = Math.max(pages, this.#pageClass.length * 2);
    const grow = <T extends Uint8Array | Uint16Array | Uint32Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#pageSealed = grow(this.#pageSealed, new Uint8Array(room));
    this.#pageTouched = grow(this.#pageTouched, new Uint8Array(room));
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
