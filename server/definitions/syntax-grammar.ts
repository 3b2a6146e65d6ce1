/**
 * The argument grammar of a command, read from its definition's `syntax` for COMMAND DOCS:
 *
 *   syntax      = alternative *( "|" alternative )
 *   alternative = *item
 *   item        = "[" syntax "]" | "<" syntax ">" | word | "..."
 *
 * A word in capitals is a token. A token that stands before a parameter or a `<…>` belongs to it (`EX seconds`), any other stands
 * for itself (`NX`). `x [x ...]` is one x or more, and `[x ...]` is none or more.
 */

export type ArgumentType =
  'string' | 'integer' | 'double' | 'key' | 'pattern' | 'unix-time' | 'pure-token' | 'oneof' | 'block';

export interface SyntaxArgument {
  readonly name: string;
  readonly type: ArgumentType;
  readonly token?: string;
  readonly optional?: boolean;
  readonly multiple?: boolean;
  /** The token is repeated with each value. */
  readonly multipleToken?: boolean;
  readonly arguments?: readonly SyntaxArgument[];
}

type Mutable = { -readonly [K in keyof SyntaxArgument]: SyntaxArgument[K] };

const TYPE_BY_NAME: readonly [RegExp, ArgumentType][] = [
  [/^(key|destination|source|newkey|destkey|sourcekey|key\d|srckey|dstkey|numkey)$/, 'key'],
  [/^pattern$/, 'pattern'],
  [/^unix-time-/, 'unix-time'],
  [
    /^(seconds|milliseconds|timeout|count|offset|start|end|stop|index|numkeys|cursor|db|destination-db|ttl|bit|len|length|min-match-len|numreplicas|numlocal|client-id|value-integer|frequency|rank|limit|threshold|longitude-int)$/,
    'integer',
  ],
  [/^(decrement|increment-integer|idle|index\d|protover|bits|idletime|port)$/, 'integer'],
  [/^(score|longitude|latitude|radius|width|height|min-score|max-score)$/, 'double'],
];

function typeOfParameter(name: string): ArgumentType {
  return TYPE_BY_NAME.find(([pattern]) => pattern.test(name))?.[1] ?? 'string';
}

function isToken(word: string): boolean {
  return /^[A-Z0-9][A-Z0-9_-]*$|^[~=*$#]$|^"[^"]*"$/.test(word) && !/^[0-9]+$/.test(word);
}

function wordsOf(syntax: string): string[] {
  return syntax.match(/\.\.\.|[[\]<>|()]|"[^"]*"|[^\s[\]<>|()]+/g) ?? [];
}

class GrammarReader {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  /** Reads to the closing word, or to the end. */
  readAlternatives(close: string): SyntaxArgument[][] {
    const alternatives: SyntaxArgument[][] = [[]];
    while (this.#at < this.#words.length) {
      const word = this.#words[this.#at];
      if (word === close) {
        this.#at++;
        break;
      }
      if (word === '|') {
        this.#at++;
        alternatives.push([]);
      } else {
        this.#readItem(alternatives.at(-1)!);
      }
    }
    return alternatives;
  }

  #readItem(items: SyntaxArgument[]): void {
    const word = this.#words[this.#at++];
    if (word === '...') {
      // Only after something to repeat.
      const last = items.pop();
      if (last !== undefined) items.push({ ...last, multiple: true });
    } else if (word === '[') {
      this.#readOptional(items);
    } else if (word === '<' || word === '(') {
      items.push(group(this.readAlternatives(word === '<' ? '>' : ')')));
    } else if (word === '""') {
      items.push({ name: 'empty-string', type: 'pure-token', token: word });
    } else if (isToken(word)) {
      items.push(this.#readToken(word.replaceAll('"', '')));
    } else {
      items.push({ name: word, type: typeOfParameter(word) });
    }
  }

  #readToken(token: string): SyntaxArgument {
    const next = this.#words[this.#at];
    const plain: SyntaxArgument = { name: token.toLowerCase(), type: 'pure-token', token };
    if (next === undefined || /^([\]>)|[]|\.\.\.)$/.test(next) || isToken(next)) return plain;
    const following: SyntaxArgument[] = [];
    this.#readItem(following);
    // Several parameters after one token, as in `GET encoding offset`, are one block.
    while (
      this.#at < this.#words.length &&
      !/^([\]>)|[(<]|\.\.\.)$/.test(this.#words[this.#at]) &&
      !isToken(this.#words[this.#at])
    ) {
      this.#readItem(following);
    }
    return { ...group([following]), token };
  }

  #readOptional(items: SyntaxArgument[]): void {
    const start = this.#at;
    const alternatives = this.readAlternatives(']');
    const inside = this.#words.slice(start, this.#at - 1);
    if (inside.at(-1) === '...' && this.#foldRepetition(items, inside.slice(0, -1))) return;
    items.push({ ...group(alternatives), optional: true });
  }

  /** `key value [key value ...]`: what stands before and inside is the same, so it is one argument that repeats. */
  #foldRepetition(items: SyntaxArgument[], repeated: readonly string[]): boolean {
    const inner = new GrammarReader(repeated).readAlternatives('')[0];
    if (inner.length === 0 || inner.length > items.length) return false;
    const before = items.slice(-inner.length);
    if (JSON.stringify(before) !== JSON.stringify(inner)) return false;
    items.length -= inner.length;
    const one: Mutable = { ...group([before]), multiple: true };
    if (inner.length === 1 && one.token !== undefined) one.multipleToken = true;
    items.push(one);
    return true;
  }
}

function nameOf(items: readonly SyntaxArgument[]): string {
  return items.map(({ name }) => name).join('_') || 'arguments';
}

/** One argument for several: a block when they follow each other, a choice when they exclude each other. */
function group(alternatives: readonly (readonly SyntaxArgument[])[]): SyntaxArgument {
  const [first = []] = alternatives;
  if (alternatives.length > 1) {
    const choices = alternatives.map((items) => group([items]));
    return { name: nameOf(choices), type: 'oneof', arguments: choices };
  }
  if (first.length === 1) return first[0];
  return { name: nameOf(first), type: 'block', arguments: first };
}

/** The arguments of a command, top level. Never throws: what cannot be read is left as it is. */
export function parseSyntax(syntax: string): SyntaxArgument[] {
  const alternatives = new GrammarReader(wordsOf(syntax)).readAlternatives('');
  if (alternatives.length > 1) return [group(alternatives)];
  return alternatives[0];
}
