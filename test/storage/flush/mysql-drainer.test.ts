import { describe, expect, it } from '@jest/globals';
import { Quarantine, StoreError } from '../../../storage/backends/backend.ts';
import type { QueueBatch } from '../../../storage/backends/level-queue.ts';
import type { RefusedRow } from '../../../storage/backends/mysql.ts';
import { countRecords, MysqlDrainer, type DrainTarget } from '../../../storage/flush/mysql-drainer.ts';
import { storeEnvironment } from '../../support/store-environment.ts';
import { waitFor } from '../../support/wait-for.ts';
import { pack } from '../registers.ts';

/** A queue and a MySQL in memory; each write waits for the test. */
class Surroundings {
  readonly waiting: QueueBatch[] = [];
  readonly done: number[] = [];
  readonly writes: { records: Buffer; resolve: (refused: RefusedRow[]) => void; reject: (error: Error) => void }[] = [];
  readonly fatal: Error[] = [];
  openFailure: Error | null = null;
  takeFailure: Error | null = null;
  opens = 0;
  #taken = 0;
  #ticket = 0;

  readonly target: DrainTarget = {
    server: 'test',
    refused: new Quarantine('mysql'),
    quarantine: new Quarantine('mysql'),
    open: () => {
      this.opens++;
      return this.openFailure === null ? Promise.resolve() : Promise.reject(this.openFailure);
    },
    writeRows: (records) => new Promise((resolve, reject) => this.writes.push({ records, resolve, reject })),
    close: () => {
      for (const { reject } of this.writes) reject(new StoreError('unavailable', 'closed'));
      return Promise.resolve();
    },
  };

  readonly drainer = new MysqlDrainer(
    this.target,
    {
      take: () => {
        if (this.takeFailure !== null) return Promise.reject(this.takeFailure);
        const batch = this.waiting.shift() ?? null;
        if (batch !== null) this.#taken += countRecords(batch.records);
        return Promise.resolve(batch);
      },
      done: (ticket) => Promise.resolve(void this.done.push(ticket)),
      count: () => Promise.resolve(this.#taken + this.waiting.length),
    },
    {
      environment: storeEnvironment,
      backoffMsMax: 5,
      weigh: ({ records }) => countRecords(records),
      onChange: () => undefined,
      onFatal: (error) => this.fatal.push(error),
    },
  );

  queue(key: string): void {
    this.waiting.push({ ticket: ++this.#ticket, records: pack({ key }) });
    this.drainer.wake();
  }
}

describe('mysql drainer', () => {
  it('does not take a younger batch for an older one', async () => {
    const test = new Surroundings();
    test.drainer.start(true);
    test.queue('old');
    let isDrained = false;
    const draining = test.drainer.drained().then(() => (isDrained = true));
    test.queue('young');
    await waitFor('both writes', () => test.writes.length === 2);
    test.writes[1].resolve([]);
    await waitFor('the younger batch', () => test.done.length === 1);
    await new Promise(setImmediate);
    expect(isDrained).toBe(false);
    test.writes[0].resolve([]);
    await draining;
    expect(test.done).toEqual([2, 1]);
    await test.drainer.close();
  });

  it('is drained at once when nothing waits', async () => {
    const { drainer } = new Surroundings();
    drainer.start(true);
    await drainer.drained();
    await drainer.close();
  });

  it('repeats a batch until MySQL has it, and looks at the schema first', async () => {
    const test = new Surroundings();
    test.drainer.start(true);
    test.queue('a');
    await waitFor('the write', () => test.writes.length === 1);
    test.openFailure = new StoreError('refused', 'run `mantis migrate`');
    test.writes[0].reject(new StoreError('unavailable', 'gone away'));
    await waitFor('attempts', () => test.opens > 3);
    expect(test.drainer.status).toMatchObject({ state: 'down', lastError: 'run `mantis migrate`' });
    expect(test.writes).toHaveLength(1);
    test.openFailure = null;
    await waitFor('the repeated write', () => test.writes.length === 2);
    test.writes[1].resolve([]);
    await test.drainer.drained();
    expect(test.drainer.status).toMatchObject({ state: 'up', rowsWritten: 1 });
    expect(test.done).toEqual([1]);
    await test.drainer.close();
  });

  it('looks for a MySQL that is away although nothing is to be written', async () => {
    const test = new Surroundings();
    test.openFailure = new StoreError('unavailable', 'connection refused');
    test.drainer.start(false);
    await waitFor('attempts', () => test.opens > 3);
    expect(test.drainer.isDown).toBe(true);
    test.openFailure = null;
    await waitFor('its return', () => test.drainer.status.state === 'up');
    // Somebody else notices that it went away again.
    test.drainer.noteFailure(new Error('no answer'));
    await waitFor('its return', () => test.drainer.status.state === 'up');
    await test.drainer.close();
  });

  it('says that its queue is damaged', async () => {
    const test = new Surroundings();
    test.takeFailure = new StoreError('damaged', 'checksum');
    test.drainer.start(true);
    await waitFor('the error', () => test.fatal.length > 0);
    await test.drainer.close();
  });

  it('closes with a write under way', async () => {
    const test = new Surroundings();
    test.drainer.start(true);
    test.queue('a');
    await waitFor('the write', () => test.writes.length === 1);
    await test.drainer.close();
    expect(test.done).toEqual([]);
    expect(test.fatal).toEqual([]);
  });
});
