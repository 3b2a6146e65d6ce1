/**
 * The configuration of a node: read once from flags, environment and files, then changed by CONFIG SET.
 * `config.values.port`, `config.values['max-clock-drift']` and the like are plain fields, cheap to read at each use.
 */
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Assignment, ConfigProblem, SourceKind } from './assignment.ts';
import { ConfigError } from './assignment.ts';
import { adviceOn, checkTogether } from './checks.ts';
import { maskUrl, SECRET_MASK } from './node-types.ts';
import type { ConfigValues, Option, OptionName, OptionValue } from './option-table.ts';
import { allOptions, defaultValue, findOption } from './option-table.ts';
import { UnsupportedError, ValueError } from './option-type.ts';
import { replaceFile, rewriteText } from './rewrite.ts';
import type { Sources } from './sources.ts';
import { gather, gatherFile, unknownOption } from './sources.ts';
import { globMatcher, isGlob } from './text-match.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

/** Called after CONFIG SET changed an option. Throws ValueError to refuse, which undoes the whole CONFIG SET. */
export type ChangeListener<T> = (value: T, previous: T) => void;

export interface ConfigSources extends Sources {
  /** Replaces a file in one step; for CONFIG REWRITE. */
  readonly replaceFile?: (path: string, text: string) => void;
}

/** Who asks for a CONFIG SET. */
export interface ConfigClient {
  /** Connected from this machine. */
  readonly local: boolean;
}

interface Change {
  /** As asked, in lower case: an alias stays one. */
  readonly name: string;
  readonly option: Option;
  readonly text: string;
}

/** Relative paths keep their meaning after the working directory changed to `dir`. */
function fileReader(): (path: string) => string {
  const folder = process.cwd();
  return (path) => readFileSync(path === '-' ? 0 : resolve(folder, path), 'utf8');
}

/** The option of this name that CONFIG GET and SET know. */
function configurable(name: string): Option | undefined {
  const option = findOption(name);
  return option?.definition.unknownToConfig === true ? undefined : option;
}

/** What CONFIG GET shows: Redis's rendering, with masked secrets masked. */
function show(option: Option, value: unknown): string {
  const rendered = option.definition.type.render(value);
  if (option.definition.secret !== 'masked' || rendered === '') return rendered;
  return option.name === 'mysql' ? maskUrl(rendered) : SECRET_MASK;
}

/** One sentence on a wrong value; secrets are not repeated. The place names the option, unless it is a file's line. */
function describe(option: Option, { args, source }: Assignment, why: string, hint: string | undefined): string {
  const cut = args.map((argument) => `'${argument.length > 80 ? `${argument.slice(0, 80)}…` : argument}'`);
  const given = option.definition.secret === 'no' ? cut : [];
  const start = source === 'file' ? [option.name, ...given] : given;
  return `${start.length > 0 ? `${start.join(' ')}: ` : ''}${why}${hint === undefined ? '' : ` (${hint})`}`;
}

/** Reads assignments into values, collecting what is wrong. Later ones win. */
function assign(
  values: Map<Option, unknown>,
  origins: Map<Option, Assignment>,
  assignments: readonly Assignment[],
  problems: ConfigProblem[],
): void {
  const unsupported = new Map<Option, ConfigProblem>();
  for (const assignment of assignments) {
    const option = findOption(assignment.name);
    if (option === undefined) {
      problems.push({ where: assignment.where, message: unknownOption(assignment.name) });
      continue;
    }
    const { type } = option.definition;
    const current = type.accumulates === 'never' || !origins.has(option) ? undefined : values.get(option);
    try {
      if (assignment.args.length === 0)
        throw new ValueError('wrong number of arguments', `it needs a value: ${type.syntax}`);
      values.set(option, type.parse(assignment.args, current));
      origins.set(option, assignment);
      unsupported.delete(option);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      const comment = assignment.source === 'file' && assignment.args.some((argument) => argument.startsWith('#'));
      const hint = comment ? 'a comment needs a line of its own' : error.hint;
      const problem = { where: assignment.where, message: describe(option, assignment, error.message, hint) };
      if (error instanceof UnsupportedError) unsupported.set(option, problem);
      else problems.push(problem);
    }
  }
  problems.push(...unsupported.values());
}

function defaults(): Map<Option, unknown> {
  return new Map(allOptions.map((option) => [option, defaultValue(option)]));
}

function fields(values: ReadonlyMap<Option, unknown>): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [option, value] of values) {
    if (option.definition.effective) found[option.name] = value;
  }
  // Spreading makes an object with fast fields; one that is filled field by field is a hash table inside.
  return { ...found };
}

/** The table guarantees that every option has its field and that its type made the value. */
function typedFields(values: Record<string, unknown>): ConfigValues {
  return values as ConfigValues;
}

