/** When rows that are missing are a loss, and when the vacuum has taken them out. With MariaDB: mysql-moods.test.ts. */
import { describe, expect, it } from '@jest/globals';
import { KIND_FLOOR, RecordReader } from '../../../protocol/change-record.ts';
import {
  COLLECTION_HASH,
  COLLECTION_SET,
  KIND_ELEMENT_FIRST,
  KIND_KEY_FIRST,
} from '../../../protocol/collection-kinds.ts';
import { registerId } from '../../../storage/backends/register-key.ts';
import { TableWatch } from '../../../storage/flush/table-watch.ts';
import { storeEnvironment } from '../../support/store-environment.ts';
import { pack, type RecordFields } from '../registers.ts';

class Watched {
  readonly rows = new Set<string>();
  losses = 0;
  /** Called while the table is asked. */
  whileAsked = (): void => undefined;
  readonly #reader = new RecordReader();
  #due: (() => void) | null = null;
  readonly watch = new TableWatch(
    {
      hasAny: async (records) => {
        const has = this.#idsOf(records).some((id) => this.rows.has(id));
        await Promise.resolve();
        this.whileAsked();
        return has;
      },
    },
    {
      environment: {
        ...storeEnvironment,
        setTimer: (_delayMs, callback) => {
          this.#due = callback;
          return { cancel: () => (this.#due = null) };
        },
      },
      isUp: () => true,
      onLoss: () => this.losses++,
    },
  );

  constructor() {
    this.watch.start();
  }

  #idsOf(records: Buffer): string[] {
    const ids: string[] = [];
    for (let at = 0; at < records.length; ids.push(registerId(this.#reader))) at = this.#reader.read(records, at);
    return ids;
  }

  write(key: string): void {
    const records = pack({ key });
    for (const id of this.#idsOf(records)) this.rows.add(id);
    this.watch.stored(records);
  }

  /** A change that has no row yet. */
  store(...all: Parameters<typeof pack>): void {
    this.watch.stored(pack(...all));
  }

  load(...keys: string[]): void {
    const records = pack(...keys.map((key) => ({ key })));
    for (const id of this.#idsOf(records)) this.rows.add(id);
    this.watch.loaded(records);
  }

  fillRecord(fields: RecordFields): void {
    for (const id of this.#idsOf(pack(fields))) this.rows.add(id);
  }

  fill(...keys: string[]): void {
    for (const key of keys) this.fillRecord({ key });
  }

  /** Another node's vacuum: this one hears nothing of it. */
  vacuumElsewhere(...keys: string[]): void {
    for (const id of this.#idsOf(pack(...keys.map((key) => ({ key }))))) this.rows.delete(id);
  }

  vacuum(key: string): void {
    const records = pack({ key, dead: true, step: 2 });
    this.watch.forget(records);
    for (const id of this.#idsOf(records)) this.rows.delete(id);
  }

  async check(): Promise<void> {
    const due = this.#due!;
    this.#due = null;
    due();
    while (this.#due === null) await Promise.resolve();
  }
}

describe('the watch over the table', () => {
  it('tells of rows that have gone by themselves, once for each time', async () => {
    const watched = new Watched();
    for (const key of ['a', 'b', 'c']) {
      watched.write(key);
      await watched.check();
    }
    watched.rows.clear();
    // A row that comes now does not hide that the others are gone.
    watched.write('later');
    for (let round = 0; round < 3; round++) await watched.check();
    expect(watched.losses).toBe(1);
    // Written again, they are watched again.
    watched.fill('a', 'b');
    await watched.check();
    watched.rows.clear();
    for (let round = 0; round < 3; round++) await watched.check();
    expect(watched.losses).toBe(2);
    watched.watch.close();
  });

  it('tells of rows that this node wrote and that have gone before they were looked for', async () => {
    const watched = new Watched();
    watched.write('a');
    watched.watch.written(pack({ key: 'a' }));
    watched.rows.clear();
    watched.write('later');
    watched.watch.written(pack({ key: 'later' }));
    for (let round = 0; round < 3; round++) await watched.check();
    expect(watched.losses).toBe(0);
    watched.rows.clear();
    for (let round = 0; round < 3; round++) await watched.check();
    expect(watched.losses).toBe(1);
    watched.watch.close();
  });

  it('looks from the start for what was loaded', async () => {
    const watched = new Watched();
    watched.load(...Array.from({ length: 40 }, (_, index) => `row ${index}`));
    await watched.check();
    watched.vacuumElsewhere(...Array.from({ length: 20 }, (_, index) => `row ${index + 20}`));
    await watched.check();
    expect(watched.losses).toBe(0);
    watched.rows.clear();
    await watched.check();
    expect(watched.losses).toBe(1);
    watched.watch.close();
  });

  it('does not take for a loss what the vacuum takes out, before a check or during it', async () => {
    const watched = new Watched();
    for (let round = 0; round < 20; round++) {
      watched.write(`job ${round}`);
      await watched.check();
      watched.vacuum(`job ${round}`);
    }
    await watched.check();
    watched.write('last');
    await watched.check();
    watched.rows.clear();
    watched.whileAsked = () => watched.vacuum('last');
    await watched.check();
    expect(watched.losses).toBe(0);
    watched.watch.close();
  });

  it.each([
    ['a deletion', { key: 'job', dead: true, step: 2 }],
    ['a deadline', { key: 'job', deadline: { ms: 1, step: 2 } }],
    ['a value with a deadline', { key: 'job', step: 2, deadline: { ms: 1, step: 2 } }],
    ['FLUSHDB', { key: '', kind: KIND_FLOOR, step: 2 }],
    ['another type', { key: 'job', kind: KIND_KEY_FIRST + COLLECTION_SET, step: 2 }],
  ])('does not take for a loss what the vacuum of another node takes out after %s', async (_what, ended) => {
    const watched = new Watched();
    watched.write('job');
    watched.write('other');
    await watched.check();
    watched.store(ended, { key: 'other', dead: true, step: 2 });
    watched.vacuumElsewhere('job', 'other');
    for (let round = 0; round < 3; round++) await watched.check();
    expect(watched.losses).toBe(0);
    watched.watch.close();
  });

  it('does not watch what another node has ended before its row was looked for', async () => {
    const watched = new Watched();
    watched.write('job');
    watched.whileAsked = () => {
      watched.store({ key: 'job', dead: true, step: 2 });
      watched.vacuumElsewhere('job');
    };
    for (let round = 0; round < 3; round++) await watched.check();
    expect(watched.losses).toBe(0);
    watched.watch.close();
  });

  it.each([
    ['by strings', { key: 'k' }, { key: 'k', step: 2 }],
    ['by elements', { ...hashField('f') }, { ...hashField('g'), step: 2 }],
    ['by elements that are written again', { ...hashField('f') }, { ...hashField('f'), step: 2 }],
  ])('goes on watching what changes and stays: %s', async (_what, first, second) => {
    const watched = new Watched();
    watched.store(first);
    watched.fillRecord(first);
    await watched.check();
    watched.store(second);
    watched.rows.clear();
    for (let round = 0; round < 3; round++) await watched.check();
    expect(watched.losses).toBe(1);
    watched.watch.close();
  });

  it('does not look for what never had a row', async () => {
    const watched = new Watched();
    watched.store({ key: 'on its way' });
    for (let round = 0; round < 3; round++) await watched.check();
    watched.fill('on its way');
    await watched.check();
    expect(watched.losses).toBe(0);
    watched.rows.clear();
    await watched.check();
    expect(watched.losses).toBe(1);
    watched.watch.close();
  });
});

function hashField(element: string): RecordFields {
  return { key: 'hash', kind: KIND_ELEMENT_FIRST + COLLECTION_HASH, element, value: 'v' };
}
