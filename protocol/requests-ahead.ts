/**
 * Requests decoded ahead of the one that is run, so that the memory that a whole run of them needs can be fetched at once
 * (storage/index/look-ahead.ts).
 *
 * Only the plain form is read: `*1` to `*9`, each argument up to 9,999 bytes, all of it in the fed bytes. At anything else
 * reading ahead stops, and RequestDecoder decodes that request when its turn comes. What is refused, and when, is
 * therefore the same with and without this.
 */
const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const DOLLAR = 36;
const ASTERISK = 42;
const ZERO = 48;

/** Most requests of a run. */
export const REQUESTS_AHEAD_MAX = 32;
const ARGUMENTS_MAX = 9;
const LENGTH_DIGITS_MAX = 4;
/** A request's first line. */
const COUNT_LINE_BYTES = 4;
/** The shortest argument: `$0`, and twice CRLF. */
const ARGUMENT_BYTES_MIN = 6;

/**
 * One run of requests. It serves all decoders of a node in turn, since each run is used up or forgotten within one read
 * event: `owner` says whose it is, and `position` where in the owner's bytes the next request of the run begins.
 */
export class RequestsAhead {
  owner: object | null = null;
  position = 0;
  /** Requests in the run, and how many of them have been taken. */
  count = 0;
  taken = 0;
  /** Per request: its arguments' ranges, how many there are, and where the request ends. */
  readonly starts: readonly Int32Array[];
  readonly lengths: readonly Int32Array[];
  readonly argc = new Int32Array(REQUESTS_AHEAD_MAX);
  readonly ends = new Int32Array(REQUESTS_AHEAD_MAX);

  constructor() {
    this.starts = Array.from(this.ends, () => new Int32Array(ARGUMENTS_MAX));
    this.lengths = Array.from(this.ends, () => new Int32Array(ARGUMENTS_MAX));
  }

  /** Whether the owner's next request, which begins at `position` of `input[…, end)`, is here; reads the next run if need be. */
  hasNext(owner: object, input: Uint8Array, position: number, end: number): boolean {
    if (this.owner === owner && this.taken < this.count && this.position === position) return true;
    return this.read(owner, input, position, end);
  }

  /** Takes the next request. @returns its index */
  take(): number {
    const index = this.taken++;
    this.position = this.ends[index]!;
    return index;
  }

  /** The owner's bytes have changed, or it goes on by itself. */
  forget(owner: object): void {
    if (this.owner === owner) this.owner = null;
  }

  private read(owner: object, input: Uint8Array, position: number, end: number): boolean {
    let count = 0;
    let from = position;
    while (count < REQUESTS_AHEAD_MAX) {
      from = this.readOne(count, input, from, end);
      if (from < 0) break;
      count++;
    }
    this.owner = count === 0 ? null : owner;
    this.position = position;
    this.count = count;
    this.taken = 0;
    return count > 0;
  }

  /** Reads one request into the run. @returns where it ends, or -1 when it is not there in the plain form */
  private readOne(index: number, input: Uint8Array, position: number, end: number): number {
    if (position + COUNT_LINE_BYTES + ARGUMENT_BYTES_MIN > end || input[position] !== ASTERISK) return -1;
    if (input[position + 2] !== CARRIAGE_RETURN || input[position + 3] !== LINE_FEED) return -1;
    const argc = input[position + 1] - ZERO;
    if (argc < 1 || argc > ARGUMENTS_MAX) return -1;
    const starts = this.starts[index];
    const lengths = this.lengths[index];
    let at = position + COUNT_LINE_BYTES;
    for (let argument = 0; argument < argc; argument++) {
      if (at + ARGUMENT_BYTES_MIN > end || input[at] !== DOLLAR) return -1;
      let length = input[at + 1] - ZERO;
      if (length < 0 || length > 9) return -1;
      at += 2;
      for (let digits = 1; input[at] !== CARRIAGE_RETURN; digits++, at++) {
        const digit = input[at] - ZERO;
        if (digit < 0 || digit > 9 || length === 0 || digits === LENGTH_DIGITS_MAX) return -1;
        length = length * 10 + digit;
      }
      const start = at + 2;
      const after = start + length;
      if (after + 2 > end || input[at + 1] !== LINE_FEED) return -1;
      if (input[after] !== CARRIAGE_RETURN || input[after + 1] !== LINE_FEED) return -1;
      starts[argument] = start;
      lengths[argument] = length;
      at = after + 2;
    }
    this.argc[index] = argc;
    this.ends[index] = at;
    return at;
  }
}
