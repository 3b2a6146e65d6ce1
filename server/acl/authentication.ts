/** Who a client is: the user whose password it knows. */
import { timingSafeEqual } from 'node:crypto';
import { hashPassword, type User } from './user.ts';
import type { Call } from '../dispatch/call.ts';
import type { Node } from '../node.ts';
import type { Session } from '../clients/session.ts';

const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.';
export const NO_PASSWORD_SET =
  'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?';

/** One failure in this many is logged once they come in thousands, so that a flood of them does not become a flood of log lines. */
const LOGGED_FAILURES = 100;
const LOG_EVERY = 1000;
/** What a connection may get wrong before its answers are held back, twice as long each time. */
const PROMPT_FAILURES = 3;
const DELAY_MS = 50;
const DELAY_DOUBLINGS_MAX = 6;

const failuresOf = new WeakMap<Session, number>();

/** What a session is when it connects, and after RESET. */
export function resetAuthentication(node: Node, session: Session): void {
  become(session, node.users.default, node.users.default.isOpen);
}

function become(session: Session, user: User, authenticated: boolean): void {
  session.user = user;
  session.authenticated = authenticated;
  session.decoder.authenticated = authenticated;
}

/** Takes the same time whichever password it is: all hashes are compared, to their ends. */
function knowsPassword(user: User | undefined, password: Buffer): boolean {
  const given = Buffer.from(hashPassword(password));
  let found = false;
  for (const hash of user?.passwords ?? []) if (timingSafeEqual(given, Buffer.from(hash))) found = true;
  return found;
}

/**
 * Makes the caller's session that user's when the password is right.
 * @param name latin1
 */
export function authenticate(call: Call, name: string, password: Buffer): boolean {
  const { node, session } = call;
  const user = node.users.named(name);
  const isRight = knowsPassword(user, password) || user?.needsNoPassword === true;
  if (!isRight || user?.isOn !== true) {
    noteFailure(call, name);
    return false;
  }
  become(session, user, true);
  failuresOf.delete(session);
  return true;
}

/** Answers a wrong password: at once the first times, later than the last time after that, so that guessing takes long. */
export function refuseAuthentication(call: Call): void {
  const { node, session } = call;
  const failures = (failuresOf.get(session) ?? 0) + 1;
  failuresOf.set(session, failures);
  if (failures <= PROMPT_FAILURES || call.inTransaction) call.fail(WRONG_PASSWORD);
  const doublings = Math.min(failures - PROMPT_FAILURES - 1, DELAY_DOUBLINGS_MAX);
  node.blocking.block(session, DELAY_MS * 2 ** doublings, {
    commandName: call.command.name,
    onTimeout: (reply) => {
      node.statistics.countError(WRONG_PASSWORD);
      reply.error(WRONG_PASSWORD);
    },
    onCancel: () => {},
  });
}

function noteFailure(call: Call, name: string): void {
  const { node, session } = call;
  const context = call.inTransaction ? 'multi' : 'toplevel';
  node.users.noteDenial(session, 'auth', context, call.latin1(0), name);
  const failures = ++node.statistics.authenticationFailures;
  if (failures > LOGGED_FAILURES && failures % LOG_EVERY !== 0) return;
  node.log.warn(
    { client: session.transport.remoteAddress, user: name.slice(0, 64), failures },
    'a client gave a wrong user or password',
  );
}
