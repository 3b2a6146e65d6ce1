/**
 * Scripts of one node. Lua is loaded when the first script comes, in a few milliseconds and without waiting for anything; a
 * script runs to its end in the turn in which it was called, so that what it writes is one batch for the peers. One that takes
 * longer than `busy-reply-threshold` is taken out of its turn (lua-threads.ts), and runs on while nothing else may.
 */
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { formatDouble } from '../../protocol/format-double.ts';
import { writeInteger } from '../../protocol/integer.ts';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { CommandError } from '../definitions/command-error.ts';
import type { Node } from '../node.ts';
import { REDIS_VERSION } from '../config/redis-version.ts';
import { BusyScript, SCRIPT_TAKEN_OUT } from './busy-script.ts';
import { CompiledScripts } from './compiled-scripts.ts';
import { FunctionLibraries } from './function-libraries.ts';
import { type Chunk, LuaFault, type LuaHost, LuaMachine } from './lua-machine.ts';
import { TOPIC } from './lua-prelude.ts';
import { errorLine, LUA, LUA_HEADER_BYTES, ReplyEncoder, writeReply } from './lua-reply.ts';
import { ScriptCache, sha1 } from './script-cache.ts';
import { ScriptCommands } from './script-commands.ts';
import type { ScriptCaller, ScriptControl } from './script-control.ts';
import type { Order, Problem } from './script-order.ts';

/** A script that ran past its limit. */
class ScriptStopped extends Error {}

/** In place of what a run has failed with. */
const TAKEN_OUT = 'taken out';
/** For the code of a library, as in Redis. */
const LOADING_LIMIT_MS = 500;
/** How long a script runs on before others get their turn. */
const SLICE_MS = 10;
/** How long a script may go on where it cannot be taken out, before it is stopped. */
const UNTAKABLE_MS = 1000;
const LOG_LEVELS = ['debug', 'debug', 'info', 'warn'] as const;

let wasm: WebAssembly.Module | null = null;

function wasmModule(): WebAssembly.Module {
  const entry = createRequire(import.meta.url).resolve('lua-redis-wasm');
  wasm ??= new WebAssembly.Module(readFileSync(join(dirname(entry), 'redis_lua.wasm')));
  return wasm;
}

/** A number as Redis passes it to a command: whole ones in full, others by the fewest digits that read back the same. */
function writeNumber(bytes: Buffer, at: number, value: number): number {
  if (Number.isSafeInteger(value)) return writeInteger(bytes, at, value + 0);
  return at + bytes.write(formatDouble(value), at, 'latin1');
}

export class Scripting implements ScriptControl, LuaHost {
  readonly cache = new ScriptCache();
  readonly compiled: CompiledScripts;
  readonly libraries: FunctionLibraries;
  readonly #node: Node;
  readonly #encoder = new ReplyEncoder();
  #commands: ScriptCommands | null = null;
  #machine: LuaMachine | null = null;
  #chunk: Chunk = { pointer: 0, length: 0 };
  #startedAtMs = 0;
  /** From when on it is to be taken out, or stopped. */
  #untilMs = Infinity;
  #mayBeTakenOut = false;
  /** The thread whose hook has thrown. */
  #threadOut = 0;
  /** The script that was taken out of its turn. */
  busy: BusyScript | null = null;
  /** Whether whoever calls scripts can have them taken out: without it they are stopped. */
  canTakeOut = false;
  mayCallAll = false;
  /** What the last error said that a command, or the prelude, raised: it needs no ERR before it. */
  #raised = '';
  /** The last error that redis.pcall gave the script; it is not counted yet. */
  #caught: string | null = null;
  #failure: string | null = null;
  #place: string | null = null;
  #told: Buffer | null = null;
  /** Our own mistake, thrown by a command: it goes through Lua, and on. */
  #fault: { error: unknown } | null = null;
  /** Told of the functions of a library while it is loaded. */
  onFunction: ((topic: number, text: string) => void) | null = null;

