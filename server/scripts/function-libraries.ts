/** Libraries of functions, loaded by FUNCTION LOAD: they are this node's own, and live as long as its process. */
import { CommandError } from '../definitions/command-error.ts';
import { TOPIC } from './lua-prelude.ts';
import type { Order, Problem, RunRules } from './script-order.ts';
import { parseFlags, type ScriptFlags, shebangOf } from './shebang.ts';

/** Code of all libraries together; Redis knows no bound. */
const CODE_BYTES_MAX = 8 << 20;
const OVERHEAD_BYTES = 200;
/** Ends the first line, in place of what that line says: the table `redis` of a library can also register functions. */
const PREFIX = Buffer.from('local redis = ... local server = redis');
const NOTHING = Buffer.alloc(0);
const NAME = /^\w+$/;
const BAD_NAME =
  'ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long';

export interface LibraryFunction {
  readonly name: string;
  description: string | null;
  readonly flagNames: string[];
  flags: ScriptFlags;
}

export interface Library {
  readonly name: string;
  /** As it was given. */
  readonly code: Buffer;
  readonly functions: readonly LibraryFunction[];
}

interface Loaded extends Library {
  /** Lua knows the library by it. */
  readonly number: number;
}

/** What loads libraries: see the prelude. */
interface LibraryHost {
  /** Another one when Lua has begun anew. */
  readonly machine: object;
  /** Told of the functions of a library while it is loaded. */
  onFunction: ((topic: number, text: string) => void) | null;
  /** @returns what was wrong, or null */
  perform(order: string, argument: Buffer): Problem | null;
}

interface Header {
  readonly name: string;
  /** What Lua compiles. */
  readonly code: Buffer;
}

/** Reads `#!lua name=mylib`. @throws CommandError */
function readHeader(code: Buffer): Header {
  const shebang = shebangOf(code, 'ERR Invalid library metadata');
  if (shebang === null) throw new CommandError('ERR Missing library metadata');
  const engine = shebang.engine.slice(2);
  let name: string | null = null;
  for (const word of shebang.words) {
    if (!word.toLowerCase().startsWith('name=')) throw new CommandError(`ERR Invalid metadata value given: ${word}`);
    if (name !== null) {
      throw new CommandError('ERR Invalid metadata value, name argument was given multiple times');
    }
    name = word.slice('name='.length).replace(/^"(.*)"$/, '$1');
  }
  if (name === null) throw new CommandError('ERR Library name was not given');
  if (!NAME.test(name)) throw new CommandError(BAD_NAME);
  if (engine.toLowerCase() !== 'lua') throw new CommandError(`ERR Engine '${engine}' not found`);
  return { name, code: Buffer.concat([PREFIX, code.subarray(shebang.length)]) };
}

export class FunctionLibraries {
  readonly #scripting: LibraryHost;
  #libraries = new Map<string, Loaded>();
  #functions = new Map<string, { library: Loaded; entry: LibraryFunction }>();
  #instance: unknown = null;
  #lastNumber = 0;
  bytes = 0;

  constructor(scripting: LibraryHost) {
    this.#scripting = scripting;
  }

