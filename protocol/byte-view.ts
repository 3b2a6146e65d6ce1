/**
 * Bytes in words: a DataView reads and writes 4 or 8 bytes at any offset in one machine instruction, which for the short
 * runs that keys and values mostly are beats both a loop over bytes and the call into native code.
 */

/** Up to here a copy by words is faster than a call to Buffer's. */
export const WORD_COPY_MAX = 512;
/** Views of larger buffers are not kept: they would keep the buffer alive. */
const KEPT_BYTES_MAX = 1 << 20;

let lastBytes: Uint8Array = new Uint8Array(0);
let lastView = new DataView(lastBytes.buffer);
let otherBytes = lastBytes;
let otherView = lastView;

/** A view of the same bytes, at the same offsets. Cheap for the two buffers that were asked for last: mostly that of all reads is one of them. */
export function viewOf(bytes: Uint8Array): DataView {
  return bytes === lastBytes ? lastView : bytes === otherBytes ? otherView : makeView(bytes);
}

/** Whether `viewOf` gives a view of the bytes without making one. */
export function isViewed(bytes: Uint8Array): boolean {
  return bytes === lastBytes || bytes === otherBytes;
}

function makeView(bytes: Uint8Array): DataView {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength > KEPT_BYTES_MAX) return view;
  otherBytes = lastBytes;
  otherView = lastView;
  lastBytes = bytes;
  lastView = view;
  return view;
}

/** Copies a run of bytes; the two may not overlap. */
export function copyByWords(from: DataView, start: number, length: number, to: DataView, at: number): void {
  const end = start + length;
  for (const last = end - 8; start <= last; start += 8, at += 8)
    to.setBigUint64(at, from.getBigUint64(start, true), true);
  if ((length & 4) !== 0) {
    to.setInt32(at, from.getInt32(start, true), true);
    start += 4;
    at += 4;
  }
  for (; start < end; start++, at++) to.setUint8(at, from.getUint8(start));
}
