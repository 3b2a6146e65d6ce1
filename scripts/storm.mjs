/** `npm run storm [-- --seconds N --seed N --database]`: processes in bad weather, ten minutes unless it is told otherwise. */
import { ensureBuilt } from './build.mjs';
import { ensureInstalled, pinnedNode, readOptions, run } from './tools.mjs';

const usage =
  'npm run storm -- [--seconds 600] [--seed N] [--database]: five processes in bad weather, or three on one MariaDB, with the same weather for the same seed';
const values = readOptions(usage, {
  seconds: { type: 'string', default: '600' },
  seed: { type: 'string' },
  database: { type: 'boolean', default: false },
});
ensureInstalled();
ensureBuilt();
process.env['MANTIS_STORM_SECONDS'] = values.seconds;
if (values.seed !== undefined) process.env['MANTIS_TEST_SEED'] = values.seed;
const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
const test = values.database ? 'database-storm' : 'storm';
process.exit(run(pinnedNode, [...jest, `test/integration/${test}.test.ts`]));
