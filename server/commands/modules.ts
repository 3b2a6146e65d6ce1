/** MODULE: there are none, and none can be loaded. */
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, command } from '../definitions/command.ts';
import { container, helpSubcommand } from '../definitions/subcommand-help.ts';

function refuse(call: Call): void {
  call.fail('ERR modules are not supported');
}

function subcommand(
  name: string,
  arity: number,
  syntax: string,
  summary: string,
  run: (call: Call) => void,
): CommandDefinition {
  return command({
    name,
    summary,
    since: '4.0.0',
    group: 'server',
    complexity: 'O(1)',
    arity,
    flags: name === 'list' ? ['admin', 'noscript'] : ['admin', 'noscript', 'no_async_loading'],
    syntax,
    run,
  });
}

export const moduleCommands: readonly CommandDefinition[] = [
  container({
    name: 'module',
    summary: 'Commands about modules, of which there are none.',
    since: '4.0.0',
    group: 'server',
    subcommands: [
      subcommand('list', 2, '', 'Lists the modules: none.', ({ reply }) => reply.array(0)),
      subcommand('load', -3, 'path [arg [arg ...]]', 'Refused: modules are not supported.', refuse),
      subcommand('unload', 3, 'name', 'Refused: modules are not supported.', refuse),
      helpSubcommand('server', '5.0.0'),
    ],
  }),
];
