/**
 * Mantis as a library: a node inside a Node.js application, with or without a port for Redis clients.
 *
 *     const node = await Mantis.start({ mysql: 'mysql://user:password@host/database', peers: ['10.0.0.5:16379'] });
 *     await node.set('feature:dark-mode', 'on', { ttlMs: 60_000 });
 *     node.get('feature:dark-mode');   // 'on'
 *     await node.stop();               // flushes
 */
import { EventEmitter } from 'node:events';
import type { Pool } from 'mysql2';
import type { Pool as PromisePool } from 'mysql2/promise';
import { formatNodeId } from '../protocol/stamp.ts';
import type { DurableStore } from '../storage/backends/backend.ts';
import { TYPE_STRING } from '../storage/arena/block.ts';
import type { FlusherStatus } from '../storage/flush/flusher.ts';
import type { Keyspace } from '../storage/keyspace.ts';
import { finishDigesting } from '../storage/digests/digest-start.ts';
import { recomputeDigests } from '../storage/digests/register-scan.ts';
import { incrementExactly, incrementFast } from '../storage/types/counter.ts';
import { deleteKey, setString } from '../storage/types/string.ts';
import { Config } from './config/config.ts';
import { Runtime } from './runtime.ts';
import { systemEnvironment } from './runtime/system-environment.ts';

export { type DurableStore, type OnRecords, StoreError, type StoreErrorKind } from '../storage/backends/backend.ts';
export {
  idPrefixes,
  isNewerRecord,
  packedSlices,
  splitRecords,
  type StoredRecord,
} from '../storage/backends/record-tools.ts';

/** Keys and values: text is taken as UTF-8. */
export type Bytes = string | Uint8Array;

export interface MantisOptions {
  /** Port for Redis clients; without it the node serves only this process. */
  port?: number;
  /** Addresses that `port` listens on; the loopback by default. */
  bind?: string | readonly string[];
  requirepass?: string;
  /** Folder of the embedded store; null keeps everything in memory (and in MySQL, where that is named). Default ./mantis-data. */
  dataDir?: string | null;
  /** A mysql2 pool, or `mysql://user:password@host/database`. */
  mysql?: Pool | PromisePool | string;
  /** A durable store of the application's own, in the place of MySQL: docs/durable-stores.md. */
  store?: DurableStore;
  /** Other nodes, `host:peer-port`; one is enough. */
  peers?: readonly string[];
  /** Port for peers; without it the node takes part in no cluster unless it has a `port`. */
  peerPort?: number;
  clusterSecret?: string;
  nodeId?: string;
  flushIntervalMs?: number;
  /** Any other option of docs/configuration.md by its name. */
  options?: Readonly<Record<string, string>>;
}

export interface SetOptions {
  /** Time to live in milliseconds; for ever without it. */
  ttlMs?: number;
  /** Number of the database, 0 by default. */
  database?: number;
}

export interface DatabaseOption {
  database?: number;
}

/** A key that was written or deleted here or at a peer, or that has expired. */
export interface Change {
  database: number;
  key: Buffer;
  /** Whether the key is there now. */
  exists: boolean;
}

interface MantisEvents {
  change: [Change];
}

const BUSY = 'a script of a client runs for long, and nothing else may until it has ended';

