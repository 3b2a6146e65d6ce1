import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { SCRIPT_TAKEN_OUT } from '../../../server/scripts/busy-script.ts';
import { type LuaHost, LuaMachine } from '../../../server/scripts/lua-machine.ts';

const folder = dirname(createRequire(import.meta.url).resolve('lua-redis-wasm'));
const module = new WebAssembly.Module(readFileSync(join(folder, 'redis_lua.wasm')));

/** Runs scripts whose only command answers `hi`. */
class Runner implements LuaHost {
  readonly #machine: LuaMachine;
  readonly #told: string[] = [];
  readonly #every: number;
  #ticks = 0;
  #isRunning = false;
  #thread = 0;
  #goesOn = false;
  takenOut = 0;
  places = new Set<string>();

  /** @param every at each how-manieth thousand of instructions the script is taken out */
  constructor(every: number) {
    this.#every = every;
    this.#machine = new LuaMachine(module, this, (bytes, at) => at + bytes.write('12', at));
    this.#machine.prepare('7.2.4', 0x70204);
  }

  command(machine: LuaMachine): void {
    const pointer = machine.allocate(7);
    machine.bytes[pointer] = 2;
    machine.view.setInt32(pointer + 1, 2, true);
    machine.bytes.write('hi', pointer + 5);
    machine.answer(pointer, 7);
  }

  tell(machine: LuaMachine, topic: number, start: number, length: number): void {
    this.#told.push(`${topic} ${machine.bytes.toString('latin1', start, start + length)}`);
  }

  setProtocol(): void {}

  sha1(): string {
    return '';
  }

