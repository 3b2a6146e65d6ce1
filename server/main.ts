#!/usr/bin/env node
/** The mantis program. */
import { runCli } from './cli.ts';
import { backUpNode, verifyNode } from './maintenance.ts';
import { migrateDatabase, startServer } from './server.ts';

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
