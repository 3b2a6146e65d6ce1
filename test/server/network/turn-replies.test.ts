import { describe, expect, it } from '@jest/globals';
import { TurnReplies, type TurnWriter } from '../../../server/network/turn-replies.ts';

interface Sent {
  name: string;
  text: string;
}

function writer(name: string, sent: Sent[], takesBuffers = false): TurnWriter {
  return {
    sendKept: (source, bytes) => {
      sent.push({ name, text: bytes.toString('latin1') });
      // As a connection does whose kernel has not taken all of it: what was sent stays as it is.
      if (takesBuffers) source.buffer = Buffer.alloc(128 * 1024);
    },
  };
}

const endOfTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const keep = (replies: TurnReplies, to: TurnWriter, text: string): boolean =>
  replies.keep(to, Buffer.from(`..${text}`, 'latin1'), 2, text.length + 2);

describe('replies that are kept until the end of the turn', () => {
  it('are sent in their order, each to its own writer, once', async () => {
    const sent: Sent[] = [];
    const replies = new TurnReplies();
    const [a, b] = [writer('a', sent), writer('b', sent)];
    keep(replies, a, '+1\r\n');
    keep(replies, b, 'b'.repeat(1500));
    keep(replies, a, '+2\r\n');
    expect(sent).toEqual([]);
    await endOfTurn();
    const all = [
      { name: 'a', text: '+1\r\n' },
      { name: 'b', text: 'b'.repeat(1500) },
      { name: 'a', text: '+2\r\n' },
    ];
    expect(sent).toEqual(all);
    await endOfTurn();
    expect(sent).toEqual(all);
    keep(replies, b, 'later');
    await endOfTurn();
    expect(sent.at(-1)).toEqual({ name: 'b', text: 'later' });
  });

  it('are sent at once when somebody asks for it, and not again', async () => {
    const sent: Sent[] = [];
    const replies = new TurnReplies();
    keep(replies, writer('a', sent), 'first');
    replies.send();
    expect(sent).toEqual([{ name: 'a', text: 'first' }]);
    await endOfTurn();
    expect(sent).toHaveLength(1);
  });

  it('are not kept when they are long', () => {
    const sent: Sent[] = [];
    const replies = new TurnReplies();
    expect(keep(replies, writer('a', sent), 'x'.repeat(100_000))).toBe(false);
    replies.send();
    expect(sent).toEqual([]);
  });

  it('are bounded in bytes and in number', async () => {
    const sent: Sent[] = [];
    const replies = new TurnReplies();
    const to = writer('a', sent);
    for (let index = 0; index < 100; index++) keep(replies, to, String(index).padEnd(2000, '.'));
    expect(sent.length).toBeGreaterThan(50);
    for (let index = 100; index < 3000; index++) keep(replies, to, String(index));
    expect(sent.length).toBeGreaterThan(1000);
    await endOfTurn();
    expect(sent.map(({ text }) => Number.parseInt(text, 10))).toEqual(
      Array.from({ length: 3000 }, (_, index) => index),
    );
  });

  it('leave a buffer to the writer that needs it', async () => {
    const sent: Sent[] = [];
    const replies = new TurnReplies();
    const [slow, fast] = [writer('slow', sent, true), writer('fast', sent)];
    for (let index = 0; index < 20; index++) {
      keep(replies, slow, `s${index}`);
      keep(replies, fast, `f${index}`);
      if (index % 3 === 0) await endOfTurn();
    }
    await endOfTurn();
    expect(sent.map(({ text }) => text)).toEqual(
      Array.from({ length: 20 }, (_, index) => [`s${index}`, `f${index}`]).flat(),
    );
  });

  it('what a writer sends meanwhile is not kept', async () => {
    const sent: Sent[] = [];
    const replies = new TurnReplies();
    const accepted: boolean[] = [];
    const to: TurnWriter = { sendKept: () => void accepted.push(keep(replies, writer('b', sent), 'nested')) };
    keep(replies, to, 'outer');
    await endOfTurn();
    expect(accepted).toEqual([false]);
    expect(sent).toEqual([]);
  });
});
