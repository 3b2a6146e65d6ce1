/** `npm run simulate [-- options]`: runs seeds under the simulator of docs/simulator.md. */
import { compileCacheFor, ensureInstalled, pinnedNode, run } from './tools.mjs';

ensureInstalled();
const args = process.argv.slice(2);
// Planted faults load hundreds of sources once each.
const env = args.some((arg) => arg.startsWith('--fault')) ? process.env : compileCacheFor('simulator');
process.exit(run(pinnedNode, ['--disable-warning=ExperimentalWarning', 'test/simulator/main.ts', ...args], { env }));
