/** `npm run bench [-- options]`: installs and builds what is missing, then measures. */
import { ensureBuilt } from './build.mjs';
import { ensureDebianPackages, ensureInstalled, pinnedNode, run } from './tools.mjs';

ensureInstalled();
ensureDebianPackages();
ensureBuilt();
process.exit(run(pinnedNode, ['bench/run.ts', ...process.argv.slice(2)]));
