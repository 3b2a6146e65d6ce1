/**
 * A reader of RESP3 for tests, written from the protocol's description and apart from the server's own code: no popular package
 * reads every RESP3 type without hiding which one it was.
 */

/** An error reply; its message is the whole line behind the minus. */
export class RespError extends Error {
  override readonly name = 'RespError';
}

export interface Double {
  double: number;
}

export interface Verbatim {
  format: string;
  verbatim: string;
}

export interface Push {
  push: Reply[];
}

export type Reply =
  | string
  | number
  | bigint
  | boolean
  | null
  | Buffer
  | RespError
  | Double
  | Verbatim
  | Push
  | Reply[]
  | Map<Reply, Reply>
  | Set<Reply>;

class Incomplete extends Error {}

export interface Resp3ParserOptions {
  onReply: (reply: Reply) => void;
  /** Strings as Buffers instead of UTF-8 text. */
  buffers?: boolean;
}

export class Resp3Parser {
  private data = Buffer.alloc(0);
  private position = 0;
  private readonly onReply: (reply: Reply) => void;
  private readonly buffers: boolean;

  constructor(options: Resp3ParserOptions) {
    this.onReply = options.onReply;
    this.buffers = options.buffers ?? false;
  }

  /** Takes what came from the socket and calls onReply for every reply that is complete. Throws on bytes that are no RESP3. */
  push(data: Buffer): void {
    this.data = Buffer.concat([this.data.subarray(this.position), data]);
    this.position = 0;
    for (;;) {
      const start = this.position;
      try {
        if (start === this.data.length) return;
        this.onReply(this.value());
      } catch (error) {
        if (!(error instanceof Incomplete)) throw error;
        this.position = start;
        return;
      }
    }
  }

  private line(): string {
    const end = this.data.indexOf('\r\n', this.position, 'latin1');
    if (end < 0) throw new Incomplete();
    const line = this.data.toString('utf8', this.position, end);
    this.position = end + 2;
    return line;
  }

  private count(): number {
    const line = this.line();
    if (!/^(-1|0|[1-9]\d*)$/.test(line)) throw new Error(`not a length: ${JSON.stringify(line)}`);
    return Number(line);
  }

  private block(length: number): Buffer {
    if (this.data.length < this.position + length + 2) throw new Incomplete();
    const block = this.data.subarray(this.position, this.position + length);
    this.position += length;
    if (this.line() !== '') throw new Error('a block does not end where its length says');
    return block;
  }

  private values(count: number): Reply[] {
    const values: Reply[] = [];
    while (values.length < count) values.push(this.value());
    return values;
  }

  private map(): Map<Reply, Reply> {
    const entries = new Map<Reply, Reply>();
    for (let left = this.count(); left > 0; left--) {
      const key = this.value();
      entries.set(key, this.value());
    }
    return entries;
  }

  private string(bytes: Buffer): Reply {
    return this.buffers ? Buffer.from(bytes) : bytes.toString('utf8');
  }

  private value(): Reply {
    const type = String.fromCharCode(this.data[this.position] ?? 0);
    if (this.position >= this.data.length) throw new Incomplete();
    this.position++;
    switch (type) {
      case '+':
        return this.string(Buffer.from(this.line()));
      case '-':
        return new RespError(this.line());
      case ':':
        return integer(this.line());
      case '(':
        return BigInt(this.line());
      case ',':
        return { double: double(this.line()) };
      case '#':
        return boolean(this.line());
      case '_':
        if (this.line() !== '') throw new Error('a null with content');
        return null;
      default:
        return this.lengthOrContainer(type);
    }
  }

  private lengthOrContainer(type: string): Reply {
    if (type === '%') return this.map();
    if (type === '|') {
      // Attributes speak about the value that follows; tests want the value.
      this.map();
      return this.value();
    }
    const count = this.count();
    switch (type) {
      case '$':
        return count < 0 ? null : this.string(this.block(count));
      case '!':
        return new RespError(this.block(count).toString('utf8'));
      case '=': {
        const text = this.block(count).toString('utf8');
        return { format: text.slice(0, 3), verbatim: text.slice(4) };
      }
      case '*':
        return count < 0 ? null : this.values(count);
      case '~':
        return new Set(this.values(count));
      case '>':
        return { push: this.values(count) };
      default:
        throw new Error(`not a RESP3 type: ${JSON.stringify(type)}`);
    }
  }
}

function integer(line: string): number | bigint {
  if (!/^[+-]?\d+$/.test(line)) throw new Error(`not an integer: ${JSON.stringify(line)}`);
  const value = Number(line);
  return Number.isSafeInteger(value) ? value : BigInt(line);
}

function double(line: string): number {
  if (line === 'inf') return Infinity;
  if (line === '-inf') return -Infinity;
  if (line === 'nan') return NaN;
  if (!/^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(line)) throw new Error(`not a double: ${JSON.stringify(line)}`);
  return Number(line);
}

function boolean(line: string): boolean {
  if (line !== 't' && line !== 'f') throw new Error(`not a boolean: ${JSON.stringify(line)}`);
  return line === 't';
}
