/** Which arguments of a request are keys: for COMMAND GETKEYS, and for whatever has to know before a command runs. */
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import { parseSafeInteger } from '../../protocol/integer.ts';
import type { CommandFlag, DefinitionOf, KeyFlag, KeySpec } from './command-definition.ts';

export interface KeyArgument {
  /** Index of the argument; 0 is the command's name. */
  readonly index: number;
  readonly flags: readonly KeyFlag[];
}

/** The arguments do not fit the command's way of naming keys: a count of keys that is no number, or more than there are. */
export class KeyCountError extends Error {}

function upperArgument(args: ArgumentSource, index: number): string {
  const start = args.starts[index];
  return args.buffer.toString('latin1', start, start + args.lengths[index]).toUpperCase();
}

function isKeyword(args: ArgumentSource, index: number, keyword: string): boolean {
  return upperArgument(args, index) === keyword.toUpperCase();
}

function addRange(
  found: KeyArgument[],
  argc: number,
  first: number,
  last: number,
  step: number,
  flags: readonly KeyFlag[],
): void {
  const end = Math.min(last < 0 ? argc + last : last, argc - 1);
  for (let index = first; index <= end; index += step) found.push({ index, flags });
}

function addCounted(found: KeyArgument[], args: ArgumentSource, spec: KeySpec & { kind: 'numkeys' }): void {
  if (spec.count >= args.argc) throw new KeyCountError();
  const count = parseSafeInteger(args.buffer, args.starts[spec.count], args.lengths[spec.count]);
  if (!(count >= 0) || spec.first + count > args.argc) throw new KeyCountError();
  addRange(found, args.argc, spec.first, spec.first + count - 1, 1, spec.flags);
}

function addAfterKeyword(found: KeyArgument[], args: ArgumentSource, spec: KeySpec & { kind: 'keyword' }): void {
  const { argc } = args;
  const backwards = spec.from < 0;
  const start = spec.options !== undefined ? 1 : backwards ? argc + spec.from : spec.from;
  for (let index = start; index > 0 && index < argc - 1; index += backwards ? -1 : 1) {
    if (!isKeyword(args, index, spec.keyword)) {
      index += spec.options?.[upperArgument(args, index)] ?? 0;
      continue;
    }
    const first = index + 1;
    const limited = spec.limit === undefined ? spec.last : first + Math.floor((argc - first) / spec.limit) - 1;
    const last = spec.last < 0 ? limited : first + spec.last;
    addRange(found, argc, first, last, spec.step, spec.flags);
    // A keyword with one key may come again: which of them counts is the command's affair.
    if (spec.last !== 0) return;
  }
}

/** SORT's options that take arguments. Its last STORE counts. */
const SORT_OPTIONS: Readonly<Record<string, number>> = { BY: 1, GET: 1, LIMIT: 2 };

function addSortDestination(
  found: KeyArgument[],
  args: ArgumentSource,
  keyword: string,
  flags: readonly KeyFlag[],
): void {
  let destination = 0;
  for (let index = 2; index < args.argc - 1; index++) {
    if (isKeyword(args, index, keyword)) destination = ++index;
    else index += SORT_OPTIONS[upperArgument(args, index)] ?? 0;
  }
  if (destination > 0) found.push({ index: destination, flags });
}

/** MIGRATE's options that take arguments: a password is never taken for KEYS. */
const MIGRATE_OPTIONS: Readonly<Record<string, number>> = { AUTH: 1, AUTH2: 2 };

/** MIGRATE's: all that follow KEYS, or else the one in its own place. */
function addMigrated(found: KeyArgument[], args: ArgumentSource, [{ flags }]: readonly KeySpec[]): void {
  for (let index = 6; index < args.argc - 1; index++) {
    if (isKeyword(args, index, 'KEYS')) {
      if (args.lengths[3] > 0) throw new KeyCountError();
      addRange(found, args.argc, index + 1, -1, 1, flags);
      return;
    }
    index += MIGRATE_OPTIONS[upperArgument(args, index)] ?? 0;
  }
  found.push({ index: 3, flags });
}

