/** What a link knows of who had seen what: whether a write of the peer and one of this node were made without each other. */
import type { Hello } from '../protocol/peer-message.ts';
import { compareStamp } from '../protocol/stamp.ts';
import type { MergeSource } from '../storage/conflicts.ts';
import type { Written } from '../protocol/written.ts';
import type { Applied } from './applied.ts';
import type { Member } from './membership.ts';
import type { Stamp } from './replica.ts';

const none: Stamp = { hi: 0, lo: 0 };

export class LinkHistory implements MergeSource {
  readonly #member: Member;
  readonly #applied: Applied;
  readonly #hello: Hello;
  readonly #isRepairing: () => boolean;
  /** How far the peer had this node's stream, and this node's writes by whatever way, when the link began; and now. */
  #resumedAt: Stamp | null = null;
  #toldAtStart: Stamp | null = null;
  #told = none;

  /**
   * @param hello the peer's: what it had written by then is stamped up to its clock
   * @param isRepairing whether the peer may be told of writes outside of this node's stream, which it then does not acknowledge
   */
  constructor(member: Member, applied: Applied, hello: Hello, isRepairing: () => boolean) {
    this.#member = member;
    this.#applied = applied;
    this.#hello = hello;
    this.#isRepairing = isRepairing;
  }

  #isPeer(writerHi: number, writerLo: number): boolean {
    const { writer } = this.#member;
    return writer !== null && writer.hi === writerHi && writer.lo === writerLo;
  }

  /** The peer has said how far it had this node's stream when the link began. */
  resumed(position: Stamp): void {
    this.#resumedAt ??= { hi: position.hi, lo: position.lo };
  }

  /** The peer has said what it has of all writers; the first time, that is what it had when the link began. */
  told(seen: readonly Written[]): void {
    const own = this.#applied.own();
    const entry = seen.find(({ writerHi, writerLo }) => writerHi === own.writerHi && writerLo === own.writerLo);
    this.#told = entry === undefined ? none : { hi: entry.stampHi, lo: entry.stampLo };
    this.#toldAtStart ??= this.#told;
  }

  /**
   * What the peer wrote before the link is held against what it had then. What it wrote since follows its acknowledgement of what
   * it had seen. What others than the peer itself had seen cannot be told.
   */
  mayHaveSeen(
    writerHi: number,
    writerLo: number,
    recordHi: number,
    recordLo: number,
    ownHi: number,
    ownLo: number,
  ): boolean {
    if (!this.#isPeer(writerHi, writerLo) || this.#resumedAt === null || this.#toldAtStart === null) return true;
    const has = ({ hi, lo }: Stamp): boolean => compareStamp(ownHi, ownLo, hi, lo) <= 0;
    const isOfBefore = compareStamp(recordHi, recordLo, this.#hello.clockHi, this.#hello.clockLo) <= 0;
    if (isOfBefore) return has(this.#resumedAt) || has(this.#toldAtStart);
    return has(this.#member.acknowledged) || has(this.#told) || this.#isRepairing();
  }

  isKnown(writerHi: number, writerLo: number, stampHi: number, stampLo: number): boolean {
    if (!this.#isPeer(writerHi, writerLo)) return this.#applied.covers([{ writerHi, writerLo, stampHi, stampLo }]);
    return this.#member.progress.has({ hi: stampHi, lo: stampLo });
  }
}
