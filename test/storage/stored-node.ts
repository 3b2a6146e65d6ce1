/** Keyspaces on real stores, and other nodes that write the same database. */
import { systemTime } from '../../replication/system.ts';
import { MysqlStore } from '../../storage/backends/mysql.ts';
import { expireDue } from '../../storage/expiry/expiry.ts';
import { FlushEngine } from '../../storage/flush/flush-engine.ts';
import { Flusher } from '../../storage/flush/flusher.ts';
import { dirtyCount, drainDirty, noteDirty } from '../../storage/changes/outflow.ts';
import { Reaper } from '../../storage/tombstones/reaper.ts';
import type { RemovalSink, TakeRecords } from '../../storage/tombstones/removals.ts';
import { storeEnvironment } from '../support/store-environment.ts';
import { waitFor } from '../support/wait-for.ts';
import { Replica } from './collections/replicas.ts';

const HOUR_MS = 3_600_000;

/** A keyspace on its stores, whose day passes as fast as the test wants. */
export class StoredNode {
  readonly replica: Replica;
  readonly flusher: Flusher;
  readonly #reaper: Reaper;
  nowMs: number;

  constructor(
    dataDir: string | null,
    mysql: string | null,
    nowMs: number,
    sinkOf = (sink: RemovalSink) => sink,
    onNewer?: TakeRecords,
  ) {
    this.nowMs = nowMs;
    this.replica = new Replica(1, () => this.nowMs);
    const { keyspace } = this.replica;
    keyspace.feeding = false;
    keyspace.digesting = false;
    this.flusher = new Flusher(
      {
        dataDir,
        mysql,
        flushIntervalMs: HOUR_MS,
        backoffMsMax: 50,
        environment: { ...storeEnvironment, nowMs: () => this.nowMs, random: () => 0.5 },
        // In this thread: a hundred workers in one process now and then meet a fault of V8's (jit_page.has_value()).
        makeEngine: (options, events, environment) =>
          new FlushEngine(options, options.mysqlUrl, null, events, environment),
      },
      {
        get dirtyCount() {
          return dirtyCount(keyspace);
        },
        drainDirty: (writer, bytesMax) => drainDirty(keyspace, writer, bytesMax),
        noteDirty: () => noteDirty(keyspace),
      },
      systemTime,
    );
    this.#reaper = new Reaper(keyspace, sinkOf(this.flusher), onNewer);
  }

  async start(): Promise<void> {
    const { keyspace } = this.replica;
    await this.flusher.open();
    keyspace.storing = false;
    keyspace.hydrating = true;
    keyspace.clock.refresh();
    await this.flusher.hydrate((records) => this.replica.apply(records));
    keyspace.hydrating = false;
    keyspace.storing = true;
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.replica.keyspace.clock.refresh();
    expireDue(this.replica.keyspace, Number.POSITIVE_INFINITY);
  }

  step(): number {
    const { hi, lo } = this.replica.keyspace.clock;
    return this.#reaper.step({ hi, lo }, { hi, lo });
  }

  /** Flushes, and reaps until memory holds nothing that commands do not see. */
  async settle(): Promise<void> {
    await this.flusher.flushNow();
    const { keyspace } = this.replica;
    await waitFor('the vacuum', () => {
      this.step();
      return keyspace.databases.every((database) => database.index.count === database.keyCount);
    });
  }

  /** Sweeps on for so many steps, whatever there is. */
  async sweep(steps: number): Promise<void> {
    await this.flusher.flushNow();
    for (let step = 0; step < steps; step++) {
      this.step();
      await new Promise(setImmediate);
    }
  }
}

/** Another node that writes the same database. */
export class Writer {
  readonly replica: Replica;
  readonly #store: MysqlStore;

  private constructor(replica: Replica, store: MysqlStore) {
    this.replica = replica;
    this.#store = store;
  }

  static async open(url: string, { nowMs }: StoredNode): Promise<Writer> {
    const store = new MysqlStore({ target: url, environment: storeEnvironment });
    await store.open();
    const replica = new Replica(2, () => nowMs);
    replica.keyspace.clock.refresh();
    return new Writer(replica, store);
  }

  /** Brings what is new to the database; gives it. */
  async write(): Promise<Buffer> {
    const records = this.replica.takeStore(1 << 20);
    await this.#store.write(records);
    return records;
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