/** The flags of keys that depend on the other arguments: those of SET and BITFIELD. */
function flagsIn(command: string, args: ArgumentSource, flags: readonly KeyFlag[]): readonly KeyFlag[] {
  if (!flags.includes('variable_flags')) return flags;
  const has = (keyword: string, from: number): boolean => {
    for (let index = from; index < args.argc; index++) if (isKeyword(args, index, keyword)) return true;
    return false;
  };
  if (command === 'set') return has('GET', 3) ? ['RW', 'access', 'update'] : ['OW', 'update'];
  return has('SET', 2) || has('INCRBY', 2) ? ['RW', 'access', 'update'] : ['RO', 'access'];
}

/**
 * The keys that a request names, in the order of the command's key specifications.
 * @throws KeyCountError when the arguments contradict themselves
 */
export function keysOf(definition: DefinitionOf<never>, args: ArgumentSource): KeyArgument[] {
  const found: KeyArgument[] = [];
  if (definition.name === 'migrate') {
    addMigrated(found, args, definition.keys!);
    return found;
  }
  for (const spec of definition.keys ?? []) {
    if (spec.flags.includes('not_key')) continue;
    if (spec.kind === 'range')
      addRange(found, args.argc, spec.first, spec.last, spec.step, flagsIn(definition.name, args, spec.flags));
    else if (spec.kind === 'numkeys') addCounted(found, args, spec);
    else if (spec.kind === 'keyword') addAfterKeyword(found, args, spec);
    else if (spec.keyword !== null) addSortDestination(found, args, spec.keyword, spec.flags);
  }
  return found;
}

/** First key, last key and step, as COMMAND INFO has shown them since before there were key specifications. */
export interface LegacyRange {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  /** Some keys are outside the range, or need the arguments to be found. */
  readonly isMovable: boolean;
}

const NO_KEYS: LegacyRange = { first: 0, last: 0, step: 0, isMovable: false };

/** The one range that stands for a command's key specifications: consecutive plain ranges become one, the rest is left out. */
export function legacyRangeOf(definition: DefinitionOf<never>): LegacyRange {
  const specs = definition.keys ?? [];
  const [only] = specs;
  if (only === undefined) return NO_KEYS;
  const isIncomplete = specs.some((spec) => spec.flags.includes('incomplete'));
  if (specs.length === 1 && only.kind === 'range') {
    return { first: only.first, last: only.last, step: only.step, isMovable: isIncomplete };
  }
  let first = 0;
  let last = 0;
  let isMovable = isIncomplete;
  for (const spec of specs) {
    const isConsecutive = first === 0 || (spec.kind === 'range' && last === spec.first - 1);
    if (spec.kind !== 'range' || spec.step !== 1 || !isConsecutive) {
      isMovable = true;
      continue;
    }
    if (first === 0) first = spec.first;
    last = spec.last;
  }
  return first === 0 ? { ...NO_KEYS, isMovable } : { first, last, step: 1, isMovable };
}

/** In the order in which COMMAND INFO lists them; `may_replicate` it does not. */
const FLAG_ORDER: readonly CommandFlag[] = [
  'write',
  'readonly',
  'denyoom',
  'admin',
  'pubsub',
  'noscript',
  'blocking',
  'loading',
  'stale',
  'skip_monitor',
  'skip_slowlog',
  'asking',
  'fast',
  'no_auth',
  'no_mandatory_keys',
  'no_async_loading',
  'no_multi',
  'movablekeys',
  'allow_busy',
];

/** The flags that COMMAND INFO shows. */
export function shownFlags(definition: DefinitionOf<never>): readonly CommandFlag[] {
  const { isMovable } = legacyRangeOf(definition);
  return FLAG_ORDER.filter((flag) => definition.flags.includes(flag) || (isMovable && flag === 'movablekeys'));
}
