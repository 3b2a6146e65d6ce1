/** LOLWUT: a mantis, and the version. */
import { mantisVersion } from '../config/version.ts';
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, command } from '../definitions/command.ts';
import { REDIS_VERSION } from '../config/redis-version.ts';

const MANTIS = String.raw`
        \         /
         \  o.o  /
          '-\ /-'      __
      __    | |      .'  '.
     /  \___| |_____/      \
     \  /   | |   \         )
      \/   /   \   \_______/
          /     \  |  |  |
         /       \ |  |  |
`;

function lolwut(call: Call): void {
  if (call.argc > 2 && call.is(1, 'VERSION')) call.integer(2);
  call.reply.verbatim(`${MANTIS.slice(1)}\nMantis ver. ${mantisVersion}, Redis ver. ${REDIS_VERSION}\n`);
}

export const lolwutCommands: readonly CommandDefinition[] = [
  command({
    name: 'lolwut',
    summary: 'Draws a mantis, and tells the version.',
    since: '5.0.0',
    group: 'server',
    arity: -1,
    flags: ['readonly', 'fast'],
    syntax: '[VERSION version]',
    run: lolwut,
  }),
];
