/** CONFIG: options read and changed while the node runs. */
import type { Call } from '../dispatch/call.ts';
import { isLocalClient } from '../clients/client-address.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import { resetStatistics } from '../monitoring/reset-statistics.ts';
import { container, helpSubcommand } from '../definitions/subcommand-help.ts';

const FLAGS: readonly CommandFlag[] = ['admin', 'noscript', 'loading', 'stale'];

function texts(call: Call, first: number): string[] {
  const found: string[] = [];
  for (let index = first; index < call.argc; index++) found.push(call.text(index));
  return found;
}

function get(call: Call): void {
  const { reply } = call;
  const pairs = call.node.config.get(texts(call, 2));
  reply.map(pairs.length);
  for (const [name, value] of pairs) {
    reply.bulkString(name);
    reply.bulkString(value);
  }
}

function answer(call: Call, error: string | null): void {
  if (error !== null) call.fail(error);
  call.reply.ok();
}

const subcommands: readonly CommandDefinition[] = [
  command({
    name: 'get',
    summary: 'Tells the values of the options that the patterns match.',
    since: '2.0.0',
    group: 'server',
    complexity: 'O(N) for N options',
    arity: -3,
    flags: FLAGS,
    syntax: 'parameter [parameter ...]',
    run: get,
  }),
  command({
    name: 'set',
    summary: 'Changes options, all of those named or none.',
    since: '2.0.0',
    group: 'server',
    complexity: 'O(N) for N options',
    arity: -4,
    flags: FLAGS,
    syntax: 'parameter value [parameter value ...]',
    run: (call) => {
      const client = { local: isLocalClient(call.session) };
      answer(call, call.node.config.set(texts(call, 2), client));
    },
  }),
  command({
    name: 'resetstat',
    summary: 'Sets the counters that INFO shows back to zero.',
    since: '2.0.0',
    group: 'server',
    complexity: 'O(N) for N commands',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: (call) => {
      resetStatistics(call.node);
      call.reply.ok();
    },
  }),
  command({
    name: 'rewrite',
    summary: 'Writes the present options into the configuration file.',
    since: '2.8.0',
    group: 'server',
    complexity: 'O(N) for N options',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: (call) => {
      call.node.users.keepConfigured();
      answer(call, call.node.config.rewrite());
    },
  }),
  helpSubcommand('server', '5.0.0'),
];

export const configCommands: readonly CommandDefinition[] = [
  container({
    name: 'config',
    summary: 'Commands about the options of this node.',
    since: '2.0.0',
    group: 'server',
    subcommands,
  }),
];
