/** Puts together what a peer sends in several frames, up to a bound. */
import { strict as assert } from 'node:assert';
import { RECORD_HEADER_BYTES } from '../../protocol/change-record.ts';
import { PeerProtocolError, REFUSE_TOO_LONG } from '../../protocol/peer-frame.ts';

/** Counts bytes up to a bound. */
class BoundedBytes {
  readonly #bytesMax: number;
  count = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @throws PeerProtocolError when it is too much */
  add(bytes: number): void {
    this.count += bytes;
    if (this.count > this.#bytesMax)
      throw new PeerProtocolError(REFUSE_TOO_LONG, `a turn of more than ${this.#bytesMax} bytes`);
  }
}

/** Collects parts. */
export class Parts {
  readonly #bytes: BoundedBytes;
  readonly #parts: Buffer[] = [];

  constructor(bytesMax: number) {
    this.#bytes = new BoundedBytes(bytesMax);
  }

  add(buffer: Buffer, start: number, end: number): void {
    this.#bytes.add(end - start);
    this.#parts.push(Buffer.from(buffer.subarray(start, end)));
  }

  join(): Buffer {
    return Buffer.concat(this.#parts, this.#bytes.count);
  }
}

/** Collects parts of records, which may have been cut anywhere, as pieces of whole ones. */
export class RecordParts {
  readonly #bytes: BoundedBytes;
  readonly #pieces: Buffer[] = [];
  /** The beginning of a record, in parts, and how many bytes there have to be before it is looked at again. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  #wantedBytes = 0;

  constructor(bytesMax: number) {
    this.#bytes = new BoundedBytes(bytesMax);
  }

  add(buffer: Buffer, start: number, end: number): void {
    this.#bytes.add(end - start);
    this.#rest.push(buffer.subarray(start, end));
    this.#restBytes += end - start;
    if (this.#restBytes < this.#wantedBytes) {
      // The part is not kept by others.
      this.#rest.push(Buffer.from(this.#rest.pop()!));
      return;
    }
    this.#cut(Buffer.concat(this.#rest, this.#restBytes));
  }

  /** What is malformed is left to whoever reads the records. */
  #cut(joined: Buffer): void {
    let at = 0;
    let length = RECORD_HEADER_BYTES;
    while (at + RECORD_HEADER_BYTES <= joined.length) {
      length = joined.readUInt32LE(at);
      if (length < RECORD_HEADER_BYTES || at + length > joined.length) break;
      at += length;
      length = RECORD_HEADER_BYTES;
    }
    if (at > 0) this.#pieces.push(joined.subarray(0, at));
    this.#rest = at === joined.length ? [] : [joined.subarray(at)];
    this.#restBytes = joined.length - at;
    this.#wantedBytes = length < RECORD_HEADER_BYTES ? Infinity : length;
  }

  /** All of it; what is not a whole record is the last piece. */
  take(): Buffer[] {
    const pieces = this.#pieces;
    if (this.#restBytes > 0) pieces.push(Buffer.concat(this.#rest, this.#restBytes));
    assert(pieces.length > 0, 'the parts of nothing');
    return pieces;
  }
}
