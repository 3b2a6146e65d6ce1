/**
 * Memory of buffers that is given back before V8's next collection, which may be many such buffers later. Only where the process's
 * memory is bounded: once a buffer was given back, the compiled code of every access to one asks whether it still has its bytes.
 */

/** Smaller buffers are left to V8. */
const FREED_BYTES_LEAST = 4096;

let isFreeing = false;

/** Whether `freeBuffer` does anything. */
export function freeBuffersAtOnce(isOn: boolean): void {
  isFreeing = isOn;
}

/** Gives the memory back of a buffer that nobody reads any more. One that shares its memory with others is left alone. */
export function freeBuffer(buffer: Uint8Array | Uint32Array | Float64Array): void {
  if (!isFreeing) return;
  const memory = buffer.buffer;
  if (buffer.byteLength < FREED_BYTES_LEAST || buffer.byteLength !== memory.byteLength) return;
  if (memory instanceof ArrayBuffer) memory.transfer(0);
}