  constructor(node: Node) {
    this.#node = node;
    this.compiled = new CompiledScripts(this);
    this.libraries = new FunctionLibraries(this);
  }

  get machineBytes(): number {
    return this.#machine === null ? 0 : this.#machine.bytes.length;
  }

  // ---- running ----

  run(order: Order, call: ScriptCaller, firstKey: number, keyCount: number): void {
    const commands = (this.#commands ??= new ScriptCommands(this.#node));
    commands.begin(call, keyCount, order.rules);
    this.#mayBeTakenOut = this.canTakeOut;
    const failure = this.#evaluate(order.text, call, firstKey, keyCount, this.#limitMs);
    if (failure === TAKEN_OUT) this.#beginBusy(order, call);
    this.#answer(order, call, failure);
  }

  #answer(order: Order, { reply, session }: ScriptCaller, failure: string | null): void {
    this.#commands!.end();
    reply.protocol = session.protocol;
    const message = failure === null ? this.#errorResult() : this.#describe(failure, order.name);
    if (message === null) this.#writeResult(reply);
    this.#machine?.releaseResult();
    this.#told = null;
    // An error that the script was given and returns is one error.
    if (this.#caught !== null && this.#caught !== message) this.#node.statistics.countError(this.#caught);
    this.#caught = null;
    if (message !== null) throw new CommandError(message);
  }

  // ---- a script that takes long ----

  /** The script was taken out: the command that called it is concluded later. */
  #beginBusy(order: Order, call: ScriptCaller): never {
    const { starts, lengths, buffer } = call;
    const words = Array.from({ length: call.argc }, (_, index) =>
      Buffer.from(buffer.subarray(starts[index], starts[index] + lengths[index])),
    );
    this.busy = new BusyScript(order, words, this.#startedAtMs, this.#commands!.hasCalledWrite, this.#place!);
    this.#place = null;
    this.#commands!.keepCaller(words);
    throw SCRIPT_TAKEN_OUT;
  }

  /** Lets it run on for a slice. Returns whether it has ended: `conclude` answers then. */
  goOn(): boolean {
    const busy = this.busy!;
    if (busy.endedBy !== null) {
      this.drop();
      busy.failure = busy.endedBy;
      this.#place = busy.place;
      return true;
    }
    this.#untilMs = this.#node.monotonicMs() + SLICE_MS;
    const failure = this.#goOn(this.machine);
    busy.hasWritten = this.#commands!.hasCalledWrite;
    if (failure !== TAKEN_OUT) {
      busy.failure = failure;
      return true;
    }
    busy.place = this.#place!;
    this.#place = null;
    return false;
  }

  #goOn(machine: LuaMachine): string | null {
    try {
      machine.goOn();
    } catch (error) {
      return this.#interrupted(error);
    }
    return this.#failureOf(machine);
  }

  /** Answers the command that has called the script, which has ended. @throws CommandError with the script's error */
  conclude(caller: ScriptCaller): void {
    const { order, failure } = this.busy!;
    this.busy = null;
    try {
      this.#answer(order, caller, failure);
    } finally {
      // Its threads are left in Lua, and what they were called by.
      this.drop();
    }
  }

  /** Has the prelude do something of its own with one argument. @returns what was wrong, or null */
  perform(order: string, argument: Buffer): Problem | null {
    const call = { buffer: argument, argc: 1, starts: [0], lengths: [argument.length] };
    this.#mayBeTakenOut = false;
    const failure = this.#evaluate(order, call, 0, 0, this.onFunction === null ? 0 : LOADING_LIMIT_MS);
    if (failure !== null) return { compiling: false, message: failure };
    const { bytes, resultPointer: start, resultLength } = this.machine;
    const isError = bytes[start] === LUA.error;
    const message = isError ? errorLine(bytes, start + LUA_HEADER_BYTES, start + resultLength) : null;
    this.machine.releaseResult();
    return message === null ? null : { compiling: true, message };
  }

