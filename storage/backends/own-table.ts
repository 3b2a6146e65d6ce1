/**
 * An application's own durable store in the place of MySQL: behind the embedded store's queue where there is one, alone
 * otherwise. Nodes do not share the writing of such a store: each brings all that it knows, and the store keeps the newest.
 */
import { RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { type DurableStore, type OnRecords, Quarantine, StoreError } from './backend.ts';
import { keyId, type KeyName, packKeyNames } from './key-names.ts';
import type { RefusedRow } from './mysql.ts';
import { isOutlived, type Outlived, outlivedOf, outlives, sumsName } from './outlived.ts';
import { splitRecords } from './record-tools.ts';
import { reasonOf } from './reason.ts';

/** Keys, or elements, that a store is asked for at once. */
const KEYS_A_FETCH = 500;

export function isDurableStore(target: object): target is DurableStore {
  return 'write' in target && 'load' in target && !('query' in target);
}

export class OwnTable {
  readonly refused: Quarantine;
  readonly quarantine: Quarantine;
  readonly #store: DurableStore;

  constructor(store: DurableStore) {
    this.#store = store;
    this.refused = new Quarantine(store.name);
    this.quarantine = new Quarantine(store.name);
  }

  /** Whether sums that lie under the tombstone of one element are found without all of its collection. */
  get findsSums(): boolean {
    return this.#store.fetchSums !== undefined;
  }

  get server(): string {
    return this.#store.name;
  }

  /** What is no StoreError may pass: a store that an application wrote is tried again, and the node goes on. */
  async #tried<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof StoreError) throw error;
      const reason = reasonOf(error);
      throw new StoreError('unavailable', `the store ${this.#store.name} has failed: ${reason}`, error);
    }
  }

  open(): Promise<void> {
    return this.#tried(() => this.#store.open());
  }

  async writeRows(records: Buffer): Promise<RefusedRow[]> {
    await this.#tried(() => this.#store.write(records));
    return [];
  }

  async writeMissing(records: Buffer): Promise<{ refused: RefusedRow[]; missingCount: number }> {
    return { refused: await this.writeRows(records), missingCount: 0 };
  }

  load(onRecords: OnRecords): Promise<void> {
    return this.#tried(() => this.#store.load(onRecords));
  }

  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    const store = this.#store;
    if (store.fetch === undefined) throw new StoreError('refused', `the store ${store.name} cannot give single keys`);
    await this.#tried(() => store.fetch!(keys, onRecords));
  }

  /** Without `remove` and `fetch` nothing leaves the store: what is dead stays there, and stays dead. */
  async remove(registers: Buffer): Promise<void> {
    const store = this.#store;
    if (store.remove !== undefined && store.fetch !== undefined) await this.#tried(() => store.remove!(registers));
  }

  /**
   * What the store has of the keys of these registers, outlived by them and not given. A FLOOR's rows stay, dead under it. Resolves
   * to the keys (key-names.ts) of which the store has something newer.
   */
  async outlived(registers: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<Buffer> {
    const newer = new Map<string, KeyName>();
    if (this.#store.fetch === undefined || this.#store.remove === undefined) return packKeyNames([]);
    const given = new Set(splitRecords(registers).map(({ id }) => id));
    const byKey = new Map<string, { name: KeyName; all: Outlived[] }>();
    for (const outlived of outlivedOf(registers, new RecordReader())) {
      const { database, key } = outlived;
      if (key === null) continue;
      const id = keyId(database, key);
      const known = byKey.get(id);
      if (known === undefined) byKey.set(id, { name: { database, key }, all: [outlived] });
      else known.all.push(outlived);
    }
    const reader = new RecordReader();
    const onFetched = async (records: Buffer): Promise<void> => {
      const writer = new RecordWriter();
      for (const { id, record } of splitRecords(records)) {
        reader.read(record, 0);
        const keyName = keyId(reader.database, record.subarray(reader.keyStart, reader.keyStart + reader.keyLength));
        const by = byKey.get(keyName);
        if (by === undefined) continue;
        if (by.all.some((one) => outlives(reader, one))) newer.set(keyName, by.name);
        if (!given.has(id) && by.all.some((one) => isOutlived(reader, one))) writer.raw(record, 0, record.length);
      }
      if (writer.length > 0) await onRecords(writer.take());
    };
    const found = [...byKey.values()];
    const isAsked = ({ all }: { all: Outlived[] }): boolean =>
      !this.findsSums || all.some(({ element }) => element === null);
    for (const names of portions(found.filter(isAsked).map(({ name }) => name)))
      await this.fetch(packKeyNames(names), onFetched);
    const elements = found.filter((one) => !isAsked(one)).flatMap(({ name, all }) => all.map((one) => ({ name, one })));
    for (const some of portions(elements)) {
      const prefixes = some.map(({ name, one }) => sumsName(one, name.key).toString('latin1'));
      await this.#tried(() => this.#store.fetchSums!(prefixes, onFetched));
    }
    return packKeyNames([...newer.values()]);
  }

  /** Not known: only a table that was emptied is written again. */
  isEmpty(): Promise<boolean> {
    return Promise.resolve(false);
  }

  noteProgress(): Promise<void> {
    return Promise.resolve();
  }

  progressOf(): Promise<Map<string, never>> {
    return Promise.resolve(new Map<string, never>());
  }

  forgetOldProgress(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** What a store is asked for, so many at once. */
function* portions<T>(all: readonly T[]): Generator<T[]> {
  for (let from = 0; from < all.length; from += KEYS_A_FETCH) yield all.slice(from, from + KEYS_A_FETCH);
}