function toBuffer(value: Bytes): Buffer {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function settingsOf(options: MantisOptions): Record<string, string> {
  const { port, bind, requirepass, dataDir, mysql, peers, peerPort, clusterSecret, nodeId, flushIntervalMs } = options;
  const settings: Record<string, string | undefined> = {
    port: String(port ?? 0),
    bind: bind === undefined ? undefined : typeof bind === 'string' ? bind : bind.join(' '),
    requirepass,
    'data-dir': dataDir === null ? 'none' : dataDir,
    mysql: typeof mysql === 'string' ? mysql : undefined,
    peers: peers?.join(' '),
    'peer-port': peerPort === undefined ? undefined : String(peerPort),
    'cluster-secret': clusterSecret,
    'node-id': nodeId,
    'flush-interval': flushIntervalMs === undefined ? undefined : `${flushIntervalMs}ms`,
    loglevel: 'warning',
    ...options.options,
  };
  return Object.fromEntries(
    Object.entries(settings).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

export class Mantis {
  readonly #runtime: Runtime;
  readonly #events = new EventEmitter<MantisEvents>();
  #changed: Change[] = [];

  /**
   * Starts a node and resolves when what is stored is loaded. MySQL that is away, or denies access, is no reason not to start:
   * what the embedded store has is served, `stores` and the log say what is wrong, and the rows are merged and written when it
   * answers. Without an embedded store there would be nothing to serve, so that this waits for MySQL.
   * @throws Error that names the option and says what to do
   */
  static async start(options: MantisOptions = {}): Promise<Mantis> {
    const config = Config.fromSources({ settings: settingsOf(options), env: {}, argv: [] });
    const target = options.store ?? options.mysql;
    const runtime = await Runtime.create(config, systemEnvironment(config), {
      listen: options.port !== undefined,
      ...(typeof target === 'object' ? { mysqlPool: target } : {}),
    });
    await runtime.start();
    return new Mantis(runtime);
  }

  private constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** This node's id, 16 hexadecimal digits. */
  get nodeId(): string {
    return formatNodeId(this.#runtime.nodeHi, this.#runtime.nodeLo);
  }

  #open(database = 0): { keyspace: Keyspace; database: Keyspace['databases'][number] } {
    const { keyspace } = this.#runtime;
    const opened = keyspace.databases[database];
    if (this.#runtime.untilWhole !== null) throw new Error(BUSY);
    if (opened === undefined) throw new RangeError(`database ${database}; there are ${keyspace.databases.length}`);
    keyspace.clock.refresh();
    return { keyspace, database: opened };
  }

  #makeRoom(): void {
    if (this.#runtime.dispatcher.memory?.hasRoom() === false)
      throw new RangeError("the data is at 'maxmemory', and nothing may be evicted");
  }

  /** Writes a string, here at once and at all peers; resolves when the `durability` option's promise holds. */
  async set(key: Bytes, value: Bytes, options: SetOptions = {}): Promise<void> {
    const { keyspace, database } = this.#open(options.database);
    const { ttlMs } = options;
    if (ttlMs !== undefined && !(ttlMs > 0)) throw new RangeError(`ttlMs must be above 0, not ${ttlMs}`);
    this.#makeRoom();
    const keyBytes = toBuffer(key);
    const valueBytes = toBuffer(value);
    const deadlineMs = ttlMs === undefined ? 0 : keyspace.clock.nowMs + Math.ceil(ttlMs);
    setString(keyspace, database, keyBytes, 0, keyBytes.length, valueBytes, 0, valueBytes.length, deadlineMs);
    await this.#runtime.committed();
  }

  /** The string at a key as text, from this node's memory; null when there is none. @throws TypeError for other types */
  get(key: Bytes, options: DatabaseOption = {}): string | null {
    return this.getBuffer(key, options)?.toString('utf8') ?? null;
  }

  /** The string at a key as bytes. */
  getBuffer(key: Bytes, options: DatabaseOption = {}): Buffer | null {
    const { keyspace, database } = this.#open(options.database);
    const bytes = toBuffer(key);
    const ref = keyspace.lookup(database, bytes, 0, bytes.length);
    if (ref === 0) return null;
    if (keyspace.typeOf(ref) !== TYPE_STRING) throw new TypeError('the key holds another type than a string');
    keyspace.readValue(ref);
    return Buffer.from(keyspace.valueBuffer.subarray(keyspace.valueStart, keyspace.valueStart + keyspace.valueLength));
  }

  /** Whether there is such a key. */
  has(key: Bytes, options: DatabaseOption = {}): boolean {
    const { keyspace, database } = this.#open(options.database);
    const bytes = toBuffer(key);
    return keyspace.lookup(database, bytes, 0, bytes.length) !== 0;
  }

  /**
   * With `read-through yes`: has a key that was evicted read back from the stores, so that `get` and `has` find it in memory.
   * Resolves at once when memory has it. @throws StoreError when the stores cannot be read
   */
  async load(key: Bytes, options: DatabaseOption = {}): Promise<void> {
    const { keyspace, database } = this.#open(options.database);
    const bytes = toBuffer(key);
    const { readThrough } = this.#runtime;
    if (readThrough === null || !keyspace.isPartial(database, bytes, 0, bytes.length)) return;
    await readThrough.fetch([{ database: database.number, key: Buffer.from(bytes) }]);
  }

  async #loadWhole(key: Buffer, options: DatabaseOption): Promise<void> {
    await this.load(key, options);
    while (this.#runtime.untilWhole !== null) await this.#runtime.untilWhole;
  }

  /** Deletes a key of any type; resolves with whether there was one. */
  async delete(key: Bytes, options: DatabaseOption = {}): Promise<boolean> {
    const { keyspace, database } = this.#open(options.database);
    const bytes = toBuffer(key);
    if (keyspace.isPartial(database, bytes, 0, bytes.length)) await this.#loadWhole(bytes, options);
    const deleted = deleteKey(keyspace, database, bytes, 0, bytes.length);
    await this.#runtime.committed();
    return deleted;
  }

  /** Adds an integer to the number at a key; increments made on several nodes at once all count. */
  async increment(key: Bytes, by = 1, options: DatabaseOption = {}): Promise<number> {
    const { keyspace, database } = this.#open(options.database);
    if (!Number.isSafeInteger(by)) throw new RangeError(`an increment must be a safe integer, not ${by}`);
    this.#makeRoom();
    const bytes = toBuffer(key);
    if (keyspace.isPartial(database, bytes, 0, bytes.length)) await this.#loadWhole(bytes, options);
    let total = incrementFast(keyspace, database, bytes, 0, bytes.length, by);
    if (Number.isNaN(total)) {
      const exact = incrementExactly(keyspace, database, bytes, 0, bytes.length, String(by));
      if (typeof exact !== 'string') throw new RangeError(`cannot increment: ${exact.refused}`);
      total = Number(exact);
    }
    await this.#runtime.committed();
    return total;
  }

  /** The digest of everything that this node shows; equal on all nodes at rest. */
  digest(): string {
    const { keyspace } = this.#open();
    finishDigesting(keyspace);
    if (!keyspace.digesting) recomputeDigests(keyspace);
    return keyspace.digests.total();
  }

  /** Calls back after every change of a key, whoever made it. Returns a function that ends that. */
  onChange(listener: (change: Change) => void): () => void {
    this.#events.on('change', listener);
    this.#runtime.onKeyChanged = (database, key, start, length) => this.#note(database, key, start, length);
    return () => {
      this.#events.off('change', listener);
      if (this.#events.listenerCount('change') === 0) this.#runtime.onKeyChanged = null;
    };
  }

  #note(database: number, key: Buffer, start: number, length: number): void {
    if (this.#changed.length === 0) setImmediate(() => this.#announce());
    this.#changed.push({ database, key: Buffer.from(key.subarray(start, start + length)), exists: false });
  }

  /** Listeners run in a later turn: a write is never in the middle of something when they look. */
  #announce(): void {
    const { untilWhole } = this.#runtime;
    if (untilWhole !== null) {
      void untilWhole.then(() => this.#announce());
      return;
    }
    const changes = this.#changed;
    this.#changed = [];
    for (const change of changes) {
      change.exists = this.has(change.key, { database: change.database });
      this.#events.emit('change', change);
    }
  }

  /** The durable stores: what waits for them, and why one does not take it; null without stores. */
  get stores(): FlusherStatus | null {
    return this.#runtime.flusher?.status() ?? null;
  }

  /** Makes everything written so far durable now. */
  async flush(): Promise<void> {
    await this.#runtime.saveNow();
  }

  /** Flushes and stops. */
  async stop(): Promise<void> {
    await this.#runtime.shutdown({ save: true, force: true, now: false });
  }
}
