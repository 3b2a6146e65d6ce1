/** Whether a user may run a request: its command, its keys, its channels. */
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import type { CommandOf, KeyFlag } from '../definitions/command-definition.ts';
import { KeyCountError, keysOf } from '../definitions/key-extraction.ts';
import { READ, type Selector, WRITE } from './selector.ts';
import type { User } from './user.ts';

type Command = CommandOf<never>;

export type DenialReason = 'command' | 'key' | 'channel';

export interface Denial {
  readonly reason: DenialReason;
  /** Index of the key or channel; 0 for the command itself. */
  readonly index: number;
}

interface UsedKey {
  readonly index: number;
  /** READ and WRITE. */
  readonly access: number;
}

function accessOf(flags: readonly KeyFlag[]): number {
  const reads = flags.includes('access') ? READ : 0;
  return flags.some((flag) => flag === 'insert' || flag === 'delete' || flag === 'update') ? reads | WRITE : reads;
}

function usedKeys(command: Command, args: ArgumentSource): readonly UsedKey[] {
  if (command.keys === undefined) return [];
  try {
    return keysOf(command, args).map(({ index, flags }) => ({ index, access: accessOf(flags) }));
  } catch (error) {
    // The command refuses such arguments, and touches no key.
    if (!(error instanceof KeyCountError)) throw error;
    return [];
  }
}

function denialBy(selector: Selector, command: Command, args: ArgumentSource, keys: readonly UsedKey[]): Denial | null {
  const { buffer, starts, lengths } = args;
  if (!command.flags.includes('no_auth') && !selector.mayRun(command, args)) return { reason: 'command', index: 0 };
  for (const { index, access } of keys) {
    if (!selector.mayUseKey(buffer, starts[index], lengths[index], access)) return { reason: 'key', index };
  }
  const { channels } = command;
  if (channels === undefined) return null;
  const end = channels === 'first' ? 2 : args.argc;
  for (let index = 1; index < end; index++) {
    if (!selector.mayUseChannel(buffer, starts[index], lengths[index], channels === 'patterns'))
      return { reason: 'channel', index };
  }
  return null;
}

const RANKS: Readonly<Record<DenialReason, number>> = { command: 0, key: 1, channel: 2 };

/** Of several selectors' denials the one of that which came furthest is told. */
function isFurther(denial: Denial, than: Denial): boolean {
  const rank = RANKS[denial.reason] - RANKS[than.reason];
  return rank > 0 || (rank === 0 && denial.index > than.index);
}

/** Why the user may not run the command with these arguments; null when it may. */
export function denialOf(user: User, command: Command, args: ArgumentSource): Denial | null {
  const keys = usedKeys(command, args);
  let furthest: Denial | null = null;
  for (const selector of user.selectors) {
    const denial = denialBy(selector, command, args, keys);
    if (denial === null) return null;
    if (furthest === null || isFurther(denial, furthest)) furthest = denial;
  }
  return furthest;
}

/** Whether the user may run this, and read any key by it: SORT's patterns name keys that the request does not. */
export function mayReadAllKeys(user: User, command: Command, args: ArgumentSource): boolean {
  const keys = usedKeys(command, args);
  return user.selectors.some(
    (selector) => selector.hasAllKeys(READ) && denialBy(selector, command, args, keys) === null,
  );
}
