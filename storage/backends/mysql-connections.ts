/** Connections of a mysql2 pool, ours or the application's, that never wait for ever. */
import { Socket } from 'node:net';
import { createConnection, type Connection, type Pool, type PoolConnection } from 'mysql2';
import type { Pool as PromisePool } from 'mysql2/promise';
import { StoreError } from './backend.ts';

/** A pool of mysql2 or of mysql2/promise. */
export type MysqlPool = Pool | PromisePool;

export interface ServerLimits {
  maxAllowedPacketBytes: number;
  /** False when the server's default makes us send COMMIT. */
  isAutocommitting: boolean;
}

export interface ConnectionTimeouts {
  connectTimeoutMs: number;
  /** Longest time a statement may take; a server that is stopped but not dead says nothing at all. */
  queryTimeoutMs: number;
}

/** What is under way on a connection, and how to end the wait for it. */
type GiveUp = (reason: StoreError) => void;

/** Connections of one store: the application's pool, or a few of our own that are never more than its work under way. */
export class MysqlConnections {
  /** `host:port/database`, for messages; never holds the password. */
  readonly server: string;
  /** Null when the connections are our own. */
  readonly #pool: Pool | null;
  readonly #url: string;
  readonly #timeouts: ConnectionTimeouts;
  readonly #limits = new WeakMap<Connection, ServerLimits>();
  readonly #idle: Connection[] = [];
  readonly #underWay = new Set<GiveUp>();
  #isClosed = false;

  constructor(target: string | MysqlPool, timeouts: ConnectionTimeouts) {
    this.#timeouts = timeouts;
    this.#url = typeof target === 'string' ? target : '';
    this.server = typeof target === 'string' ? serverOf(target) : 'pool';
    if (typeof target === 'string') this.#pool = null;
    else this.#pool = 'pool' in target ? target.pool : target;
  }

