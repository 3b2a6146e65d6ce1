import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { migrate } from '../../storage/backends/mysql-schema.ts';
import { ChildServer, programPath } from './child-server.ts';
import { freePort } from './free-port.ts';
import { temporaryFolder } from './temporary-folder.ts';

const user = 'mantis';
const password = 'secret';
const database = 'mantis';
const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];

/** A database of a server. */
export interface TestDatabase {
  readonly name: string;
  /** For the `mysql` option of a node. */
  readonly url: string;
}

/** A MariaDB with one user and one empty database, which the user owns. It takes seconds to start: share one in a test file. */
export class MariadbProcess {
  readonly host = '127.0.0.1';
  readonly user = user;
  readonly password = password;
  readonly database = database;
  readonly port: number;
  private readonly folder: string;
  private readonly args: string[];
  private server: ChildServer | undefined;
  private databasesMade = 0;

  private constructor(port: number, folder: string, args: string[]) {
    this.port = port;
    this.folder = folder;
    this.args = args;
  }

  /** Makes the data folder and starts the server; `args` are further options of mariadbd. */
  static async create({ args = [] }: { args?: string[] } = {}): Promise<MariadbProcess> {
    const mariadb = new MariadbProcess(await freePort(), temporaryFolder('mariadb'), args);
    const layout = [
      `--datadir=${mariadb.dataDir}`,
      `--tmpdir=${mariadb.folder}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
    ];
    await promisify(execFile)(programPath('mariadb-install-db'), ['--no-defaults', ...layout, ...asRoot]);
    await mariadb.start();
    return mariadb;
  }

  get dataDir(): string {
    return join(this.folder, 'data');
  }

  /** For the `mysql` option of a node. */
  get url(): string {
    return `mysql://${user}:${password}@${this.host}:${this.port}/${database}`;
  }

  get logs(): string {
    return this.server?.logs ?? '';
  }

  /** Starts the server again after stop() or kill(), on the same port and data. */
  async start(): Promise<void> {
    const grants = join(this.folder, 'grants.sql');
    writeFileSync(
      grants,
      `CREATE DATABASE IF NOT EXISTS ${database};\n` +
        `CREATE USER IF NOT EXISTS '${user}'@'%' IDENTIFIED BY '${password}';\n` +
        `GRANT ALL ON *.* TO '${user}'@'%' WITH GRANT OPTION;\n`,
    );
    this.server = await ChildServer.start({
      program: programPath('mariadbd'),
      args: [
        '--no-defaults',
        ...asRoot,
        `--datadir=${this.dataDir}`,
        // A starting server clears away what looks like its own in the shared folder, though it be another server's.
        `--tmpdir=${this.folder}`,
        `--socket=${join(this.folder, 'socket')}`,
        `--pid-file=${join(this.folder, 'pid')}`,
        `--port=${this.port}`,
        `--bind-address=${this.host}`,
        `--init-file=${grants}`,
        '--skip-name-resolve',
        '--innodb-buffer-pool-size=64M',
        '--innodb-log-file-size=32M',
        // Only the process is ever killed, not the machine: the operating system's cache is durable enough.
        '--innodb-flush-log-at-trx-commit=2',
        '--performance-schema=OFF',
        ...this.args,
      ],
      isReady: () => this.answers(),
      readyDeadlineMs: 30_000,
    });
  }

  private async answers(): Promise<boolean> {
    await this.query('SELECT 1');
    return true;
  }

  /** Runs one statement on a connection of its own and gives its rows. */
  async query(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const connection = await createConnection({ uri: this.url, connectTimeout: 5000 });
    connection.on('error', () => {});
    try {
      const [rows] = await connection.query(sql, values);
      return rows as Record<string, unknown>[];
    } finally {
      connection.destroy();
    }
  }

  /** Makes a new database, which is empty and the user's. */
  async createDatabase(name = `test_${++this.databasesMade}`): Promise<TestDatabase> {
    await this.query(`CREATE DATABASE ${name}`);
    return { name, url: this.url.replace(/[^/]*$/, name) };
  }

  /** Makes a new database with the schema of this release. */
  async createMigratedDatabase(name?: string): Promise<TestDatabase> {
    const created = await this.createDatabase(name);
    await migrate(created.url);
    return created;
  }

  async stop(): Promise<void> {
    await this.server?.stop(30_000);
  }

  async kill(): Promise<void> {
    await this.server?.kill('SIGKILL');
  }

  /** The server neither answers nor hangs up until resume(). */
  pause(): void {
    this.server?.pause();
  }

  resume(): void {
    this.server?.resume();
  }
}
