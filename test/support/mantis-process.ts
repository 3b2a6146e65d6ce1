import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ChildServer } from './child-server.ts';
import { freePort } from './free-port.ts';
import { answersPing } from './resp-client.ts';
import { temporaryFolder } from './temporary-folder.ts';

const rootDirectory = resolve(import.meta.dirname, '../..');
/** The Node.js that the repository pins. */
export const pinnedNode = join(rootDirectory, 'node_modules', 'node', 'bin', 'node');
/** The program that is installed as `mantis`. */
export const mantisProgram = join(rootDirectory, 'dist', 'server', 'main.js');

export interface MantisOptions {
  /** More of the command line, such as `['--databases', '4']`. */
  args?: string[];
  /** A configuration file. */
  configFile?: string;
  env?: Record<string, string>;
  /** For a node that comes back where it was; free ones are found otherwise. */
  port?: number;
  peerPort?: number;
  /** A folder, or `none`; a new temporary folder unless it is given. */
  dataDir?: string;
  /** Milliseconds until the node must answer PING, loading included. */
  readyDeadlineMs?: number;
}

export interface MantisProcess {
  server: ChildServer;
  port: number;
  peerPort: number;
  dataDir: string;
}

/** The environment without the options of whoever runs the tests. */
export function environment(extra: Record<string, string> = {}): Record<string, string | undefined> {
  const options = Object.keys(process.env).filter((name) => name.startsWith('MANTIS_'));
  return { ...Object.fromEntries(options.map((name) => [name, undefined])), NODE_OPTIONS: undefined, ...extra };
}

/** Starts the built server on free ports of 127.0.0.1 and waits until it answers PING. */
export async function startMantis(options: MantisOptions = {}): Promise<MantisProcess> {
  if (!existsSync(mantisProgram)) throw new Error(`${mantisProgram} is not there; npm run build makes it`);
  const port = options.port ?? (await freePort());
  const peerPort = options.peerPort ?? (await freePort());
  const dataDir = options.dataDir ?? temporaryFolder('mantis');
  const own = ['--port', port, '--peer-port', peerPort, '--bind', '127.0.0.1', '--data-dir', dataDir].map(String);
  const server = await ChildServer.start({
    program: pinnedNode,
    args: [
      mantisProgram,
      ...(options.configFile === undefined ? [] : ['start', options.configFile]),
      ...own,
      ...(options.args ?? []),
    ],
    env: environment(options.env ?? {}),
    isReady: () => answersPing(port),
    ...(options.readyDeadlineMs === undefined ? {} : { readyDeadlineMs: options.readyDeadlineMs }),
  });
  return { server, port, peerPort, dataDir };
}
