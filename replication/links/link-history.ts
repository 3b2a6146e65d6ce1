/** What a node knows of who had seen what: whether a write of a peer and one of this node were made without each other. */
import type { Hello } from '../../protocol/peer-message.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import type { MergeSource } from '../../storage/merging/conflicts.ts';
import type { Written } from '../../protocol/written.ts';
import type { Applied } from '../stream/applied.ts';
import type { LinkBeginning, Member } from '../membership/membership.ts';
import type { Stamp } from '../replica.ts';

const none: Stamp = { hi: 0, lo: 0 };
/** More beginnings than this are not kept of one peer; what it wrote before them is held against what it had later. */
const BEGINNINGS_MAX = 8;

function isUpTo(hi: number, lo: number, bound: Stamp): boolean {
  return compareStamp(hi, lo, bound.hi, bound.lo) <= 0;
}

/**
 * One link's part of it. Beginnings are the member's: where one link replaces another, this node may have told the peer of its writes over
 * the first, and what the peer had written before comes over the second.
 */
export class LinkHistory implements MergeSource {
  readonly #member: Member;
  readonly #applied: Applied;
  readonly #beginning: LinkBeginning;
  readonly #isRepairing: () => boolean;
  #told = none;

  /**
   * @param hello the peer's: what it had written by then is stamped up to its clock
   * @param isRepairing whether the peer may be told of writes outside of this node's stream, which it then does not acknowledge
   */
  constructor(member: Member, applied: Applied, hello: Hello, isRepairing: () => boolean) {
    this.#member = member;
    this.#applied = applied;
    this.#isRepairing = isRepairing;
    this.#beginning = { clock: { hi: hello.clockHi, lo: hello.clockLo }, resumedAt: null, told: null };
    // Of links that ended too early nothing is known, and before others there is nothing that has not come.
    const { applied: here } = member.progress;
    const isOfUse = ({ clock, resumedAt, told }: LinkBeginning): boolean =>
      resumedAt !== null && told !== null && !isUpTo(clock.hi, clock.lo, here);
    member.beginnings = [...member.beginnings.filter(isOfUse).slice(1 - BEGINNINGS_MAX), this.#beginning];
  }

  #isPeer(writerHi: number, writerLo: number): boolean {
    const { writer } = this.#member;
    return writer !== null && writer.hi === writerHi && writer.lo === writerLo;
  }

  /** The peer has said how far it had this node's stream when the link began. */
  resumed(position: Stamp): void {
    this.#beginning.resumedAt ??= { hi: position.hi, lo: position.lo };
  }

  /** The peer has said what it has of all writers; the first time, that is what it had when the link began. */
  told(seen: readonly Written[]): void {
    const own = this.#applied.own();
    const entry = seen.find(({ writerHi, writerLo }) => writerHi === own.writerHi && writerLo === own.writerLo);
    this.#told = entry === undefined ? none : { hi: entry.stampHi, lo: entry.stampLo };
    this.#beginning.told ??= this.#told;
  }

  /**
   * What the peer wrote before a link is held against what it had when that began, the first such link. What it wrote since follows its
   * acknowledgement of what it had seen. What others than the peer itself had seen cannot be told.
   */
  mayHaveSeen(
    writerHi: number,
    writerLo: number,
    recordHi: number,
    recordLo: number,
    ownHi: number,
    ownLo: number,
  ): boolean {
    if (!this.#isPeer(writerHi, writerLo)) return true;
    const has = (bound: Stamp): boolean => isUpTo(ownHi, ownLo, bound);
    const before = this.#member.beginnings.find(({ clock }) => isUpTo(recordHi, recordLo, clock)) ?? this.#beginning;
    const { clock, resumedAt, told } = before;
    if (resumedAt === null || told === null) return true;
    if (isUpTo(recordHi, recordLo, clock)) return has(resumedAt) || has(told);
    return has(this.#member.acknowledged) || has(this.#told) || this.#isRepairing();
  }

  isKnown(writerHi: number, writerLo: number, stampHi: number, stampLo: number): boolean {
    if (!this.#isPeer(writerHi, writerLo)) return this.#applied.covers([{ writerHi, writerLo, stampHi, stampLo }]);
    return this.#member.progress.has({ hi: stampHi, lo: stampLo });
  }
}
