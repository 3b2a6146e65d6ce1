/** A durable store of an application's own: one file to which records are appended. See docs/durable-stores.md. */
import { open, readFile, type FileHandle } from 'node:fs/promises';
// In an application: from 'mantis-kv'.
import {
  idPrefixes,
  isNewerRecord,
  packedSlices,
  splitRecords,
  type DurableStore,
  type OnRecords,
} from '../../server/mantis.ts';

export class FileStore implements DurableStore {
  readonly name = 'file';
  readonly #path: string;
  readonly #held = new Map<string, Buffer>();
  #file: FileHandle | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  async open(): Promise<void> {
    if (this.#file !== null) return;
    this.#file = await open(this.#path, 'a');
    for (const { id, record } of splitRecords(await readFile(this.#path))) this.#held.set(id, record);
  }

  /** One write after the other: what a caller is told to be durable must not depend on one that is still under way. */
  async write(records: Buffer): Promise<void> {
    const given = splitRecords(records);
    const written = this.#last.then(async () => {
      for (const { id, record } of given) {
        const held = this.#held.get(id);
        if (held !== undefined && !isNewerRecord(record, held)) continue;
        this.#held.set(id, record);
        await this.#file!.write(record);
      }
      await this.#file!.sync();
    });
    this.#last = written.catch(() => undefined);
    await written;
  }

  async load(onRecords: OnRecords): Promise<void> {
    let done = 0;
    for (const { slice, count } of packedSlices(this.#held.values())) {
      await onRecords(slice, (done += count), this.#held.size);
    }
  }

  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    const prefixes = idPrefixes(keys);
    const found = [...this.#held].filter(([id]) => prefixes.some((prefix) => id.startsWith(prefix)));
    for (const { slice } of packedSlices(found.map(([, record]) => record))) await onRecords(slice);
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file?.close();
    this.#file = null;
  }
}
