/**
 * Takes a script that runs out of C's stack, so that the event loop gets its turn, and lets it go on later.
 *
 * The hook throws, through all of Lua. What the script was doing is still in Lua's own memory then: its stack of values and the
 * list of its calls (lstate.h, ldo.c of Lua 5.1). A coroutine that has yielded in a hook has the same, and nothing more: the script
 * becomes such coroutines. Calls between functions of Lua need nothing of C's stack; pcall and xpcall do. The part above each of
 * those becomes a coroutine of its own, whose end or error is handed to the part below as the result of the pcall. Where another
 * function of C is in between, as gsub, sort or a metamethod is, the script cannot be taken out, and runs on.
 */
import assert from 'node:assert';

// lstate.h: lua_State
const STATE_STATUS = 6;
const STATE_TOP = 8;
const STATE_BASE = 12;
const STATE_GLOBAL = 16;
const STATE_CALL = 20;
const STATE_CODE = 24;
const STATE_STACK = 32;
const STATE_CALLS = 40;
const STATE_C_CALLS = 52;
const STATE_C_CALLS_AT_START = 54;
const STATE_ALLOWS_HOOK = 57;
const STATE_HOOK_COUNT = 64;
const STATE_OPEN_UPVALUE = 104;
const STATE_ERROR_JUMP = 112;
const STATE_ERROR_HANDLER = 116;
/** Where the thread's values and calls are: stack and calls with their ends and sizes, what runs, and the upvalues that point there. */
const STATE_PLACES = [8, 12, 20, 24, 28, 32, 36, 40, 44, 48, 104];
/** lstate.h: global_State */
const GLOBAL_MAIN_THREAD = 112;
const YIELDED = 1;

// lstate.h: CallInfo
const CALL_BASE = 0;
const CALL_FUNCTION = 4;
const CALL_TOP = 8;
const CALL_CODE = 12;
const CALL_BYTES = 24;

// lobject.h
const VALUE_BYTES = 16;
const VALUE_TAG = 8;
const TAG_FUNCTION = 6;
const OBJECT_NEXT = 0;
const OBJECT_TAG = 4;
const TAG_THREAD = 8;
const CLOSURE_IS_C = 6;
const CLOSURE_PROTOTYPE = 16;
const UPVALUE_VALUE = 8;
const PROTOTYPE_CODE = 12;
const PROTOTYPE_LINES = 20;
const PROTOTYPE_SOURCE = 32;
const PROTOTYPE_STACK_SIZE = 75;
const STRING_LENGTH = 12;
const STRING_BYTES = 16;

// lopcodes.h
const INSTRUCTION_BYTES = 4;
const OPERATION_MASK = 63;
const OP_CALL = 28;
const OP_TAILCALL = 29;

/** The prelude's call of xpcall around a script, counted from the beginning of Lua's calls. */
const OUTERMOST = 2;
/** Slots that a thread has beside those of its calls, and calls beside those it had: it goes on. */
const SPARE_SLOTS = 48;
const SPARE_CALLS = 4;

/** Addresses of what the prelude made, and of functions. */
export interface ThreadAddresses {
  /** A thread that has ended: it takes what the main thread had. */
  readonly spare: number;
  readonly pcall: number;
  readonly xpcall: number;
}

/** A part of a script that becomes a thread: the call that it begins with, and what is below it. */
interface Cut {
  /** The call of pcall or xpcall, as an index into the thread's calls. */
  readonly below: number;
  readonly hasHandler: boolean;
}

export class LuaThreads {
  readonly #view: DataView;
  readonly #bytes: Buffer;
  readonly #addresses: ThreadAddresses;
  readonly #main: number;

