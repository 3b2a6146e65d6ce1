/** What is done with a reply that was written: errors are counted, and CLIENT REPLY OFF or SKIP takes it back. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import type { Session } from './session.ts';
import type { Statistics } from '../monitoring/statistics.ts';

/**
 * Takes back the reply from `mark` on. Replies to SUBSCRIBE and its kin stay: they are messages. SKIP silences itself and the next
 * command; OFF silences itself and all that follows.
 */
export function silence(session: Session, reply: ReplyWriter, mark: number, command: CommandOf<never> | null): void {
  if (command?.group !== 'pubsub' || !command.flags.includes('noscript')) reply.length = mark;
  if (session.replyMode === 'skip-next') session.replyMode = 'skip';
  else if (session.replyMode === 'skip') session.replyMode = 'on';
}

/** Counts the error that was written from `mark` on, by its code. */
export function countError(statistics: Statistics, reply: ReplyWriter, mark: number): void {
  const end = Math.min(reply.length, mark + 64);
  statistics.countError(reply.buffer.toString('latin1', mark + 1, end).split('\r')[0]);
}
