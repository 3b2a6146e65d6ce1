/** `npm run build`: compiles the sources to dist/ with the pinned TypeScript, or does nothing when dist/ is up to date. */
import { pathToFileURL } from 'node:url';
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import {
  ensureInstalled,
  fail,
  hashFiles,
  nodeModules,
  pinnedNode,
  readIfThere,
  rootDirectory,
  run,
} from './tools.mjs';

const rooms = ['protocol', 'storage', 'replication', 'server'];
const dist = join(rootDirectory, 'dist');
const stampPath = join(dist, '.build-stamp');
const mainPath = join(dist, 'server', 'main.js');

function filesBelow(folder, suffix) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith(suffix) && statSync(path).isFile())
    .sort();
}

/** A compiled file whose source is gone would still be imported, packed and tested. */
function removeOrphans() {
  for (const room of rooms) {
    for (const output of ['.js', '.js.map', '.d.ts'].flatMap((suffix) => filesBelow(join(dist, room), suffix))) {
      const source = join(rootDirectory, relative(dist, output).replace(/(\.js|\.js\.map|\.d\.ts)$/, '.ts'));
      if (!existsSync(source)) rmSync(output);
    }
  }
}

/** Builds dist/ unless the sources, the compiler's options and the compiler are those of the last build. */
export function ensureBuilt() {
  ensureInstalled();
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) =>
    join(rootDirectory, name),
  );
  const sources = rooms.flatMap((room) => filesBelow(join(rootDirectory, room), '.ts'));
  if (sources.length === 0) return;
  const wanted = hashFiles([...settings, ...sources]);
  if (readIfThere(stampPath) === wanted && existsSync(mainPath)) return;

  console.error('Building dist/ …');
  rmSync(stampPath, { force: true });
  const compiler = join(nodeModules, 'typescript', 'bin', 'tsc');
  const buildInfo = join(dist, '.tsbuildinfo');
  // The compiler trusts its record of what it wrote; without the outputs, the record must go too.
  if (!existsSync(mainPath)) rmSync(buildInfo, { force: true });
  const args = ['-p', 'tsconfig.build.json', '--incremental', '--tsBuildInfoFile', buildInfo];
  if (run(pinnedNode, [compiler, ...args]) !== 0) fail('The build failed: see the errors above.');
  removeOrphans();
  if (existsSync(mainPath)) chmodSync(mainPath, 0o755);
  writeFileSync(stampPath, wanted);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) ensureBuilt();
