/** SLOWLOG: the commands that took longest. */
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import { container, helpSubcommand, wrongSubcommandArguments } from '../definitions/subcommand-help.ts';

const FLAGS: readonly CommandFlag[] = ['admin', 'loading', 'stale'];
const ENTRIES_SHOWN = 10;

function get(call: Call): void {
  if (call.argc > 3) wrongSubcommandArguments(call, 'slowlog');
  const { slowLog } = call.node.statistics;
  let count = ENTRIES_SHOWN;
  if (call.argc === 3) {
    count = call.integerIn(2, -1, Number.MAX_VALUE, 'ERR count should be greater than or equal to -1');
  }
  const entries = count === -1 ? slowLog.entries : slowLog.entries.slice(0, count);
  const { reply } = call;
  reply.array(entries.length);
  for (const entry of entries) {
    reply.array(6);
    reply.integer(entry.id);
    reply.integer(entry.atSeconds);
    reply.integer(entry.microseconds);
    reply.array(entry.arguments.length);
    for (const argument of entry.arguments) reply.bulk(argument, 0, argument.length);
    reply.bulkString(entry.clientAddress);
    reply.bulkString(entry.clientName);
  }
}

const subcommands: readonly CommandDefinition[] = [
  command({
    name: 'get',
    summary: 'Shows the latest slow commands, ten or as many as asked for; -1 shows all.',
    since: '2.2.12',
    group: 'server',
    complexity: 'O(N) for N entries shown',
    arity: -2,
    flags: FLAGS,
    syntax: '[count]',
    run: get,
  }),
  command({
    name: 'len',
    summary: 'Counts the entries.',
    since: '2.2.12',
    group: 'server',
    complexity: 'O(1)',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: ({ node, reply }) => reply.integer(node.statistics.slowLog.entries.length),
  }),
  command({
    name: 'reset',
    summary: 'Forgets all entries.',
    since: '2.2.12',
    group: 'server',
    complexity: 'O(N) for N entries',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: ({ node, reply }) => {
      node.statistics.slowLog.clear();
      reply.ok();
    },
  }),
  helpSubcommand('server', '6.2.0'),
];

export const slowLogCommands: readonly CommandDefinition[] = [
  container({
    name: 'slowlog',
    summary: 'Commands about the slow log.',
    since: '2.2.12',
    group: 'server',
    subcommands,
  }),
];
