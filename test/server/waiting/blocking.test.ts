import { beforeEach, describe, expect, it } from '@jest/globals';
import { ReplyWriter } from '../../../protocol/resp-reply.ts';
import { Blocking } from '../../../server/waiting/blocking.ts';
import type { Session } from '../../../server/clients/session.ts';
import { makeSession } from '../sessions.ts';

let nowMs: number;
let events: string[];
let onResume: (session: Session) => void;
let blocking: Blocking;

function textOf(write: (reply: ReplyWriter) => void): string {
  const reply = new ReplyWriter();
  write(reply);
  return reply.buffer.toString('latin1', 0, reply.length).trim();
}

function block(session: Session, timeoutMs: number): void {
  blocking.block(session, timeoutMs, {
    commandName: 'wait',
    onTimeout: (reply) => {
      reply.nil();
    },
    onCancel: () => events.push(`cancel ${session.id}`),
  });
}

beforeEach(() => {
  nowMs = 1000;
  events = [];
  onResume = () => undefined;
  const send = (session: Session, write: (reply: ReplyWriter) => void): void => {
    events.push(`send ${session.id} ${textOf(write)}`);
  };
  blocking = new Blocking(
    {
      sendTo: send,
      sendWritten: (session, write) => {
        events.push('after the commit');
        send(session, write);
      },
      resume: (session) => {
        events.push(`resume ${session.id}`);
        onResume(session);
      },
    },
    () => nowMs,
  );
});

describe('sessions that wait', () => {
  it('get the reply that wakes them, and go on', () => {
    const session = makeSession();
    block(session, 0);
    expect([blocking.count, session.blocked?.commandName, blocking.nextTimeoutMs()]).toEqual([1, 'wait', Infinity]);
    blocking.wake(session, (reply) => {
      reply.integer(5);
    });
    expect(events).toEqual(['send 1 :5', 'resume 1']);
    expect([blocking.count, session.blocked]).toEqual([0, null]);
  });

  it('get the reply to a write when that may be told', () => {
    const session = makeSession();
    block(session, 0);
    blocking.wake(
      session,
      (reply) => {
        reply.ok();
      },
      true,
    );
    expect(events).toEqual(['after the commit', 'send 1 +OK', 'resume 1']);
  });

  it('are woken once', () => {
    const session = makeSession();
    block(session, 10);
    const write = (reply: ReplyWriter): void => {
      reply.ok();
    };
    blocking.wake(session, write);
    blocking.wake(session, write);
    blocking.timeOut(session);
    blocking.cancel(session);
    nowMs += 100;
    blocking.tick();
    expect(events).toEqual(['send 1 +OK', 'resume 1']);
  });

  it('time out at their time, soonest first to be asked for', () => {
    const [first, second, third] = [makeSession(1), makeSession(2), makeSession(3)];
    block(first, 100);
    block(second, 50);
    block(third, 0);
    expect(blocking.nextTimeoutMs()).toBe(50);
    nowMs += 49.5;
    blocking.tick();
    expect([events, blocking.nextTimeoutMs()]).toEqual([[], 0.5]);
    nowMs += 0.5;
    blocking.tick();
    expect(events).toEqual(['cancel 2', 'send 2 $-1', 'resume 2']);
    nowMs += 1000;
    expect(blocking.nextTimeoutMs()).toBe(0);
    blocking.tick();
    expect(events.slice(3)).toEqual(['cancel 1', 'send 1 $-1', 'resume 1']);
    expect([blocking.count, blocking.nextTimeoutMs()]).toEqual([1, Infinity]);
  });

  it('are forgotten without a reply when their client is gone', () => {
    const session = makeSession();
    block(session, 50);
    blocking.cancel(session);
    nowMs += 100;
    blocking.tick();
    expect(events).toEqual(['cancel 1']);
    expect(blocking.count).toBe(0);
  });

  it('may wait again as soon as they go on', () => {
    const session = makeSession();
    let again = 3;
    onResume = () => {
      if (again-- > 0) block(session, 50);
    };
    block(session, 50);
    for (let round = 0; round < 4; round++) {
      nowMs += 50;
      blocking.tick();
    }
    expect(events.filter((event) => event.startsWith('resume'))).toHaveLength(4);
    expect(blocking.count).toBe(0);
  });

  it('tell the timer when they have a timeout', () => {
    let told = 0;
    blocking.onBlock = () => {
      told++;
    };
    block(makeSession(1), 0);
    expect(told).toBe(0);
    block(makeSession(2), 1);
    expect(told).toBe(1);
  });
});
