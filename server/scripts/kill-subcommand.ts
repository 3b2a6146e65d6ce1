/** SCRIPT KILL and FUNCTION KILL. */
import { type CommandDefinition, command } from '../definitions/command.ts';
import { killScript } from './busy-script.ts';

export function killSubcommand(what: 'script' | 'function', since: string): CommandDefinition {
  return command({
    name: 'kill',
    summary: `Stops the ${what} that runs for longer than busy-reply-threshold, unless it has written.`,
    since,
    group: 'scripting',
    complexity: 'O(1)',
    arity: 2,
    flags: ['noscript', 'allow_busy'],
    syntax: '',
    run: ({ node, reply }) => {
      killScript(node.scripting.busy, what === 'function');
      reply.ok();
    },
  });
}
