/** The command whose script was taken out of its turn: what its session is owed, and what is still to be done for it. */
import { hideDueElements } from '../../storage/collections/element-expiry.ts';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { Session } from '../clients/session.ts';
import { countError, silence } from '../clients/reply-mode.ts';
import { CommandError } from '../definitions/command-error.ts';
import { noteDuration } from '../monitoring/slow-commands.ts';
import type { Node } from '../node.ts';
import { QueuedCommands } from '../transactions/transaction.ts';
import type { Call } from './call.ts';

/** The transaction that the command belongs to. */
export interface SuspendedTransaction {
  readonly queued: QueuedCommands;
  /** Which of the queued commands it is. */
  readonly index: number;
  /** Where the transaction's reply begins. */
  readonly mark: number;
  /** The session's last command before it. */
  readonly lastCommand: string;
}

class SuspendedCommand {
  readonly session: Session;
  readonly transaction: SuspendedTransaction | null;
  /** The keyspace's changes when the session's turn began. */
  readonly changes: number;
  /** Replies that come before the command's own, and where those of its transaction begin. */
  readonly replies: Buffer;
  readonly mark: number;
  /** What the session is sent behind the reply. */
  readonly late: ((reply: ReplyWriter) => void)[];
  readonly #words = new QueuedCommands();

  /** @param kept from where on the reply is to wait for the command's own; what is before may be sent */
  constructor(
    call: Call,
    transaction: SuspendedTransaction | null,
    changes: number,
    kept: number,
    late: ((reply: ReplyWriter) => void)[],
  ) {
    const { session, reply } = call;
    this.session = session;
    this.transaction = transaction;
    this.changes = changes;
    this.replies = Buffer.from(reply.buffer.subarray(kept, reply.length));
    this.mark = (transaction?.mark ?? reply.length) - kept;
    this.late = late;
    this.#words.push(call);
  }

  /** Makes the call that of the command again, and the reply what it was. */
  restore(call: Call, reply: ReplyWriter): void {
    const { session } = this;
    reply.ensure(this.replies.length);
    reply.length += this.replies.copy(reply.buffer, reply.length);
    reply.protocol = session.protocol;
    this.#words.load(0, call);
    call.session = session;
    call.database = call.keyspace.databases[session.database]!;
    call.reply = reply;
    call.inTransaction = this.transaction !== null;
  }
}

/** What the dispatcher does for it. */
interface Dispatching {
  /** Runs the commands of a transaction from one on. */
  executeQueued(session: Session, reply: ReplyWriter, transaction: SuspendedTransaction): void;
  /** Takes note of what a command that has run has read and written. */
  noteRun(call: Call, session: Session, changes: number): void;
  /** The command is done. */
  onConcluded(): void;
}

export class SuspendedScripts {
  /** Null while no script was taken out. */
  command: SuspendedCommand | null = null;
  /** The transaction in which one is met. */
  transaction: SuspendedTransaction | null = null;
  /** Sessions whose wait has ended meanwhile. */
  readonly woken = new Set<Session>();
  readonly #node: Node;
  readonly #call: Call;
  /** What the session that runs is sent behind its reply. */
  readonly #late: ((reply: ReplyWriter) => void)[];
  readonly #dispatching: Dispatching;

  constructor(node: Node, call: Call, late: ((reply: ReplyWriter) => void)[], dispatching: Dispatching) {
    this.#node = node;
    this.#call = call;
    this.#late = late;
    this.#dispatching = dispatching;
  }

  /**
   * The script of the call's command was taken out; leaves in the reply what may be sent at once.
   * @param keepsAll none of it may
   */
  begin(changes: number, keepsAll: boolean): void {
    const { transaction } = this;
    const { reply } = this.#call;
    this.transaction = null;
    const kept = keepsAll ? 0 : (transaction?.mark ?? reply.length);
    this.command = new SuspendedCommand(this.#call, transaction, changes, kept, this.#late.splice(0));
    this.#call.inTransaction = false;
    reply.length = kept;
  }

  /** Lets the script run on for a slice. Returns whether it has ended. */
  goOn(): boolean {
    try {
      return this.#node.scripting.goOn();
    } finally {
      this.command!.late.push(...this.#late.splice(0));
    }
  }

  takeWoken(): Session[] {
    const woken = [...this.woken];
    this.woken.clear();
    return woken;
  }

  /** Answers the command whose script has ended, and runs what follows in its transaction. */
  conclude(reply: ReplyWriter): void {
    const { session, transaction, changes, late, mark } = this.command!;
    const call = this.#call;
    const node = this.#node;
    const { startedAtMs } = node.scripting.busy!;
    this.command!.restore(call, reply);
    this.#late.push(...late.splice(0));
    this.#writeReply(call, reply);
    noteDuration(node, call, call.command, node.monotonicMs() - startedAtMs, 1);
    this.#dispatching.noteRun(call, session, changes);
    if (transaction !== null) {
      this.#dispatching.executeQueued(session, reply, { ...transaction, index: transaction.index + 1, mark });
    }
    this.command = null;
    this.#dispatching.onConcluded();
    hideDueElements(node.keyspace);
    if (session.replyMode !== 'on') silence(session, reply, mark, null);
    if (node.keyWaiters.hasReady) node.keyWaiters.serve();
    for (const write of this.#late.splice(0)) write(reply);
    if (!node.sessions.has(session.id)) leave(session, reply);
  }

  #writeReply(call: Call, reply: ReplyWriter): void {
    const start = reply.length;
    try {
      this.#node.scripting.conclude(call);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      reply.length = start;
      reply.error(error.message);
      call.command.failed++;
      countError(this.#node.statistics, reply, start);
    }
  }
}

/** The client has gone: nobody is answered, and nothing that it has sent is run. */
function leave(session: Session, reply: ReplyWriter): void {
  reply.reset();
  session.closing = true;
  session.transport.destroy();
}
