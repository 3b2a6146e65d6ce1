/** All commands by name, found from the request's bytes without making a string. */
import type { CommandOf, DefinitionOf } from './command-definition.ts';
import type { TimeHistogram } from '../monitoring/time-histogram.ts';

type Command = CommandOf<never>;
type CommandDefinition = DefinitionOf<never>;

const SLOTS = 4096;

function hashName(buffer: Uint8Array, start: number, length: number): number {
  let hash = length;
  for (const end = start + length; start < end; start++) hash = Math.imul(hash ^ (buffer[start] | 0x20), 0x01000193);
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}

/** A fast command without anything optional, as LPUSH of one element, does little. */
function timedFrom({ complexity, flags, arity }: CommandDefinition): number {
  if ((complexity ?? '').startsWith('O(1)')) return Infinity;
  return flags.includes('fast') ? Math.abs(arity) + 1 : 0;
}

/** Of one class, also where definitions leave different things out: code that meets objects of many shapes is slow. */
class DefinedCommand implements Command {
  readonly id: number;
  readonly name: string;
  readonly fullName: string;
  readonly nameBytes: Buffer;
  readonly arity: number;
  readonly run: NonNullable<Command['run']>;
  readonly subcommandTable: ReadonlyMap<string, Command>;
  readonly parent: Command | null;
  readonly flags: Command['flags'];
  readonly isWrite: boolean;
  readonly mayReplicate: boolean;
  readonly writesNothing: NonNullable<Command['writesNothing']>;
  readonly deniesOom: boolean;
  readonly timedFromArguments: number;
  calls = 0;
  untimedCalls = 0;
  microseconds = 0;
  times: TimeHistogram | null = null;
  rejected = 0;
  failed = 0;
  readonly summary: string;
  readonly since: string;
  readonly group: Command['group'];
  readonly complexity: Command['complexity'];
  readonly categories: Command['categories'];
  readonly keys: Command['keys'];
  readonly channels: Command['channels'];
  readonly syntax: string;
  readonly merge: Command['merge'];
  readonly subcommands: Command['subcommands'];

  constructor(
    id: number,
    definition: CommandDefinition,
    parent: Command | null,
    subcommandTable: ReadonlyMap<string, Command>,
  ) {
    this.id = id;
    this.name = definition.name;
    this.fullName = parent === null ? definition.name : `${parent.name}|${definition.name}`;
    this.nameBytes = Buffer.from(definition.name);
    this.arity = definition.arity;
    this.run = definition.run!;
    this.subcommandTable = subcommandTable;
    this.parent = parent;
    this.flags = definition.flags;
    this.isWrite = definition.flags.includes('write');
    this.mayReplicate = definition.flags.includes('may_replicate');
    this.writesNothing = definition.writesNothing ?? (() => false);
    this.deniesOom = definition.flags.includes('denyoom');
    this.timedFromArguments = timedFrom(definition);
    this.summary = definition.summary;
    this.since = definition.since;
    this.group = definition.group;
    this.complexity = definition.complexity;
    this.categories = definition.categories;
    this.keys = definition.keys;
    this.channels = definition.channels;
    this.syntax = definition.syntax;
    this.merge = definition.merge;
    this.subcommands = definition.subcommands;
  }
}

export class CommandTable {
  /** By lower-case name. */
  readonly byName = new Map<string, Command>();
  /** With subcommands, each behind its container; a command's place is its id. */
  readonly all: Command[] = [];
  readonly #slots: (Command | undefined)[] = new Array<Command | undefined>(SLOTS).fill(undefined);

  constructor(definitions: readonly CommandDefinition[]) {
    for (const definition of definitions) this.add(definition);
  }

  add(definition: CommandDefinition): void {
    if (this.byName.has(definition.name)) throw new Error(`command ${definition.name} is defined twice`);
    const command = this.#build(definition, null);
    this.byName.set(command.name, command);
    let slot = hashName(command.nameBytes, 0, command.nameBytes.length);
    while (this.#slots[slot] !== undefined) slot = (slot + 1) & (SLOTS - 1);
    this.#slots[slot] = command;
  }

  #build(definition: CommandDefinition, parent: Command | null): Command {
    const subcommandTable = new Map<string, Command>();
    const command = new DefinedCommand(this.all.length, definition, parent, subcommandTable);
    this.all.push(command);
    for (const subcommand of definition.subcommands ?? []) {
      subcommandTable.set(subcommand.name, this.#build(subcommand, command));
    }
    return command;
  }

  /** The command or subcommand of this full name, in lower case. */
  named(fullName: string): Command | undefined {
    const bar = fullName.indexOf('|');
    if (bar < 0) return this.byName.get(fullName);
    return this.byName.get(fullName.slice(0, bar))?.subcommandTable.get(fullName.slice(bar + 1));
  }

  /** The command that these bytes name, in any letter case. */
  find(buffer: Uint8Array, start: number, length: number): Command | undefined {
    let slot = hashName(buffer, start, length);
    for (;;) {
      const command = this.#slots[slot];
      if (command === undefined || nameEquals(command.nameBytes, buffer, start, length)) return command;
      slot = (slot + 1) & (SLOTS - 1);
    }
  }
}

function nameEquals(name: Buffer, buffer: Uint8Array, start: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let at = 0; at < length; at++) {
    let byte = buffer[start + at];
    if (byte >= 65 && byte <= 90) byte |= 0x20;
    if (name[at] !== byte) return false;
  }
  return true;
}
