/** docs/configuration.md, made from the option table. */
import type { Option } from '../config/option-table.ts';
import { optionGroups } from '../config/option-table.ts';

const PREFACE = `# Configuration

<!-- Made from server/config/options by npm run docs. Do not edit. -->

Every option below can be given in each of these ways. A later one wins:

1. its default;
2. a line of the configuration file: \`port 7001\`;
3. an environment variable: \`MANTIS_PORT=7001\` (upper case, \`_\` for \`-\`; an empty variable counts as not set);
4. a flag: \`mantis mantis.conf --port 7001\`, or \`--port=7001\`;
5. when a program embeds a node, the settings that it passes.

\`mantis [start] [config-file|-] [--option value …]\` takes the file first, as redis-server does; \`-\` reads lines from standard
input. Several values follow one flag: \`--bind 127.0.0.1 ::1\`, \`--save 900 1\`. The variables that Kubernetes and Docker make for
a service called mantis (\`MANTIS_SERVICE_…\`, \`MANTIS_PORT_…\`, \`MANTIS_PORT=tcp://…\`) are left alone.

The file has one option a line, as redis.conf has them. A line that starts with \`#\` is a comment. Values with spaces stand in
double quotes (with the escapes \`\\n \\r \\t \\b \\a \\xHH \\" \\\\\`) or single quotes (with \`\\'\`). \`include other.conf\` reads another
file at that place. \`save\` and \`client-output-buffer-limit\` add up over several lines; of any other option the last line counts.

A wrong name, value or file is reported with its line or its place among the arguments, the nearest right name, and everything
else that is wrong; the process ends with code 1 before it listens.

- **Sizes** are bytes, or carry \`k\` (1000), \`kb\` (1024), \`m\`, \`mb\`, \`g\`, \`gb\`. CONFIG GET shows bytes.
- **Durations** carry \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`. A bare number is milliseconds, but seconds where the table says so.
  CONFIG GET shows the bare number.
- **Switches** are \`yes\` and \`no\`.

"CONFIG SET" says when an option can be changed: *yes*, at run time; *protected*, at run time if \`enable-protected-configs\` allows;
*start*, only when the node starts (CONFIG SET takes the value that it has, so that tools can write back what they read);
*never*, as in Redis. CONFIG SET takes several options and changes all or none. CONFIG REWRITE writes the present values back to
the file, keeps its comments and order, and leaves secrets that came from the environment out of it.
`;

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}

function changeable({ definition }: Option): string {
  if (definition.mutable !== 'runtime') return definition.mutable;
  return definition.protected ? 'protected' : 'yes';
}

function summary({ definition }: Option): string {
  const parts = [definition.summary];
  if (definition.aliases.length > 0) parts.push(`Also ${definition.aliases.map(code).join(', ')}.`);
  if (definition.secret === 'masked') parts.push('CONFIG GET masks it.');
  if (definition.instead !== undefined) parts.push(`See ${definition.instead}.`);
  return parts.join(' ');
}

function row(option: Option): string {
  const { type, fallback, since } = option.definition;
  const cells = [code(option.name), type.syntax, code(fallback), changeable(option), since, summary(option)];
  return `| ${cells.map(cell).join(' | ')} |`;
}

/** The page, ending in a newline. */
export function render(): string {
  const tables = optionGroups.map(({ title, options }) => {
    const rows = options.filter(({ definition }) => !definition.hidden).map(row);
    const head = ['| option | values | default | CONFIG SET | since | |', '|---|---|---|---|---|---|'];
    return [`## ${title}`, '', ...head, ...rows].join('\n');
  });
  return `${[PREFACE.trimEnd(), ...tables].join('\n\n')}\n`;
}
