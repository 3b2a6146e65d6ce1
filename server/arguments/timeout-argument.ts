/** How long a command is to wait: seconds with fractions for the blocking pops, milliseconds for WAIT and its kin. */
import type { Call } from '../dispatch/call.ts';
import { parseDouble } from './score-arguments.ts';

/** 2^63: Redis keeps milliseconds in 64 bits. */
const MILLISECONDS_MAX = 9223372036854775807;

function inRange(call: Call, timeoutMs: number): number {
  if (timeoutMs < 0) call.fail('ERR timeout is negative');
  if (timeoutMs + call.keyspace.clock.nowMs >= MILLISECONDS_MAX) call.fail('ERR timeout is out of range');
  return timeoutMs;
}

/** Seconds, as milliseconds rounded up; 0 to wait for ever. @throws CommandError */
export function timeoutSecondsArgument(call: Call, index: number): number {
  const seconds = parseDouble(call.latin1(index));
  if (seconds === undefined) call.fail('ERR timeout is not a float or out of range');
  return inRange(call, Math.ceil(seconds * 1000));
}

/** Milliseconds; 0 to wait for ever. @throws CommandError */
export function timeoutMsArgument(call: Call, index: number): number {
  const timeoutMs = call.integer(index, 'ERR timeout is not an integer or out of range');
  return inRange(call, timeoutMs);
}
