/** A connection to another server that speaks RESP: requests leave in the order in which they are put, and are answered in it. */
import { strict as assert } from 'node:assert';
import type { Connection, Network, Time, Timer } from '../../replication/environment.ts';

/** What a command needs to speak to another server. */
export interface Outbound {
  readonly time: Pick<Time, 'setTimer' | 'monotonicMs'>;
  readonly network: Pick<Network, 'connect' | 'resolve'>;
}

/** The other server cannot be reached, or does not take or answer requests in time. The message is an error reply, in Redis's words. */
export class TargetError extends Error {}

/** No answer is longer. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** Answers to what nobody has asked are not kept. */
const ANSWERS_MAX = 4096;
/** Requests that are put together before they leave. */
const BATCH_BYTES = 64 * 1024;
const PORT_MAX = 65535;
const LINE_FEED = 10;
const DOLLAR = 36;
const NO_BYTES = Buffer.alloc(0);
const LINE_END = Buffer.from('\r\n');

type Stage = 'connecting' | 'writing' | 'reading';

function problemOf(stage: Stage): TargetError {
  return new TargetError(
    `IOERR error or timeout ${stage} ${stage === 'connecting' ? 'to the client' : 'to target instance'}`,
  );
}

/** Where the answer that begins at `start` ends: a line, or a line that says how many bytes follow, and these; −1 before it is there. */
function endOfAnswer(bytes: Buffer, start: number): number {
  const lineEnd = bytes.indexOf(LINE_FEED, start) + 1;
  if (lineEnd === 0) return -1;
  if (bytes[start] !== DOLLAR) return lineEnd;
  const length = Number(bytes.toString('latin1', start + 1, lineEnd).trim());
  const end = length >= 0 ? lineEnd + length + LINE_END.length : lineEnd;
  return end <= bytes.length ? end : -1;
}

export class TargetConnection {
  readonly #outbound: Outbound;
  readonly #timeoutMs: number;
  #connection: Connection | null = null;
  #isOpen = false;
  #failure: Error | null = null;
  #timer: Timer | null = null;
  /** Monotonic milliseconds: when the other side last did something. */
  #progressAtMs = 0;
  #queuedBytes = 0;
  #batch: Buffer[] = [];
  #batchBytes = 0;
  #received: Buffer = NO_BYTES;
  readonly #answers: string[] = [];
  #waiting: PromiseWithResolvers<string> | null = null;

  /** @param timeoutMs how long the other side may do nothing at all, and how long it may take to be connected */
  constructor(outbound: Outbound, timeoutMs: number) {
    this.#outbound = outbound;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves when it is connected, to the first address of the host that takes a connection. Rejects with a TargetError. */
  async connect(host: string, port: number): Promise<void> {
    this.#outbound.network.resolve(host, (problem, addresses) => {
      if (this.#failure !== null) return;
      if (problem !== null || addresses.length === 0 || port < 0) this.#end(problemOf('connecting'));
      else this.#dial(addresses, 0, port);
    });
    this.#timer = this.#outbound.time.setTimer(this.#timeoutMs, () => this.#look());
    await this.#wait();
  }

  #dial(addresses: readonly string[], at: number, port: number): void {
    if (at === addresses.length || port > PORT_MAX) {
      // Redis finds out when it writes.
      this.#end(problemOf('writing'));
      return;
    }
    this.#connection = this.#outbound.network.connect(addresses[at], port);
    this.#connection.events = {
      opened: () => {
        this.#isOpen = true;
        this.#answer('');
      },
      received: (buffer, start, end) => this.#receive(buffer.subarray(start, end)),
      writable: () => (this.#progressAtMs = this.#outbound.time.monotonicMs()),
      closed: () => {
        if (this.#isOpen) this.#end(problemOf('reading'));
        else this.#dial(addresses, at + 1, port);
      },
    };
  }

  /** Puts a request; it leaves at the latest when an answer is asked for. */
  put(words: readonly Buffer[]): void {
    this.#add(Buffer.from(`*${words.length}\r\n`));
    for (const word of words) {
      this.#add(Buffer.from(`$${word.length}\r\n`));
      this.#add(word);
      this.#add(LINE_END);
    }
    if (this.#batchBytes >= BATCH_BYTES) this.#flush();
  }

  #add(bytes: Buffer): void {
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
  }

  #flush(): void {
    if (this.#failure === null && this.#batchBytes > 0) this.#connection?.write(this.#batch);
    this.#batch = [];
    this.#batchBytes = 0;
  }

  /** Resolves to the next answer without its end of line; of a bulk string, to its length and content. Rejects with a TargetError. */
  async answer(): Promise<string> {
    this.#flush();
    return this.#answers.shift() ?? (await this.#wait());
  }

  #wait(): Promise<string> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    assert(this.#waiting === null, 'answers are awaited one after the other');
    this.#progressAtMs = this.#outbound.time.monotonicMs();
    this.#waiting = Promise.withResolvers<string>();
    return this.#waiting.promise;
  }

  #answer(answer: string): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#answers.push(answer);
    else waiting.resolve(answer);
  }

  #receive(fresh: Buffer): void {
    const received = this.#received.length === 0 ? fresh : Buffer.concat([this.#received, fresh]);
    let start = 0;
    for (let end = endOfAnswer(received, 0); end >= 0; end = endOfAnswer(received, start)) {
      this.#progressAtMs = this.#outbound.time.monotonicMs();
      this.#answer(received.toString('utf8', start, end).trimEnd());
      start = end;
    }
    this.#received = Buffer.from(received.subarray(start));
    if (this.#received.length > ANSWER_BYTES_MAX || this.#answers.length > ANSWERS_MAX) this.#end(problemOf('reading'));
  }

  /** Whether the time is over. What leaves is a sign of life too: a large value may take long. */
  #look(): void {
    const nowMs = this.#outbound.time.monotonicMs();
    const queuedBytes = this.#connection?.queuedBytes() ?? 0;
    if (queuedBytes < this.#queuedBytes || this.#waiting === null) this.#progressAtMs = nowMs;
    this.#queuedBytes = queuedBytes;
    const leftMs = this.#timeoutMs - (nowMs - this.#progressAtMs);
    if (leftMs > 0) this.#timer = this.#outbound.time.setTimer(Math.ceil(leftMs), () => this.#look());
    else this.#end(problemOf(this.#isOpen ? (queuedBytes > 0 ? 'writing' : 'reading') : 'connecting'));
  }

  /** Ends it; who waits for an answer is given `reason`. */
  #end(reason: Error): void {
    if (this.#failure !== null) return;
    this.#failure = reason;
    this.#timer?.cancel();
    const connection = this.#connection;
    if (connection !== null) {
      connection.events = null;
      connection.close();
    }
    this.#waiting?.reject(reason);
    this.#waiting = null;
  }

  close(): void {
    this.#end(new TargetError('closed here'));
  }
}
