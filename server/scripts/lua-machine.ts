/**
 * One Lua 5.1 in WebAssembly: lua-redis-wasm's binary, driven through its ABI instead of through the JavaScript around it.
 *
 * That JavaScript compiles a script anew for each run, copies every argument three times, cannot be stopped while a script
 * catches its errors, and writes over memory when an allocation fails. The binary needs fewer than twenty imports, all of them
 * here. Where Lua keeps what is read and written directly is found out and checked when an instance begins.
 * docs/decisions/0017 has the reasons.
 */
import assert from 'node:assert';
import { PRELUDE } from './lua-prelude.ts';
import { WIDE_STRUCT } from './lua-struct.ts';
import { LuaThreads } from './lua-threads.ts';

/** A script's words, called `count` times 1,000 instructions: throw to end the script and with it this instance. */
export interface LuaHost {
  /** A command of the running script; its words are in `starts` and `lengths`. Answers with `answer` or `answerError`. */
  command(machine: LuaMachine, argc: number, raises: boolean): void;
  /** What the prelude has to say beside a result; `topic` is one of the prelude's numbers, or a log level. */
  tell(machine: LuaMachine, topic: number, start: number, length: number): void;
  setProtocol(protocol: 2 | 3): void;
  sha1(bytes: Buffer): string;
  /** Called every 1,000 instructions of a thread. Throws to end the script, or to take it out; the instance is of no other use then. */
  tick(state: number): void;
}

interface Exports {
  memory: WebAssembly.Memory;
  __indirect_function_table: WebAssembly.Table;
  __wasm_call_ctors(): void;
  set_compat(flags: number): void;
  set_limits(fuel: number, replyBytes: number, argumentBytes: number): void;
  init(): number;
  eval(result: number, chunk: number, chunkLength: number): void;
  eval_with_args(
    result: number,
    chunk: number,
    chunkLength: number,
    args: number,
    argsLength: number,
    keyCount: number,
  ): void;
  alloc(size: number): number;
  free_mem(pointer: number): void;
  setThrew(threw: number, value: number): void;
  _emscripten_stack_restore(pointer: number): void;
  emscripten_stack_get_current(): number;
}

type NativeFunction = (state: number) => number;

/** What longjmp throws. */
const LONG_JUMP = { name: 'longjmp' };

/** 64 KiB come with the binary, which 200 nested calls of string.gsub outgrow; Lua stops at 200. */
const STACK_BYTES = 2 << 20;
/** The lowest words of the stack are filled with this, and are never reached. */
const CANARY = 0x5ca1ab1e;
const CANARY_WORDS = 64;
const CANARY_STRIDE = 64;

/** Arguments of one command: Lua's own stack ends before this. */
const ARGUMENTS_MAX = 8192;
const NUMBER_TEXT_BYTES = 32;
/** Arguments of a script up to here are put where they always are. */
const SCRATCH_BYTES = 64 * 1024;

// lobject.h, lstate.h: offsets that are checked in `prepare`.
const STATE_TOP = 8;
const STATE_BASE = 12;
const VALUE_BYTES = 16;
const VALUE_TAG = 8;
const TAG_NIL = 0;
const TAG_NUMBER = 3;
const TAG_STRING = 4;
const STRING_LENGTH = 12;
const STRING_BYTES = 16;
const TABLE_READ_ONLY = 8;
const CLOSURE_FUNCTION = 16;
const CLOSURE_UPVALUES = 20;
const UPVALUE_VALUE = 8;
const TAG_BOOLEAN = 1;
const STATE_WORDS = 32;
const HOOK_INTERVAL = 1000;
/** `server` is another name of `redis`, as in Valkey. */
const COMPAT_SERVER_ALIAS = 4;

/**
 * Exports its two imports, `h: (i32, i32) → ()` and `c: (i32) → i32`, so that they can stand in a table of functions:
 *     (module (import "e" "h" (func (param i32 i32))) (import "e" "c" (func (param i32) (result i32)))
 *             (export "h" (func 0)) (export "c" (func 1)))
 */
