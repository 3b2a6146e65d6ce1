/** Which scripts Lua holds compiled. It has 64 MiB for everything, so that only those used last stay. */
import type { Script } from './script-cache.ts';
import type { Problem } from './script-order.ts';

/** What has scripts compiled and forgotten: see the prelude. */
interface Compiler {
  /** @returns what was wrong, or null */
  perform(order: string, argument: Buffer): Problem | null;
}

/** Text of what is compiled; compiled, it takes some five times as much. */
const SOURCE_BYTES_MAX = 2 << 20;
const NOTHING = Buffer.alloc(0);

export class CompiledScripts {
  readonly #compiler: Compiler;
  readonly #orders = new Map<Script, string>();
  #bytes = 0;
  #lastNumber = 0;

  constructor(compiler: Compiler) {
    this.#compiler = compiler;
  }

  /** Lua's number of this script, as an order to run it; null when it is not compiled. */
  orderOf(script: Script): string | null {
    const order = this.#orders.get(script);
    if (order === undefined) return null;
    if (this.#bytes > SOURCE_BYTES_MAX / 2) {
      this.#orders.delete(script);
      this.#orders.set(script, order);
    }
    return order;
  }

  /** @returns why Lua does not take it, or null */
  compile(script: Script): string | null {
    const number = ++this.#lastNumber;
    const problem = this.#compiler.perform(`c${number}`, script.code);
    if (problem !== null) return problem.message;
    this.#orders.set(script, `s${number}`);
    this.#bytes += script.bytes;
    for (const [oldest, order] of this.#orders) {
      if (this.#bytes <= SOURCE_BYTES_MAX || oldest === script) break;
      this.#orders.delete(oldest);
      this.#bytes -= oldest.bytes;
      this.#compiler.perform(`d${order.slice(1)}`, NOTHING);
    }
    return null;
  }

  /** Has Lua forget them all. */
  clear(): void {
    for (const order of this.#orders.values()) this.#compiler.perform(`d${order.slice(1)}`, NOTHING);
    this.forget();
  }

  /** Lua has begun anew. */
  forget(): void {
    this.#orders.clear();
    this.#bytes = 0;
  }
}