  /** Lua; an instance begins when there is none. */
  get machine(): LuaMachine {
    return (this.#machine ??= this.#begin());
  }

  #begin(): LuaMachine {
    this.#untilMs = Infinity;
    const machine = new LuaMachine(wasmModule(), this, writeNumber);
    const [major, minor, patch] = REDIS_VERSION.split('.').map(Number);
    machine.prepare(REDIS_VERSION, (major << 16) | (minor << 8) | patch);
    this.#chunk = machine.chunk('return mantis_run()');
    return machine;
  }

  /** Lets go of Lua and of all that is compiled: whatever runs next begins anew. */
  drop(): void {
    this.#machine = null;
    this.compiled.forget();
  }

  #evaluate(order: string, args: Arguments, first: number, keyCount: number, limitMs: number): string | null {
    const { machine } = this;
    const size = packedBytes(args, first, order);
    const room = machine.argumentsRoom(size);
    if (room === 0) return "ERR not enough memory for the script's arguments: Lua has 64 MiB";
    pack(machine, room, args, first, order);
    this.#startedAtMs = this.#node.monotonicMs();
    this.#untilMs = limitMs === 0 ? Infinity : this.#startedAtMs + limitMs;
    this.#failure = null;
    this.#place = null;
    this.#raised = '';
    try {
      machine.run(this.#chunk, room, size, keyCount);
    } catch (error) {
      return this.#interrupted(error);
    }
    machine.releaseArguments(room);
    return this.#failureOf(machine);
  }

