import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { freePort } from './measured-server.ts';

const startDeadlineMs = 30_000;

/** A MariaDB of the bench's own, with one empty database, on a free port of 127.0.0.1. */
export class Mariadb {
  readonly url: string;
  private readonly child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.child = child;
    process.once('exit', () => child.kill('SIGKILL'));
  }

  /** Makes its data in a folder. A commit is as durable as MariaDB makes it by default. */
  static async start(folder: string): Promise<Mariadb> {
    const data = join(folder, 'mariadb');
    mkdirSync(data);
    const own = [`--datadir=${data}`, `--tmpdir=${folder}`, ...(process.getuid?.() === 0 ? ['--user=root'] : [])];
    const layout = ['--auth-root-authentication-method=normal', '--skip-test-db'];
    execFileSync('mariadb-install-db', ['--no-defaults', ...own, ...layout], { stdio: 'ignore' });
    const grants = join(folder, 'grants.sql');
    writeFileSync(
      grants,
      "CREATE DATABASE bench;\nCREATE USER bench@'%' IDENTIFIED BY 'bench';\nGRANT ALL ON *.* TO bench@'%';\n",
    );
    const port = await freePort();
    const network = [`--port=${port}`, '--bind-address=127.0.0.1', `--socket=${join(folder, 'socket')}`];
    const tuned = ['--skip-name-resolve', '--innodb-buffer-pool-size=1G', '--innodb-log-file-size=512M'];
    const child = spawn('mariadbd', ['--no-defaults', ...own, ...network, ...tuned, `--init-file=${grants}`], {
      stdio: 'ignore',
    });
    const mariadb = new Mariadb(`mysql://bench:bench@127.0.0.1:${port}/bench`, child);
    const startedAt = performance.now();
    while (!(await mariadb.answers())) {
      if (performance.now() - startedAt > startDeadlineMs) throw new Error('mariadbd did not start');
      await delay(50);
    }
    return mariadb;
  }

  private async answers(): Promise<boolean> {
    try {
      await this.rows();
      return true;
    } catch (error) {
      return (error as { errno?: number }).errno === 1146;
    }
  }

  /** Rows of the table of registers. */
  async rows(): Promise<number> {
    const connection = await createConnection({ uri: this.url, connectTimeout: 5000 });
    try {
      const [rows] = await connection.query('SELECT COUNT(*) AS count FROM mantis_registers');
      return Number((rows as { count: number }[])[0].count);
    } finally {
      connection.destroy();
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
  }
}
