/** The text of `mantis --help`. */
import type { Option } from './option-table.ts';
import { optionGroups } from './option-table.ts';

const WIDTH = 100;
const INDENT = 32;

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return line === '' ? lines : [...lines, line];
}

function plain(markdown: string): string {
  return markdown.replaceAll('`', '');
}

function describe({ name, definition }: Option): string {
  const fallback = definition.fallback === '' ? '' : ` Default: ${definition.fallback}.`;
  const values = definition.type.syntax === 'text' ? '' : ` Takes: ${plain(definition.type.syntax)}.`;
  const [first = '', ...rest] = wrap(plain(definition.summary) + values + fallback, WIDTH - INDENT);
  const head = `  --${name}`;
  const start = head.length + 2 > INDENT ? [head, ' '.repeat(INDENT) + first] : [head.padEnd(INDENT) + first];
  return [...start, ...rest.map((line) => ' '.repeat(INDENT) + line)].join('\n');
}

/** All options that do something, by topic. */
export function optionsHelp(): string {
  const parts = [
    'Options, also as file lines (port 7001) and variables (MANTIS_PORT=7001); flags win over variables over the file:',
  ];
  for (const { title, options } of optionGroups) {
    const shown = options.filter(({ definition }) => definition.effective && !definition.hidden);
    if (shown.length > 0) parts.push(`${title}:\n${shown.map(describe).join('\n')}`);
  }
  parts.push("Redis's other options are accepted without effect; docs/configuration.md lists them.");
  return `${parts.join('\n\n')}\n`;
}
