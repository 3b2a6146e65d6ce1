/**
 * Requests to commands to replies. One reply buffer serves all sessions: it is written to the session's transport once a
 * read event, when everything that the event brought has run.
 */
import { ReplyWriter } from '../../protocol/resp-reply.ts';
import { ProtocolError } from '../../protocol/resp-request.ts';
import { LookAhead } from '../../storage/index/look-ahead.ts';
import { hideDueElements } from '../../storage/collections/element-expiry.ts';
import { Call } from './call.ts';
import { ClientPause } from '../clients/client-pause.ts';
import type { CommitGate } from '../persistence/commit-gate.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import { CommandError } from '../definitions/command-error.ts';
import { refusalWhileListening } from '../definitions/command-errors.ts';
import type { CommandControl, Node, PauseMode } from '../node.ts';
import { putAside, putOff } from '../waiting/put-off.ts';
import { refuseForeign } from './foreign-protocol.ts';
import { findCommand, queue } from './request-commands.ts';
import { refusalOf, refusalOfQueued, refuse } from './refusals.ts';
import { SuspendedScripts, type SuspendedTransaction } from './suspended-scripts.ts';
import { SCRIPT_TAKEN_OUT } from '../scripts/busy-script.ts';
import { countError, silence } from '../clients/reply-mode.ts';
import { runWithEvents } from './run-with-events.ts';
import type { Session } from '../clients/session.ts';
import { noteDuration, sampleWeight } from '../monitoring/slow-commands.ts';
import type { QueuedCommands } from '../transactions/transaction.ts';
import type { Waits } from '../waiting/waits.ts';

/** Replies are handed to the transport when they have grown to this, also in the middle of a pipeline. */
const REPLY_FLUSH_BYTES = 64 * 1024;
/** The commands of a client that takes its replies this slowly wait until it has caught up. */
const PENDING_BYTES_PAUSE = 1024 * 1024;
/** What a client may leave unread before it has authenticated (CVE-2025-21605). */
const PENDING_BYTES_BEFORE_AUTH = 1024;
const ERROR_MARK = 45;
/** The first byte of a TLS client's hello. */
const TLS_HANDSHAKE = 22;
/** A slow log of commands shorter than this needs all of them timed. */
const TIMED_BELOW_MICROSECONDS = 1000;

type Command = CommandOf<never>;

export class Dispatcher implements CommandControl {
  readonly #node: Node;
  readonly #call: Call;
  readonly #reply = new ReplyWriter(REPLY_FLUSH_BYTES * 2);
  readonly lookAhead = new LookAhead();
  readonly #outOfTurn = new ReplyWriter();
  readonly #pause = new ClientPause();
  /** Waiting for a commit, with how many of their replies do. */
  readonly #gated = new Map<Session, number>();
  /** One call and one reply buffer serve all sessions: those that others set going again wait here until it is their turn. */
  readonly #resumable = new Set<Session>();
  #running = false;
  /** Whose command is run now, and what it is to be sent behind the reply. */
  #current: Session | null = null;
  readonly #late: ((reply: ReplyWriter) => void)[] = [];
  /** The command whose script was taken out of its turn. */
  readonly #suspended: SuspendedScripts;
  /** Told that a script was taken out: `goOn` is to be called, with nothing else in between but this. */
  onSuspended: () => void = () => {};
  /** Told that the command which called it is done. */
  onConcluded: () => void = () => {};
  /** Every command is timed, and not only some of those that are never slow: the slow log is to have short ones too. */
  timesAll = false;
  /** Sees every command before it runs, for MONITOR. */
  monitor: CommandControl['monitor'] = null;
  /** Set in the durability modes in which replies to writes wait. */
  gate: CommitGate | null = null;
  /** Asked whether there is room for a command that may need memory; frees some when it can. */
  memory: CommandControl['memory'] = null;
  /** Asked what a command has to wait for. */
  waits: Waits | null = null;

