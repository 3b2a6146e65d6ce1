/** Which command a request is of, and what becomes of one inside a transaction. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { mayWrite } from '../clients/client-pause.ts';
import type { Session } from '../clients/session.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import { isHttp, unknownCommand, unknownSubcommand, wrongArity } from '../definitions/command-errors.ts';
import type { Node } from '../node.ts';
import { NOT_QUEUED } from '../transactions/transaction.ts';
import type { Call } from './call.ts';
import { refuseForeign } from './foreign-protocol.ts';
import { refuse } from './refusals.ts';

type Command = CommandOf<never>;

/** The command that a request names, with as many words as it takes; null when there is none, with the reply written. */
export function findCommand(node: Node, call: Call, session: Session, reply: ReplyWriter): Command | null {
  let command = node.commands.find(call.buffer, call.starts[0], call.lengths[0]);
  if (command === undefined) {
    if (isHttp(call)) return refuseForeign(node, session, 'HTTP');
    return refuse(node, session, reply, null, unknownCommand(call));
  }
  if (command.subcommandTable.size > 0 && call.argc > 1) {
    const subcommand = command.subcommandTable.get(call.latin1(1).toLowerCase());
    if (subcommand === undefined) return refuse(node, session, reply, null, unknownSubcommand(call, command));
    command = subcommand;
  }
  const { arity } = command;
  if (arity > 0 ? call.argc !== arity : call.argc < -arity) {
    return refuse(node, session, reply, command, wrongArity(command));
  }
  return command;
}

/** Keeps the call for EXEC; returns its command when it runs at once all the same. */
export function queue(node: Node, call: Call, command: Command): Command | null {
  const { session, reply } = call;
  if (NOT_QUEUED.has(command.name)) return command;
  if (command.flags.includes('no_multi')) {
    return refuse(node, session, reply, command, 'ERR Command not allowed inside a transaction');
  }
  const queued = session.queued!;
  const limit = node.config.values['client-query-buffer-limit'];
  if (queued.bytes + call.argc * 8 > limit) {
    queued.clear();
    const message = 'ERR transaction is over client-query-buffer-limit; EXEC will abort it';
    return refuse(node, session, reply, command, message);
  }
  if (!queued.aborted) queued.push(call, mayWrite(call));
  reply.queued();
  return null;
}
