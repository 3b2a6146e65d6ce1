/** MODULE: there are none, and none can be loaded. */
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, command } from '../definitions/command.ts';
import { container, helpSubcommand } from '../definitions/subcommand-help.ts';

const REFUSED = 'Refused: modules are not supported.';

/** Begins with the words of Redis, which clients look for. */
function refuseToLoad(call: Call): void {
  call.fail('ERR Error loading the extension: modules are not supported');
}

function refuseToUnload(call: Call): void {
  call.fail('ERR Error unloading module: no such module with that name');
}

function subcommand(
  name: string,
  since: string,
  arity: number,
  syntax: string,
  summary: string,
  run: (call: Call) => void,
): CommandDefinition {
  return command({
    name,
    summary,
    since,
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
      subcommand('list', '4.0.0', 2, '', 'Lists the modules: none.', ({ reply }) => reply.array(0)),
      subcommand('load', '4.0.0', -3, 'path [arg [arg ...]]', REFUSED, refuseToLoad),
      subcommand(
        'loadex',
        '7.0.0',
        -3,
        'path [CONFIG name value [CONFIG name value ...]] [ARGS arg [arg ...]]',
        REFUSED,
        refuseToLoad,
      ),
      subcommand('unload', '4.0.0', 3, 'name', 'Refused: no module is loaded.', refuseToUnload),
      helpSubcommand('server', '5.0.0'),
    ],
  }),
];
