/**
 * Moves blocks together, in steps: out of pages that are mostly empty, so that blocks of other sizes can have them, and out of
 * the emptiest segment, so that its memory goes back to the system.
 */
import type { Keyspace } from '../keyspace.ts';
import { moveBlock } from './move-block.ts';

/** Pages that are chosen at once: what they are chosen by changes meanwhile. */
const PAGES_CHOSEN = 256;
/** Blocks between two looks at the clock. */
const BLOCKS_A_LOOK = 64;

export class Compaction {
  /** Blocks that were moved, and pages that became empty by that. */
  moved = 0;
  emptied = 0;
  readonly #keyspace: Keyspace;
  /** Pages to be emptied, and the blocks that are left of the page that is being emptied. */
  #pages: number[] = [];
  #page = -1;
  #blocks: number[] = [];
  /** The segment whose pages they are, when it is to be given back. */
  #segment = 0;
  /** Segments that could not be emptied: not tried again until all were. */
  readonly #tried = new Set<number>();

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  /** Whether a page or segment is being emptied. */
  get isUnderWay(): boolean {
    return this.#page >= 0 || this.#pages.length > 0;
  }

  /** Chooses pages to be emptied for blocks of other sizes; false when none would become empty. */
  beginPages(): boolean {
    this.#pages = this.#keyspace.arena.sparsePages(PAGES_CHOSEN).reverse();
    return this.#pages.length > 0;
  }

  /** Chooses a segment to be given back; false when the others have no room for what is in it. */
  beginSegment(): boolean {
    const { arena } = this.#keyspace;
    const found = arena.retireSegment((segment) => this.#tried.has(segment));
    if (found === null) {
      this.#tried.clear();
      return false;
    }
    this.#segment = found.segment;
    this.#pages = found.pages;
    if (found.pages.length === 0) this.#forgetViews();
    return true;
  }

  /** Goes on until `isTimeUp`. No command may be running. */
  step(isTimeUp: () => boolean): void {
    const { arena } = this.#keyspace;
    for (let count = 1; this.isUnderWay; count++) {
      const ref = this.#blocks.pop();
      if (ref === undefined) {
        this.#nextPage();
      } else if (arena.isLive(ref) && moveBlock(this.#keyspace, ref)) {
        this.moved++;
      }
      if (count % BLOCKS_A_LOOK === 0 && isTimeUp()) break;
    }
  }

  /** Moves together all that can be, in one go. No command may be running. */
  run(): void {
    const never = (): boolean => false;
    let before = -1;
    while (this.emptied > before) {
      before = this.emptied;
      this.step(never);
      if (this.beginPages()) this.step(never);
    }
    while (this.beginSegment()) this.step(never);
  }

  #nextPage(): void {
    const { arena } = this.#keyspace;
    if (this.#page >= 0 && arena.isEmpty(this.#page)) this.emptied++;
    // The pages of a segment stay sealed until it is given back or kept.
    if (this.#page >= 0 && this.#segment === 0) arena.unseal(this.#page);
    this.#page = this.#pages.pop() ?? -1;
    if (this.#page >= 0) {
      arena.seal(this.#page);
      this.#blocks = arena.blocksIn(this.#page);
    } else if (this.#segment !== 0) {
      if (!arena.keepSegment(this.#segment)) this.#forgetViews();
      else this.#tried.add(this.#segment);
      this.#segment = 0;
    }
  }

  /** What was last read may have been in a segment that was given back, which is memory as long as somebody names it. */
  #forgetViews(): void {
    this.#keyspace.forgetViews();
  }
}