const TRAMPOLINE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x0b, 0x02, 0x60, 0x02, 0x7f, 0x7f, 0x00, 0x60, 0x01, 0x7f, 0x01, 0x7f],
  ...[0x02, 0x0d, 0x02, 0x01, 0x65, 0x01, 0x68, 0x00, 0x00, 0x01, 0x65, 0x01, 0x63, 0x00, 0x01],
  ...[0x07, 0x09, 0x02, 0x01, 0x68, 0x00, 0x00, 0x01, 0x63, 0x00, 0x01],
);
let trampoline: WebAssembly.Module | null = null;

/** A piece of Lua that stays in the instance's memory. */
export interface Chunk {
  readonly pointer: number;
  readonly length: number;
}

/** The instance cannot go on: its memory or its stack is used up in a way that Lua does not notice. */
export class LuaFault extends Error {
  override readonly name = 'LuaFault';
}

export class LuaMachine {
  /** All of its memory; it never grows. */
  readonly bytes: Buffer;
  readonly view: DataView;
  /** The words of the command that is run. */
  readonly starts = new Int32Array(ARGUMENTS_MAX);
  readonly lengths = new Int32Array(ARGUMENTS_MAX);
  /** Where the result of the last run is; nothing when the length is 0. */
  resultPointer = 0;
  resultLength = 0;
  readonly #host: LuaHost;
  readonly #exports: Exports;
  readonly #functions: ((a: number, b: number) => void)[] = [];
  readonly #result: number;
  readonly #scratch: number;
  readonly #numbers: number;
  readonly #stack: number;
  readonly #writeNumber: (bytes: Buffer, at: number, value: number) => number;
  #answerPointer = 0;
  #answerLength = 0;
  /** The answer is RESP3's null, which is nil: the ABI only knows RESP2's, which is false. */
  #answersNil = false;
  /** Where the prelude says whether a script runs. */
  #busy = 0;
  #globals = 0;
  #goOnChunk: Chunk | null = null;
  threads!: LuaThreads;
  /** An error that was raised: Lua has jumped over the place where it would have been freed. */
  #raised = 0;

