/** Who a client is. There is one user, `default`, and its password is `requirepass`. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Call } from './call.ts';
import type { Node } from './node.ts';
import type { Session } from './session.ts';

export const DEFAULT_USER = 'default';
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

export function isPasswordRequired(node: Node): boolean {
  return node.config.values.requirepass !== '';
}

function sha256(bytes: Buffer | string): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** What a session is when it connects, and after RESET. */
export function resetAuthentication(node: Node, session: Session): void {
  const authenticated = !isPasswordRequired(node);
  session.user = DEFAULT_USER;
  session.authenticated = authenticated;
  session.decoder.authenticated = authenticated;
}

/**
 * Makes the session that user's when the password is right. The comparison takes the same time whatever the two passwords are,
 * their lengths included: their hashes are compared.
 */
export function authenticate(node: Node, session: Session, user: string, password: Buffer): boolean {
  const expected = node.config.values.requirepass;
  const isRight = timingSafeEqual(sha256(password), sha256(expected)) || expected === '';
  if (user !== DEFAULT_USER || !isRight) {
    noteFailure(node, session, user);
    return false;
  }
  session.user = DEFAULT_USER;
  session.authenticated = true;
  session.decoder.authenticated = true;
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

function noteFailure(node: Node, session: Session, user: string): void {
  const failures = ++node.statistics.authenticationFailures;
  if (failures > LOGGED_FAILURES && failures % LOG_EVERY !== 0) return;
  node.log.warn(
    { client: session.transport.remoteAddress, user: user.slice(0, 64), failures },
    'a client gave a wrong user or password',
  );
}
