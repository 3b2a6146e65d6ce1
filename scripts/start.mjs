/**
 * `npm start -- --port 7001 …`: installs and builds what is missing, then runs the server on the pinned Node.js.
 *
 * The server gets a process group of its own, and signals only from here: Ctrl-C in a terminal reaches npm, this process and the
 * server at once, and npm sends it on again; one press must not look to the server like several.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt } from './build.mjs';
import { findProgram, pinnedNode, rootDirectory } from './tools.mjs';

/** Signals of one press arrive within this; a later one is the user insisting, and is passed on. */
const samePressMs = 1000;

ensureBuilt();

const main = join(rootDirectory, 'dist', 'server', 'main.js');
const command = [pinnedNode, main, ...process.argv.slice(2)];
// Where Linux can do it, the kernel stops the server when this process is killed and cannot pass the signal on.
const setpriv = findProgram('setpriv');
if (setpriv) command.unshift(setpriv, '--pdeathsig', 'TERM');
const server = spawn(command[0], command.slice(1), {
  stdio: 'inherit',
  detached: true,
});

let lastSignalAt = -Infinity;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    const now = performance.now();
    if (now - lastSignalAt < samePressMs) return;
    lastSignalAt = now;
    // The server itself lives on after SIGHUP; one that was started here ends with its terminal.
    server.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
  });
}

server.on('error', (error) => {
  console.error(`The server could not be started: ${error.message}`);
  process.exit(1);
});
server.on('exit', (code, signal) => {
  process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1));
});
