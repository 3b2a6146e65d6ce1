/** INFO: what the node is, does and costs. */
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, command } from '../definitions/command.ts';
import { infoText } from '../info/sections.ts';

function info(call: Call): void {
  const names: string[] = [];
  for (let index = 1; index < call.argc; index++) names.push(call.latin1(index));
  call.reply.verbatim(infoText(call.node, names));
}

export const infoCommands: readonly CommandDefinition[] = [
  command({
    name: 'info',
    summary: 'Tells what the node is, does and costs, in sections.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(1)',
    arity: -1,
    flags: ['loading', 'stale'],
    categories: ['dangerous'],
    syntax: '[section [section ...]]',
    run: info,
  }),
];