  tick(state: number): void {
    if (!this.#isRunning) return;
    const { threads } = this.#machine;
    this.#machine.begun(state);
    // The hook with which it goes on comes before anything was done.
    if (this.#goesOn) {
      this.#goesOn = false;
      return;
    }
    if (++this.#ticks % this.#every !== 0 || !threads.canTakeOut(state)) return;
    this.#thread = state;
    throw SCRIPT_TAKEN_OUT;
  }

  #evaluate(args: string[], keyCount = 0): void {
    const machine = this.#machine;
    const size = args.reduce((sum, { length }) => sum + 4 + length, 4);
    const room = machine.argumentsRoom(size);
    let at = room + 4;
    machine.view.setInt32(room, args.length, true);
    for (const argument of args) {
      machine.view.setInt32(at, argument.length, true);
      at += 4 + machine.bytes.write(argument, at + 4, 'latin1');
    }
    machine.run(machine.chunk('return mantis_run()'), room, size, keyCount);
  }

  /** The result in the ABI's encoding, and what was told of errors. */
  run(script: string): string {
    const machine = this.#machine;
    this.#evaluate([script, 'c1']);
    machine.releaseResult();
    this.#isRunning = true;
    let step = (): void => this.#evaluate(['key', 'argument', 's1'], 1);
    for (;;) {
      try {
        step();
        break;
      } catch (error) {
        if (error !== SCRIPT_TAKEN_OUT) throw error;
        this.takenOut++;
        this.places.add(machine.takeOut(this.#thread));
        step = () => {
          this.#goesOn = true;
          machine.goOn();
        };
      }
    }
    this.#isRunning = false;
    const start = machine.resultPointer;
    return [machine.bytes.toString('latin1', start, start + machine.resultLength), ...this.#told].join('\n');
  }
}

/** Enough work for several hooks. */
const WORK = 'local function work(n) for i = 1, n or 3000 do end return n end ';

const SCRIPTS: readonly [string, string][] = [
  ['a loop', 'local s = 0 for i = 1, 100000 do s = s + i end return s'],
  ['its keys and arguments', "work() KEYS[2] = 'more' work() return KEYS[1] .. KEYS[2] .. ARGV[1] .. #ARGV"],
  [
    'globals, which stay locked',
    'work() local ok, e = pcall(function() work() GLOBAL = 1 end) return {e, type(KEYS), #KEYS}',
  ],
  ['commands', "local s = '' for i = 1, 2000 do s = s .. redis.call('get', i) work(20) end return #s"],
  [
    'pcall, with what it is given and gives',
    'local s = 0 local function f(a, ...) for i = 1, 3000 do s = s + a + select("#", ...) end return s, nil, 5 end ' +
      'local t = {} for i = 1, 20 do local r = {pcall(f, 1, 2, nil, 3)} t[i] = tostring(r[1]) .. r[2] .. tostring(r[4]) end return t',
  ],
  ['an error that is caught', "local ok, e = pcall(function() work(10000) error('oh') end) return {tostring(ok), e}"],
  [
    'an error that xpcall handles',
    'local ok, e = xpcall(function() work(10000)\n error({err = "ERR mine"}) end, function(e) return e.err .. "!" end) ' +
      'work(10000) return {tostring(ok), e}',
  ],
  ['an error that is not caught', "work()\nlocal function g() error('top') end\n work() g()"],
  ['an error of Lua', 'work()\n\n local x = nil + 1'],
  ['an error of a command', 'work()\nredis.call({})'],
  ['pcall in the place of a result', "return (function() return pcall(function() work() return 'tail' end) end)()"],
  [
    'pcall of pcall',
    "for i = 1, 300 do local ok, v = pcall(pcall, function() work(50) return 5 end) if v ~= true then error('x') end end return 1",
  ],
  [
    'pcall in pcall, deep',
    'local function deep(n) work(100) if n == 0 then return 0 end local ok, r = pcall(deep, n - 1) if not ok then error(r) end ' +
      'return r + 1 end return deep(150)',
  ],
  [
    'calls, deep',
    'local function deep(n) work(20) if n == 0 then return 0 end return 1 + deep(n - 1) end return deep(10000)',
  ],
  ['tail calls', 'local function loop(n) if n == 0 then return 7 end return loop(n - 1) end return loop(50000)'],
  [
    'closures whose variables are still on the stack',
    'local u = 0 local fs = {} for i = 1, 200 do local v = i fs[i] = function() v = v + 1 u = u + 1 return v end ' +
      'for j = 1, 50 do fs[i]() end end local t = 0 for i = 1, 200 do for j = 1, 100 do t = t + fs[i]() end end return {t, u}',
  ],
  [
    'closures over the variables of a function that called pcall',
    'local total = 0 local add = function(n) total = total + n end ' +
      'for i = 1, 50 do local here = i pcall(function() work() here = here + 1 add(here) end) add(here) end return total',
  ],
  [
    'garbage',
    'local t = {} for i = 1, 20000 do t[#t + 1] = {i, tostring(i)} if #t > 1000 then t = {} end end return #t',
  ],
  ['collections of garbage', 'for i = 1, 30 do pcall(function() work() collectgarbage() end) end return 1'],
  [
    'many arguments',
    'local t = {} for i = 1, 300 do t[i] = i end local function v(...) work() return select("#", ...), ... end ' +
      'local a, b = v(unpack(t)) return {a, b, (select("#", v(unpack(t))))}',
  ],
  [
    'results that are as many as they are',
    'local function many(n) work(30) if n == 0 then return end return n, many(n - 1) end ' +
      'local t = {} for i = 1, 50 do t = {i, many(i)} end return t',
  ],
  ['a yield to nobody', 'work() coroutine.yield(3)'],
  [
    'coroutines',
    'local co = coroutine.wrap(function() for i = 1, 100 do work(500) coroutine.yield(i) end end) ' +
      'local s = 0 for i = 1, 90 do s = s + co() work(300) end return s',
  ],
  [
    'metamethods',
    'local t = setmetatable({}, {__index = function(t, k) work(500) return k end, __add = function(a, b) work(500) return 1 end}) ' +
      'local s = 0 for i = 1, 300 do s = s + t[i] + (t + t) work(300) end return s',
  ],
  [
    'iterators',
    'local function count() local i = 0 return function() work(300) i = i + 1 if i < 300 then return i end end end ' +
      'local s = 0 for x in count() do work(300) s = s + x end return s',
  ],
  [
    'functions that C calls',
    'local r = {} for i = 1, 50 do r[i] = string.gsub("abc", ".", function(c) work(300) return c .. c end) work(700) end ' +
      'table.sort(r, function(a, b) work(100) return a < b end) return r',
  ],
  ['recursion without end', 'local function f() return 1 + f() end return f()'],
  [
    'memory without end, caught',
    "local ok, e = pcall(function() local t = {} while true do t[#t + 1] = ('x'):rep(10000) .. #t end end) return e",
  ],
];

describe('a script that is taken out', () => {
  it.each(SCRIPTS)('again and again does the same: %s', (_, script) => {
    const whole = new Runner(Infinity).run(WORK + script);
    let takenOut = 0;
    for (const every of [1, 2, 7]) {
      const runner = new Runner(every);
      expect(runner.run(WORK + script)).toBe(whole);
      takenOut += runner.takenOut;
      for (const place of runner.places) expect(place).toMatch(/^user_script:\d$/);
    }
    expect(takenOut).toBeGreaterThan(0);
  });
});
