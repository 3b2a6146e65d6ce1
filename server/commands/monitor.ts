/** MONITOR: every command as it goes by. */
import { type CommandDefinition, command } from '../definitions/command.ts';
import { startMonitoring } from '../monitoring/monitors.ts';

export const monitorCommands: readonly CommandDefinition[] = [
  command({
    name: 'monitor',
    summary: 'Shows every command that any client sends from now on, until RESET or QUIT.',
    since: '1.0.0',
    group: 'server',
    arity: 1,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    syntax: '',
    run: (call) => {
      if (call.inTransaction) call.fail("ERR MONITOR isn't allowed for DENY BLOCKING client");
      startMonitoring(call.node, call.session);
      call.reply.ok();
    },
  }),
];
