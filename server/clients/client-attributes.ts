/** What clients call themselves: CLIENT SETNAME, CLIENT SETINFO, HELLO … SETNAME. */
import type { Call } from '../dispatch/call.ts';

/** Whether the argument has only visible ASCII characters: CLIENT LIST is cut at spaces and lines. */
export function isVisibleAscii(call: Call, index: number): boolean {
  const start = call.starts[index];
  for (let at = start; at < start + call.lengths[index]; at++) {
    const byte = call.buffer[at];
    if (byte < 33 || byte > 126) return false;
  }
  return true;
}

/** The error for an argument that cannot be a client's name, or null. */
export function nameFault(call: Call, index: number): string | null {
  return isVisibleAscii(call, index) ? null : 'ERR Client names cannot contain spaces, newlines or special characters.';
}
