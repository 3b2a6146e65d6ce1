import { describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  importCycles,
  importFaults,
  importsOf,
  lengthFaults,
  machinePathFaults,
  purityFaults,
  rooms,
  wordFaults,
  type SourceFile,
} from './source-rules.ts';

const rootDirectory = resolve(import.meta.dirname, '../..');
const linesMax = 500;

/** The places that take time and randomness from the machine and hand them on. */
const composition = [
  'replication/system.ts',
  'server/main.ts',
  'server/runtime/system-environment.ts',
  'server/composition.ts',
  'server/mantis.ts',
  'storage/flush/flush-worker.ts',
];

/** What is, or would be, committed. */
function repositoryFiles(): SourceFile[] {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: rootDirectory,
    encoding: 'utf8',
  });
  const paths = list.split('\0').filter((path) => path !== '' && existsSync(join(rootDirectory, path)));
  return paths.map((path) => ({ path, text: readFileSync(join(rootDirectory, path), 'utf8') }));
}

const files = repositoryFiles();
const code = files.filter(({ path }) => /\.(ts|mjs|js)$/.test(path));
const inRooms = code.filter(({ path }) => rooms.includes(path.split('/')[0]));
const outsideTests = code.filter(({ path }) => !path.startsWith('test/'));

describe('the sources', () => {
  it('import to the right only, and never a test', () => {
    expect(code.flatMap(importFaults)).toEqual([]);
  });

  it('import without cycles', () => {
    expect(importCycles(code)).toEqual([]);
  });

  it('hold no unfinished place, silenced type error or skipped test', () => {
    expect(code.flatMap(wordFaults)).toEqual([]);
  });

  it('take time and randomness from the composition root', () => {
    expect(inRooms.flatMap((file) => purityFaults(file, composition))).toEqual([]);
  });

  it('are short enough to read', () => {
    expect(outsideTests.flatMap((file) => lengthFaults(file, linesMax))).toEqual([]);
  });

  it('name no path of one machine', () => {
    expect(files.flatMap(machinePathFaults)).toEqual([]);
  });

  it('lock packages by content, not by the registry they came from', () => {
    expect(readFileSync(join(rootDirectory, 'package-lock.json'), 'utf8')).not.toMatch(/"resolved": "http/);
  });

  it('say what each dependency is for', () => {
    const description = JSON.parse(readFileSync(join(rootDirectory, 'package.json'), 'utf8'));
    const names = Object.keys({ ...description.dependencies, ...description.devDependencies });
    expect(Object.keys(description.dependencyNotes).sort()).toEqual(names.sort());
    for (const version of Object.values({ ...description.dependencies, ...description.devDependencies })) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    }
  });
});

describe('the rules', () => {
  const file = (path: string, text: string): SourceFile => ({ path, text });

  it('see every form of import', () => {
    const text = [
      "import a from './a.ts';",
      "import type { B } from './b.ts';",
      "export * from './c.ts';",
      "const d = await import('./d.ts');",
      "type E = import('./e.ts').E;",
      "new Worker(new URL('./f.ts', import.meta.url));",
    ].join('\n');
    expect(importsOf(text).sort()).toEqual(['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './f.ts']);
  });

  it.each([
    ['storage/a.ts', "import { b } from '../server/b.ts';"],
    ['protocol/a.ts', "import type { B } from '../storage/b.ts';"],
    ['replication/a.ts', "export { b } from '../server/deep/b.ts';"],
    ['protocol/a.ts', "import { connect } from 'node:net';"],
    ['server/a.ts', "import { b } from '../test/b.ts';"],
    ['bench/a.ts', "import { b } from '../test/support/b.ts';"],
    ['storage/a.ts', "import { b } from '../bench/b.ts';"],
  ])('find the wrong import in %s: %s', (path, text) => {
    expect(importFaults(file(path, text))).toHaveLength(1);
  });

  it.each([
    ['server/a.ts', "import { b } from '../protocol/b.ts'; import { c } from './c.ts';"],
    ['storage/a.ts', "import { readFile } from 'node:fs/promises';"],
    ['test/a.test.ts', "import { b } from './support/b.ts'; import { c } from '../server/c.ts';"],
    ['bench/a.ts', "import { b } from '../protocol/b.ts';"],
  ])('allow the imports in %s: %s', (path, text) => {
    expect(importFaults(file(path, text))).toEqual([]);
  });

  it('find a cycle, also of types and of a file with itself', () => {
    const cycle = [
      file('storage/a.ts', "import type { B } from './deep/b.ts';"),
      file('storage/deep/b.ts', "import { c } from '../c.ts';"),
      file('storage/c.ts', "import { a } from './a.ts';"),
    ];
    expect(importCycles(cycle)).toEqual(['storage/a.ts → storage/deep/b.ts → storage/c.ts → storage/a.ts']);
    expect(importCycles(cycle.slice(0, 2))).toEqual([]);
    expect(importCycles([file('server/x.ts', "export * from './x.ts';")])).toHaveLength(1);
  });

  it.each([
    '// TO' + 'DO later',
    '// @ts-' + 'ignore',
    'it.sk' + "ip('x')",
    'describe.on' + "ly('x')",
    'x' + "it('x')",
  ])('find %j', (text) => {
    expect(wordFaults(file('server/a.ts', `\n${text}\n`))).toHaveLength(1);
  });

  it('let a method of that name be', () => {
    expect(wordFaults(file('protocol/a.ts', 'reader.skip(4);'))).toEqual([]);
  });

  it('find a clock or randomness outside the list', () => {
    const text = 'const at = Date.' + 'now();\nconst roll = Math.' + 'random();\n';
    expect(purityFaults(file('storage/a.ts', text), ['server/main.ts'])).toHaveLength(2);
    expect(purityFaults(file('server/main.ts', text), ['server/main.ts'])).toEqual([]);
  });

  it('find a machine path and a long file', () => {
    expect(machinePathFaults(file('docs/a.md', 'see `/ro' + 'ot/x`'))).toHaveLength(1);
    expect(machinePathFaults(file('docs/a.md', 'https://example.org/wo' + 'rk/x and ./wo' + 'rk/x'))).toEqual([]);
    expect(lengthFaults(file('server/a.ts', 'x\n'.repeat(11)), 10)).toHaveLength(1);
    expect(lengthFaults(file('server/a.ts', 'x\n'.repeat(10)), 10)).toEqual([]);
  });
});
