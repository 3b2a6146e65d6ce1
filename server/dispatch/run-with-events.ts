/** Commands, and the keyspace events that follow from what they change. */
import type { Call } from './call.ts';
import type { CommandOf } from '../definitions/command-definition.ts';

const ZERO = 48;

/** Runs a command, and then raises the events for the keys that it has changed. */
export function runWithEvents(call: Call, command: CommandOf<Call>): void {
  const { keyspaceEvents } = call.node;
  const isNested = keyspaceEvents.begin();
  const { reply } = call;
  const mark = reply.length;
  try {
    command.run!(call);
    // A member that was there is written anew, which Redis does not do and does not tell of.
    if (command.name === 'sadd' && reply.buffer[mark + 1] === ZERO && reply.length === mark + 4)
      keyspaceEvents.forget();
  } finally {
    const { argc } = call;
    keyspaceEvents.end({ name: command.fullName, argc, bytes: (index) => call.bytes(index) }, isNested);
  }
}
