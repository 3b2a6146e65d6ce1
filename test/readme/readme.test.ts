/** What README.md shows is run as it stands there, but for the ports: those are whichever are free. */
import { afterAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ChildServer } from '../support/child-server.ts';
import { freePort } from '../support/free-port.ts';
import { environment, pinnedNode } from '../support/mantis-process.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { answersPing } from '../support/resp-client.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const rootDirectory = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(rootDirectory, 'README.md'), 'utf8');
const folder = temporaryFolder('readme');

/** The blocks of code in one language, in order. */
function blocks(language: string): string[] {
  return [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map((found) => found[2]);
}

/** Lines of all shell blocks that match. */
function shellLines(pattern: RegExp): string[] {
  return blocks('sh')
    .flatMap((block) => block.split('\n'))
    .filter((line) => pattern.test(line));
}

/** The README's ports, each with the free one that stands for it here. */
const ports = new Map<string, string>();

async function withFreePorts(line: string): Promise<string> {
  let replaced = line;
  for (const [port] of line.matchAll(/\b1?(?:6379|700[123])\b/g)) {
    if (!ports.has(port)) ports.set(port, String(await freePort()));
    replaced = replaced.replace(port, ports.get(port)!);
  }
  return replaced;
}

const servers: ChildServer[] = [];
afterAll(() => Promise.all(servers.map((server) => server.stop())));

/** Runs a line `npm start [-- options]` in the test's folder; the client and the peer port are free ones. */
async function npmStart(line: string, clientPort: string): Promise<ChildServer> {
  const words = (await withFreePorts(line)).split(' -- ')[1]?.split(' ') ?? [];
  const port = await withFreePorts(clientPort);
  const peerPort = await withFreePorts(`1${clientPort}`);
  const own = words.includes('--port') ? [] : ['--port', port];
  const server = await ChildServer.start({
    program: pinnedNode,
    args: [join(rootDirectory, 'scripts', 'start.mjs'), ...words, ...own, '--peer-port', peerPort],
    cwd: folder,
    env: environment(),
    isReady: () => answersPing(Number(port)),
    readyDeadlineMs: 40_000,
  });
  servers.push(server);
  return server;
}

/** Runs a line of redis-cli in a shell and gives what it prints. */
async function shell(line: string): Promise<string> {
  const port = await withFreePorts('6379');
  const command = (await withFreePorts(line)).replace(/redis-cli (?!-p)/g, `redis-cli -p ${port} `);
  const { stdout } = await promisify(execFile)('sh', ['-c', command], { timeout: 10_000 });
  return stdout.trim();
}

describe('README.md', () => {
  it('its first lines start a node that answers', async () => {
    const [start] = shellLines(/^npm start$/);
    const server = await npmStart(start, '6379');
    expect(server.logs).toMatch(/Mantis .* is ready/);
    const [set, get] = shellLines(/^redis-cli [sg]et /);
    expect(await shell(set)).toBe('OK');
    expect(await shell(get)).toBe('hello');
    expect(await server.stop()).toBe(0);
  }, 60_000);

  it('its three nodes count together and agree', async () => {
    const lines = shellLines(/^npm start -- --port 700\d /);
    expect(lines).toHaveLength(3);
    for (const [index, line] of lines.entries()) await npmStart(line, `700${index + 1}`);
    const [increments, visits, peers, digest] = shellLines(/^redis-cli -p 700\d /);
    await waitFor('the nodes to be linked', async () => (await shell(peers)).match(/streaming/g)?.length === 2);
    expect(await shell(increments)).toMatch(/^\d\n\d\n\d$/);
    await waitFor('the visits to be counted', async () => (await shell(visits)) === visits.split('# ')[1].trim());
    const digests = (): Promise<string[]> =>
      Promise.all(['7001', '7002', '7003'].map((port) => shell(digest.replace('7001', port))));
    await waitFor('equal digests', async () => new Set(await digests()).size === 1);
    const moving = blocks('sh').find((block) => block.includes('mantis token'))!;
    const [take, read] = moving.trim().split('\n');
    expect(await shell(`${take}\n${read}`)).toBe('1\n3');
  }, 60_000);

  it('its MySQL lines make the schema and keep readable rows', async () => {
    const mariadb = await MariadbProcess.create();
    const [migrate, start] = shellLines(/--mysql/).map((line) => line.replace(/mysql:\S+/, mariadb.url));
    const words = migrate.split(' -- ')[1].split(' ');
    const script = join(rootDirectory, 'scripts', 'start.mjs');
    const { stdout } = await promisify(execFile)(pinnedNode, [script, ...words], {
      env: { ...process.env, ...environment() },
      timeout: 20_000,
    });
    expect(stdout).toMatch(/^made: schema/);
    const server = await npmStart(`${start} --data-dir with-mysql`, '6379');
    await shell('redis-cli set greeting hello');
    const [select] = blocks('sql');
    await waitFor('the row', async () => {
      const rows = await mariadb.query(select);
      return rows.length === 1 && rows[0]['name'] === 'greeting' && rows[0]['value'] === 'hello';
    });
    expect(await server.stop()).toBe(0);
    await mariadb.stop();
  }, 60_000);

  it('its program for Node.js compiles and runs where the package is installed', async () => {
    const [example] = blocks('ts');
    const modules = join(folder, 'node_modules');
    mkdirSync(modules);
    symlinkSync(rootDirectory, join(modules, 'mantis-kv'));
    for (const name of ['@types', 'mysql2'])
      symlinkSync(join(rootDirectory, 'node_modules', name), join(modules, name));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const program = (await withFreePorts(example)).replace('10.0.0.5', '127.0.0.1');
    writeFileSync(join(folder, 'example.ts'), `${program}\nconsole.log('done');\n`);
    const compiler = join(rootDirectory, 'node_modules', 'typescript', 'bin', 'tsc');
    const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--skipLibCheck'];
    const run = (args: string[]): Promise<{ stdout: string }> =>
      promisify(execFile)(pinnedNode, args, { cwd: folder, timeout: 30_000 });
    await run([compiler, ...strict, 'example.ts']);
    expect((await run(['example.ts'])).stdout).toMatch(/done\n$/);
  }, 60_000);
});
