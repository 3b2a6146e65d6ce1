/**
 * One set of permissions of a user: which commands, which keys and for what, which channels. A user has one of its own and one for
 * each `( … )` of its rules; what one of them allows is allowed. Text is latin1 of the bytes.
 */
import { GlobPattern } from '../../protocol/glob.ts';
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import type { CommandOf } from '../definitions/command-definition.ts';

type Command = CommandOf<never>;

/** What a pattern of keys allows, and what a command does with a key: bits. */
export const READ = 1;
export const WRITE = 2;

interface Pattern {
  readonly text: string;
  readonly glob: GlobPattern;
}

export interface KeyRule extends Pattern {
  /** READ, WRITE or both. */
  access: number;
}

function compilePattern(text: string): Pattern {
  const bytes = Buffer.from(text, 'latin1');
  return { text, glob: new GlobPattern(bytes, 0, bytes.length) };
}

function lowerArgument(args: ArgumentSource, index: number): string {
  const start = args.starts[index];
  return args.buffer.toString('latin1', start, start + args.lengths[index]).toLowerCase();
}

export class Selector {
  /** Every command, also those that are not there yet, and nothing was taken away since. */
  allCommands = false;
  /** What holds for a command that no rule knows: the last `+@all` or `-@all`. */
  startsFromAll = false;
  /** Everything said about commands since then, in order, in lower case: `-get`, `+@read`. */
  commandRules: string[] = [];
  allKeys = false;
  keys: KeyRule[] = [];
  allChannels = false;
  channels: Pattern[] = [];
  /** By the command's number: 1 when it is allowed. */
  #allowed: Uint8Array;
  /** Of commands that are not: first arguments with which they are, in lower case. */
  #firstArguments = new Map<number, Set<string>>();

  constructor(commandCount: number) {
    this.#allowed = new Uint8Array(commandCount);
  }

  copy(): Selector {
    const copied = new Selector(0);
    copied.allCommands = this.allCommands;
    copied.startsFromAll = this.startsFromAll;
    copied.commandRules = [...this.commandRules];
    copied.allKeys = this.allKeys;
    copied.keys = this.keys.map((rule) => ({ ...rule }));
    copied.allChannels = this.allChannels;
    copied.channels = [...this.channels];
    copied.#allowed = this.#allowed.slice();
    copied.#firstArguments = new Map([...this.#firstArguments].map(([id, allowed]) => [id, new Set(allowed)]));
    return copied;
  }

  // ---- changing ----

  setAllCommands(allowed: boolean): void {
    this.allCommands = allowed;
    this.startsFromAll = allowed;
    this.commandRules = [];
    this.#allowed.fill(allowed ? 1 : 0);
    this.#firstArguments.clear();
  }

  /** A command with its subcommands. */
  setCommand(command: Command, allowed: boolean): void {
    if (!allowed) this.allCommands = false;
    this.#allowed[command.id] = allowed ? 1 : 0;
    this.#firstArguments.delete(command.id);
    for (const subcommand of command.subcommandTable.values()) this.setCommand(subcommand, allowed);
  }

  allowFirstArgument(command: Command, argument: string): void {
    const allowed = this.#firstArguments.get(command.id) ?? new Set();
    this.#firstArguments.set(command.id, allowed.add(argument.toLowerCase()));
  }

  /** Keeps the rule for those who ask, in the place of what it makes void: `+config` does so to `-config|set`. */
  noteCommandRule(rule: string): void {
    const lower = rule.toLowerCase();
    const what = lower.slice(1);
    this.commandRules = this.commandRules.filter((kept) => {
      const known = kept.slice(1);
      return known !== what && !known.startsWith(`${what}|`);
    });
    this.commandRules.push(lower);
  }

  addKeys(text: string, access: number): void {
    const known = this.keys.find((rule) => rule.text === text);
    if (known === undefined) this.keys.push({ ...compilePattern(text), access });
    else known.access |= access;
  }

  addChannels(text: string): void {
    if (!this.channels.some((rule) => rule.text === text)) this.channels.push(compilePattern(text));
  }

  // ---- asking ----

  mayRun(command: Command, args: ArgumentSource): boolean {
    if (this.allCommands || this.#allowed[command.id] === 1) return true;
    const allowed = this.#firstArguments.get(command.id);
    return allowed !== undefined && args.argc > 1 && allowed.has(lowerArgument(args, 1));
  }

  /** @param access READ and WRITE as the command does them; 0 for one that only looks whether the key is there */
  mayUseKey(buffer: Uint8Array, start: number, length: number, access: number): boolean {
    if (this.allKeys) return true;
    return this.keys.some((rule) => (rule.access & access) === access && rule.glob.matches(buffer, start, length));
  }

  /** @param isPattern of PSUBSCRIBE: only a pattern that is allowed as such may be listened to */
  mayUseChannel(buffer: Uint8Array, start: number, length: number, isPattern: boolean): boolean {
    if (this.allChannels) return true;
    if (!isPattern) return this.channels.some(({ glob }) => glob.matches(buffer, start, length));
    const given = Buffer.from(buffer.buffer, buffer.byteOffset + start, length).toString('latin1');
    return this.channels.some(({ text }) => text === given);
  }

  /** Whether it allows this with every key there may be. */
  hasAllKeys(access: number): boolean {
    return this.allKeys || this.keys.some((rule) => rule.text === '*' && (rule.access & access) === access);
  }

  get isUnrestricted(): boolean {
    return this.allCommands && this.allKeys && this.allChannels;
  }

  // ---- showing ----

  get commandsText(): string {
    return [this.startsFromAll ? '+@all' : '-@all', ...this.commandRules].join(' ');
  }

  get keysText(): string {
    if (this.allKeys) return '~*';
    return this.keys.map(({ text, access }) => `${PREFIXES[access]}${text}`).join(' ');
  }

  get channelsText(): string {
    return this.allChannels ? '&*' : this.channels.map(({ text }) => `&${text}`).join(' ');
  }

  /** Rules that make the same of nothing. */
  get text(): string {
    const channels = this.allChannels ? '&*' : `resetchannels ${this.channelsText}`.trimEnd();
    return [this.keysText, channels, this.commandsText].filter((part) => part !== '').join(' ');
  }
}

/** By the bits of access. */
const PREFIXES = ['', '%R~', '%W~', '~'] as const;
