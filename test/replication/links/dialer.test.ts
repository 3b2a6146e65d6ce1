/** When an address is dialed again. */
import { describe, expect, it } from '@jest/globals';
import { REFUSE_SECOND_LINK, REFUSE_SILENT } from '../../../protocol/peer-frame.ts';
import { Dialer, type Attempt, type DialerOwner } from '../../../replication/links/dialer.ts';
import type { Ending } from '../../../replication/links/ending.ts';
import { SeededRandom, VirtualWorld } from '../virtual-world.ts';

const secondLink: Ending = { code: REFUSE_SECOND_LINK, message: 'there is a link already', by: 'peer' };

/** Dials one configured address; each attempt waits for the test to end it. */
class Dialing implements DialerOwner {
  readonly settings = { reconnectMinMs: 100, reconnectMaxMs: 10_000, resolveIntervalMs: 5000 };
  readonly random = new SeededRandom(1);
  readonly world = new VirtualWorld(1);
  readonly network = this.world.networkOf('here');
  readonly unresolved: string[] = [];
  readonly log = { unresolved: (host: string, why: string): void => void this.unresolved.push(`${host}: ${why}`) };
  readonly linked = new Set<string>();
  readonly dialer = new Dialer(this);
  attempts: Attempt[] = [];

  constructor() {
    this.dialer.add('there', 7000);
  }

  isSettled(nodeId: string): boolean {
    return this.linked.has(nodeId);
  }
  linkedAt(): string | null {
    return null;
  }
  nowMs(): number {
    return this.world.time.monotonicMs();
  }
  dial(_address: string, _port: number, attempt: Attempt): void {
    this.attempts.push(attempt);
  }

  end(ending: Ending, livedMs: number): void {
    this.dialer.ended(this.attempts.pop()!, ending, 'peer', livedMs, this.nowMs());
  }

  /** The attempt becomes a link that lasts so long. */
  linkAndLose(livedMs: number): void {
    const attempt = this.attempts.pop()!;
    this.dialer.linked(attempt, 'peer');
    this.dialer.ended(attempt, { code: REFUSE_SILENT, message: 'silent', by: 'here' }, 'peer', livedMs, this.nowMs());
    this.dialer.lost('peer', livedMs, this.nowMs());
  }

  /** Milliseconds until it dials, or 10,000 when it does not. */
  untilDialed(): number {
    const beganMs = this.nowMs();
    while (this.attempts.length === 0 && this.nowMs() - beganMs < 10_000) {
      this.dialer.tick(this.nowMs());
      this.world.time.run(20);
    }
    return this.nowMs() - beganMs;
  }
}

describe('an address is dialed again', () => {
  it('within a second where the peer believes in a link that is lost here', () => {
    const dialing = new Dialing();
    expect(dialing.untilDialed()).toBeLessThan(100);
    for (let refusal = 0; refusal < 5; refusal++) {
      dialing.end(secondLink, 0);
      expect(dialing.untilDialed()).toBeLessThan(1100);
    }
  });

  it('not where there is another link to the peer', () => {
    const dialing = new Dialing();
    dialing.untilDialed();
    dialing.linked.add('peer');
    dialing.end(secondLink, 0);
    expect(dialing.untilDialed()).toBe(10_000);
  });

  it('after growing times where the node ends each link at once, and soon again after one that lasts', () => {
    const dialing = new Dialing();
    const waits: number[] = [];
    const link = (livedMs: number): number => {
      dialing.linkAndLose(livedMs);
      return dialing.untilDialed();
    };
    dialing.untilDialed();
    for (let count = 0; count < 10; count++) waits.push(link(20));
    expect(Math.max(...waits.slice(0, 3))).toBeLessThan(200);
    expect(Math.min(...waits.slice(7))).toBeGreaterThan(500);
    expect(waits[9]).toBeGreaterThan(2000);
    expect(link(5000)).toBeLessThan(200);
    expect(link(20)).toBeLessThan(200);
  });

  it('after a time that doubles up to ten seconds, and at once when it had been linked', () => {
    const dialing = new Dialing();
    dialing.untilDialed();
    for (let failure = 1; failure < 12; failure++) {
      dialing.end({ code: REFUSE_SILENT, message: 'silent', by: 'here' }, 0);
      const waitedMs = dialing.untilDialed();
      expect(waitedMs).toBeGreaterThan(Math.min(10_000, 100 * 2 ** failure) / 2);
      expect(waitedMs).toBeLessThan(Math.min(10_000, 100 * 2 ** failure) + 100);
    }
    dialing.end({ code: REFUSE_SILENT, message: 'silent', by: 'here' }, 5000);
    expect(dialing.untilDialed()).toBeLessThan(200);
  });

  it('tells of a name that is not known, once until that changes', () => {
    const dialing = new Dialing();
    dialing.world.names.set('there', []);
    dialing.untilDialed();
    expect(dialing.attempts).toEqual([]);
    expect(dialing.unresolved).toEqual(['there: the name has no address']);
    dialing.world.names.set('there', ['n1']);
    dialing.untilDialed();
    expect(dialing.attempts.map(({ endpoint }) => endpoint.address)).toEqual(['n1']);
  });
});
