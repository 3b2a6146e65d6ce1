/** FUNCTION on a server that has no function libraries: there are none to list, and flushing them succeeds. */
import { command, type CommandDefinition } from '../command.ts';

const HELP = [
  'FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'FLUSH [ASYNC|SYNC]',
  '    Remove all function libraries: there are none.',
  'LIST [LIBRARYNAME <pattern>] [WITHCODE]',
  '    List the function libraries: there are none.',
  'HELP',
  '    Print this help.',
];

export const functionCommands: readonly CommandDefinition[] = [
  command({
    name: 'function',
    summary: 'Container for commands on function libraries, of which there are none.',
    since: '7.0.0',
    group: 'scripting',
    complexity: 'Depends on subcommand.',
    arity: -2,
    flags: [],
    syntax: '',
    subcommands: [
      command({
        name: 'flush',
        summary: 'Removes all function libraries.',
        since: '7.0.0',
        group: 'scripting',
        complexity: 'O(1)',
        arity: -2,
        flags: ['write', 'noscript'],
        syntax: '[ASYNC|SYNC]',
        run: (call) => {
          if (call.argc > 3 || (call.argc === 3 && !call.is(2, 'ASYNC') && !call.is(2, 'SYNC'))) {
            call.fail('ERR FUNCTION FLUSH only supports SYNC|ASYNC option');
          }
          call.reply.ok();
        },
      }),
      command({
        name: 'list',
        summary: 'Lists the function libraries.',
        since: '7.0.0',
        group: 'scripting',
        complexity: 'O(1)',
        arity: -2,
        flags: ['noscript'],
        syntax: '[LIBRARYNAME library-name-pattern] [WITHCODE]',
        run: (call) => call.reply.array(0),
      }),
      command({
        name: 'help',
        summary: 'Tells what FUNCTION can do.',
        since: '7.0.0',
        group: 'scripting',
        complexity: 'O(1)',
        arity: 2,
        flags: ['loading', 'stale'],
        syntax: '',
        run: (call) => {
          call.reply.array(HELP.length);
          for (const line of HELP) call.reply.simple(line);
        },
      }),
    ],
  }),
];
