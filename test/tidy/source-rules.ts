/**
 * The rules that every source file keeps, as functions over (path, text), so that the tests can show that each rule can fail.
 * Paths are relative to the repository's root, with forward slashes.
 */
import { posix } from 'node:path';
import ts from 'typescript';

/** Left to right: a room may import itself and the rooms behind it. */
export const rooms = ['server', 'replication', 'storage', 'protocol'];

/** Modules of Node.js that reach outside the process, or tell the time: none of protocol/'s business. */
const outsideWorld =
  /^(node:)?(fs|net|tls|http|https|http2|dgram|dns|child_process|cluster|worker_threads|timers|os)(\/|$)/;

export interface SourceFile {
  path: string;
  text: string;
}

/** What a file imports, re-exports, names in a type or hands to a worker: specifiers as written. */
export function importsOf(text: string): string[] {
  const specifiers = ts.preProcessFile(text, true, true).importedFiles.map((file) => file.fileName);
  for (const match of text.matchAll(/new URL\(\s*['"](\.[^'"]+)['"],\s*import\.meta\.url/g)) specifiers.push(match[1]);
  return specifiers;
}

function roomOf(path: string): string {
  return path.split('/')[0];
}

/** The path that a relative specifier means, or undefined for a package. */
function target(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return posix.normalize(posix.join(posix.dirname(from), specifier)).replace(/\.js$/, '.ts');
}

/** Why a file's imports break the rule of the rooms; empty when they do not. */
export function importFaults(file: SourceFile): string[] {
  const faults: string[] = [];
  const room = roomOf(file.path);
  const rank = rooms.indexOf(room);
  for (const specifier of importsOf(file.text)) {
    const imported = target(file.path, specifier);
    if (imported === undefined) {
      if (room === 'protocol' && outsideWorld.test(specifier)) faults.push(`${file.path} imports ${specifier}`);
      continue;
    }
    const importedRoom = roomOf(imported);
    const isTest = importedRoom === 'test' && room !== 'test';
    const isBackwards = rank >= 0 && rooms.indexOf(importedRoom) < rank;
    if (isTest || isBackwards) faults.push(`${file.path} imports ${imported}`);
  }
  return faults;
}

/** Every cycle of imports, once, as a chain of paths that ends where it began. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const graph = new Map<string, string[]>();
  for (const { path, text } of files) {
    const targets = importsOf(text).map((specifier) => target(path, specifier));
    graph.set(path, [...new Set(targets.filter((imported) => imported !== undefined))]);
  }
  const finished = new Set<string>();
  const chain: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string): void => {
    const at = chain.indexOf(path);
    if (at >= 0) {
      cycles.push([...chain.slice(at), path].join(' → '));
      return;
    }
    if (finished.has(path)) return;
    chain.push(path);
    for (const imported of graph.get(path) ?? []) visit(imported);
    chain.pop();
    finished.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return cycles;
}

const bannedWords: [RegExp, string][] = [
  [/\bTO[D]O\b|\bFIX[M]E\b|\bX[X]X\b/, 'an unfinished place'],
  [/@ts-(ignor[e]|nochec[k])/, 'a silenced type error'],
  [
    /\b(describe|it|test)(\.concurrent)?(\.each)?\.(ski[p]|onl[y]|tod[o])\b|\b(xit|xtest|xdescribe|fit|fdescribe)\(/,
    'a skipped test',
  ],
];

/** The words that no source and no test may hold, with their line. */
export function wordFaults(file: SourceFile): string[] {
  return matchingLines(file, bannedWords);
}

const impure: [RegExp, string][] = [
  [/\bMath\.rando[m]\b/, 'randomness that is not injected'],
  [/\bDate\.no[w]\b|\bnew Date\(\)/, 'a clock that is not injected'],
];

/** Time and randomness come in through the composition root; only the files of the list may take them from the machine. */
export function purityFaults(file: SourceFile, allowed: readonly string[]): string[] {
  return allowed.includes(file.path) ? [] : matchingLines(file, impure);
}

const machinePath: [RegExp, string][] = [[/(^|[^\w.~/-])\/(wor[k]|roo[t])\//, 'a path of one machine']];

export function machinePathFaults(file: SourceFile): string[] {
  return matchingLines(file, machinePath);
}

function matchingLines(file: SourceFile, patterns: readonly [RegExp, string][]): string[] {
  const faults: string[] = [];
  for (const [index, line] of file.text.split('\n').entries()) {
    for (const [pattern, what] of patterns) {
      if (pattern.test(line)) faults.push(`${file.path}:${index + 1} has ${what}: ${line.trim()}`);
    }
  }
  return faults;
}

export function lengthFaults(file: SourceFile, linesMax: number): string[] {
  const lines = file.text.split('\n').length - 1;
  return lines > linesMax ? [`${file.path} has ${lines} lines; more than ${linesMax} are not read in one go`] : [];
}
