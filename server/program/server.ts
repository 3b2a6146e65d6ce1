/** The server program: a node from its configuration, its terminal, its signals. */
import { unlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { formatNodeId } from '../../protocol/stamp.ts';
import { migrate } from '../../storage/backends/mysql-schema.ts';
import { peerPortOf } from '../config/checks.ts';
import type { Config } from '../config/config.ts';
import type { ConfigValues } from '../config/option-table.ts';
import { mantisVersion } from '../config/version.ts';
import { LoadingProgress } from './loading-progress.ts';
import { SystemMemory } from '../memory/process-memory.ts';
import { Runtime } from '../runtime.ts';
import { stopTimeoutMs } from '../persistence/saving.ts';
import { systemEnvironment } from '../runtime/system-environment.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

const HEAP_GROWING_PERCENT = 30;
/** Signals of one press of Ctrl-C arrive within this. */
const SAME_PRESS_MS = 1000;

/** Starts a node and resolves when it serves. @throws Error that says what to do */
export async function startServer(config: Config): Promise<void> {
  enter(config.values.dir);
  const environment = systemEnvironment(config);
  const { logger } = environment;
  for (const notice of config.notices) logger.warn(notice);
  keepHeapSmall(config);
  const progress = new LoadingProgress(process.stderr);
  const runtime = await Runtime.create(config, environment, {
    listen: true,
    onLoading: (loading) => progress.show(loading, runtime.monotonicMs()),
    // After SHUTDOWN nothing is left to wait for, but idle threads would keep the process for a while.
    onStopped: () => process.exit(),
    processMemory: new SystemMemory(config.values['data-dir'] !== null || config.values.mysql !== ''),
  });
  handleSignals(runtime);
  handleDefects(runtime);
  await runtime.start();
  progress.end();
  if (config.values.pidfile !== '') writePidFile(runtime, config.values.pidfile);
  announce(runtime);
}

/**
 * Of itself V8 lets its heap grow to a multiple of what is in use before it collects, which a bound of the memory does not want:
 * most of a burst of new collections is garbage as soon as they are packed. The flag is read at each collection.
 */
function keepHeapSmall(config: Config): void {
  const follow = (): void =>
    setFlagsFromString(`--heap-growing-percent=${config.values.maxmemory > 0 ? HEAP_GROWING_PERCENT : 0}`);
  config.onChange('maxmemory', follow);
  if (config.values.maxmemory > 0) follow();
}

function noPeers(values: ConfigValues): string {
  return values['peer-port'] === 'auto' && values.port !== 0 ? 'none; name a port for them with --peer-port' : 'none';
}

function announce(runtime: Runtime): void {
  const { values } = runtime.config;
  const peerPort = peerPortOf(values);
  const stored = [
    ...(values['data-dir'] === null ? [] : [resolve(values['data-dir'])]),
    ...(values.mysql === '' ? [] : ['MySQL']),
  ];
  const addresses = values.bind.map((address) => address.replace(/^-/, ''));
  const listed = (port: number): string[] => (port === 0 ? [] : addresses.map((address) => `${address}:${port}`));
  const socket = values.unixsocket === '' ? [] : [resolve(values.unixsocket)];
  const lines = [
    `Mantis ${mantisVersion} is ready.`,
    `  clients   ${[...listed(values.port), ...listed(values['tls-port']).map((address) => `${address} (TLS)`), ...socket].join(', ')}`,
    `  peers     ${peerPort === null ? noPeers(values) : `port ${peerPort}`}`,
    `  data      ${stored.length === 0 ? 'in memory only' : stored.join(' and ')}`,
    `  node id   ${formatNodeId(runtime.nodeHi, runtime.nodeLo)}`,
    `Try:        redis-cli ${wayIn(values)} set greeting hello`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** What redis-cli is told to reach this node. */
function wayIn(values: ConfigValues): string {
  const first = values.bind[0]?.replace(/^-/, '') ?? '127.0.0.1';
  const host = first === '*' ? '127.0.0.1' : first;
  if (values.port !== 0) return `-h ${host} -p ${values.port}`;
  return values.unixsocket === '' ? `--tls -h ${host} -p ${values['tls-port']}` : `-s ${resolve(values.unixsocket)}`;
}

/** The working directory: relative paths start there. */
function enter(directory: string): void {
  try {
    process.chdir(directory);
  } catch (error) {
    throw new Error(`cannot work in ${directory}: make the folder, or name another with --dir (${reasonOf(error)})`, {
      cause: error,
    });
  }
}

/** As in Redis a file that cannot be written is no reason not to serve. */
function writePidFile(runtime: Runtime, path: string): void {
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch (error) {
    runtime.log.warn(`cannot write the pidfile: make its folder, or name another with --pidfile (${reasonOf(error)})`);
    return;
  }
  process.on('exit', () => {
    try {
      unlinkSync(path);
    } catch {
      // Somebody removed it already.
    }
  });
}

function handleSignals(runtime: Runtime): void {
  let stoppingSinceMs = Infinity;
  const stop = (signal: string): void => {
    const nowMs = runtime.monotonicMs();
    if (stoppingSinceMs < Infinity) {
      // A whole process group is often signalled at once. Ctrl-C that is pressed again later is somebody who will not wait.
      if (signal === 'SIGINT' && nowMs - stoppingSinceMs >= SAME_PRESS_MS) process.exit(1);
      return;
    }
    stoppingSinceMs = nowMs;
    runtime.log.info({ signal }, 'stopping: flushing, then exit');
    const timeoutMs = stopTimeoutMs(runtime.config.values);
    const guard = setTimeout(() => {
      runtime.log.error(
        { timeoutMs },
        'shutdown-timeout is over; what was not flushed to MySQL is flushed after the next start',
      );
      process.exit(1);
    }, timeoutMs);
    guard.unref();
    runtime.shutdown({ save: true, force: true, now: false }).then(
      () => process.exit(0),
      (error: unknown) => {
        runtime.log.error({ err: error }, 'could not flush everything before exit');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  // As in Redis: a server outlives its terminal, and what rotates logs may send it.
  process.on('SIGHUP', () => {});
}

/** Our own mistakes stop the node, with what it holds flushed: going on could spread them. */
function handleDefects(runtime: Runtime): void {
  const fail = (error: unknown): void => {
    runtime.log.fatal({ err: error }, 'internal error; flushing and stopping');
    process.exitCode = 1;
    const exit = (): void => process.exit(1);
    setTimeout(exit, stopTimeoutMs(runtime.config.values)).unref();
    runtime.shutdown({ save: true, force: true, now: true }).then(exit, exit);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
}

/** Makes or upgrades the MySQL schema. @throws Error when the database cannot be reached or refuses */
export async function migrateDatabase(config: Config, plan: boolean): Promise<void> {
  const { mysql } = config.values;
  if (mysql === '') throw new Error('name the database: mantis migrate --mysql mysql://user:password@host/database');
  const steps = await migrate(mysql, { plan });
  const lines = steps.flatMap(({ version, summary, statements }) => [
    `${plan ? 'missing' : 'made'}: schema ${version}, ${summary}`,
    ...(plan ? statements.map((statement) => `  ${statement};`) : []),
  ]);
  process.stdout.write(lines.length === 0 ? 'The schema is up to date.\n' : `${lines.join('\n')}\n`);
}
