/** Up to where removals may be forgotten, as comparisons of digests tell. */
import { describe, expect, it } from '@jest/globals';
import { Membership, type Member } from '../../../replication/membership/membership.ts';
import type { Stamp } from '../../../replication/replica.ts';

const none: Stamp = { hi: 0, lo: 0 };

function at(lo: number): Stamp {
  return { hi: 7, lo };
}

function meet(membership: Membership, lo: number, run = 1): Member {
  return membership.meet({ hi: 0, lo }, { hi: 0, lo: run }, 'host', 7000, 0)!;
}

function of(count: number): { membership: Membership; members: Member[] } {
  const membership = new Membership({
    nodeId: { hi: 0, lo: 100 },
    membersMax: 8,
    tombstoneHorizonMs: 1000,
    memberReapMs: 1000,
    forgetBanMs: 1000,
  });
  return { membership, members: Array.from({ length: count }, (_none, index) => meet(membership, index + 1)) };
}

describe('what all members were compared with', () => {
  it('is nothing before each was compared twice, and then the least of them', () => {
    const { membership, members } = of(2);
    expect(membership.leastCompared()).toEqual(none);
    members[0].compared = { running: null, last: at(9), before: at(5) };
    expect(membership.leastCompared()).toEqual(none);
    members[1].compared = { running: null, last: at(8), before: at(6) };
    expect(membership.leastCompared()).toEqual(at(5));
    expect(of(0).membership.leastCompared()).toBeNull();
  });

  it('does not hold for removals that another member brought afterwards, those under way included', () => {
    const { membership, members } = of(2);
    for (const member of members) member.compared = { running: at(30), last: at(20), before: at(10) };
    membership.removalsCame(members[0], at(15));
    expect(members[0].compared).toEqual({ running: at(30), last: at(20), before: at(10) });
    expect(members[1].compared).toEqual({ running: at(14), last: at(14), before: at(10) });
    membership.removalsCame(members[0], { hi: 7, lo: 0 });
    expect(members[1].compared.before).toEqual({ hi: 6, lo: 0xffffffff });
    membership.removalsCame(members[0], { hi: 0, lo: 0 });
    expect(members[1].compared.before).toEqual({ hi: 0, lo: 0xffffffff });
  });

  it('is forgotten with a run of the member', () => {
    const { membership, members } = of(1);
    members[0].compared = { running: at(3), last: at(2), before: at(1) };
    meet(membership, 1);
    expect(membership.leastCompared()).toEqual(at(1));
    meet(membership, 1, 2);
    expect(members[0].compared).toEqual({ running: null, last: none, before: none });
  });
});