  get libraries(): readonly Library[] {
    return [...this.#libraries.values()];
  }

  get functionCount(): number {
    return this.#functions.size;
  }

  /** @returns the library's name @throws CommandError when it is refused; what was there stays then */
  load(code: Buffer, replace: boolean): string {
    const header = readHeader(code);
    const old = this.#libraries.get(header.name);
    if (old !== undefined && !replace) throw new CommandError(`ERR Library '${header.name}' already exists`);
    const bytes = this.bytes + sizeOf(code) - (old === undefined ? 0 : sizeOf(old.code));
    if (bytes > CODE_BYTES_MAX) {
      throw new CommandError(`ERR the code of all libraries may have ${CODE_BYTES_MAX} bytes; delete one first`);
    }
    this.#prepare();
    const library = this.#run(header, Buffer.from(code));
    try {
      this.#checkNames(library, old);
    } catch (error) {
      this.#forget(library);
      throw error;
    }
    if (old !== undefined) this.delete(old.name);
    this.#libraries.set(library.name, library);
    for (const entry of library.functions) this.#functions.set(entry.name.toLowerCase(), { library, entry });
    this.bytes = bytes;
    return library.name;
  }

  /** Has Lua run the library's code, which registers its functions. @throws CommandError */
  #run(header: Header, code: Buffer): Loaded {
    const functions: LibraryFunction[] = [];
    const number = ++this.#lastNumber;
    const problem = this.#register(number, header.code, functions);
    if (problem !== null) {
      const what = problem.compiling ? 'compiling function' : 'registering functions';
      throw new CommandError(`ERR Error ${what}: ${problem.message}`);
    }
    if (functions.length === 0) throw new CommandError('ERR No functions registered');
    for (const entry of functions) {
      const flags = parseFlags(entry.flagNames);
      if (flags === null) throw new CommandError('ERR Error registering functions: ERR unknown flag given');
      entry.flags = flags;
    }
    return { name: header.name, code, functions, number };
  }

  #register(number: number, code: Buffer, functions: LibraryFunction[]): Problem | null {
    this.#scripting.onFunction = (topic, text) => {
      if (topic === TOPIC.functionName) {
        functions.push({ name: text, description: null, flagNames: [], flags: { noWrites: false, allowOom: false } });
        return;
      }
      const last = functions.at(-1)!;
      if (topic === TOPIC.functionDescription) last.description = text;
      else last.flagNames.push(text);
    };
    try {
      return this.#scripting.perform(`l${number}`, code);
    } finally {
      this.#scripting.onFunction = null;
    }
  }

  /** @throws CommandError */
  #checkNames(library: Loaded, old: Loaded | undefined): void {
    for (const { name } of library.functions) {
      const owner = this.#functions.get(name.toLowerCase())?.library;
      if (owner !== undefined && owner !== old) throw new CommandError(`ERR Function ${name} already exists`);
    }
  }

  /** When Lua has begun anew, so do the libraries. */
  #prepare(): void {
    const instance = this.#scripting.machine;
    if (this.#instance === instance) return;
    this.#instance = instance;
    for (const { number, code } of this.#libraries.values()) this.#register(number, readHeader(code).code, []);
  }

  #forget(library: Loaded): void {
    this.#scripting.perform(`u${library.number}`, NOTHING);
  }

  /** Whether there was one. */
  delete(name: string): boolean {
    const library = this.#libraries.get(name);
    if (library === undefined) return false;
    this.#libraries.delete(name);
    this.bytes -= sizeOf(library.code);
    for (const { name: functionName } of library.functions) this.#functions.delete(functionName.toLowerCase());
    this.#forget(library);
    return true;
  }

  clear(): void {
    for (const { name } of this.libraries) this.delete(name);
  }

  /**
   * Adds all of these libraries, or none.
   * @throws CommandError
   */
  restore(codes: readonly Buffer[], policy: 'append' | 'replace' | 'flush'): void {
    const before = this.libraries.map(({ code }) => code);
    try {
      if (policy === 'flush') this.clear();
      for (const code of codes) {
        const { name } = readHeader(code);
        // In the words of Redis, which are others than FUNCTION LOAD's.
        if (policy !== 'replace' && this.#libraries.has(name))
          throw new CommandError(`ERR Library ${name} already exists`);
        this.load(code, true);
      }
    } catch (error) {
      this.clear();
      for (const code of before) this.load(code, false);
      throw error;
    }
  }

  /** The function of this name, in any letter case. */
  find(name: string): LibraryFunction | undefined {
    return this.#functions.get(name.toLowerCase())?.entry;
  }

  /** What to run for a function that `find` found. */
  orderFor({ name }: LibraryFunction, rules: RunRules): Order {
    this.#prepare();
    return { text: `f${this.#functions.get(name.toLowerCase())!.library.number}.${name}`, name, rules };
  }
}

function sizeOf(code: Buffer): number {
  return code.length + OVERHEAD_BYTES;
}