  /** Why the run has failed that has come to its end; null when it has not. */
  #failureOf(machine: LuaMachine): string | null {
    if (this.#failure === null && machine.bytes[machine.resultPointer] === LUA.scriptError) {
      // Lua met the error where no script was running: it has too little memory to go on.
      const start = machine.resultPointer + LUA_HEADER_BYTES + 4;
      const text = errorLine(machine.bytes, start, machine.resultPointer + machine.resultLength);
      this.drop();
      return `ERR ${text}`;
    }
    return this.#failure;
  }

  /** Something was thrown through Lua. Returns TAKEN_OUT when the script can go on. */
  #interrupted(error: unknown): string {
    if (error !== SCRIPT_TAKEN_OUT) return this.#broken(error);
    try {
      this.#place = this.machine.takeOut(this.#threadOut);
    } catch (fault) {
      return this.#broken(fault);
    }
    return TAKEN_OUT;
  }

  /** The instance was left in the middle of something. */
  #broken(error: unknown): string {
    this.drop();
    const fault = this.#fault;
    this.#fault = null;
    if (fault !== null) throw fault.error;
    if (error instanceof ScriptStopped) return error.message;
    if (error instanceof LuaFault) return `ERR ${error.message}`;
    if (error instanceof RangeError || error instanceof WebAssembly.RuntimeError) return 'ERR stack overflow';
    throw error;
  }

  #describe(failure: string, name: string): string {
    return this.#place === null ? failure : `${failure} script: ${name}, on @${this.#place}.`;
  }

  /** The script's result, when it is an error. */
  #errorResult(): string | null {
    const bytes = this.#told ?? this.machine.bytes;
    const start = this.#told === null ? this.machine.resultPointer : 0;
    if (bytes[start] !== LUA.error) return null;
    return errorLine(bytes, start + LUA_HEADER_BYTES, start + LUA_HEADER_BYTES + bytes.readUInt32LE(start + 1));
  }

  #writeResult(reply: ReplyWriter): void {
    if (this.#told !== null) {
      writeReply(reply, this.#told, 0);
      return;
    }
    const { machine } = this;
    assert(machine.resultLength > 0);
    writeReply(reply, machine.bytes, machine.resultPointer);
  }

  // ---- what Lua calls ----

  command(machine: LuaMachine, argc: number, raises: boolean): void {
    try {
      this.#command(machine, argc, raises);
    } catch (error) {
      this.#fault = { error };
      throw error;
    }
  }

  #command(machine: LuaMachine, argc: number, raises: boolean): void {
    const commands = this.#commands!;
    const { reply } = commands;
    const succeeded = commands.run(machine, argc);
    if (!succeeded) this.#noteError(reply, raises);
    if (!this.#encoder.answer(machine, reply.buffer)) {
      // Lua says that there is no answer: there is no room to say more.
      return;
    }
    if (!succeeded && raises) machine.willRaise();
  }

  #noteError(reply: ReplyWriter, raises: boolean): void {
    const text = errorLine(reply.buffer, 1, reply.length - 2);
    // One that is raised and not caught is counted as the script's.
    if (raises) {
      this.#raised = text;
      return;
    }
    if (this.#caught !== null) this.#node.statistics.countError(this.#caught);
    this.#caught = text;
  }

  tell(machine: LuaMachine, topic: number, start: number, length: number): void {
    if (topic === TOPIC.reply) {
      this.#told = Buffer.from(machine.bytes.subarray(start, start + length));
      return;
    }
    const text = errorLine(machine.bytes, start, start + length);
    if (topic === TOPIC.failedText) this.#failure = text === this.#raised ? text : `ERR ${text}`;
    else if (topic === TOPIC.failedMessage) this.#failure = text;
    else if (topic === TOPIC.failedPlace) this.#place = text;
    else if (topic === TOPIC.raise) this.#raised = text;
    else if (topic > TOPIC.raise) this.onFunction?.(topic, text);
    else this.#node.log[LOG_LEVELS[topic] ?? 'info']({ script: true }, text);
  }

  setProtocol(protocol: 2 | 3): void {
    this.#commands?.setProtocol(protocol);
  }

  sha1(bytes: Buffer): string {
    return sha1(bytes);
  }

  tick(state: number): void {
    const machine = this.#machine;
    if (machine === null) return;
    if (this.busy !== null) machine.begun(state);
    const overMs = this.#node.monotonicMs() - this.#untilMs;
    if (!(overMs >= 0)) return;
    if (this.onFunction !== null) throw new ScriptStopped('ERR FUNCTION LOAD timeout');
    if (this.#mayBeTakenOut) {
      if (machine.threads.canTakeOut(state)) {
        this.#threadOut = state;
        throw SCRIPT_TAKEN_OUT;
      }
      if (overMs < UNTAKABLE_MS) return;
    }
    const kept = this.#commands?.hasWritten === true ? '; what it has written stays' : '';
    throw new ScriptStopped(
      `ERR the script was stopped after ${this.#limitMs} ms, its limit by busy-reply-threshold${kept}`,
    );
  }

  get #limitMs(): number {
    return Number(this.#node.config.values['busy-reply-threshold']);
  }
}

interface Arguments {
  readonly buffer: Buffer;
  readonly argc: number;
  readonly starts: ArrayLike<number>;
  readonly lengths: ArrayLike<number>;
}

function packedBytes(args: Arguments, first: number, order: string): number {
  let size = 8 + order.length;
  for (let index = first; index < args.argc; index++) size += 4 + args.lengths[index];
  return size;
}

/** Writes the arguments from `first` on, and the order behind them, as the ABI has them. */
function pack(machine: LuaMachine, room: number, args: Arguments, first: number, order: string): void {
  const { bytes, view } = machine;
  const { buffer, argc, starts, lengths } = args;
  view.setInt32(room, argc - first + 1, true);
  let at = room + 4;
  for (let index = first; index < argc; index++) {
    const length = lengths[index];
    view.setInt32(at, length, true);
    buffer.copy(bytes, at + 4, starts[index], starts[index] + length);
    at += 4 + length;
  }
  view.setInt32(at, order.length, true);
  bytes.write(order, at + 4, 'latin1');
}
