/** All that a node shows, read with commands, the way a client would. */
import { encodeCommand, readReplies, type Reply } from './simulated-client.ts';
import type { Shown } from './promises.ts';

const fieldsLapse = /^(ef:|passing$)/;

/** Runs one command and gives its reply's bytes. */
export type Ask = (command: string) => Buffer;

export class Content implements Shown {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  ask(...args: string[]): Reply {
    return readReplies(this.#ask(encodeCommand(args)))[0];
  }

  #list(...args: string[]): string[] {
    const reply = this.ask(...args);
    return Array.isArray(reply) ? (reply as string[]) : [];
  }

  get(key: string): string | null {
    return this.ask('GET', key) as string | null;
  }

  fields(key: string): Map<string, string> {
    const flat = this.#list('HGETALL', key);
    return new Map(flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]] as [string, string]] : [])));
  }

  members(key: string): Set<string> {
    return new Set(this.#list('SMEMBERS', key));
  }

  elements(key: string): string[] {
    return this.ask('TYPE', key) === 'list'
      ? this.#list('LRANGE', key, '0', '-1')
      : this.#list('ZRANGE', key, '0', '-1');
  }

  scores(key: string): Map<string, string> {
    const flat = this.#list('ZRANGE', key, '0', '-1', 'WITHSCORES');
    return new Map(flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1]] as [string, string]] : [])));
  }

  count(keys: readonly string[]): number {
    return this.ask('PFCOUNT', ...keys) as number;
  }

  entries(key: string): string[] {
    const entries = this.ask('XRANGE', key, '-', '+') as [string, string[]][];
    return entries.map(([, pairs]) => pairs[1]);
  }

  /** One line for each key of both databases: its type, its deadline and its value. */
  lines(): string[] {
    const lines: string[] = [];
    for (const database of ['0', '1']) {
      this.ask('SELECT', database);
      for (const key of this.#list('KEYS', '*')) {
        const type = this.ask('TYPE', key) as string;
        const value = JSON.stringify(this.#valueOf(type, key));
        lines.push(`${database}/${key} ${type} ${String(this.ask('PEXPIRETIME', key))} ${value}`);
      }
    }
    this.ask('SELECT', '0');
    return lines.sort();
  }

  /** With its own deadline, where fields are given some. */
  #fieldOf(key: string, field: string, value: string): unknown[] {
    if (!fieldsLapse.test(key)) return [field, value];
    return [field, value, ...(this.ask('HPEXPIRETIME', key, 'FIELDS', '1', field) as Reply[])];
  }

  #valueOf(type: string, key: string): unknown {
    switch (type) {
      case 'string':
        return withoutCachedCount(this.get(key));
      case 'hash':
        return [...this.fields(key)].sort().map(([field, value]) => this.#fieldOf(key, field, value));
      case 'set':
        return [...this.members(key)].sort();
      case 'zset':
        return this.#list('ZRANGE', key, '0', '-1', 'WITHSCORES');
      case 'list':
        return this.elements(key);
      default:
        return this.ask('XRANGE', key, '-', '+');
    }
  }
}

/** A HyperLogLog keeps what it was last counted as, which is no part of what it holds. */
function withoutCachedCount(text: string | null): string | null {
  return text?.startsWith('HYLL') === true ? text.slice(0, 8) + text.slice(16) : text;
}

/** The first lines in which two contents differ. */
export function differenceOf(a: readonly string[], b: readonly string[]): string {
  const inA = new Set(a);
  const inB = new Set(b);
  const only = (lines: readonly string[], others: Set<string>): string[] => lines.filter((line) => !others.has(line));
  const show = (mark: string, lines: string[]): string[] =>
    lines.slice(0, 6).map((line) => `  ${mark} ${line.slice(0, 300)}`);
  return [...show('-', only(a, inB)), ...show('+', only(b, inA))].join('\n');
}
