/** Why a node does not take a command now that it knows, and how it says so. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { Session } from '../clients/session.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import type { Node } from '../node.ts';
import type { QueuedCommands } from '../transactions/transaction.ts';

type Command = CommandOf<never>;

/** Why the node does not take this command now, if it does not. */
export function refusalOf(node: Node, command: Command): string | null {
  if (node.loading !== null && !command.flags.includes('loading')) {
    return 'LOADING Mantis is loading the dataset in memory';
  }
  if (command.deniesOom && node.dispatcher.memory?.hasRoom() === false) {
    return "OOM command not allowed when used memory > 'maxmemory'.";
  }
  return command.isWrite ? refusalOfWrites(node) : null;
}

/** Why the node takes no writes of clients now, if it does not. */
export function refusalOfWrites(node: Node): string | null {
  if (node.writeRefusal !== null) return node.writeRefusal;
  const { peersToWrite } = node;
  if (peersToWrite === 0 || (node.replicator?.linkedPeers ?? 0) >= peersToWrite) return null;
  return 'NOREPLICAS Not enough good replicas to write.';
}

/** Why the node does not take a transaction now, for the first of its commands that it does not take. */
export function refusalOfQueued(node: Node, queued: QueuedCommands | null): string | null {
  if (queued === null || queued.aborted) return null;
  for (const command of new Set(queued.commands)) {
    const refusal = refusalOf(node, command);
    if (refusal !== null) return refusal;
  }
  return null;
}

/** Answers with what is wrong; a transaction is aborted by it. Returns null: there is no command to run. */
export function refuse(
  node: Node,
  session: Session,
  reply: ReplyWriter,
  command: Command | null,
  message: string,
): null {
  if (command !== null) command.rejected++;
  if (command?.name === 'exec') {
    session.queued = null;
    node.watches.forget(session);
    reply.error(`EXECABORT Transaction discarded because of: ${message.replace(/^ERR /, '')}`);
    return null;
  }
  if (session.queued !== null) session.queued.aborted = true;
  reply.error(message);
  return null;
}
