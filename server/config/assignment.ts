/** What the sources of configuration say, one entry per flag, variable or line, before anything is read as a value. */

export type SourceKind = 'file' | 'environment' | 'flag' | 'setting';

export interface Assignment {
  /** As given; may be unknown. */
  readonly name: string;
  readonly args: readonly string[];
  readonly source: SourceKind;
  /** Where a person finds it: `mantis.conf:12`, `--port (argument 2)`, `MANTIS_PORT`. */
  readonly where: string;
}

export interface ConfigProblem {
  readonly where: string;
  /** One sentence, without a final full stop. */
  readonly message: string;
}

/** The configuration cannot be used; `problems` holds everything that is wrong with it, and `message` lists them. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    const list = problems.map(({ where, message }) => `  ${where === '' ? '' : `${where}: `}${message}`);
    super([`${count} in the configuration:`, ...list].join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

export interface Gathered {
  readonly assignments: Assignment[];
  readonly problems: ConfigProblem[];
}
