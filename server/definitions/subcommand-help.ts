/** Commands that are containers of subcommands, such as CONFIG, and the HELP that is made from the definitions of these. */
import type { Call } from '../dispatch/call.ts';
import type { CommandOf } from './command-definition.ts';
import { type CommandDefinition, type CommandGroup, command } from './command.ts';

interface Described {
  name: string;
  syntax: string;
  summary: string;
}

/** Replies as Redis's HELP does: an array of lines, a subcommand's syntax and below it what it does. */
export function replyHelp(call: Call, container: string, subcommands: readonly Described[]): void {
  const lines = [`${container.toUpperCase()} <subcommand> [<argument> ...], where <subcommand> is one of:`];
  for (const { name, syntax, summary } of subcommands) {
    lines.push(`${name.toUpperCase()} ${syntax}`.trimEnd(), `    ${summary}`);
  }
  call.reply.array(lines.length);
  for (const line of lines) call.reply.simple(line);
}

/** A command that does nothing itself; `subcommands` are its own, without the container's name. */
export function container(
  definition: Pick<CommandDefinition, 'name' | 'summary' | 'since' | 'group' | 'subcommands'>,
): CommandDefinition {
  return command({ ...definition, complexity: 'Depends on the subcommand.', arity: -2, flags: [], syntax: '' });
}

function containerOf(given: CommandOf<never>): CommandOf<never> {
  return given.parent ?? given;
}

/** HELP of the container that it is put into. */
export function helpSubcommand(
  group: CommandGroup,
  since: string,
  categories: readonly string[] = [],
): CommandDefinition {
  return command({
    name: 'help',
    summary: 'Tells what the subcommands are and do.',
    since,
    group,
    complexity: 'O(1)',
    arity: 2,
    flags: ['loading', 'stale'],
    categories,
    syntax: '',
    run: (call) => {
      const { name, subcommandTable } = containerOf(call.command);
      replyHelp(call, name, [...subcommandTable.values()]);
    },
  });
}

/** Redis's answer to a subcommand that is known, given arguments that it does not take. */
export function wrongSubcommandArguments(call: Call, container: string): never {
  const given = call.beginning(1, 128);
  call.fail(`ERR unknown subcommand or wrong number of arguments for '${given}'. Try ${container.toUpperCase()} HELP.`);
}
