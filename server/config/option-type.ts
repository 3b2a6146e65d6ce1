/**
 * The value types that an option may have: how its text is read, how CONFIG GET shows it, how it stands in a file.
 * Error texts are those of redis-server 7.0.15 wherever Redis has the type; `hint` adds what a person needs to know.
 */

/** A value that an option refuses. `message` is what CONFIG SET answers, `hint` is added where a person reads it. */
export class ValueError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.name = 'ValueError';
    this.hint = hint;
  }
}

/** A value that Redis takes and Mantis cannot serve: it does no harm where a later source gives another. */
export class UnsupportedError extends ValueError {}

export interface OptionType<T> {
  /** What the documentation says of the values allowed. */
  readonly syntax: string;
  /** Takes any number of arguments; otherwise exactly one. */
  readonly many: boolean;
  /** Whether a new value adds to the present one: between lines and flags only (`save`), or by CONFIG SET too. */
  readonly accumulates: 'never' | 'in-sources' | 'always';
  /** Throws ValueError. `current` is the value to add to, for types that accumulate. */
  parse(args: readonly string[], current: T | undefined): T;
  /** As CONFIG GET shows it. */
  render(value: T): string;
  /** As file lines: the arguments of each line. */
  lines(value: T): string[][];
}

interface TypeParts<T> {
  syntax: string;
  parse: (text: string) => T;
  render: (value: T) => string;
}

/** A type of exactly one argument. */
export function single<T>(parts: TypeParts<T>): OptionType<T> {
  return {
    syntax: parts.syntax,
    many: false,
    accumulates: 'never',
    parse: (args) => {
      const [text] = args;
      if (text === undefined || args.length !== 1) {
        throw new ValueError('wrong number of arguments', `it takes one value: ${parts.syntax}`);
      }
      return parts.parse(text);
    },
    render: parts.render,
    lines: (value) => [[parts.render(value)]],
  };
}

const INT64_MAX = 9223372036854775807n;
const UINT64_MAX = 18446744073709551615n;

/** Numbers beyond 2^53 lose their last digits in a JavaScript number; the two limits themselves are shown exactly. */
function renderNumber(value: number): string {
  if (Number.isSafeInteger(value)) return String(value);
  const exact = BigInt(value);
  if (exact >= UINT64_MAX) return String(UINT64_MAX);
  return exact === INT64_MAX + 1n ? String(INT64_MAX) : String(exact);
}

function parseInteger(text: string, min: bigint, max: bigint): bigint {
  if (!/^(0|-?[1-9][0-9]{0,19})$/.test(text)) {
    throw new ValueError("argument couldn't be parsed into an integer", 'it is a whole number without a unit');
  }
  const value = BigInt(text);
  if (value > INT64_MAX || value < -INT64_MAX - 1n) throw new ValueError("argument couldn't be parsed into an integer");
  checkRange(value, min, max);
  return value;
}

function checkRange(value: bigint, min: bigint, max: bigint): void {
  if (value < min || value > max) throw new ValueError(`argument must be between ${min} and ${max} inclusive`);
}

function rangeSyntax(min: bigint, max: bigint): string {
  if (max >= 2147483647n) return min === 0n ? 'integer' : `integer, ${min} or more`;
  return `integer, ${min} to ${max}`;
}

const INT32_MAX = 2147483647;

/** A whole number. Without a range: 0 to 2^31-1. `clampTo` silently narrows what the range lets through, as Redis does for hz. */
export function integer(
  min: number | bigint = 0,
  max: number | bigint = INT32_MAX,
  clampTo?: readonly [number, number],
): OptionType<number> {
  const low = BigInt(min);
  const high = BigInt(max);
  return single({
    syntax: rangeSyntax(low, high),
    parse: (text) => {
      const value = Number(parseInteger(text, low, high));
      return clampTo === undefined ? value : Math.min(Math.max(value, clampTo[0]), clampTo[1]);
    },
    render: renderNumber,
  });
}

/** A whole number up to 2^63-1. */
export function longInteger(min: number | bigint = 0): OptionType<number> {
  return integer(min, INT64_MAX);
}

/** File permissions in octal, 0 to 777. */
export function octal(): OptionType<number> {
  return single({
    syntax: 'octal, 0 to 777',
    parse: (text) => {
      if (!/^[0-7]+$/.test(text)) throw new ValueError("argument couldn't be parsed as an octal number");
      const value = Number.parseInt(text, 8);
      if (value > 0o777) throw new ValueError('argument must be between 0 and 777 inclusive');
      return value;
    },
    render: (value) => value.toString(8),
  });
}

const SIZE_UNITS: ReadonlyMap<string, bigint> = new Map([
  ['', 1n],
  ['b', 1n],
  ['k', 1000n],
  ['kb', 1024n],
  ['m', 1000_000n],
  ['mb', 1024n ** 2n],
  ['g', 1000_000_000n],
  ['gb', 1024n ** 3n],
]);

const SIZE_HINT = 'a size is a whole number alone (bytes) or with b, k, kb, m, mb, g or gb: 1048576, 64mb, 2gb';

