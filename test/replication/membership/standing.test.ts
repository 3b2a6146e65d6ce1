import { describe, expect, it } from '@jest/globals';
import { Horizon } from '../../../replication/membership/horizon.ts';
import { Membership } from '../../../replication/membership/membership.ts';
import { Standing } from '../../../replication/membership/standing.ts';
import { fillSettings } from '../../../replication/settings.ts';
import { LogKeeper } from '../virtual-world.ts';

describe('a peer that has to resynchronise', () => {
  it.each([
    ['that has only just come', { hi: 1, lo: 0 }, false],
    ['that was away', { hi: 4, lo: 0 }, true],
  ])('is told of to the operator where it is one %s: %j', (_, held, isTold) => {
    const settings = fillSettings({ nodeId: { hi: 1, lo: 1 }, port: 7000 }, { hi: 1, lo: 1 });
    const membership = new Membership(settings);
    const log = new LogKeeper();
    const horizon = new Horizon(membership, settings, { isSettled: true });
    const standing = new Standing(settings, membership, horizon, log, () => false);
    const member = membership.meet({ hi: 2, lo: 2 }, { hi: 1, lo: 1 }, 'n2', 7000, 0)!;
    member.held = held;
    member.heardUpTo = held;
    standing.setBehind({ member, remoteHost: 'n2' }, false, { hi: 9, lo: 0 });
    expect(log.lines.some((line) => line.startsWith('warn') && line.includes('was away for longer'))).toBe(isTold);
  });
});