  /** @param writeNumber writes a number as Redis passes it to a command, and returns the offset after it */
  constructor(
    module: WebAssembly.Module,
    host: LuaHost,
    writeNumber: (bytes: Buffer, at: number, value: number) => number,
  ) {
    this.#host = host;
    this.#writeNumber = writeNumber;
    const instance = new WebAssembly.Instance(module, this.#imports());
    this.#exports = instance.exports as unknown as Exports;
    this.bytes = Buffer.from(this.#exports.memory.buffer);
    this.view = new DataView(this.#exports.memory.buffer);
    this.#exports.__wasm_call_ctors();
    this.#stack = this.#reserve(STACK_BYTES);
    for (let word = 0; word < CANARY_WORDS; word++) {
      this.view.setInt32(this.#stack + word * CANARY_STRIDE, CANARY, true);
    }
    this.#exports._emscripten_stack_restore(this.#stackTop);
    this.#result = this.#reserve(8);
    this.#scratch = this.#reserve(SCRATCH_BYTES);
    this.#numbers = this.#reserve(ARGUMENTS_MAX * NUMBER_TEXT_BYTES);
    this.#exports.set_limits(0xffffffff, 0, 0);
    this.#exports.set_compat(COMPAT_SERVER_ALIAS);
    assert.equal(this.#exports.init(), 0);
  }

  // ---- running ----

  /** Makes a chunk that can be run. */
  chunk(source: string | Buffer): Chunk {
    const bytes = typeof source === 'string' ? Buffer.from(source) : source;
    const pointer = this.#reserve(bytes.length);
    bytes.copy(this.bytes, pointer);
    return { pointer, length: bytes.length };
  }

  /** Room for so many bytes of arguments; 0 when there is none. To be given back by `releaseArguments`. */
  argumentsRoom(size: number): number {
    return size <= SCRATCH_BYTES ? this.#scratch : this.allocate(size);
  }

  releaseArguments(pointer: number): void {
    if (pointer !== this.#scratch) this.release(pointer);
  }

  /**
   * Runs a chunk; `resultPointer` and `resultLength` tell where its result is, until `releaseResult`.
   * @param args where the arguments are: a count, then a length and the bytes of each, in 32-bit little-endian numbers
   * @throws LuaFault when the instance cannot go on; whatever the host threw
   */
  run(chunk: Chunk, args: number, argsLength: number, keyCount: number): void {
    this.#exports.eval_with_args(this.#result, chunk.pointer, chunk.length, args, argsLength, keyCount);
    this.#takeResult();
  }

  #takeResult(): void {
    this.resultPointer = this.view.getInt32(this.#result, true);
    this.resultLength = this.view.getInt32(this.#result + 4, true);
    if (this.#raised !== 0) this.#freeRaised();
    for (let word = 0; word < CANARY_WORDS; word++) {
      if (this.view.getInt32(this.#stack + word * CANARY_STRIDE, true) !== CANARY) throw new LuaFault('stack overflow');
    }
  }

  /**
   * Takes out the script whose hook has thrown: `goOn` lets it run on.
   * @returns the line at which it stopped, as in `user_script:3`
   * @throws LuaFault when there is no room
   */
  takeOut(state: number): string {
    this.#exports._emscripten_stack_restore(this.#stackTop);
    return this.threads.takeOut(state, (slots, calls) => this.#makeThread(slots, calls));
  }

  /** To be called in the hooks of a script that goes on: the first comes before anything else does. */
  begun(state: number): void {
    if (this.threads.begun(state)) this.#lock([this.#globals], 1);
  }

  #makeThread(slots: number, calls: number): number {
    const chunk = this.chunk(`return mantis_part(${slots}, ${calls})`);
    this.#evaluate(chunk);
    const [thread] = this.#shownAddresses();
    this.release(chunk.pointer);
    if (thread === undefined) throw new LuaFault('not enough memory');
    return thread;
  }

  /** Runs on what was taken out, as `run` does. */
  goOn(): void {
    this.threads.goOn();
    this.#lock([this.#globals], 0);
    this.#goOnChunk ??= this.chunk('return mantis_go_on()');
    this.#evaluate(this.#goOnChunk);
  }

  /** Runs a chunk in the globals as they are: those of a script that was taken out. */
  #evaluate(chunk: Chunk): void {
    // The script was in the middle of something when it was taken out.
    this.view.setInt32(this.#busy, 0, true);
    this.#exports.eval(this.#result, chunk.pointer, chunk.length);
    this.#takeResult();
  }

  releaseResult(): void {
    if (this.resultPointer !== 0) this.release(this.resultPointer);
    this.resultPointer = 0;
    this.resultLength = 0;
  }

  /** 0 when there is no room. */
  allocate(size: number): number {
    return this.#exports.alloc(size);
  }

  release(pointer: number): void {
    this.#exports.free_mem(pointer);
  }

  get #stackTop(): number {
    return (this.#stack + STACK_BYTES) & ~15;
  }

  #reserve(size: number): number {
    const pointer = this.allocate(size);
    assert(pointer !== 0);
    return pointer;
  }

  // ---- commands ----

  /** The answer to the command: a reply in the ABI's encoding, in memory that `allocate` gave. */
  answer(pointer: number, length: number): void {
    this.#answerPointer = pointer;
    this.#answerLength = length;
  }

  /** The answer to the command is nil. */
  answerNil(): void {
    this.#answersNil = true;
  }

  #command(state: number, native: NativeFunction, raises: boolean): number {
    const argc = this.#readWords(state);
    this.#answersNil = false;
    this.#answerPointer = 0;
    this.#answerLength = 0;
    if (this.#raised !== 0) this.#freeRaised();
    this.#host.command(this, argc, raises);
    // The words are read: Lua need not encode them.
    this.view.setInt32(state + STATE_TOP, this.view.getInt32(state + STATE_BASE, true), true);
    const results = native(state);
    if (this.#answersNil) {
      this.view.setInt32(this.view.getInt32(state + STATE_TOP, true) - VALUE_BYTES + VALUE_TAG, TAG_NIL, true);
    }
    return results;
  }

  /** How many words a command has; −1 when one of them is neither a string nor a number. */
  #readWords(state: number): number {
    const { view, starts, lengths } = this;
    const base = view.getInt32(state + STATE_BASE, true);
    const argc = (view.getInt32(state + STATE_TOP, true) - base) / VALUE_BYTES;
    if (argc > ARGUMENTS_MAX) return -1;
    for (let index = 0, value = base; index < argc; index++, value += VALUE_BYTES) {
      const tag = view.getInt32(value + VALUE_TAG, true);
      if (tag === TAG_STRING) {
        const string = view.getInt32(value, true);
        starts[index] = string + STRING_BYTES;
        lengths[index] = view.getInt32(string + STRING_LENGTH, true);
      } else if (tag === TAG_NUMBER) {
        const start = this.#numbers + index * NUMBER_TEXT_BYTES;
        starts[index] = start;
        lengths[index] = this.#writeNumber(this.bytes, start, view.getFloat64(value, true)) - start;
      } else return -1;
    }
    return argc;
  }

  /** The answer is an error that redis.call raises. */
  willRaise(): void {
    this.#raised = this.#answerPointer;
  }

  #freeRaised(): void {
    this.release(this.#raised);
    this.#raised = 0;
  }

  #giveAnswer(result: number): void {
    this.view.setInt32(result, this.#answerPointer, true);
    this.view.setInt32(result + 4, this.#answerLength, true);
  }

  // ---- imports ----

  #imports(): WebAssembly.Imports {
    const failing = (name: string) => (): never => {
      throw new LuaFault(name);
    };
    const give = (result: number): void => this.#giveAnswer(result);
    const nothing = (): number => -1;
    return {
      env: {
        host_redis_props: give,
        host_redis_log: (level: number, start: number, length: number) => this.#host.tell(this, level, start, length),
        host_sha1hex: (result: number, start: number, length: number) => this.#sha1(result, start, length),
        host_redis_setresp: (protocol: 2 | 3) => this.#host.setProtocol(protocol),
        host_redis_call: give,
        host_redis_pcall: give,
        exit: failing('out of memory'),
        __assert_fail: failing('assertion'),
        _abort_js: failing('abort'),
        emscripten_resize_heap: () => 0,
        invoke_vii: (index: number, a: number, b: number) => this.#invoke(index, a, b),
        _emscripten_throw_longjmp: () => {
          // eslint-disable-next-line @typescript-eslint/only-throw-error -- never seen outside, and thrown often
          throw LONG_JUMP;
        },
        __syscall_openat: nothing,
        __syscall_fcntl64: nothing,
        __syscall_ioctl: nothing,
        __syscall_dup3: nothing,
      },
      wasi_snapshot_preview1: {
        clock_time_get: nothing,
        fd_write: nothing,
        fd_read: nothing,
        fd_close: nothing,
        fd_seek: nothing,
      },
    };
  }

  /** Calls a function that may longjmp back to here. Whatever else is thrown goes on, through all of Lua. */
  #invoke(index: number, a: number, b: number): void {
    const stack = this.#exports.emscripten_stack_get_current();
    try {
      (this.#functions[index] ??= this.#exports.__indirect_function_table.get(index) as (a: number, b: number) => void)(
        a,
        b,
      );
    } catch (error) {
      if (error !== LONG_JUMP) throw error;
      this.#exports._emscripten_stack_restore(stack);
      this.#exports.setThrew(1, 0);
    }
  }

  #sha1(result: number, start: number, length: number): void {
    const digest = this.#host.sha1(this.bytes.subarray(start, start + length));
    const pointer = this.allocate(digest.length);
    if (pointer !== 0) this.bytes.write(digest, pointer, 'latin1');
    this.answer(pointer, pointer === 0 ? 0 : digest.length);
    this.#giveAnswer(result);
    this.answer(0, 0);
  }

  // ---- layout ----

  /**
   * Unlocks the tables that the prelude changes, runs it, locks them again, and puts our functions where Lua's were.
   * @param version the Redis that scripts are told of
   */
  prepare(version: string, versionNumber: number): void {
    const [globals, redis, fresh, thread, call, pcall] = this.#addresses(
      'return {tostring(_G), tostring(redis), tostring({}), tostring(coroutine.create(function() end)), ' +
        'tostring(redis.call), tostring(redis.pcall)}',
    );
    this.#globals = globals;
    assert.equal(this.view.getInt32(globals + TABLE_READ_ONLY, true), 1);
    assert.equal(this.view.getInt32(fresh + TABLE_READ_ONLY, true), 0);
    // Before anything else runs: what the addresses were of may be collected.
    this.#replaceCommand(call, true);
    this.#replaceCommand(pcall, false);
    this.#replaceHook(thread);
    this.#lock([globals, redis], 0);
    const prelude = "return assert(loadstring(ARGV[1], '@prelude'))()";
    const made = this.#addresses(prelude, PRELUDE, version, String(versionNumber));
    const [ownPcall, ownXpcall, spare, run, ...tables] = made;
    this.#busy = this.view.getInt32(this.view.getInt32(run + CLOSURE_UPVALUES, true) + UPVALUE_VALUE, true);
    assert.equal(this.view.getInt32(this.#busy + VALUE_TAG, true), TAG_BOOLEAN);
    this.threads = new LuaThreads(this.view, this.bytes, { spare, pcall: ownPcall, xpcall: ownXpcall });
    this.#lock([globals, redis, ...tables, ...this.#addresses(prelude, WIDE_STRUCT)], 1);
  }

  #lock(tables: readonly number[], locked: 0 | 1): void {
    for (const table of tables) this.view.setInt32(table + TABLE_READ_ONLY, locked, true);
  }

  /** Runs a chunk that returns values as tostring shows them, `table: 0x1234`: their addresses. */
  #addresses(source: string, ...args: string[]): number[] {
    const chunk = this.chunk(source);
    this.view.setInt32(this.#scratch, args.length, true);
    let end = this.#scratch + 4;
    for (const argument of args) {
      this.view.setInt32(end, argument.length, true);
      end += 4 + this.bytes.write(argument, end + 4, 'latin1');
    }
    this.run(chunk, this.#scratch, end - this.#scratch, 0);
    this.release(chunk.pointer);
    const found = this.#shownAddresses();
    assert(found.length > 0);
    return found;
  }

  #shownAddresses(): number[] {
    const shown = this.bytes.toString('latin1', this.resultPointer, this.resultPointer + this.resultLength);
    this.releaseResult();
    return [...shown.matchAll(/: 0x([0-9a-f]+)/g)].map(([, digits]) => Number.parseInt(digits, 16));
  }

  #replaceCommand(closure: number, raises: boolean): void {
    const index = this.view.getInt32(closure + CLOSURE_FUNCTION, true);
    const table = this.#exports.__indirect_function_table;
    const native = table.get(index) as NativeFunction;
    assert.equal(native.length, 1);
    table.set(index, this.#trampoline({ c: (state) => this.#command(state, native, raises) }).c);
  }

  /** A thread's state has, one after the other: the hook's interval, what is left of it, and the hook. */
  #replaceHook(thread: number): void {
    const words = Array.from({ length: STATE_WORDS }, (_, word) => this.view.getInt32(thread + word * 4, true));
    const at = words.findIndex((word, index) => word === HOOK_INTERVAL && words[index + 1] === HOOK_INTERVAL);
    const table = this.#exports.__indirect_function_table;
    const hook = words[at + 2];
    assert(at > 0 && hook > 0 && hook < table.length && (table.get(hook) as NativeFunction).length === 2);
    table.set(hook, this.#trampoline({ h: (state) => this.#host.tick(state) }).h);
  }

  #trampoline(functions: { h?: (state: number) => void; c?: NativeFunction }): Record<string, unknown> {
    trampoline ??= new WebAssembly.Module(TRAMPOLINE);
    const { h = () => {}, c = () => 0 } = functions;
    return new WebAssembly.Instance(trampoline, { e: { h, c } }).exports;
  }
}
