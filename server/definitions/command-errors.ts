/** The errors for requests that name no command, or call one wrongly, in Redis's words: clients match on them. */
import type { Call } from '../dispatch/call.ts';
import type { CommandOf } from './command-definition.ts';
import type { Session } from '../clients/session.ts';

const SHOWN_BYTES_MAX = 128;

/** Whether a request that names no command is a line of HTTP: a web page may be having a browser send commands. */
export function isHttp(call: Call): boolean {
  return call.is(0, 'POST') || call.is(0, 'HOST:');
}

export function unknownCommand(call: Call): string {
  let shown = '';
  for (let index = 1; index < call.argc; index++) {
    const room = SHOWN_BYTES_MAX - Buffer.byteLength(shown);
    if (room <= 0) break;
    shown += `'${call.beginning(index, room)}' `;
  }
  return `ERR unknown command '${call.beginning(0, SHOWN_BYTES_MAX)}', with args beginning with: ${shown}`;
}

export function unknownSubcommand(call: Call, container: CommandOf<never>): string {
  return `ERR unknown subcommand '${call.beginning(1, SHOWN_BYTES_MAX)}'. Try ${container.name.toUpperCase()} HELP.`;
}

export function wrongArity(command: CommandOf<never>): string {
  return `ERR wrong number of arguments for '${command.fullName}' command`;
}

/** What a RESP2 client that listens to channels may send. */
const LISTENERS_MAY: ReadonlySet<string> = new Set([
  'subscribe',
  'unsubscribe',
  'psubscribe',
  'punsubscribe',
  'ssubscribe',
  'sunsubscribe',
  'ping',
  'quit',
  'reset',
]);

/** Why a client that listens may not run the command; null when it may. In RESP3 messages cannot be taken for replies. */
export function refusalWhileListening(session: Session, command: CommandOf<never>): string | null {
  if (session.protocol === 3 || LISTENERS_MAY.has(command.name)) return null;
  return (
    `ERR Can't execute '${command.fullName}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are ` +
    'allowed in this context'
  );
}
