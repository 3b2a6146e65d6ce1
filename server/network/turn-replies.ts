/**
 * Replies to pipelined requests, kept until all connections that have sent something were read. What is written at once wakes a
 * client that waits for it, often on this node's own processor, which is then taken from the node in the middle of its work, once for
 * each connection; what is written in a row wakes most of them once.
 */
import { copyByWords, WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import { BufferHeads } from './buffer-heads.ts';

const ROOM_BYTES = 64 * 1024;
/** Copying longer ones would cost more than it spares. */
const KEPT_BYTES_MAX = 2048;
const WRITERS_MAX = 1024;

/** Whose replies are kept. */
export interface TurnWriter {
  /** Writes the bytes, the first of `source.buffer`, with which is done what `Transport.send` says. */
  sendKept(source: { buffer: Buffer }, bytes: Buffer): void;
}

const viewOf = (buffer: Buffer): DataView => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);

export class TurnReplies {
  readonly #kept = Buffer.allocUnsafeSlow(ROOM_BYTES);
  readonly #keptView = viewOf(this.#kept);
  readonly #writers: TurnWriter[] = [];
  readonly #ends = new Int32Array(WRITERS_MAX);
  /** All are written from the same bytes, so that views of them can be kept. */
  readonly #out = { buffer: Buffer.allocUnsafeSlow(KEPT_BYTES_MAX) };
  readonly #heads = new BufferHeads();
  #outView = viewOf(this.#out.buffer);
  /** What replies came from last. */
  #from: Buffer = this.#kept;
  #fromView = this.#keptView;
  readonly #endTurn = (): void => {
    this.#isAwaited = false;
    this.send();
  };
  #length = 0;
  #isAwaited = false;
  #isSending = false;

  /** Keeps `buffer[start, end)` until the end of the turn; false when it is too much to be kept. */
  keep(writer: TurnWriter, buffer: Buffer, start: number, end: number): boolean {
    const bytes = end - start;
    if (bytes > KEPT_BYTES_MAX || this.#isSending) return false;
    if (this.#length + bytes > ROOM_BYTES || this.#writers.length === WRITERS_MAX) this.send();
    if (buffer !== this.#from) {
      this.#from = buffer;
      this.#fromView = viewOf(buffer);
    }
    if (bytes <= WORD_COPY_MAX) copyByWords(this.#fromView, start, bytes, this.#keptView, this.#length);
    else buffer.copy(this.#kept, this.#length, start, end);
    this.#length += bytes;
    this.#ends[this.#writers.length] = this.#length;
    this.#writers.push(writer);
    if (!this.#isAwaited) {
      this.#isAwaited = true;
      setImmediate(this.#endTurn);
    }
    return true;
  }

  /** Writes what is kept, to all connections: the order between them is nobody's promise. */
  send(): void {
    if (this.#isSending) return;
    this.#isSending = true;
    let start = 0;
    for (let index = 0; index < this.#writers.length; index++) {
      const end = this.#ends[index];
      this.#sendOne(this.#writers[index], start, end - start);
      start = end;
    }
    this.#writers.length = 0;
    this.#length = 0;
    this.#isSending = false;
  }

  #sendOne(writer: TurnWriter, start: number, bytes: number): void {
    const { buffer } = this.#out;
    if (bytes <= WORD_COPY_MAX) copyByWords(this.#keptView, start, bytes, this.#outView, 0);
    else this.#kept.copy(buffer, 0, start, start + bytes);
    writer.sendKept(this.#out, this.#heads.of(buffer, bytes));
    // The kernel has not taken all of it, and the writer keeps the buffer.
    if (this.#out.buffer !== buffer) this.#outView = viewOf(this.#out.buffer);
  }
}
