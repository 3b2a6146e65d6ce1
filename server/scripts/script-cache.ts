/** The scripts that EVALSHA finds, by the SHA-1 of their text, the one that was used longest ago first. */
import { hash } from 'node:crypto';
import { type ScriptFlags, scriptFlags } from './shebang.ts';

/** The texts together take no more; the script that was used longest ago goes first. Redis keeps all, for ever. */
const SCRIPT_BYTES_MAX = 64 << 20;
/** What a script costs beside its text. */
const OVERHEAD_BYTES = 200;

export interface Script {
  readonly sha: string;
  /** Without its first line, when that tells flags; the line feed stays, so that lines keep their numbers. */
  readonly code: Buffer;
  /** That first line. */
  readonly shebang: Buffer;
  readonly bytes: number;
  /** Null for a script that tells none: it may do everything. */
  readonly flags: ScriptFlags | null;
}

/** A script of this text. @throws CommandError when its first line is wrong */
export function scriptOf(source: Buffer, sha: string): Script {
  const told = scriptFlags(source);
  const shebangLength = told?.shebangLength ?? 0;
  const code = Buffer.from(source.subarray(shebangLength));
  const shebang = Buffer.from(source.subarray(0, shebangLength));
  return { sha, code, shebang, bytes: source.length + OVERHEAD_BYTES, flags: told?.flags ?? null };
}

export function sha1(bytes: Uint8Array): string {
  return hash('sha1', bytes, 'hex');
}

export class ScriptCache {
  readonly #scripts = new Map<string, Script>();
  readonly #bytesMax: number;
  bytes = 0;
  evicted = 0;

  constructor(bytesMax = SCRIPT_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#scripts.size;
  }

  has(sha: string): boolean {
    return this.#scripts.has(sha);
  }

  /** The script, which is then the one used last. */
  get(sha: string): Script | undefined {
    const script = this.#scripts.get(sha);
    if (script === undefined || this.bytes < this.#bytesMax / 2) return script;
    // The order matters only where room is getting short.
    this.#scripts.delete(sha);
    this.#scripts.set(sha, script);
    return script;
  }

  add(script: Script): void {
    if (this.#scripts.has(script.sha)) return;
    this.#scripts.set(script.sha, script);
    this.bytes += script.bytes;
    for (const [sha, oldest] of this.#scripts) {
      if (this.bytes <= this.#bytesMax || oldest === script) break;
      this.#scripts.delete(sha);
      this.bytes -= oldest.bytes;
      this.evicted++;
    }
  }

  clear(): void {
    this.#scripts.clear();
    this.bytes = 0;
  }
}
