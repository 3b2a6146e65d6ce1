/** Reads flags, environment variables, files and settings into assignments, in the order in which later ones win. */
import { resolve } from 'node:path';
import type { Assignment, ConfigProblem, Gathered } from './assignment.ts';
import { readLines, splitLine } from './config-file.ts';
import { findOption, allNames } from './option-table.ts';
import { nearestName } from './text-match.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

export type Setting = string | number | boolean | readonly (string | number)[];

export interface Sources {
  /** redis-server's: a configuration file and `-` for standard input may come first, then `--option value …`. */
  readonly argv?: readonly string[];
  /** Position of argv[0] among the arguments that the user typed, for messages; 1 when absent. */
  readonly firstPosition?: number;
  /** `MANTIS_*` is read from it, nothing else. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Options by name, from a program that embeds a node; they win over everything. */
  readonly settings?: Readonly<Record<string, Setting | undefined>>;
  /** Reads a text file, `-` is standard input; throws as node:fs does. */
  readonly readFile?: (path: string) => string;
}

const INCLUDE_DEPTH_MAX = 16;

/** Lines of redis.conf that are no options, and why they are refused. */
const REFUSED_DIRECTIVES: ReadonlyMap<string, string> = new Map([
  ['rename-command', 'commands cannot be renamed'],
  ['loadmodule', 'there are no modules'],
  ['sentinel', 'this is no Sentinel'],
]);

/** The message for a name that no option has. */
export function unknownOption(name: string): string {
  const refused = REFUSED_DIRECTIVES.get(name.toLowerCase());
  if (refused !== undefined) return `'${name}' is refused: ${refused}`;
  const nearest = nearestName(name, allNames);
  return `unknown option '${name}'${nearest === undefined ? '' : `; did you mean '${nearest}'?`}`;
}

function reason(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : '';
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'it is a folder';
  return reasonOf(error);
}

interface FileReader {
  readonly readFile: (path: string) => string;
  readonly gathered: Gathered;
}

function readConfigFile(reader: FileReader, path: string, askedBy: string, depth: number): void {
  const { problems, assignments } = reader.gathered;
  let text: string;
  try {
    text = reader.readFile(path);
  } catch (error) {
    problems.push({ where: askedBy, message: `cannot read the configuration file '${path}': ${reason(error)}` });
    return;
  }
  const label = path === '-' ? 'standard input' : path;
  for (const line of readLines(text)) {
    const where = `${label}:${line.number}`;
    if (line.words === undefined) {
      problems.push({ where, message: 'unbalanced quotes' });
      continue;
    }
    const [name, ...args] = line.words;
    if (name === undefined) continue;
    if (name.toLowerCase() !== 'include') assignments.push({ name, args, source: 'file', where });
    else includeFiles(reader, args, where, depth);
  }
}

function includeFiles(reader: FileReader, paths: readonly string[], where: string, depth: number): void {
  if (paths.length === 0) reader.gathered.problems.push({ where, message: "'include' names no file" });
  if (depth >= INCLUDE_DEPTH_MAX) {
    reader.gathered.problems.push({ where, message: `files include each other more than ${INCLUDE_DEPTH_MAX} deep` });
    return;
  }
  for (const path of paths) readConfigFile(reader, path, where, depth + 1);
}

/** Reads one file with all that it includes. */
export function gatherFile(path: string, askedBy: string, readFile: (path: string) => string): Gathered {
  const gathered: Gathered = { assignments: [], problems: [] };
  readConfigFile({ readFile, gathered }, path, askedBy, 0);
  return gathered;
}

/** Name of the environment variable of an option. */
function variableName(option: string): string {
  return `MANTIS_${option.replaceAll('-', '_').toUpperCase()}`;
}

const optionOfVariable: ReadonlyMap<string, string> = new Map(allNames.map((name) => [variableName(name), name]));

/** Kubernetes and Docker set such variables for a service that is called `mantis`; they are no options. */
function isServiceLink(variable: string, value: string): boolean {
  return /^MANTIS_(SERVICE|PORT_[0-9]+)(_|$)/.test(variable) || (variable === 'MANTIS_PORT' && value.includes('://'));
}

function gatherVariables(env: Readonly<Record<string, string | undefined>>, gathered: Gathered): void {
  for (const variable of Object.keys(env).sort()) {
    const value = env[variable];
    if (!variable.startsWith('MANTIS_') || value === undefined || value === '' || isServiceLink(variable, value))
      continue;
    const name = optionOfVariable.get(variable);
    if (name === undefined) {
      const nearest = nearestName(variable.slice('MANTIS_'.length), allNames);
      const hint = nearest === undefined ? '' : `; did you mean ${variableName(nearest)}?`;
      gathered.problems.push({ where: variable, message: `unknown option in the environment${hint}` });
      continue;
    }
    const args = findOption(name)?.definition.type.many === true ? splitLine(value) : [value];
    if (args === undefined) gathered.problems.push({ where: variable, message: 'unbalanced quotes' });
    else gathered.assignments.push({ name, args, source: 'environment', where: variable });
  }
}

