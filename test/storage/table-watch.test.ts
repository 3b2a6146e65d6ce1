/** When rows that are missing are a loss, and when the vacuum has taken them out. With MariaDB: mysql-moods.test.ts. */
import { describe, expect, it } from '@jest/globals';
import { RecordReader } from '../../protocol/change-record.ts';
import { registerId } from '../../storage/backends/register-key.ts';
import { TableWatch } from '../../storage/table-watch.ts';
import { storeEnvironment } from '../support/store-environment.ts';
import { pack } from './registers.ts';

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
    this.watch.note(records);
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
  it('tells of rows that have gone by themselves, once', async () => {
    const watched = new Watched();
    for (const key of ['a', 'b', 'c']) {
      watched.write(key);
      await watched.check();
    }
    watched.rows.clear();
    watched.write('later');
    for (let round = 0; round < 3; round++) await watched.check();
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
});
