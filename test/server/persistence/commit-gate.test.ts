import { describe, expect, it } from '@jest/globals';
import { CommitGate } from '../../../server/persistence/commit-gate.ts';
import { makeSession } from '../sessions.ts';

interface Pending {
  resolve: () => void;
  reject: (reason: unknown) => void;
}

/** A gate whose commits the test ends. */
function makeGate(onRelease: (id: number) => void = () => undefined) {
  const commits: Pending[] = [];
  const events: string[] = [];
  const gate = new CommitGate(
    () =>
      new Promise<void>((resolve, reject) => {
        events.push('commit');
        commits.push({ resolve, reject });
      }),
    (session, replies) => {
      events.push(`release ${session.id} ${replies.toString()}`);
      onRelease(session.id);
    },
    (session, reason) => events.push(`refuse ${session.id} ${String(reason)}`),
    setImmediate,
  );
  return { gate, commits, events };
}

async function turns(count = 3): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}

describe('group commit', () => {
  it('holds replies until the commit that began after them is done, one commit for a turn', async () => {
    const { gate, commits, events } = makeGate();
    gate.hold(makeSession(1), Buffer.from('a'));
    gate.hold(makeSession(2), Buffer.from('b'));
    expect(events).toEqual([]);
    await turns();
    expect(events).toEqual(['commit']);
    commits[0].resolve();
    await turns();
    expect(events).toEqual(['commit', 'release 1 a', 'release 2 b']);
  });

  it('makes what comes during a commit wait for the next one', async () => {
    const { gate, commits, events } = makeGate();
    gate.hold(makeSession(1), Buffer.from('a'));
    await turns();
    gate.hold(makeSession(2), Buffer.from('b'));
    gate.hold(makeSession(1), Buffer.from('c'));
    commits[0].resolve();
    await turns();
    expect(events).toEqual(['commit', 'release 1 a', 'commit']);
    commits[1].resolve();
    await turns();
    expect(events.slice(3)).toEqual(['release 2 b', 'release 1 c']);
    gate.hold(makeSession(3), Buffer.from('d'));
    await turns();
    expect(events[5]).toBe('commit');
  });

  it('refuses those whose commit failed, and serves the next ones', async () => {
    const { gate, commits, events } = makeGate();
    gate.hold(makeSession(1), Buffer.from('a'));
    await turns();
    gate.hold(makeSession(2), Buffer.from('b'));
    commits[0].reject('disk full');
    await turns();
    commits[1].resolve();
    await turns();
    expect(events).toEqual(['commit', 'refuse 1 disk full', 'commit', 'release 2 b']);
  });

  it('takes more from a session as it is released', async () => {
    const held = { left: 2 };
    const made = makeGate(() => {
      if (held.left-- > 0) made.gate.hold(makeSession(1), Buffer.from('again'));
    });
    made.gate.hold(makeSession(1), Buffer.from('first'));
    for (let commit = 0; commit < 3; commit++) {
      await turns();
      made.commits[commit].resolve();
    }
    await turns();
    expect(made.events.filter((event) => event.startsWith('release'))).toHaveLength(3);
  });
});
