/**
 * `npm run docs` writes the pages of docs/ that are made from the sources' own tables; with `--check` it only compares, and exits 1
 * when one is out of date. Each page's module exports `render(): string`.
 */
import { join, relative } from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './build.mjs';
import { readIfThere, rootDirectory } from './tools.mjs';

const pages = [
  { page: 'docs/configuration.md', module: 'dist/server/docs/configuration-page.js' },
  { page: 'docs/commands.md', module: 'dist/server/docs/commands-page.js' },
];

ensureBuilt();
const onlyCheck = process.argv.includes('--check');
let outOfDate = false;
for (const { page, module } of pages) {
  const { render } = await import(pathToFileURL(join(rootDirectory, module)).href);
  const path = join(rootDirectory, page);
  const text = render();
  if (readIfThere(path) === text) continue;
  if (onlyCheck) {
    console.error(`${relative(rootDirectory, path)} is not what the sources say; run npm run docs.`);
    outOfDate = true;
  } else {
    mkdirSync(join(rootDirectory, 'docs'), { recursive: true });
    writeFileSync(path, text);
    console.log(`wrote ${page}`);
  }
}
process.exit(outOfDate ? 1 : 0);
