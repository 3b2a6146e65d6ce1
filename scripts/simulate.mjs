/** `npm run simulate [-- options]`: runs seeds under the simulator of docs/simulator.md. */
import { ensureInstalled, pinnedNode, run } from './tools.mjs';

ensureInstalled();
process.exit(
  run(pinnedNode, ['--disable-warning=ExperimentalWarning', 'test/simulator/main.ts', ...process.argv.slice(2)]),
);