  constructor(view: DataView, bytes: Buffer, addresses: ThreadAddresses) {
    this.#view = view;
    this.#bytes = bytes;
    this.#addresses = addresses;
    const global = this.#word(addresses.spare + STATE_GLOBAL);
    this.#main = this.#word(global + GLOBAL_MAIN_THREAD);
    for (const state of [this.#main, addresses.spare]) {
      assert.equal(bytes[state + OBJECT_TAG], TAG_THREAD);
      assert.equal(this.#word(state + STATE_GLOBAL), global);
      assert(this.#word(state + STATE_STACK) <= this.#word(state + STATE_BASE));
    }
    const { spare } = addresses;
    assert.equal(this.#word(spare + STATE_CALL), this.#word(spare + STATE_CALLS));
    assert.equal(bytes[addresses.pcall + CLOSURE_IS_C] + bytes[addresses.xpcall + CLOSURE_IS_C], 2);
  }

  #word(at: number): number {
    return this.#view.getInt32(at, true);
  }

  #setWord(at: number, value: number): void {
    this.#view.setInt32(at, value, true);
  }

  // ---- looking ----

  /** Whether the script that runs in the thread can be taken out now; to be asked in the hook. */
  canTakeOut(state: number): boolean {
    return this.#cuts(state) !== null;
  }

  #callAt(state: number, index: number): number {
    return this.#word(state + STATE_CALLS) + index * CALL_BYTES;
  }

  #depth(state: number): number {
    return (this.#word(state + STATE_CALL) - this.#word(state + STATE_CALLS)) / CALL_BYTES;
  }

  /** The closure that a call is of; 0 below the first. */
  #closureOf(call: number): number {
    const value = this.#word(call + CALL_FUNCTION);
    return this.#word(value + VALUE_TAG) === TAG_FUNCTION ? this.#word(value) : 0;
  }