/** Runs what may refuse a value. */
function attempt<T>(parse: () => T): { readonly value: T } | { readonly error: string } {
  try {
    return { value: parse() };
  } catch (error) {
    if (error instanceof ValueError) return { error: error.message };
    throw error;
  }
}

function failed(name: string, why: string): string {
  return `ERR CONFIG SET failed (possibly related to argument '${name}') - ${why}`;
}

export class Config {
  readonly values: ConfigValues;
  /** Absolute path of the configuration file, if the node was started with one. */
  readonly file: string | undefined;
  /** Sentences for the log: options of Redis that were given and have no effect here. */
  readonly notices: readonly string[];
  readonly #fields: Record<string, unknown>;
  readonly #values: Map<Option, unknown>;
  readonly #sources: Map<Option, SourceKind>;
  readonly #listeners = new Map<Option, ChangeListener<unknown>[]>();
  readonly #readFile: (path: string) => string;
  readonly #replaceFile: (path: string, text: string) => void;

  private constructor(
    values: Map<Option, unknown>,
    origins: Map<Option, Assignment>,
    file: string | undefined,
    sources: ConfigSources,
  ) {
    this.#values = values;
    this.#fields = fields(values);
    this.values = typedFields(this.#fields);
    this.#sources = new Map([...origins].map(([option, { source }]) => [option, source]));
    this.file = file;
    this.notices = [...notices(values, origins), ...adviceOn(this.values)];
    this.#readFile = sources.readFile ?? fileReader();
    this.#replaceFile = sources.replaceFile ?? replaceFile;
  }

  /** Reads all sources. Throws ConfigError with everything that is wrong. Without sources: the defaults. */
  static fromSources(sources: ConfigSources = {}): Config {
    const { assignments, problems, file } = gather(sources, sources.readFile ?? fileReader());
    const values = defaults();
    const origins = new Map<Option, Assignment>();
    assign(values, origins, assignments, problems);
    if (problems.length === 0) {
      for (const { option, message } of checkTogether(typedFields(fields(values)))) {
        const known = findOption(option);
        const origin = known === undefined ? undefined : origins.get(known);
        problems.push({ where: origin?.where ?? '', message: `${option}: ${message}` });
      }
    }
    if (problems.length > 0) throw new ConfigError(problems);
    return new Config(values, origins, file, sources);
  }

  /** CONFIG GET: names and values of what the patterns match, each once. */
  get(patterns: readonly string[]): [string, string][] {
    const found = new Map<string, [string, string]>();
    for (const pattern of patterns) {
      if (!isGlob(pattern)) {
        const option = configurable(pattern);
        // A plain name is answered in the letter case in which it was asked, as Redis does.
        if (option !== undefined) this.#add(found, pattern, option);
        continue;
      }
      const matches = globMatcher(pattern);
      for (const option of allOptions) {
        if (option.definition.hidden) continue;
        for (const name of [option.name, ...option.definition.aliases]) {
          if (matches(name)) this.#add(found, name, option);
        }
      }
    }
    return [...found.values()];
  }

  /** Calls back after each CONFIG SET that changed the option. Returns what ends it. */
  onChange<N extends OptionName>(name: N, listener: ChangeListener<OptionValue<N>>): () => void {
    const option = findOption(name);
    assert(option !== undefined);
    const untyped: ChangeListener<unknown> = (value, previous) => {
      listener(value as OptionValue<N>, previous as OptionValue<N>);
    };
    const listeners = this.#listeners.get(option) ?? [];
    this.#listeners.set(option, [...listeners, untyped]);
    return () => {
      this.#listeners.set(
        option,
        (this.#listeners.get(option) ?? []).filter((each) => each !== untyped),
      );
    };
  }

  /**
   * CONFIG SET: names and values in turn, all of them or none. Returns the error reply (with its `ERR`), or null.
   */
  set(words: readonly string[], client: ConfigClient = { local: true }): string | null {
    if (words.length === 0 || words.length % 2 !== 0) return 'ERR syntax error';
    const names = new Set<string>();
    const changes: Change[] = [];
    for (let at = 0; at < words.length; at += 2) {
      const asked = words[at] ?? '';
      const name = asked.toLowerCase();
      const text = words[at + 1] ?? '';
      const option = configurable(name);
      if (option === undefined) return `ERR Unknown option or number of arguments for CONFIG SET - '${asked}'`;
      const refusal = this.#refusal(option, text, client);
      if (refusal !== null) return failed(name, refusal);
      if (names.has(name)) return failed(name, 'duplicate parameter');
      names.add(name);
      changes.push({ name, option, text });
    }
    return this.#apply(changes);
  }

  /** The value has become another by other means than CONFIG SET: nobody is told, and CONFIG REWRITE writes it. */
  keep<N extends OptionName>(name: N, value: OptionValue<N>): void {
    const option = findOption(name);
    assert(option !== undefined);
    this.#put(option, value);
  }

  /**
   * CONFIG REWRITE: changes the file so that it gives the present values, and keeps everything else in it.
   * Returns the error reply (with its `ERR`), or null. With `all`, options that have their default are written too.
   */
  rewrite(all = false): string | null {
    if (this.file === undefined) return 'ERR The server is running without a config file';
    try {
      const text = this.#readFile(this.file);
      const inFile = defaults();
      assign(inFile, new Map(), gatherFile(this.file, '', this.#readFile).assignments, []);
      const differs = allOptions.filter((option) => {
        if (option.definition.secret !== 'no' && this.#sources.get(option) === 'environment') return false;
        const { lines } = option.definition.type;
        return all || JSON.stringify(lines(this.#values.get(option))) !== JSON.stringify(lines(inFile.get(option)));
      });
      this.#replaceFile(this.file, rewriteText(text, differs, this.#values));
      return null;
    } catch (error) {
      return `ERR Rewriting config file: ${reasonOf(error)}`;
    }
  }

  #add(found: Map<string, [string, string]>, name: string, option: Option): void {
    const key = name.toLowerCase();
    if (!found.has(key)) found.set(key, [name, show(option, this.#values.get(option))]);
  }

  #refusal(option: Option, text: string, client: ConfigClient): string | null {
    const { mutable } = option.definition;
    if (mutable === 'never') return "can't set immutable config";
    if (mutable === 'start' && !this.#isPresent(option, text)) {
      const parsed = attempt(() => option.definition.type.parse([text], undefined));
      return 'error' in parsed ? parsed.error : "can't set immutable config";
    }
    const allowed =
      this.values['enable-protected-configs'] === 'yes' ||
      (this.values['enable-protected-configs'] === 'local' && client.local);
    const redundant = option.definition.secret === 'masked' && this.#isPresent(option, text);
    if (option.definition.protected && !allowed && !redundant) return "can't set protected config";
    return null;
  }

  /** Whether a text stands for the value that the option has, also when CONFIG GET masks it. */
  #isPresent(option: Option, text: string): boolean {
    const value = this.#values.get(option);
    if (text === show(option, value)) return true;
    const { type } = option.definition;
    const parsed = attempt(() => type.parse([text], undefined));
    return 'value' in parsed && type.render(parsed.value) === type.render(value);
  }

  #apply(changes: readonly Change[]): string | null {
    const before = new Map(changes.map(({ option }) => [option, this.#values.get(option)]));
    for (const { name, option, text } of changes) {
      if (option.definition.secret === 'masked' && text === show(option, this.#values.get(option))) continue;
      const { type } = option.definition;
      const current = type.accumulates === 'always' ? this.#values.get(option) : undefined;
      const parsed = attempt(() => type.parse([text], current));
      if ('error' in parsed) {
        for (const [changed, value] of before) this.#put(changed, value);
        return failed(name, parsed.error);
      }
      this.#put(option, parsed.value);
    }
    const [problem] = checkTogether(this.values);
    if (problem !== undefined) {
      for (const [changed, value] of before) this.#put(changed, value);
      return failed(problem.option, problem.message);
    }
    return this.#announce(before);
  }

  /** Tells the listeners; when one refuses, those told before are told the old values again. */
  #announce(before: ReadonlyMap<Option, unknown>): string | null {
    const told: (() => void)[] = [];
    for (const [option, previous] of before) {
      const value = this.#values.get(option);
      const { type, isReread } = option.definition;
      if (!isReread && type.render(value) === type.render(previous)) continue;
      try {
        for (const listener of this.#listeners.get(option) ?? []) {
          listener(value, previous);
          told.push(() => listener(previous, value));
        }
        this.#sources.delete(option);
      } catch (error) {
        for (const [changed, old] of before) this.#put(changed, old);
        for (const undo of told.reverse()) attempt(undo);
        if (error instanceof ValueError) return failed(option.name, error.message);
        throw error;
      }
    }
    return null;
  }

  #put(option: Option, value: unknown): void {
    this.#values.set(option, value);
    if (option.definition.effective) this.#fields[option.name] = value;
  }
}

function notices(values: ReadonlyMap<Option, unknown>, origins: ReadonlyMap<Option, Assignment>): string[] {
  const found: string[] = [];
  for (const [option, { where }] of origins) {
    const { effective, type, instead } = option.definition;
    if (effective || instead === undefined || type.render(values.get(option)) === type.render(defaultValue(option)))
      continue;
    found.push(`${where}: ${option.name} has no effect here; see ${instead}`);
  }
  return found;
}