  /** Runs work on a connection, and commits it; one on which anything failed is thrown away, not put back. */
  async use<T>(work: (connection: Connection, limits: ServerLimits) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw this.#closedError();
    let giveUp: GiveUp = () => undefined;
    const cut = new Promise<never>((_resolve, reject) => (giveUp = reject));
    this.#underWay.add(giveUp);
    let connection: Connection | null = null;
    try {
      connection = await this.#acquire(cut);
      const result = await Promise.race([this.#work(connection, work), cut]);
      this.#release(connection);
      return result;
    } catch (error) {
      if (connection !== null) discard(connection);
      throw error;
    } finally {
      this.#underWay.delete(giveUp);
      cut.catch(() => undefined);
    }
  }

  async #work<T>(
    connection: Connection,
    work: (connection: Connection, limits: ServerLimits) => Promise<T>,
  ): Promise<T> {
    const limits = await this.#limitsOf(connection);
    const result = await work(connection, limits);
    // Ends what was read, too: the next who reads here would see the rows as they were now.
    if (!limits.isAutocommitting) await this.query(connection, 'COMMIT');
    return result;
  }

  /** A connection that is ready, within the time for it or until `cut`; one that comes later is let go. */
  async #acquire(cut: Promise<never>): Promise<Connection> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    let isLate = false;
    let timer: NodeJS.Timeout | undefined;
    const { connectTimeoutMs } = this.#timeouts;
    const late = new Promise<never>((_resolve, reject) => {
      const error = new StoreError('unavailable', `MySQL ${this.server}: no connection within ${connectTimeoutMs} ms`);
      timer = setTimeout(() => reject(error), connectTimeoutMs);
    });
    const opening = this.#pool === null ? this.#connect(cut) : fromPool(this.#pool);
    opening.then(
      (connection) => isLate && this.#release(connection),
      () => undefined,
    );
    try {
      return await Promise.race([opening, late, cut]);
    } catch (error) {
      isLate = true;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #connect(cut: Promise<never>): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const connection = createConnection({
        uri: this.#url,
        connectTimeout: this.#timeouts.connectTimeoutMs,
        enableKeepAlive: true,
        // Statements are ASCII; the columns are binary.
        charset: 'utf8mb4',
      });
      cut.catch(() => discard(connection));
      // A connection that breaks while nobody uses it must not end the process, nor be used again.
      connection.on('error', () => this.#forget(connection));
      connection.on('end', () => this.#forget(connection));
      connection.connect((error) => {
        if (!error) {
          resolve(connection);
          return;
        }
        discard(connection);
        reject(error);
      });
    });
  }

  #forget(connection: Connection): void {
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  #release(connection: Connection): void {
    if (this.#pool !== null) this.#pool.releaseConnection(connection as PoolConnection);
    else if (this.#isClosed) discard(connection);
    else this.#idle.push(connection);
  }

  #closedError(): StoreError {
    return new StoreError('unavailable', `MySQL ${this.server} is closed here`);
  }

  async #limitsOf(connection: Connection): Promise<ServerLimits> {
    const known = this.#limits.get(connection);
    if (known !== undefined) return known;
    const rows = await this.query(connection, 'SELECT @@max_allowed_packet, @@autocommit');
    const [packet, autocommit] = rows[0] as [number | string, number | string];
    const limits = { maxAllowedPacketBytes: Number(packet), isAutocommitting: Number(autocommit) === 1 };
    this.#limits.set(connection, limits);
    return limits;
  }

  /** Runs one statement; rows are arrays of column values, and what is not a result set has no rows. */
  query(connection: Connection, sql: string): Promise<unknown[][]> {
    return this.#answered((resolve, reject) => {
      // Set here because the application's pool may have changed the defaults.
      connection.query({ sql, rowsAsArray: true, typeCast: true }, (error, rows) => {
        if (error) reject(error);
        else resolve(Array.isArray(rows) ? (rows as unknown[][]) : []);
      });
    });
  }

  /** Runs one prepared statement, whose parameters travel as raw bytes. */
  execute(connection: Connection, sql: string, values: (Buffer | number | string | null)[]): Promise<void> {
    return this.#answered((resolve, reject) => {
      connection.execute({ sql, values }, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** mysql2's own timer goes on when its connection is destroyed, and would keep the process for that long. */
  #silenceTimer(reject: (reason: Error) => void): NodeJS.Timeout {
    const { queryTimeoutMs } = this.#timeouts;
    const silence = (): void =>
      reject(new StoreError('unavailable', `MySQL ${this.server}: no answer within ${queryTimeoutMs} ms`));
    return setTimeout(silence, queryTimeoutMs).unref();
  }

  async #answered<T>(ask: (resolve: (value: T) => void, reject: (reason: Error) => void) => void): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        timer = this.#silenceTimer(reject);
        ask(resolve, reject);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Runs a query and hands over each row as it arrives. `isEnough` is asked after each row; when it says so, reading pauses
   * until `onEnough` has resolved, so that a page of large rows never lies in memory as a whole.
   */
  async queryRows(
    connection: Connection,
    sql: string,
    onRow: (row: unknown[]) => boolean,
    onEnough: () => Promise<void>,
  ): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let lost: (error: Error) => void = () => undefined;
    await new Promise<void>((resolve, reject) => {
      timer = this.#silenceTimer(reject);
      // A query without a callback is not told that its connection has broken; nobody would notice before the silence is too long.
      connection.once('error', (lost = reject));
      const query = connection.query({ sql, rowsAsArray: true, typeCast: true });
      query.on('error', reject);
      query.on('end', () => resolve());
      query.on('result', (row: unknown) => {
        try {
          if (!onRow(row as unknown[])) return;
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        clearTimeout(timer);
        connection.pause();
        onEnough().then(() => {
          timer = this.#silenceTimer(reject);
          connection.resume();
        }, reject);
      });
    }).finally(() => {
      clearTimeout(timer);
      connection.off('error', lost);
    });
  }

  /** Cuts what is under way; the application's pool stays open. Does not wait for a server that does not answer. */
  close(): void {
    this.#isClosed = true;
    for (const giveUp of this.#underWay) giveUp(this.#closedError());
    for (const connection of this.#idle.splice(0)) {
      connection.end(() => undefined);
      // Saying goodbye to a server that does not answer would keep the process.
      if ('stream' in connection && connection.stream instanceof Socket) connection.stream.unref();
    }
  }
}

function fromPool(pool: Pool): Promise<Connection> {
  return new Promise((resolve, reject) => {
    pool.getConnection((error, connection) => {
      if (error) reject(error);
      else resolve(connection);
    });
  });
}

/** Lets go of a connection at once; destroy() alone still waits for the server to hang up. */
function discard(connection: Connection): void {
  connection.destroy();
  if ('stream' in connection && connection.stream instanceof Socket) connection.stream.destroy();
}

function serverOf(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url);
    return `${hostname}:${port === '' ? '3306' : port}${pathname}`;
  } catch {
    throw new StoreError('refused', 'the mysql option is not a URL: give mysql://user:password@host:port/database');
  }
}
