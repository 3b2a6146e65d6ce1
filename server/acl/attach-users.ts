/** Connects users to a node's sessions: a changed user counts at once, and a waiting command is checked again before it is served. */
import { clientLine } from '../clients/client-line.ts';
import type { Node } from '../node.ts';

export function attachUsers(node: Node): void {
  const { users, sessions, statistics, keyspace, keyWaiters } = node;
  users.attach({ sessions, statistics, clock: keyspace.clock, describe: (session) => clientLine(node, session) });
  keyWaiters.refusal = (session, { commandName, words }) => users.refusalOfWaiting(commandName, words, session);
}
