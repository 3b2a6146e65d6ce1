/**
 * Reads from and writes to a socket's handle without the stream on top of it (docs/decisions). The handle is an internal
 * of Node.js, so it is looked for once at start; where it is not as expected, or `tcp-direct-write` says no, sockets are
 * used the ordinary way. Nothing else in Mantis touches internals.
 */
import type { Socket } from 'node:net';

/** The part of Node's TCP and pipe handles that is used here. */
export interface StreamHandle {
  writeBuffer(request: object, buffer: Buffer): number;
  onread: (this: unknown, data: unknown) => unknown;
  readonly fd?: number;
}

/** Whoever writes: told when bytes that the kernel did not take at once have been written, or never will be. */
export interface DirectWriter {
  written(bytes: number, status: number): void;
}

interface WriteRequest {
  handle: StreamHandle;
  oncomplete: (this: WriteRequest, status: number) => void;
  buffer: Buffer;
  writer: DirectWriter;
}

interface StreamBinding {
  WriteWrap: new () => WriteRequest;
  streamBaseState: Int32Array;
  kLastWriteWasAsync: number;
  kReadBytesOrError: number;
}

function findBinding(): StreamBinding | null {
  try {
    const { binding } = process as unknown as { binding?: (name: string) => StreamBinding };
    const found = binding?.('stream_wrap');
    const usable =
      typeof found?.WriteWrap === 'function' &&
      typeof found.kLastWriteWasAsync === 'number' &&
      typeof found.kReadBytesOrError === 'number' &&
      typeof found.streamBaseState?.length === 'number';
    return usable ? found : null;
  } catch {
    return null;
  }
}

const binding = findBinding();
// Read several times for each command, so not through the binding.
const state = binding?.streamBaseState ?? new Int32Array(1);
const lastWriteWasAsync = binding?.kLastWriteWasAsync ?? 0;
const readBytesOrError = binding?.kReadBytesOrError ?? 0;
/** Only a write that the kernel does not take at once uses up its request. */
let spare: WriteRequest | null = null;

export const directWriteAvailable = binding !== null;

/** The socket's handle, when it can be read and written directly. */
export function handleOf(socket: Socket): StreamHandle | null {
  if (binding === null) return null;
  const { _handle: handle } = socket as unknown as { _handle?: StreamHandle | null };
  return typeof handle?.writeBuffer === 'function' && typeof handle.onread === 'function' ? handle : null;
}

/**
 * Writes the bytes. Returns 0 when the kernel took them all, and the buffer may be reused; 1 when some are still to be
 * written, then the writer is told when they are, and the buffer belongs to the write until then; a negative errno when
 * the connection is broken.
 */
export function writeDirectly(handle: StreamHandle, buffer: Buffer, writer: DirectWriter): number {
  const request = (spare ??= new binding!.WriteWrap());
  const status = handle.writeBuffer(request, buffer);
  if (status === 0 && state[lastWriteWasAsync] === 0) return 0;
  spare = null;
  if (status !== 0) return status;
  request.handle = handle;
  request.oncomplete = completed;
  request.buffer = buffer;
  request.writer = writer;
  return 1;
}

function completed(this: WriteRequest, status: number): void {
  this.writer.written(this.buffer.length, status);
}

/**
 * Has reads that bring bytes told to `onBytes`, how many, instead of to the socket; where they land is as the socket was
 * made. The socket goes on hearing of the end and of errors. A destroyed socket's handle is closed: it reads no more, and
 * a write to it fails.
 */
export function readDirectly(handle: StreamHandle, onBytes: (bytes: number) => void): void {
  const { onread } = handle;
  handle.onread = function (data): unknown {
    const bytes = state[readBytesOrError];
    if (bytes <= 0) return onread.call(this, data);
    onBytes(bytes);
    return undefined;
  };
}
