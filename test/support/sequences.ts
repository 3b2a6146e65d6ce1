/** Tables of requests that redis-server and Mantis must answer alike. */
import { counterCommands } from '../../server/commands/counters.ts';
import { databaseCommands } from '../../server/commands/databases.ts';
import { dumpCommands } from '../../server/commands/dump.ts';
import { expiryCommands } from '../../server/commands/expiry.ts';
import { keyCommands } from '../../server/commands/keys.ts';
import { memoryCommands } from '../../server/commands/memory.ts';
import { objectCommands } from '../../server/commands/object.ts';
import { scanCommands } from '../../server/commands/scan.ts';
import { stringRangeCommands } from '../../server/commands/string-ranges.ts';
import { stringCommands } from '../../server/commands/strings.ts';
import { transactionCommands } from '../../server/commands/transactions.ts';
import type { CommandHarness } from './command-harness.ts';
import type { Comparison, Request } from './comparison.ts';

/** The commands on keys of any type and on strings. */
export const keyspaceCommands = [
  ...stringCommands,
  ...stringRangeCommands,
  ...counterCommands,
  ...keyCommands,
  ...scanCommands,
  ...expiryCommands,
  ...objectCommands,
  ...memoryCommands,
  ...databaseCommands,
  ...dumpCommands,
  ...transactionCommands,
];

/** A request: its words with single spaces between them, or its arguments. */
export type Step = string | Request;

export function requestOf(step: Step): Request {
  return typeof step === 'string' ? step.split(' ') : step;
}

/** Lets WATCH see changes, as a running node does. */
export function observeWatches({ keyspace, node }: CommandHarness): void {
  keyspace.observer = {
    changed: (database, key, start, length) => node.watches.touch(database, key, start, length),
    expired: (database, key, start, length) => node.watches.touch(database, key, start, length),
  };
}

/** Runs the steps on both servers, from empty databases, in RESP2 and in RESP3. */
export async function checkSequence(comparison: Comparison, steps: readonly Step[]): Promise<void> {
  for (const protocol of [2, 3] as const) {
    await comparison.check(steps.map(requestOf), {
      prepare: (harness) => {
        harness.client.session.protocol = protocol;
        harness.keyspace.updateAccessClock(false);
        observeWatches(harness);
      },
      prepareRedis: [
        ['HELLO', protocol],
        ['SELECT', 0],
      ],
    });
  }
}

/** The integer of a reply `:n`. */
export function integerOf(reply: Buffer): number {
  const match = /^:(-?\d+)\r\n$/.exec(reply.toString('latin1'));
  if (match === null) throw new Error(`not an integer: ${reply.toString('latin1')}`);
  return Number(match[1]);
}

/** The bytes of a reply that is a bulk string. */
export function bulkOf(reply: Buffer | string): Buffer {
  const bytes = Buffer.from(reply as string, 'latin1');
  if (bytes[0] !== 36) throw new Error(`not a bulk string: ${bytes.toString('latin1')}`);
  return bytes.subarray(bytes.indexOf('\n') + 1, -2);
}