/** Bytes of a Redis size, or undefined when the text is none. */
export function parseSize(text: string): bigint | undefined {
  const parts = /^([0-9]{1,20})([a-z]*)$/i.exec(text);
  const unit = SIZE_UNITS.get((parts?.[2] ?? '').toLowerCase());
  return parts?.[1] === undefined || unit === undefined ? undefined : BigInt(parts[1]) * unit;
}

/** A memory size, in bytes. `clampMin` silently raises, as Redis does for repl-backlog-size. */
export function size(min: number | bigint = 0, max: number | bigint = INT64_MAX, clampMin = 0): OptionType<number> {
  const low = BigInt(min);
  const high = BigInt(max);
  return single({
    syntax: low > 0n ? `size, ${low} bytes or more` : 'size',
    parse: (text) => {
      // Redis reads an empty size as 0.
      const bytes = text === '' ? 0n : parseSize(text);
      if (bytes === undefined) throw new ValueError('argument must be a memory value', SIZE_HINT);
      checkRange(bytes, low, high);
      return Math.max(Number(bytes), clampMin);
    },
    render: renderNumber,
  });
}

const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/**
 * A length of time, held in milliseconds. A bare number is in `bareUnit`: milliseconds for our own options, and what
 * Redis takes for Redis's own. CONFIG GET shows a bare number when it is a whole one in that unit.
 */
export function duration(bareUnit: 'ms' | 's' = 'ms', min = 0, max: number | bigint = INT32_MAX): OptionType<number> {
  const factor = bareUnit === 's' ? 1000 : 1;
  const low = BigInt(min);
  const high = BigInt(max);
  const hint = `a duration is a number alone (${bareUnit === 's' ? 'seconds' : 'milliseconds'}) or with ms, s, m, h or d: 500ms, 5s, 1h`;
  const render = (value: number): string => (value % factor === 0 ? renderNumber(value / factor) : `${value}ms`);
  return single({
    syntax: bareUnit === 's' ? 'duration, bare number in seconds' : 'duration',
    parse: (text) => {
      const parts = /^([0-9]{1,15}(?:\.[0-9]{1,6})?)([a-z]+)$/i.exec(text);
      if (parts?.[1] === undefined) {
        if (!/^-?[0-9]+$/.test(text)) throw new ValueError("argument couldn't be parsed into an integer", hint);
        return Number(parseInteger(text, low, high)) * factor;
      }
      const unit = DURATION_UNITS.get((parts[2] ?? '').toLowerCase());
      if (unit === undefined) throw new ValueError('argument must be a duration', hint);
      const value = Math.round(Number(parts[1]) * unit);
      const limit = `argument must be between ${low} and ${high} inclusive`;
      if (value < min * factor || value > Number(high) * factor) throw new ValueError(limit, hint);
      return value;
    },
    render,
  });
}

/** A switch: yes or no, in any letter case. */
export function yesNo(): OptionType<boolean> {
  return single({
    syntax: '`yes`, `no`',
    parse: (text) => {
      const lower = text.toLowerCase();
      if (lower === 'yes') return true;
      if (lower === 'no') return false;
      throw new ValueError("argument must be 'yes' or 'no'");
    },
    render: (value) => (value ? 'yes' : 'no'),
  });
}

/** One of a list of words, in any letter case. */
export function choice<const W extends string>(...words: readonly W[]): OptionType<W> {
  return single({
    syntax: words.map((word) => `\`${word}\``).join(', '),
    parse: (text) => {
      const lower = text.toLowerCase();
      const word = words.find((candidate) => candidate === lower);
      if (word === undefined) throw new ValueError(`argument(s) must be one of the following: ${words.join(', ')}`);
      return word;
    },
    render: (value) => value,
  });
}

/** Any text; `check` throws ValueError for what the option cannot be. */
export function text(syntax = 'text', check?: (value: string) => void): OptionType<string> {
  return single({
    syntax,
    parse: (value) => {
      check?.(value);
      return value;
    },
    render: (value) => value,
  });
}

/** Words parted by spaces; a new line replaces the old list. One argument may hold them all, as CONFIG SET sends them. */
export function words(syntax: string, check?: (word: string) => void): OptionType<readonly string[]> {
  return wordList(
    syntax,
    (word) => {
      check?.(word);
      return word;
    },
    (word) => word,
  );
}

/** Like words, with each word read into a value. */
export function wordList<T>(
  syntax: string,
  parseWord: (word: string) => T,
  renderWord: (value: T) => string,
): OptionType<readonly T[]> {
  return {
    syntax,
    many: true,
    accumulates: 'never',
    parse: (args) => splitWords(args).map(parseWord),
    render: (values) => values.map(renderWord).join(' '),
    lines: (values) => [values.length === 0 ? [''] : values.map(renderWord)],
  };
}

/** Cuts the arguments at white space. */
export function splitWords(args: readonly string[]): string[] {
  return args.flatMap((argument) => argument.split(/\s+/)).filter((word) => word !== '');
}
