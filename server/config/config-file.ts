/** The text form of configuration: words with quotes, one directive a line, as redis.conf has them. */

const ESCAPES: ReadonlyMap<string, number> = new Map([
  ['n', 10],
  ['r', 13],
  ['t', 9],
  ['b', 8],
  ['a', 7],
]);

interface Scan {
  readonly text: string;
  at: number;
}

/** Reads to the closing quote. Returns undefined when there is none, or when it does not end the word. */
function readQuoted(scan: Scan, quote: string, bytes: number[]): boolean {
  const { text } = scan;
  while (scan.at < text.length) {
    const character = String.fromCodePoint(text.codePointAt(scan.at) ?? 0);
    scan.at += character.length;
    if (character === quote) {
      const next = text[scan.at];
      return next === undefined || /\s/.test(next);
    }
    if (character !== '\\' || scan.at >= text.length) {
      bytes.push(...Buffer.from(character));
    } else if (quote === "'") {
      if (text[scan.at] === "'") scan.at++;
      bytes.push(text[scan.at - 1] === "'" ? 39 : 92);
    } else {
      readEscape(scan, bytes);
    }
  }
  return false;
}

function readEscape(scan: Scan, bytes: number[]): void {
  const hex = /^x([0-9a-f]{2})/i.exec(scan.text.slice(scan.at, scan.at + 3))?.[1];
  if (hex !== undefined) {
    bytes.push(Number.parseInt(hex, 16));
    scan.at += 3;
    return;
  }
  const character = String.fromCodePoint(scan.text.codePointAt(scan.at) ?? 0);
  scan.at += character.length;
  const known = ESCAPES.get(character);
  if (known === undefined) bytes.push(...Buffer.from(character));
  else bytes.push(known);
}

/**
 * Cuts a line into words as Redis does: white space parts them, double quotes take \n \r \t \b \a \xHH and \" escapes, single
 * quotes only \'. Returns undefined when a quote is not closed, or is not followed by white space.
 */
export function splitLine(text: string): string[] | undefined {
  const scan: Scan = { text, at: 0 };
  const found: string[] = [];
  for (;;) {
    while (scan.at < text.length && /\s/.test(text[scan.at] ?? '')) scan.at++;
    if (scan.at >= text.length) return found;
    const bytes: number[] = [];
    while (scan.at < text.length && !/\s/.test(text[scan.at] ?? '')) {
      const character = String.fromCodePoint(text.codePointAt(scan.at) ?? 0);
      scan.at += character.length;
      if (character !== '"' && character !== "'") bytes.push(...Buffer.from(character));
      else if (!readQuoted(scan, character, bytes)) return undefined;
    }
    found.push(Buffer.from(bytes).toString());
  }
}

/** Writes a word so that splitLine reads the same word back. */
export function quoteWord(word: string): string {
  if (/^[\w.:/@%+,*=[\]{}$-]+$/.test(word)) return word;
  const escaped = word.replace(/["\\]/g, '\\$&').replace(/\p{Cc}/gu, (character) => {
    return [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
  });
  return `"${escaped}"`;
}

export interface FileLine {
  /** Counted from 1. */
  readonly number: number;
  readonly text: string;
  /** The directive and its arguments; empty for comments and blank lines, undefined where the quotes do not match. */
  readonly words: readonly string[] | undefined;
}

/** Cuts a file into lines; a last line without newline counts, an empty one after the last newline does not. */
export function readLines(text: string): FileLine[] {
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line, index) => {
    const comment = /^\s*(#|$)/.test(line);
    return { number: index + 1, text: line, words: comment ? [] : splitLine(line) };
  });
}
