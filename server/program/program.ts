/** The mantis program, run as soon as it is imported. */
import './small-heap.ts';
import { setFlagsFromString } from 'node:v8';
import { runCli } from './cli.ts';
import { backUpNode, verifyNode } from './maintenance.ts';
import { migrateDatabase, startServer } from './server.ts';

// Collections are of more classes than V8 distinguishes by itself where code meets all of them (docs/decisions/0014).
setFlagsFromString('--max-valid-polymorphic-map-count=8');
// A command is some forty short functions: by itself V8 stops putting them into one another long before the last (docs/decisions/0018).
setFlagsFromString('--max-inlined-bytecode-size=1500');
setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');

// Who reads what is printed may leave before its end (`mantis --help | head`), which is no reason to fail.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const code = await runCli(
  process.argv.slice(2),
  {
    start: async (config) => {
      await startServer(config);
    },
    migrate: migrateDatabase,
    backup: backUpNode,
    verify: verifyNode,
  },
  {
    env: process.env,
    writeOut: (text) => process.stdout.write(text),
    writeError: (text) => process.stderr.write(text),
  },
);
// A start that failed may have left a listener or a store open, which would keep the process alive.
if (code !== 0) process.exit(code);
