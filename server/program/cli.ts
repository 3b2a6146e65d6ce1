/** The command line: which command, with which configuration. What the commands do is handed in. */
import { Command, CommanderError } from 'commander';
import { ConfigError } from '../config/assignment.ts';
import { Config } from '../config/config.ts';
import { optionsHelp } from '../config/help.ts';
import type { ConfigSources } from '../config/config.ts';
import { nearestName } from '../config/text-match.ts';
import { mantisVersion } from '../config/version.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

export interface CliActions {
  /** Starts a node; resolves when it serves, or when it has ended. Rejects when it cannot start. */
  start(config: Config): Promise<void>;
  /** Makes or upgrades the MySQL schema; with `plan`, only tells what it would do. */
  migrate(config: Config, plan: boolean): Promise<void>;
  /** Compares a running node's memory with its stores; resolves to whether they are alike. */
  verify(config: Config, isRepairing: boolean): Promise<boolean>;
  /** Copies the embedded store of a node, running or stopped, into a new folder. */
  backup(config: Config, directory: string): Promise<void>;
}

export interface CliSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile?: (path: string) => string;
  writeOut(text: string): void;
  writeError(text: string): void;
}

const USAGE_HINT = 'Try mantis --help.';

function readConfig(argv: readonly string[], words: readonly string[], surroundings: CliSurroundings): Config {
  const sources: ConfigSources = {
    argv: words,
    firstPosition: argv.length - words.length + 1,
    env: surroundings.env,
    ...(surroundings.readFile === undefined ? {} : { readFile: surroundings.readFile }),
  };
  return Config.fromSources(sources);
}

/** A command that hands everything after its name to the configuration. */
function configured(command: Command): Command {
  return command
    .argument('[words...]', 'configuration file, - for standard input, and options')
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false);
}

function build(argv: readonly string[], actions: CliActions, surroundings: CliSurroundings): Command {
  const program = new Command('mantis')
    .description('A Redis-protocol server in which every node takes writes.')
    .usage('[command] [config-file|-] [--option value ...]')
    .version(`mantis ${mantisVersion}`, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => surroundings.writeOut(text),
      writeErr: (text) => surroundings.writeError(text),
    })
    .addHelpText('after', () => `\n${optionsHelp()}`);
  configured(program.command('start', { isDefault: true }))
    .description('serve (what happens without a command)')
    .action(async (words: string[]) => {
      await actions.start(readConfig(argv, words, surroundings));
    });
  configured(program.command('migrate'))
    .description('make or upgrade the MySQL schema; --plan only says what would be done')
    .action(async (words: string[]) => {
      const given = words.filter((word) => word !== '--plan');
      await actions.migrate(readConfig(argv, given, surroundings), given.length < words.length);
    });
  configured(program.command('backup'))
    .description('copy the embedded store of a node, running or stopped: mantis backup DIR [options of that node]')
    .action(async ([directory, ...words]: string[]) => {
      if (directory === undefined || directory.startsWith('-'))
        throw new Error('name the folder for the copy first: mantis backup DIR [options of the node]');
      await actions.backup(readConfig(argv, words, surroundings), directory);
    });
  configured(program.command('verify'))
    .description("compare a running node's memory with its stores; --repair gives each what it lacks")
    .action(async (words: string[]) => {
      const given = words.filter((word) => word !== '--repair');
      const isAlike = await actions.verify(readConfig(argv, given, surroundings), given.length < words.length);
      if (!isAlike) throw new CommanderError(1, 'mantis.differences', '');
    });
  return program;
}

function isCommand(program: Command, word: string | undefined): boolean {
  return program.commands.some((command) => command.name() === word);
}

/** What a person reads when the configuration is wrong: every problem, and how to go on. */
function explain(error: ConfigError, program: Command): string {
  const [problem] = error.problems;
  const word = /^cannot read the configuration file '([a-z]+)'/.exec(problem?.message ?? '')?.[1];
  const commands = program.commands.map((command) => command.name());
  const nearest = word === undefined ? undefined : nearestName(word, commands);
  const hint = nearest === undefined ? '' : `Did you mean the command '${nearest}'?\n`;
  return `mantis: ${error.message}\n${hint}${USAGE_HINT}\n`;
}

/**
 * Runs the command line.
 * @param argv the words after the script's name
 * @returns the exit code: 0, or 1 when the configuration is wrong or the command failed
 */
export async function runCli(
  argv: readonly string[],
  actions: CliActions,
  surroundings: CliSurroundings,
): Promise<number> {
  const program = build(argv, actions, surroundings);
  // The commands hand all that follows to the configuration, which has no option of that name.
  const asksForHelp = argv.length === 2 && /^(-h|--help)$/.test(argv[1] ?? '') && isCommand(program, argv[0]);
  try {
    await program.parseAsync(asksForHelp ? ['--help'] : [...argv], { from: 'user' });
    return 0;
  } catch (error) {
    // Help and version end this way too, with code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 1;
    if (error instanceof ConfigError) surroundings.writeError(explain(error, program));
    else surroundings.writeError(`mantis: ${reasonOf(error)}\n`);
    return 1;
  }
}