function gatherSettings(settings: Readonly<Record<string, Setting | undefined>>, gathered: Gathered): void {
  for (const [name, setting] of Object.entries(settings)) {
    if (setting === undefined) continue;
    const given = typeof setting === 'boolean' ? (setting ? 'yes' : 'no') : setting;
    const args = typeof given === 'object' ? given.map(String) : [String(given)];
    gathered.assignments.push({ name, args, source: 'setting', where: `setting '${name}'` });
  }
}

interface OpenFlag {
  readonly name: string;
  readonly args: string[];
  readonly where: string;
  /** `--option=value`, or everything in one quoted argument: nothing that follows belongs to it. */
  readonly closed: boolean;
}

function takesDashes(flag: OpenFlag | undefined, argument: string): boolean {
  if (flag === undefined || flag.closed || flag.args.length > 0) return false;
  const known = findOption(flag.name);
  return known !== undefined && !known.definition.type.many && findOption(flagName(argument)) === undefined;
}

function flagName(argument: string): string {
  return argument.slice(2).split(/[=\s]/, 1)[0] ?? '';
}

function openFlag(argument: string, position: number): OpenFlag {
  const name = flagName(argument);
  const where = `--${name} (argument ${position})`;
  const rest = argument.slice(2 + name.length);
  if (rest.startsWith('=')) return { name, args: [rest.slice(1)], where, closed: true };
  return { name, args: splitLine(rest) ?? [rest.trim()], where, closed: rest !== '' };
}

/** The words after `mantis start`: which files to read, and what the flags say. */
interface ParsedArguments {
  readonly files: readonly { readonly path: string; readonly where: string }[];
  readonly assignments: readonly Assignment[];
  readonly problems: readonly ConfigProblem[];
}

function parseArguments(argv: readonly string[], firstPosition = 1): ParsedArguments {
  const files: { path: string; where: string }[] = [];
  const problems: ConfigProblem[] = [];
  const flags: OpenFlag[] = [];
  argv.forEach((argument, index) => {
    const position = firstPosition + index;
    const flag = flags.at(-1);
    const isFlag = argument.startsWith('--') && argument.length > 2;
    if (isFlag && !takesDashes(flag, argument)) flags.push(openFlag(argument, position));
    else if (flag !== undefined && !flag.closed) flag.args.push(argument);
    else if (flag !== undefined)
      problems.push({ where: `argument ${position}`, message: `unexpected '${argument}' after ${flag.where}` });
    else files.push({ path: argument, where: `argument ${position}` });
  });
  const named = files.filter(({ path }) => path !== '-');
  const [, second] = named;
  if (second !== undefined) {
    problems.push({
      where: second.where,
      message: `unexpected '${second.path}': the configuration file is already '${named[0]?.path}'`,
    });
  }
  const assignments = flags.map(({ name, args, where }): Assignment => {
    // A switch or list that is named without a value: `--save` alone means the empty list, as redis-server has it.
    const empty = args.length === 0 && findOption(name)?.definition.type.many === true;
    return { name, args: empty ? [''] : args, source: 'flag', where };
  });
  return { files, assignments, problems };
}

export interface GatheredSources extends Gathered {
  /** Absolute path of the file that CONFIG REWRITE may write. */
  readonly file: string | undefined;
}

/** Gathers from all sources: file, then environment, then flags, then settings. */
export function gather(sources: Sources, readFile: (path: string) => string): GatheredSources {
  const parsed = parseArguments(sources.argv ?? [], sources.firstPosition);
  const gathered: Gathered = { assignments: [], problems: [...parsed.problems] };
  // Standard input comes after the file, so that it can change what the file says.
  const files = [...parsed.files].sort((left, right) => Number(left.path === '-') - Number(right.path === '-'));
  for (const { path, where } of files) {
    const fromFile = gatherFile(path, where, readFile);
    gathered.assignments.push(...fromFile.assignments);
    gathered.problems.push(...fromFile.problems);
  }
  gatherVariables(sources.env ?? {}, gathered);
  gathered.assignments.push(...parsed.assignments);
  gatherSettings(sources.settings ?? {}, gathered);
  const named = files.find(({ path }) => path !== '-');
  return { ...gathered, file: named === undefined ? undefined : resolve(named.path) };
}
