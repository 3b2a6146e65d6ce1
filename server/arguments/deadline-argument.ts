/** Times in arguments, as deadlines: milliseconds since 1970. */
import type { Call } from '../dispatch/call.ts';
import { CommandError } from '../definitions/command.ts';

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);
/** Below these no sum or product is past 2^53. */
const PLAIN_SECONDS_MAX = 1e12;
const PLAIN_MS_MAX = 1e15;
/** Later deadlines are cut to this one, 285,000 years from now. */
const DEADLINE_MS_MAX = Number.MAX_SAFE_INTEGER;
const DEADLINE_MS_MIN = -Number.MAX_SAFE_INTEGER;

/** @throws CommandError */
export function invalidExpireTime(call: Call): never {
  throw new CommandError(`ERR invalid expire time in '${call.command.fullName}' command`);
}

/**
 * The deadline that argument `index` makes: so many units after `baseMs`, 0 for times since 1970. A deadline in the past is
 * none of this function's business; it may be negative.
 * @param unitMs 1000 for seconds, 1 for milliseconds
 * @throws CommandError when the argument is no integer, or where Redis's 64-bit arithmetic would overflow
 */
export function deadlineArgument(call: Call, index: number, unitMs: 1 | 1000, baseMs: number): number {
  const value = call.safeInteger(index);
  const most = unitMs === 1 ? PLAIN_MS_MAX : PLAIN_SECONDS_MAX;
  if (value <= most && value >= -most) return value * unitMs + baseMs;
  return farDeadline(call, BigInt(call.integer64(index)), BigInt(unitMs), BigInt(baseMs));
}

function farDeadline(call: Call, value: bigint, unitMs: bigint, baseMs: bigint): number {
  if (value > INT64_MAX / unitMs || value < INT64_MIN / unitMs) invalidExpireTime(call);
  const deadlineMs = value * unitMs + baseMs;
  if (deadlineMs > INT64_MAX) invalidExpireTime(call);
  return Math.max(DEADLINE_MS_MIN, Math.min(DEADLINE_MS_MAX, Number(deadlineMs)));
}
