/** Bit offsets in arguments. */
import { parseInteger } from '../../protocol/integer.ts';
import type { Call } from '../dispatch/call.ts';
import { CommandError } from '../definitions/command-error.ts';

const HASH = 35;
const OFFSET_ERROR = 'ERR bit offset is not an integer or out of range';

/**
 * The bit offset at argument `index`. With a `width`, `#3` is the fourth integer of that many bits.
 * @throws CommandError when it is no integer, or past the longest string
 */
export function bitOffset(call: Call, index: number, width = 0): number {
  const start = call.starts[index];
  const scaled = width > 0 && call.buffer[start] === HASH;
  const skipped = scaled ? 1 : 0;
  const parsed = parseInteger(call.buffer, start + skipped, call.lengths[index] - skipped);
  const offset = Number(parsed ?? -1) * (scaled ? width : 1);
  if (offset < 0 || Math.floor(offset / 8) >= call.node.config.values['proto-max-bulk-len']) {
    throw new CommandError(OFFSET_ERROR);
  }
  return offset;
}
