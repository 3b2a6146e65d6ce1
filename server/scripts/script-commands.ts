/** The commands that scripts call: what Redis lets a script do, and their replies. */
import { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { KeyName } from '../../storage/backends/key-names.ts';
import { Call } from '../dispatch/call.ts';
import { packedWords } from '../arguments/packed-words.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import { CommandError } from '../definitions/command-error.ts';
import type { Node } from '../node.ts';
import type { Session } from '../clients/session.ts';
import { addMissing } from '../waiting/waits.ts';
import type { LuaMachine } from './lua-machine.ts';
import { ACCESS_CHECK, CLOCK } from './lua-prelude.ts';
import { actFor, scriptSession } from './script-session.ts';
import type { ScriptCaller } from './script-control.ts';
import type { RunRules } from './script-order.ts';
import { noteDuration, sampleWeight } from '../monitoring/slow-commands.ts';
import { refusalOfWrites } from '../dispatch/refusals.ts';
import { runWithEvents } from '../dispatch/run-with-events.ts';

type Command = CommandOf<never>;

const MINUS = 45;

export class ScriptCommands {
  /** The last command's reply is here from 0 on. */
  readonly reply = new ReplyWriter();
  readonly #node: Node;
  readonly #call: Call;
  readonly #session: Session;
  #rules!: RunRules;
  #changes = 0;
  #hadRoom = true;
  /** Whether the script has called a command that writes, whatever came of it. */
  hasCalledWrite = false;
  #wasHolding = false;
  /** Some keys are evicted: a script can use those that it named, which were read back before it began. */
  #mayMissKeys = false;
  #caller: ScriptCaller | null = null;
  #keyCount = 0;

  constructor(node: Node) {
    this.#node = node;
    this.#call = new Call(node);
    this.#call.inTransaction = true;
    this.#call.inScript = true;
    this.#session = scriptSession(node.keyspace.clock.nowMs);
    this.#call.session = this.#session;
    this.#call.reply = this.reply;
  }

  /** A script begins: the command that calls it names this many keys, from its fourth word on. */
  begin(caller: ScriptCaller, keyCount: number, rules: RunRules): void {
    actFor(this.#session, caller.session);
    this.#caller = caller;
    this.#keyCount = keyCount;
    this.reply.protocol = 2;
    this.#rules = rules;
    this.#changes = this.#node.keyspace.changes;
    this.hasCalledWrite = false;
    const { memory } = this.#node.dispatcher;
    this.#hadRoom = memory?.hasRoom(true) ?? true;
    this.#wasHolding = memory?.isHolding ?? false;
    if (memory !== null) memory.isHolding = true;
    this.#mayMissKeys = this.#node.keyspace.databases.some((database) => database.evicted.count > 0);
  }

  /** The script outlives its turn: these are its caller's words from now on. */
  keepCaller(words: readonly Buffer[]): void {
    const { session, reply } = this.#caller!;
    this.#caller = { session, reply, ...packedWords(words) };
  }

  /** The script has ended. */
  end(): void {
    const { memory } = this.#node.dispatcher;
    if (memory !== null) memory.isHolding = this.#wasHolding;
  }

  setProtocol(protocol: 2 | 3): void {
    this.#session.protocol = protocol;
    this.reply.protocol = protocol;
  }

  get hasWritten(): boolean {
    return this.#node.keyspace.changes !== this.#changes;
  }

  get hadRoom(): boolean {
    return this.#hadRoom;
  }

  /**
   * Runs the command whose words the machine has, and leaves its reply in `reply`.
   * @param argc −1 when a word is neither a string nor a number
   * @returns whether it succeeded
   */
  run(machine: LuaMachine, argc: number): boolean {
    const call = this.#call;
    const { reply } = this;
    reply.reset();
    call.buffer = machine.bytes;
    call.starts = machine.starts;
    call.lengths = machine.lengths;
    call.argc = argc;
    call.database = this.#node.keyspace.databases[this.#session.database]!;
    const refusal = this.#refusal(call, argc);
    if (refusal === UNKNOWN_COMMAND && call.latin1(0) === ACCESS_CHECK) this.#checkAccess(call);
    else if (refusal === UNKNOWN_COMMAND && call.latin1(0) === CLOCK)
      reply.integer(Math.floor(this.#node.monotonicMs() * 1000));
    else if (refusal !== null) reply.error(refusal);
    else {
      if (call.command.isWrite) this.hasCalledWrite = true;
      this.#execute(call, call.command);
    }
    return reply.buffer[0] !== MINUS;
  }

  #refusal(call: Call, argc: number): string | null {
    if (argc < 0) return 'ERR Lua redis lib command arguments must be strings or integers';
    if (argc === 0) return 'ERR Please specify at least one argument for this redis lib call';
    const command = this.#find(call);
    if (command === undefined) return UNKNOWN_COMMAND;
    call.command = command;
    const { arity, flags } = command;
    if (arity > 0 ? argc !== arity : argc < -arity) return this.#reject(command, WRONG_ARITY);
    // Commands that wait do not wait in a script: since Redis 7.2 they are allowed, whatever their flags have said before.
    const isDenied = flags.includes('noscript') && !flags.includes('blocking') && !WAITS.has(command.name);
    if (isDenied && !this.#node.scripting.mayCallAll) return this.#reject(command, NOT_ALLOWED);
    if (!this.#session.isUnrestricted) {
      const denied = this.#node.users.refusalOfScript(call, this.#caller!.session);
      if (denied !== null) return this.#reject(command, denied);
    }
    const writes = command.isWrite || command.mayReplicate;
    if (writes && this.#rules.readOnly) return this.#reject(command, READ_ONLY);
    const refusal = command.isWrite ? refusalOfWrites(this.#node) : null;
    if (refusal !== null) return this.#reject(command, refusal);
    if (this.#mayMissKeys && this.#missesKeys(call)) return this.#reject(command, KEY_EVICTED);
    if (command.deniesOom && !this.#mayGrow()) return this.#reject(command, OUT_OF_MEMORY);
    return null;
  }

  /** Whether the command is about a key that is not in memory and that the script has not named. */
  #missesKeys(call: Call): boolean {
    const missing: KeyName[] = [];
    addMissing(this.#node.keyspace, this.#session.database, call, missing);
    return missing.some(({ database, key }) => !this.#hasNamed(database, key));
  }

  #hasNamed(database: number, key: Buffer): boolean {
    const { session, buffer, starts, lengths } = this.#caller!;
    if (database !== session.database) return false;
    for (let index = FIRST_KEY; index < FIRST_KEY + this.#keyCount; index++) {
      if (key.compare(buffer, starts[index], starts[index] + lengths[index]) === 0) return true;
    }
    return false;
  }

  #reject(command: Command, message: string): string {
    command.rejected++;
    return message;
  }

  /** A script that has begun to write is not stopped half-way. */
  #mayGrow(): boolean {
    return this.#hadRoom || this.#rules.flags?.allowOom === true || this.hasWritten;
  }

  #find(call: Call): Command | undefined {
    const command = this.#node.commands.find(call.buffer, call.starts[0], call.lengths[0]);
    if (command === undefined || command.subcommandTable.size === 0 || call.argc < 2) return command;
    return command.subcommandTable.get(call.latin1(1).toLowerCase());
  }

  /** Answers redis.acl_check_cmd: 1 when the caller may run the words behind the first, 0 when not. */
  #checkAccess(call: Call): void {
    const words = packedWords(call.allBytes().slice(1));
    const asked = new Call(this.#node);
    Object.assign(asked, words);
    const command = this.#find(asked);
    if (command === undefined) this.reply.error('ERR Invalid command passed to redis.acl_check_cmd()');
    else this.reply.integer(this.#node.users.mayRun({ command, ...words }, this.#caller!.session) ? 1 : 0);
  }

  #execute(call: Call, command: Command): void {
    const node = this.#node;
    if (node.dispatcher.monitor !== null) node.dispatcher.monitor(this.#session, call);
    command.calls++;
    node.statistics.commandsProcessed++;
    const isTimed = node.dispatcher.timesAll || call.argc >= command.timedFromArguments;
    const weight = isTimed ? 1 : sampleWeight(++command.untimedCalls);
    const startedMs = weight > 0 ? node.monotonicMs() : 0;
    try {
      if (call.node.keyspaceEvents.isOn) runWithEvents(call, command);
      else (command as CommandOf<Call>).run!(call);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.reply.reset();
      this.reply.error(error.message);
      command.failed++;
    }
    const { session } = this.#caller!;
    session.scriptCommandCount++;
    if (weight > 0) noteDuration(node, call, command, node.monotonicMs() - startedMs, weight, session);
    if (session.tracking !== null) node.tracking.ran(call, command, session);
  }
}

const WAITS: ReadonlySet<string> = new Set(['wait', 'waitaof']);
/** EVAL script numkeys key … */
const FIRST_KEY = 3;
const KEY_EVICTED =
  'ERR a key that the script did not name in KEYS was evicted to the durable store, and a script cannot wait for it';
const UNKNOWN_COMMAND = 'ERR Unknown Redis command called from script';
const WRONG_ARITY = 'ERR Wrong number of args calling Redis command from script';
const NOT_ALLOWED = 'ERR This Redis command is not allowed from script';
const READ_ONLY = 'ERR Write commands are not allowed from read-only scripts.';
export const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
