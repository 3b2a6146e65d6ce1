/** Whether a peer's write and one of this node's may have known of each other, as far as the links between the two tell. */
import { describe, expect, it } from '@jest/globals';
import type { Hello } from '../../../protocol/peer-message.ts';
import { Applied } from '../../../replication/stream/applied.ts';
import { LinkHistory } from '../../../replication/links/link-history.ts';
import { Membership, type Member } from '../../../replication/membership/membership.ts';
import type { Stamp } from '../../../replication/replica.ts';

const own: Stamp = { hi: 1, lo: 1 };
const peer: Stamp = { hi: 2, lo: 2 };

function at(lo: number): Stamp {
  return { hi: 7, lo };
}

class Pair {
  readonly #membership = new Membership({
    nodeId: own,
    membersMax: 8,
    tombstoneHorizonMs: 1000,
    memberReapMs: 1000,
    forgetBanMs: 1000,
  });
  readonly #applied = new Applied(own, () => at(1000));
  readonly member: Member;

  constructor() {
    this.member = this.meet(1);
  }

  meet(run: number): Member {
    const member = this.#membership.meet(peer, { hi: 0, lo: run }, 'host', 7000, 0)!;
    member.writer = peer;
    return member;
  }

  /** A link begins when the peer's clock is at `clock`, and it has this node's writes up to `known`. */
  link(clock: number, known: number | null): LinkHistory {
    const hello = { clockHi: at(clock).hi, clockLo: at(clock).lo } as Hello;
    const history = new LinkHistory(this.member, this.#applied, hello, () => false);
    if (known === null) return history;
    history.resumed(at(known));
    const { hi, lo } = at(known);
    history.told([{ writerHi: own.hi, writerLo: own.lo, stampHi: hi, stampLo: lo }]);
    return history;
  }
}

/** Whether the peer may have seen the write stamped `ownLo` when it made that stamped `theirs`. */
function mayHaveSeen(history: LinkHistory, theirs: number, ownLo: number): boolean {
  return history.mayHaveSeen(peer.hi, peer.lo, at(theirs).hi, at(theirs).lo, at(ownLo).hi, at(ownLo).lo);
}

describe('what a peer had seen', () => {
  it('is what it had when the link began, for what it wrote before', () => {
    const history = new Pair().link(100, 50);
    expect([50, 51, 90].map((stamp) => mayHaveSeen(history, 95, stamp))).toEqual([true, false, false]);
  });

  it('is what it has acknowledged, for what it wrote since', () => {
    const pair = new Pair();
    const history = pair.link(100, 50);
    pair.member.acknowledged = at(90);
    expect([90, 91].map((stamp) => mayHaveSeen(history, 101, stamp))).toEqual([true, false]);
  });

  it('is not what it was told over a link that another one has replaced', () => {
    const pair = new Pair();
    pair.link(100, 50);
    // Told of 90 over the first link, the peer says so when the second one begins.
    const history = pair.link(105, 90);
    expect([50, 90].map((stamp) => mayHaveSeen(history, 95, stamp))).toEqual([true, false]);
    expect([90, 91].map((stamp) => mayHaveSeen(history, 103, stamp))).toEqual([true, false]);
  });

  it('is not known of links that ended before it was said', () => {
    const pair = new Pair();
    expect(mayHaveSeen(pair.link(100, null), 95, 90)).toBe(true);
    expect([50, 51].map((stamp) => mayHaveSeen(pair.link(105, 50), 95, stamp))).toEqual([true, false]);
    expect(mayHaveSeen(pair.link(110, null), 107, 90)).toBe(true);
  });

  it('is kept while something from before may still come, of the last eight links and of this run of the peer', () => {
    const pair = new Pair();
    for (let link = 0; link < 20; link++) pair.link(100 + link, 50 + link);
    expect(pair.member.beginnings.map(({ clock }) => clock.lo)).toEqual([112, 113, 114, 115, 116, 117, 118, 119]);
    pair.member.progress.startAt(at(117));
    pair.member.progress.cover(at(117));
    pair.link(130, 90);
    expect(pair.member.beginnings.map(({ clock }) => clock.lo)).toEqual([118, 119, 130]);
    pair.meet(2);
    expect(pair.member.beginnings).toEqual([]);
  });
});
