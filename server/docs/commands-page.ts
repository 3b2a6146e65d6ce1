/** docs/commands.md, made from the definitions of the commands. */
import type { CommandDefinition, CommandGroup } from '../definitions/command.ts';
import { allCommands } from '../commands/all.ts';

const PREFACE = `# Commands

<!-- Made from the command definitions by npm run docs. Do not edit. -->

Commands are Redis's, in any letter case, with Redis's replies and errors; the column "since" names the Redis that brought them.
"Several nodes at once" says what becomes of writes that nodes make at the same time without knowing of each other; where it is
empty, the command changes no key. [configuration.md](configuration.md) lists the options.
`;

const TITLES: Readonly<Record<CommandGroup, string>> = {
  string: 'Strings',
  bitmap: 'Bitmaps',
  hash: 'Hashes',
  set: 'Sets',
  'sorted-set': 'Sorted sets',
  list: 'Lists',
  stream: 'Streams',
  hyperloglog: 'HyperLogLog',
  geo: 'Geospatial indexes',
  generic: 'Keys',
  transactions: 'Transactions',
  scripting: 'Scripts',
  pubsub: 'Publish and subscribe',
  connection: 'Connections',
  server: 'Server',
  mantis: 'Mantis',
};

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function row(definition: CommandDefinition, container: string): string {
  const name = `${container}${definition.name.toUpperCase()}`;
  const usage = `\`${`${name} ${definition.syntax}`.trim()}\``;
  return `| ${[usage, definition.summary, definition.since, definition.merge ?? ''].map(cell).join(' | ')} |`;
}

/** A container's row would say nothing that its subcommands' rows do not, unless it does something itself. */
function rows(definition: CommandDefinition): string[] {
  const { subcommands } = definition;
  if (subcommands === undefined) return [row(definition, '')];
  const container = `${definition.name.toUpperCase()} `;
  const own = definition.run === undefined ? [] : [row(definition, '')];
  return [...own, ...subcommands.map((subcommand) => row(subcommand, container))];
}

/** The page, ending in a newline. */
export function render(): string {
  const parts = [PREFACE.trimEnd()];
  for (const [group, title] of Object.entries(TITLES)) {
    const inGroup = allCommands
      .filter((definition) => definition.group === group)
      .sort((left, right) => (left.name < right.name ? -1 : 1));
    if (inGroup.length === 0) continue;
    const head = ['| command | | since | several nodes at once |', '|---|---|---|---|'];
    parts.push([`## ${title}`, '', ...head, ...inGroup.flatMap(rows)].join('\n'));
  }
  return `${parts.join('\n\n')}\n`;
}