  constructor(node: Node) {
    this.#node = node;
    this.#call = new Call(node);
    this.#suspended = new SuspendedScripts(node, this.#call, this.#late, {
      executeQueued: (session, reply, transaction) => this.#executeQueued(session, reply, transaction),
      noteRun: (call, session, changes) => this.#noteRun(call, call.command, session, changes),
      onConcluded: () => this.onConcluded(),
    });
    this.#timeAsConfigured();
    node.config.onChange('slowlog-log-slower-than', () => this.#timeAsConfigured());
  }

  #timeAsConfigured(): void {
    const slowerThan = Number(this.#node.config.values['slowlog-log-slower-than']);
    this.timesAll = slowerThan >= 0 && slowerThan < TIMED_BELOW_MICROSECONDS;
  }

  /** A client's bytes: runs every request that is complete. The buffer may be reused after the call. */
  receive(session: Session, buffer: Buffer, start: number, end: number): void {
    if (session.bytesIn === 0 && buffer[start] === TLS_HANDSHAKE) {
      refuseForeign(this.#node, session, 'TLS');
      session.transport.close();
    }
    session.bytesIn += end - start;
    const { statistics } = this.#node;
    statistics.bytesIn += end - start;
    statistics.reads++;
    if (session.closing) return;
    // A request that comes in one piece costs no more than this test.
    if (session.decoder.gatheredBytes > 0 && this.#node.clientMemory.isOverQueryLimit(session, end - start)) return;
    session.decoder.feed(buffer, start, end);
    if (session.blocked === null && !session.held) this.#drain(session);
    else putAside(session, this.#hasToRead(session));
  }

  /** Whether its commands wait for nothing but that it takes its replies. */
  #hasToRead(session: Session): boolean {
    return (
      session.held &&
      !this.#pause.held.has(session) &&
      !this.#gated.has(session) &&
      session !== this.#suspended.command?.session
    );
  }

  /** Runs what a session's decoder holds after its wait has ended. */
  resume(session: Session): void {
    if (session.blocked !== null || session.held || session.closing) return;
    session.transport.resume();
    if (this.#running) this.#resumable.add(session);
    else this.#drain(session);
  }

  #drain(session: Session): void {
    this.#running = true;
    try {
      this.#drainOne(session);
      if (this.#resumable.size > 0) this.#drainResumable();
    } finally {
      this.#running = false;
    }
  }

  /** Those that these set going in their turn are visited too: a Set's iterator sees what is added on the way. */
  #drainResumable(): void {
    for (const session of this.#resumable) {
      this.#resumable.delete(session);
      if (session.blocked === null && !session.held && !session.closing) this.#drainOne(session);
    }
  }

  #drainOne(session: Session): void {
    const clock = this.#node.keyspace.clock;
    clock.refresh();
    session.activeAtMs = clock.nowMs;
    hideDueElements(this.#node.keyspace);
    if (this.#node.loading === null) this.memory?.makeRoom();
    const reply = this.#reply;
    reply.reset();
    const { changes } = this.#suspended.command?.session === session ? this.#suspended.command : this.#node.keyspace;
    const { commandCount } = session;
    // Not at each command, nor its call's session: a store of what is new into what is old is one of which V8 takes note.
    this.#current = session;
    try {
      this.#runRequests(session, reply, changes);
    } catch (error) {
      if (error === SCRIPT_TAKEN_OUT) return this.#suspend(session, reply, changes);
      if (!(error instanceof ProtocolError)) throw error;
      this.#node.statistics.protocolErrors++;
      this.#node.log.debug({ client: session.transport.remoteAddress }, error.message);
      reply.error(`ERR ${error.message}`);
      session.closing = true;
    }
    this.#current = null;
    this.lookAhead.forget(this.#node.keyspace);
    if (this.gate !== null && this.#node.keyspace.changes !== changes) this.#gateReplies(this.gate, session, reply);
    else this.#flush(session, reply, session.commandCount - commandCount > 1);
    if (session.closing && !session.held) session.transport.close();
    else if (session.blocked !== null || session.held) putAside(session, this.#hasToRead(session));
  }

  #runRequests(session: Session, reply: ReplyWriter, changes: number): void {
    const { decoder } = session;
    const { keyspace } = this.#node;
    if (session.blocked !== null || session.held) return;
    if (this.#suspended.command?.session === session) this.#suspended.conclude(reply);
    if (session.deferred !== null) this.#runDeferred(session, reply);
    if (session.blocked !== null || session.held) return;
    while (!session.closing && decoder.next() === 1) {
      if (decoder.argc === 0) continue;
      this.lookAhead.prepare(keyspace, keyspace.databases[session.database], decoder);
      this.#request(session, reply);
      if (session.blocked !== null || session.held) return;
      if (reply.length < REPLY_FLUSH_BYTES) continue;
      // Replies to writes may not leave yet; the gate takes them, and the rest of the pipeline runs after the commit.
      if (this.gate !== null && this.#node.keyspace.changes !== changes) return;
      this.#flush(session, reply);
      if (session.transport.pendingBytes > PENDING_BYTES_PAUSE) {
        session.held = true;
        return;
      }
    }
  }

  #gateReplies(gate: CommitGate, session: Session, reply: ReplyWriter): void {
    const replies = Buffer.from(reply.buffer.subarray(0, reply.length));
    reply.reset();
    session.held = true;
    this.#gated.set(session, (this.#gated.get(session) ?? 0) + 1);
    gate.hold(session, replies);
  }

  /** What the commit gate kept may be sent now; the session goes on. */
  release(session: Session, replies: Buffer): void {
    const holds = this.#gated.get(session);
    if (holds === undefined) return;
    if (holds > 1) this.#gated.set(session, holds - 1);
    else this.#gated.delete(session);
    session.held = holds > 1;
    session.bytesOut += replies.length;
    this.#node.statistics.bytesOut += replies.length;
    if (replies.length > 0) session.transport.send({ buffer: replies }, 0, replies.length);
    if (holds > 1) return;
    if (session.closing) session.transport.close();
    else this.resume(session);
  }

  /** @param isPipelined the client has sent several requests at once, and waits for no single reply */
  #flush(session: Session, reply: ReplyWriter, isPipelined = false): void {
    if (reply.length === 0) return;
    session.bytesOut += reply.length;
    this.#node.statistics.bytesOut += reply.length;
    session.transport.send(reply, 0, reply.length, isPipelined && session.authenticated);
    reply.reset();
    if (!session.authenticated && session.transport.pendingBytes > PENDING_BYTES_BEFORE_AUTH) {
      session.closing = true;
      session.transport.destroy();
    }
  }

  /** The transport has sent what was pending: a session that was held for it goes on. */
  drained(session: Session): void {
    if (!this.#hasToRead(session)) return;
    // What it waits to have run is taken as soon as others are.
    if (this.#suspended.command !== null && session.deferred !== null) {
      this.#suspended.woken.add(session);
      return;
    }
    session.held = false;
    this.resume(session);
  }

  #request(session: Session, reply: ReplyWriter): void {
    const call = this.#call;
    const { decoder } = session;
    if (call.session !== session) call.session = session;
    call.buffer = decoder.buffer;
    call.argc = decoder.argc;
    call.starts = decoder.starts;
    call.lengths = decoder.lengths;
    session.commandCount++;
    this.#run(call, session, reply);
  }

  /** Runs the request that the call holds. */
  #run(call: Call, session: Session, reply: ReplyWriter): void {
    call.database = this.#node.keyspace.databases[session.database]!;
    call.reply = reply;
    reply.protocol = session.protocol;
    const mark = reply.length;
    const command = this.#admit(call, session, reply);
    if (command !== null) this.#execute(call, command, session, reply, mark);
    if (reply.buffer[mark] === ERROR_MARK && reply.length > mark) countError(this.#node.statistics, reply, mark);
    if (session.replyMode !== 'on') silence(session, reply, mark, command);
    if (this.#node.keyWaiters.hasReady && this.#suspended.command === null) this.#node.keyWaiters.serve();
    if (this.#late.length > 0) for (const write of this.#late.splice(0)) write(reply);
  }

  /** The command to run now; null when it was refused, queued or put off, with the reply written. */
  #admit(call: Call, session: Session, reply: ReplyWriter): Command | null {
    const command = findCommand(this.#node, call, session, reply);
    if (command === null) return null;
    call.command = command;
    const denied = session.isUnrestricted ? null : this.#node.users.refusal(call, session);
    if (denied !== null) return refuse(this.#node, session, reply, command, denied);
    if (this.#suspended.command !== null) {
      if (!command.flags.includes('allow_busy'))
        return refuse(this.#node, session, reply, command, this.#node.scripting.busy!.refusal);
    } else if (this.#pause.isBegun && this.#isPaused(call, session)) return this.#pause.hold(call, session);
    const listening = session.subscriptions === null ? null : refusalWhileListening(session, command);
    if (listening !== null) return refuse(this.#node, session, reply, command, listening);
    const refusal =
      command.name === 'exec' ? refusalOfQueued(this.#node, session.queued) : refusalOf(this.#node, command);
    if (refusal !== null) return refuse(this.#node, session, reply, command, refusal);
    if (session.queued !== null && command.name !== 'exec') return queue(this.#node, call, command);
    const wait = this.waits === null ? 'run' : this.waits.check(call, session);
    if (wait === 'wait') return putOff(call, session);
    return wait === 'run' ? command : refuse(this.#node, session, reply, command, wait);
  }

  #execute(call: Call, command: Command, session: Session, reply: ReplyWriter, mark: number): void {
    const { keyspace, statistics } = this.#node;
    const { changes } = keyspace;
    // EXEC is shown behind the commands of the transaction, by itself.
    if (this.monitor !== null && command.name !== 'exec') this.monitor(session, call);
    session.lastCommand = command.fullName;
    command.calls++;
    statistics.commandsProcessed++;
    const weight = this.timesAll || call.argc >= command.timedFromArguments ? 1 : sampleWeight(++command.untimedCalls);
    const startedMs = weight > 0 ? this.#node.monotonicMs() : 0;
    try {
      if (this.#node.keyspaceEvents.isOn) runWithEvents(call, command);
      else (command as CommandOf<Call>).run!(call);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      reply.length = mark;
      reply.error(error.message);
      command.failed++;
    }
    if (weight > 0) noteDuration(this.#node, call, command, this.#node.monotonicMs() - startedMs, weight);
    this.#noteRun(call, command, session, changes);
  }

  #noteRun(call: Call, command: Command, session: Session, changes: number): void {
    const { keyspace, tracking } = this.#node;
    if (session.tracking !== null) tracking.ran(call, command, session);
    if (keyspace.changes === changes) return;
    session.lastWriteHi = keyspace.clock.hi;
    session.lastWriteLo = keyspace.clock.lo;
  }

  /** Runs a session's queued commands for EXEC, whose checks the caller has made, and writes their replies. */
  executeQueued(session: Session, queued: QueuedCommands, reply: ReplyWriter): void {
    const mark = reply.length;
    const { lastCommand } = session;
    reply.array(queued.commands.length);
    this.#executeQueued(session, reply, { queued, index: 0, mark, lastCommand });
  }

  #executeQueued(session: Session, reply: ReplyWriter, { queued, index: first, ...rest }: SuspendedTransaction): void {
    const call = this.#call;
    call.inTransaction = true;
    if (this.memory !== null) this.memory.isHolding = true;
    for (let index = first; index < queued.commands.length; index++) {
      queued.load(index, call);
      call.database = this.#node.keyspace.databases[session.database]!;
      reply.protocol = session.protocol;
      const mark = reply.length;
      const denied = session.isUnrestricted ? null : this.#node.users.refusalOfQueued(call, session);
      const refusal = denied ?? refusalOf(this.#node, call.command);
      try {
        if (refusal !== null) reply.error(refusal);
        else this.#execute(call, call.command, session, reply, mark);
      } catch (error) {
        if (error === SCRIPT_TAKEN_OUT) this.#suspended.transaction ??= { queued, index, ...rest };
        throw error;
      }
      if (reply.buffer[mark] === ERROR_MARK) countError(this.#node.statistics, reply, mark);
    }
    call.inTransaction = false;
    if (this.memory !== null) this.memory.isHolding = false;
    session.lastCommand = rest.lastCommand;
  }

  /** The script that the session's command has called was taken out of its turn. */
  #suspend(session: Session, reply: ReplyWriter, changes: number): void {
    this.#current = null;
    this.lookAhead.forget(this.#node.keyspace);
    // What comes before may leave, unless it waits for a commit: that is for what is whole.
    this.#suspended.begin(changes, this.gate !== null);
    this.#flush(session, reply);
    session.held = true;
    putAside(session, false);
    this.onSuspended();
  }

  /** Runs a command that was put off by CLIENT PAUSE. */
  #runDeferred(session: Session, reply: ReplyWriter): void {
    const deferred = session.deferred!;
    session.deferred = null;
    const call = this.#call;
    deferred.load(0, call);
    call.session = session;
    this.#run(call, session, reply);
  }

  /** Writes to a session outside its own requests: a wait that has ended, a message. */
  sendTo(session: Session, write: (reply: ReplyWriter) => void): void {
    if (session.replyMode === 'on') this.sendMessage(session, write);
  }

  /** The same for a message of a channel, which CLIENT REPLY does not keep back. */
  sendMessage(session: Session, write: (reply: ReplyWriter) => void): void {
    if (session === this.#current) {
      // What it has caused itself comes behind its own reply.
      this.#late.push(write);
      return;
    }
    if (session === this.#suspended.command?.session) {
      this.#suspended.command.late.push(write);
      return;
    }
    // As in Redis, who is told something is not idle: a cache that only listens for what is invalid.
    session.activeAtMs = this.#node.keyspace.clock.nowMs;
    const reply = this.#outOfTurn;
    reply.reset();
    reply.protocol = session.protocol;
    write(reply);
    // Not before the replies that it already waits for.
    if (this.gate !== null && this.#gated.has(session)) this.#gateReplies(this.gate, session, reply);
    else this.#flush(session, reply);
  }

  get currentSession(): Session | null {
    return this.#current;
  }

  /** Has `write` called behind the reply of the command that is being run; false when none is. */
  afterCommand(write: (reply: ReplyWriter) => void): boolean {
    if (this.#current !== null) this.#late.push(write);
    return this.#current !== null;
  }

  /** The same for the reply to a write: it waits for the commit where one is asked for. */
  sendWritten(session: Session, write: (reply: ReplyWriter) => void): void {
    if (this.gate === null) {
      this.sendTo(session, write);
      return;
    }
    const reply = this.#outOfTurn;
    reply.reset();
    reply.protocol = session.protocol;
    if (session.replyMode === 'on') write(reply);
    this.#gateReplies(this.gate, session, reply);
  }

  // ---- a script that takes long ----

  /** Lets the script run on that was taken out of its turn. Returns whether that is to be done again. */
  goOn(): boolean {
    const { session } = this.#suspended.command!;
    this.#running = true;
    this.#current = session;
    try {
      if (!this.#suspended.goOn()) return true;
    } finally {
      this.#running = false;
      this.#current = null;
    }
    session.held = false;
    session.transport.resume();
    this.#drain(session);
    if (this.#suspended.command !== null) return true;
    for (const woken of this.#suspended.takeWoken()) this.drained(woken);
    return false;
  }

  // ---- CLIENT PAUSE ----

  #isPaused(call: Call, session: Session): boolean {
    if (this.isPausing) return this.#pause.concerns(call, session);
    this.unpauseClients();
    return false;
  }

  /** Puts off commands until then (milliseconds since 1970): all, or those that write. */
  pauseClients(untilMs: number, mode: PauseMode): void {
    this.#pause.begin(untilMs, mode, this.#node.keyspace.clock.nowMs);
  }

  get pausedCount(): number {
    return this.#pause.held.size;
  }

  unpauseClients(): void {
    for (const session of this.#pause.end()) {
      session.held = false;
      this.resume(session);
    }
  }

  /** Called by the node's timer. */
  tick(): void {
    if (this.#pause.isBegun && !this.isPausing) this.unpauseClients();
  }

  get isPausing(): boolean {
    return this.#pause.isInForce(this.#node.keyspace.clock.nowMs);
  }

  get pauseMode(): PauseMode {
    return this.#pause.mode;
  }

  /** The client is gone. */
  forget(session: Session): void {
    this.#pause.held.delete(session);
    this.#gated.delete(session);
    this.#resumable.delete(session);
    this.#suspended.woken.delete(session);
    this.waits?.forget(session);
    session.deferred = null;
    session.queued = null;
  }
}