  #isOfC(call: number): boolean {
    return this.#bytes[this.#closureOf(call) + CLOSURE_IS_C] === 1;
  }

  /** What a function of Lua does that has called another. */
  #operation(call: number): number {
    return this.#word(this.#word(call + CALL_CODE) - INSTRUCTION_BYTES) & OPERATION_MASK;
  }

  /** Where to cut, from the top on; null when something in between needs C's stack. */
  #cuts(state: number): readonly Cut[] | null {
    const { pcall, xpcall } = this.#addresses;
    const isFirst = state === this.#main;
    if (!isFirst && !this.#parts.includes(state)) return null;
    const cuts: Cut[] = [];
    const last = isFirst ? OUTERMOST : 0;
    for (let index = this.#depth(state); index > last + 1; index--) {
      const below = this.#callAt(state, index - 1);
      if (!this.#isOfC(below)) {
        if (this.#operation(below) !== OP_CALL) return null;
        continue;
      }
      const closure = this.#closureOf(below);
      if ((closure !== pcall && closure !== xpcall) || index - 2 <= last) return null;
      const caller = this.#callAt(state, index - 2);
      if (this.#isOfC(caller)) return null;
      const operation = this.#operation(caller);
      if (operation !== OP_CALL && operation !== OP_TAILCALL) return null;
      cuts.push({ below: index - 1, hasHandler: closure === xpcall });
      index--;
    }
    if (!isFirst) return this.#depth(state) > 0 ? cuts : null;
    const isWhole = this.#depth(state) > OUTERMOST && this.#closureOf(this.#callAt(state, OUTERMOST)) === xpcall;
    return isWhole ? [...cuts, { below: OUTERMOST, hasHandler: true }] : null;
  }

  /** The line of the script that runs in the thread, as in `user_script:3`. */
  place(state: number): string {
    for (let index = this.#depth(state); index > 0; index--) {
      const call = this.#callAt(state, index);
      if (this.#isOfC(call)) continue;
      const prototype = this.#word(this.#closureOf(call) + CLOSURE_PROTOTYPE);
      const source = this.#word(prototype + PROTOTYPE_SOURCE);
      const start = source + STRING_BYTES;
      const name = this.#bytes.toString('latin1', start + 1, start + this.#word(source + STRING_LENGTH));
      if (name === 'prelude') continue;
      const code = this.#word(index === this.#depth(state) ? state + STATE_CODE : call + CALL_CODE);
      const at = (code - this.#word(prototype + PROTOTYPE_CODE)) / INSTRUCTION_BYTES - 1;
      return `${name}:${this.#word(this.#word(prototype + PROTOTYPE_LINES) + Math.max(0, at) * 4)}`;
    }
    return '';
  }

  // ---- taking out ----

  /** Threads that hold parts of the script, the lowest first. */
  readonly #parts: number[] = [];

  /**
   * Takes out the script that the hook was called for in this thread, after the hook has thrown.
   * @param make makes a thread with room for so many values and calls, at whose address it is
   * @returns the line at which it stopped
   */
  takeOut(state: number, make: (slots: number, calls: number) => number): string {
    const cuts = this.#cuts(state);
    assert(cuts !== null);
    const isFirst = state === this.#main;
    const from = isFirst ? this.#addresses.spare : state;
    if (isFirst) this.#swap(from, state);
    this.#reset(this.#main);
    const place = this.place(from);
    this.#settle(from);
    // Those above have ended.
    this.#parts.length = this.#parts.indexOf(state) + 1;
    // From below: the prelude keeps them in this order. Making one may move the values of the others.
    const threads = cuts
      .map((cut, index) => ({ cut, end: index === 0 ? this.#depth(from) : cuts[index - 1].below }))
      .reverse()
      .map(({ cut, end }) => make(this.#slots(from, cut.below + 1, end), end - cut.below + SPARE_CALLS))
      .reverse();
    cuts.forEach((cut, index) => this.#move(from, cut, threads[index]));
    this.#parts.push(...threads.reverse());
    return place;
  }

  /** The script goes on: each part has its hook called when it begins to, to which `begun` answers. */
  goOn(): void {
    for (const part of this.#parts) this.#setWord(part + STATE_HOOK_COUNT, 1);
  }

  /** What the main thread has becomes another's, and the other's its own. */
  #swap(one: number, other: number): void {
    for (const place of STATE_PLACES) {
      const word = this.#word(one + place);
      this.#setWord(one + place, this.#word(other + place));
      this.#setWord(other + place, word);
    }
  }

  /** The main thread runs nothing. */
  #reset(state: number): void {
    const calls = this.#word(state + STATE_CALLS);
    const base = this.#word(calls + CALL_BASE);
    this.#setWord(state + STATE_CALL, calls);
    this.#setWord(state + STATE_BASE, base);
    this.#setWord(state + STATE_TOP, base);
    this.#setWord(state + STATE_ERROR_HANDLER, 0);
    this.#bytes[state + STATE_STATUS] = 0;
    this.#leaveC(state);
    assert.equal(this.#word(state + STATE_OPEN_UPVALUE), 0);
  }

  #leaveC(state: number): void {
    this.#setWord(state + STATE_C_CALLS, 0);
    this.#setWord(state + STATE_ERROR_JUMP, 0);
    this.#bytes[state + STATE_ALLOWS_HOOK] = 1;
  }

  /** What luaD_callhook and luaV_execute do when a hook has yielded. */
  #settle(state: number): void {
    const call = this.#word(state + STATE_CALL);
    const prototype = this.#word(this.#closureOf(call) + CLOSURE_PROTOTYPE);
    const top = this.#word(call + CALL_BASE) + this.#bytes[prototype + PROTOTYPE_STACK_SIZE] * VALUE_BYTES;
    this.#setWord(call + CALL_TOP, top);
    const code = this.#word(state + STATE_CODE) - INSTRUCTION_BYTES;
    this.#setWord(state + STATE_CODE, code);
    this.#setWord(call + CALL_CODE, code);
    this.#bytes[state + STATE_STATUS] = YIELDED;
    this.#leaveC(state);
  }

  /** Values of the calls from the first to the last. */
  #slots(state: number, first: number, last: number): number {
    const start = this.#word(this.#callAt(state, first) + CALL_FUNCTION);
    let end = this.#word(state + STATE_TOP);
    for (let index = first; index <= last; index++) {
      end = Math.max(end, this.#word(this.#callAt(state, index) + CALL_TOP));
    }
    return (end - start) / VALUE_BYTES + SPARE_SLOTS;
  }

  /** Moves what is above a call of pcall or xpcall into a thread; the call is then one that waits for its results. */
  #move(from: number, { below, hasHandler }: Cut, to: number): void {
    const caller = this.#callAt(from, below);
    const first = caller + CALL_BYTES;
    const start = this.#word(first + CALL_FUNCTION);
    const end = this.#word(from + STATE_TOP);
    const calls = this.#word(to + STATE_CALLS);
    const bottom = this.#word(to + STATE_STACK) + VALUE_BYTES;
    assert.equal(this.#word(to + STATE_CALL), calls);
    assert.equal(this.#word(to + STATE_OPEN_UPVALUE), 0);
    const base = hasHandler ? bottom + VALUE_BYTES : bottom;
    if (hasHandler) this.#copy(this.#word(caller + CALL_BASE), bottom, VALUE_BYTES);
    this.#setWord(to + STATE_ERROR_HANDLER, hasHandler ? VALUE_BYTES : 0);
    this.#copy(start, base, end - start);
    this.#setWord(calls + CALL_BASE, base);
    const delta = base - start;
    const count = (this.#word(from + STATE_CALL) - caller) / CALL_BYTES;
    this.#copy(first, calls + CALL_BYTES, count * CALL_BYTES);
    for (let index = 1; index <= count; index++) {
      const call = calls + index * CALL_BYTES;
      for (const place of [CALL_BASE, CALL_FUNCTION, CALL_TOP])
        this.#setWord(call + place, this.#word(call + place) + delta);
    }
    this.#setWord(to + STATE_CALL, calls + count * CALL_BYTES);
    this.#setWord(to + STATE_TOP, end + delta);
    this.#setWord(to + STATE_BASE, end + delta);
    this.#setWord(to + STATE_CODE, this.#word(from + STATE_CODE));
    this.#bytes[to + STATE_STATUS] = YIELDED;
    this.#moveUpvalues(from, start, to, delta);
    this.#setWord(from + STATE_CALL, caller);
    this.#setWord(from + STATE_TOP, start);
    this.#setWord(from + STATE_BASE, start);
  }

  #copy(from: number, to: number, length: number): void {
    this.#bytes.copyWithin(to, from, from + length);
  }

  /** Those that are open at `start` or above are the first of the thread's. */
  #moveUpvalues(from: number, start: number, to: number, delta: number): void {
    let link = from + STATE_OPEN_UPVALUE;
    const first = this.#word(link);
    for (let upvalue = first; upvalue !== 0; upvalue = this.#word(link)) {
      const value = this.#word(upvalue + UPVALUE_VALUE);
      if (value < start) break;
      this.#setWord(upvalue + UPVALUE_VALUE, value + delta);
      link = upvalue + OBJECT_NEXT;
    }
    const rest = this.#word(link);
    if (rest === first) return;
    this.#setWord(link, 0);
    this.#setWord(to + STATE_OPEN_UPVALUE, first);
    this.#setWord(from + STATE_OPEN_UPVALUE, rest);
  }

  // ---- going on ----

  /**
   * The hook's answer where a part has begun to go on: a script's own yield is none that we have made, and is refused as before.
   * Returns whether the thread is a part of the script.
   */
  begun(state: number): boolean {
    const index = this.#parts.indexOf(state);
    if (index < 0) return false;
    if (this.#view.getUint16(state + STATE_C_CALLS_AT_START, true) === 0) return true;
    const calls = this.#view.getUint16(state + STATE_C_CALLS, true);
    this.#view.setUint16(state + STATE_C_CALLS, calls + index, true);
    this.#view.setUint16(state + STATE_C_CALLS_AT_START, 0, true);
    return true;
  }
}
