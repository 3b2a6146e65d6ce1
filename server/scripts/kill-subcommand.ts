/** SCRIPT KILL and FUNCTION KILL. */
import { type CommandDefinition, command } from '../definitions/command.ts';

/** @param what `script` or `function` */
export function killSubcommand(what: string, since: string): CommandDefinition {
  return command({
    name: 'kill',
    summary: `Stops a ${what} that runs; there is never one, since one that runs for too long is stopped by the node.`,
    since,
    group: 'scripting',
    complexity: 'O(1)',
    arity: 2,
    flags: ['noscript', 'allow_busy'],
    syntax: '',
    run: (call) => call.fail('NOTBUSY No scripts in execution right now.'),
  });
}
