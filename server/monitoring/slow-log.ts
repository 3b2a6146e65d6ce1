/** SLOWLOG: the commands that took longest, with their arguments cut to a bounded size. */
import type { ArgumentSource } from '../../protocol/resp-request.ts';

/** An entry keeps so many arguments, and so many bytes of each; what is left out is told in their place, as Redis does. */
const ARGUMENTS_MAX = 32;
const ARGUMENT_BYTES_MAX = 128;

export interface SlowLogEntry {
  /** Counts up from 0, also over SLOWLOG RESET. */
  readonly id: number;
  /** Seconds since 1970. */
  readonly atSeconds: number;
  readonly microseconds: number;
  readonly arguments: readonly Buffer[];
  readonly clientAddress: string;
  readonly clientName: string;
}

export class SlowLog {
  /** Newest first. */
  readonly entries: SlowLogEntry[] = [];
  #nextId = 0;

  /** Adds a command that was slow, its arguments as `shortened` gives them; the oldest entries go while there are more than `entriesMax`. */
  add(
    words: readonly Buffer[],
    microseconds: number,
    nowMs: number,
    client: { readonly address: string; readonly name: string },
    entriesMax: number,
  ): void {
    this.entries.unshift({
      id: this.#nextId++,
      atSeconds: Math.floor(nowMs / 1000),
      microseconds: Math.round(microseconds),
      arguments: words,
      clientAddress: client.address,
      clientName: client.name,
    });
    this.trim(entriesMax);
  }

  trim(entriesMax: number): void {
    if (this.entries.length > entriesMax) this.entries.length = entriesMax;
  }

  clear(): void {
    this.entries.length = 0;
  }
}

/** The arguments as an entry keeps them. */
export function shortened(args: ArgumentSource): Buffer[] {
  const found: Buffer[] = [];
  const isLong = args.argc > ARGUMENTS_MAX;
  const kept = isLong ? ARGUMENTS_MAX - 1 : args.argc;
  for (let index = 0; index < kept; index++) {
    const start = args.starts[index];
    const length = args.lengths[index];
    const bytes = Buffer.from(args.buffer.subarray(start, start + Math.min(length, ARGUMENT_BYTES_MAX)));
    const missing = length - bytes.length;
    found.push(missing === 0 ? bytes : Buffer.concat([bytes, Buffer.from(`... (${missing} more bytes)`)]));
  }
  if (isLong) found.push(Buffer.from(`... (${args.argc - kept} more arguments)`));
  return found;
}
