/** The first line of a script or a library, `#!lua name=mylib flags=no-writes,allow-oom`: what it is and may do. */
import { CommandError } from '../definitions/command-error.ts';

export interface ScriptFlags {
  readonly noWrites: boolean;
  readonly allowOom: boolean;
}

/** `allow-stale`, `no-cluster` and `allow-cross-slot-keys` ask for nothing here: no node is a replica or part of such a cluster. */
const FLAGS = new Set(['no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys']);

const LINE_FEED = 10;

/** @returns null when one of these is no flag */
export function parseFlags(names: readonly string[]): ScriptFlags | null {
  if (!names.every((name) => FLAGS.has(name))) return null;
  const noWrites = names.includes('no-writes');
  return { noWrites, allowOom: noWrites || names.includes('allow-oom') };
}

export interface Shebang {
  readonly engine: string;
  /** What follows, word by word. */
  readonly words: readonly string[];
  /** The bytes of the line, its line feed left out. */
  readonly length: number;
}

/** The first line, when it is such a line. @throws CommandError when it does not end */
export function shebangOf(source: Buffer, invalid: string): Shebang | null {
  if (source.toString('latin1', 0, 2) !== '#!') return null;
  const length = source.indexOf(LINE_FEED);
  if (length < 0) throw new CommandError(invalid);
  const [engine = '', ...words] = source.toString('utf8', 0, length).split(/\s+/).filter(Boolean);
  return { engine, words, length };
}

/**
 * What a script given to EVAL says of itself; null when it says nothing.
 * @throws CommandError
 */
export function scriptFlags(source: Buffer): { flags: ScriptFlags; shebangLength: number } | null {
  const shebang = shebangOf(source, 'ERR Invalid script shebang');
  if (shebang === null) return null;
  if (shebang.engine !== '#!lua') throw new CommandError(`ERR Unexpected engine in script shebang: ${shebang.engine}`);
  let flags: ScriptFlags = { noWrites: false, allowOom: false };
  for (const word of shebang.words) {
    if (!word.startsWith('flags=')) throw new CommandError(`ERR Unknown lua shebang option: ${word}`);
    const names = word.slice('flags='.length).split(',').filter(Boolean);
    const parsed = parseFlags(names);
    const unknown = names.find((name) => parseFlags([name]) === null);
    if (parsed === null) throw new CommandError(`ERR Unexpected flag in script shebang: ${unknown}`);
    flags = parsed;
  }
  return { flags, shebangLength: shebang.length };
}
