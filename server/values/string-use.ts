/** Keys that must hold a string, and the limit on how long strings may grow. */
import { TYPE_STRING } from '../../storage/arena/block.ts';
import type { Call } from '../dispatch/call.ts';
import { CommandError, WRONG_TYPE } from '../definitions/command-error.ts';
import { countUse, useKey } from './key-use.ts';

/**
 * The block of the string at argument `index`, or 0 when there is none; counts the hit or miss, and the use.
 * @throws CommandError WRONGTYPE when the key holds another type
 */
export function useString(call: Call, index: number): number {
  const ref = useKey(call, index);
  if (ref !== 0 && call.keyspace.typeOf(ref) !== TYPE_STRING) throw new CommandError(WRONG_TYPE);
  return ref;
}

/**
 * The same for a command that changes the string: as in Redis its lookup is neither a hit nor a miss.
 * @throws CommandError WRONGTYPE when the key holds another type
 */
export function useStringToWrite(call: Call, index: number): number {
  const ref = call.lookupString(index);
  if (ref !== 0) countUse(call, ref);
  return ref;
}

/** @throws CommandError when a string may not be so many bytes long */
export function checkStringLength(call: Call, length: number): void {
  if (length > call.node.config.values['proto-max-bulk-len']) {
    throw new CommandError('ERR string exceeds maximum allowed size (proto-max-bulk-len)');
  }
}
