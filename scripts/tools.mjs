/**
 * What the scripts share: finding the pinned Node.js, installing what is missing, running a child. Plain Node 20, no dependency:
 * these scripts run before anything is installed.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const rootDirectory = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const nodeModules = join(rootDirectory, 'node_modules');
/** The Node.js that the `node` package pins, the one everything of the project runs on. */
export const pinnedNode = join(nodeModules, 'node', 'bin', 'node');

const installStamp = join(nodeModules, '.mantis-installed');

/** Prints a reason and ends the process with code 1. */
export function fail(message) {
  console.error(message);
  process.exit(1);
}

/** The options of a script's command line; prints `usage` and ends the process for --help and for what is not among them. */
export function readOptions(usage, options) {
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h', default: false } } });
    if (!values.help) return values;
  } catch (error) {
    fail(`${error.message}\n\n${usage}`);
  }
  console.log(usage);
  process.exit(0);
}

export function hashFiles(paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    const content = readFileSync(path);
    hash.update(`${path.slice(rootDirectory.length)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

export function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * The environment for npm and for programs outside the project: npm puts node_modules/.bin in front of PATH, where a `node` lives
 * that `npm ci` is about to delete.
 */
function outsideEnvironment(extra = {}) {
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter);
  return { ...process.env, PATH: path, ...extra };
}

/** Runs a program to its end with the terminal's own streams and gives its exit code (1 when it could not start). */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: rootDirectory, stdio: 'inherit', ...options });
  if (result.error) console.error(`${program}: ${result.error.message}`);
  return result.status ?? 1;
}

/** The environment in which Node.js keeps what it has compiled for the next process of the same name; outside of the repository's files. */
export function compileCacheFor(name) {
  return { ...process.env, NODE_COMPILE_CACHE: join(nodeModules, '.cache', name) };
}

/** Installs the npm packages when there are none, or when the lock file is not the one they were installed from. */
export function ensureInstalled() {
  const lockPath = join(rootDirectory, 'package-lock.json');
  const wanted = hashFiles([lockPath]);
  if (existsSync(pinnedNode)) {
    if (readIfThere(installStamp) === wanted) return;
    // A bare `npm install` or `npm ci` leaves npm's own record instead of our stamp.
    if (installedMatches(lockPath)) {
      writeFileSync(installStamp, wanted);
      return;
    }
  }
  console.error('Installing npm packages (npm ci) …');
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const env = outsideEnvironment({ npm_config_update_notifier: 'false' });
  if (run('npm', ['ci', ...quiet], { env }) !== 0) {
    console.error('npm ci refused; trying npm install with the same lock file …');
    if (run('npm', ['install', '--no-save', ...quiet], { env }) !== 0) {
      fail(
        'The npm packages could not be installed. Look at the message of npm above; it needs a reachable npm registry.',
      );
    }
  }
  if (!existsSync(pinnedNode)) {
    fail(`npm installed no ${pinnedNode}. The install script of the package "node" must be allowed to run.`);
  }
  writeFileSync(installStamp, wanted);
}

/** Whether npm's record of what it installed holds the versions that the lock names. */
function installedMatches(lockPath) {
  const record = readIfThere(join(nodeModules, '.package-lock.json'));
  if (record === undefined) return false;
  const installed = JSON.parse(record).packages;
  const locked = JSON.parse(readFileSync(lockPath, 'utf8')).packages;
  return Object.entries(locked).every(([path, entry]) => {
    if (path === '' || entry.optional) return true;
    return installed[path]?.version === entry.version;
  });
}

const debianPrograms = {
  'redis-server': 'redis-server',
  'redis-cli': 'redis-tools',
  'redis-benchmark': 'redis-tools',
  mariadbd: 'mariadb-server',
  'mariadb-install-db': 'mariadb-server',
};

/** The path of a program, looked up in PATH and in the folders for system programs; undefined when absent. */
export function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Installs the servers that the tests are run against, through apt, when they are absent. No system service is started. */
export function ensureDebianPackages() {
  const missing = Object.keys(debianPrograms).filter((program) => !findProgram(program));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => debianPrograms[program]))];
  const byHand = `Install them yourself, so that ${missing.join(', ')} can be found in PATH.`;
  if (!findProgram('apt-get')) {
    fail(`The tests need ${packages.join(', ')}; without apt-get they cannot be installed here. ${byHand}`);
  }
  if (process.getuid?.() !== 0) {
    fail(
      `The tests need ${packages.join(', ')}; only root can install them:\n  sudo apt-get install ${packages.join(' ')}`,
    );
  }
  console.error(`Installing ${packages.join(', ')} with apt-get …`);
  const env = outsideEnvironment({ DEBIAN_FRONTEND: 'noninteractive' });
  const quietly = { env, stdio: ['ignore', 'ignore', 'inherit'] };
  const letServicesBe = forbidServices();
  let installed = false;
  try {
    if (run('apt-get', ['update', '-qq'], quietly) !== 0)
      console.error('apt-get update failed; trying with the lists there are.');
    const install = ['install', '-y', '-qq', '--no-install-recommends', ...packages];
    installed = run('apt-get', install, quietly) === 0;
  } finally {
    letServicesBe();
  }
  if (!installed) fail(`apt-get could not install ${packages.join(', ')}. ${byHand}`);
}

/** Debian's way to install a server without starting it; gives the function that takes the prohibition back. */
function forbidServices() {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return () => {};
  mkdirSync(dirname(policy), { recursive: true });
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return () => rmSync(policy, { force: true });
}
