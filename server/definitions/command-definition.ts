/**
 * One definition per command. COMMAND, its documentation, arity checks, access categories, docs/commands.md and the tests of
 * all definitions come from it. `C` is what a handler is called with; what only describes commands leaves it open.
 */
import type { TimeHistogram } from '../monitoring/time-histogram.ts';

/** Redis's command flags; those that say how the dispatcher treats the command are marked. */
export type CommandFlag =
  | 'write' // changes keys: refused while the stores cannot take writes
  | 'readonly'
  | 'denyoom' // refused at maxmemory
  | 'admin'
  | 'pubsub'
  | 'noscript' // refused inside scripts
  | 'blocking'
  | 'loading' // allowed while the data set is loading
  | 'stale'
  | 'skip_monitor'
  | 'skip_slowlog'
  | 'asking'
  | 'fast'
  | 'no_auth' // allowed before AUTH
  | 'may_replicate' // not a write, and put off with writes by CLIENT PAUSE
  | 'no_multi' // refused inside MULTI
  | 'no_async_loading'
  | 'movablekeys'
  | 'no_mandatory_keys'
  | 'allow_busy'; // allowed while a script is over its limit

export type CommandGroup =
  | 'generic'
  | 'string'
  | 'bitmap'
  | 'hash'
  | 'set'
  | 'sorted-set'
  | 'list'
  | 'stream'
  | 'hyperloglog'
  | 'geo'
  | 'pubsub'
  | 'transactions'
  | 'scripting'
  | 'connection'
  | 'server'
  | 'mantis';

/** Where a command's keys are. `last` negative counts from the end; `step` 0 is never used. */
export type KeySpec =
  | { kind: 'range'; first: number; last: number; step: number; flags: readonly KeyFlag[] }
  /** The argument at `count` says how many keys follow from `first` on. */
  | { kind: 'numkeys'; count: number; first: number; flags: readonly KeyFlag[] }
  /** Keys follow a keyword, as in `STORE destination`; searched from `from` on. */
  | {
      kind: 'keyword';
      keyword: string;
      from: number;
      last: number;
      step: number;
      /** The command's other options, with how many arguments each takes: those are never taken for the keyword. */
      options?: Readonly<Record<string, number>>;
      /** With `last` -1: of what follows the keyword only one part in so many are keys; XREAD's ids follow them. */
      limit?: number;
      flags: readonly KeyFlag[];
    }
  /** SORT's: Redis tells no rule for them. The last key after `keyword` is one; without it they are patterns, not keys. */
  | { kind: 'unknown'; keyword: string | null; flags: readonly KeyFlag[] };

export type KeyFlag =
  'RO' | 'RW' | 'OW' | 'RM' | 'access' | 'update' | 'insert' | 'delete' | 'not_key' | 'incomplete' | 'variable_flags';

export interface DefinitionOf<C> {
  /** Lower case. A subcommand's own name, without its container's. */
  name: string;
  summary: string;
  since: string;
  group: CommandGroup;
  complexity?: string | undefined;
  /** As Redis counts it: the command's name included, negative for "at least". */
  arity: number;
  flags: readonly CommandFlag[];
  /** Access categories beyond those that flags and group imply (`@write`, `@read`, `@string` …): `dangerous`, `keyspace`, … */
  categories?: readonly string[] | undefined;
  /** The range of keys in the common case `[first, last, step]`, with the flags of each key. */
  keys?: readonly KeySpec[] | undefined;
  /** Which arguments are channels that the user has to be allowed: the first, all as names, or all as patterns. */
  channels?: 'first' | 'names' | 'patterns' | undefined;
  /**
   * The argument grammar, without the name, in the notation of Redis's documentation:
   * `key value [NX|XX] [GET] [EX seconds|PX milliseconds|KEEPTTL]`, `key [key ...]`. docs and COMMAND DOCS show it.
   */
  syntax: string;
  /** For write commands: what happens when several nodes do it at once. docs/commands.md and COMMAND DOCS show it. */
  merge?: string | undefined;
  /** For containers; then `run` is called only for a missing or unknown subcommand and may be left out. */
  subcommands?: readonly DefinitionOf<C>[] | undefined;
  run?(call: C): void;
  /** Of a command that `may_replicate`: whether this call of it is known not to. */
  writesNothing?(call: C): boolean;
}

/** A definition in the table: what is derived from it once. */
export interface CommandOf<C> extends DefinitionOf<C> {
  /** Counted from 0 within the table. */
  id: number;
  /** `get`, or `config|get` for a subcommand. */
  fullName: string;
  nameBytes: Buffer;
  subcommandTable: ReadonlyMap<string, CommandOf<C>>;
  parent: CommandOf<C> | null;
  isWrite: boolean;
  mayReplicate: boolean;
  deniesOom: boolean;
  /** With so many arguments, its name included, its cost may grow with something, so that each call is timed. */
  timedFromArguments: number;
  /** For INFO commandstats. */
  calls: number;
  /** Of these, those that are timed by samples only. */
  untimedCalls: number;
  microseconds: number;
  /** For LATENCY HISTOGRAM; null before the first call that was timed. */
  times: TimeHistogram | null;
  rejected: number;
  failed: number;
}
