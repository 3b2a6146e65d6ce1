/** A client's socket. Reads of all plain connections go through one buffer; replies leave by one write a read event. */
import net from 'node:net';
import { BufferHeads } from './buffer-heads.ts';
import type { Session, Transport } from '../clients/session.ts';
import { type DirectWriter, type StreamHandle, handleOf, readDirectly, writeDirectly } from './direct-write.ts';
import type { TurnReplies, TurnWriter } from './turn-replies.ts';

/** What one read event brings at most. */
export const READ_BUFFER_BYTES = 64 * 1024;

export interface ConnectionEvents {
  data(session: Session, buffer: Buffer, start: number, end: number): void;
  drained(session: Session): void;
  closed(session: Session): void;
  /** The client does not read its replies and is over its limit. */
  overLimit(session: Session, bytes: number): void;
  /** Where writes to the socket are counted. */
  readonly counts: { writes: number };
}

/** A buffer of replies being sent is replaced by one of this size when the kernel did not take all of it. */
const REPLACEMENT_BYTES = 128 * 1024;

const heads = new BufferHeads();

export class Connection implements Transport, DirectWriter, TurnWriter {
  session!: Session;
  readonly socket: net.Socket;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly fileDescriptor: number;
  readonly #events: ConnectionEvents;
  readonly #handle: StreamHandle | null;
  readonly #turn: TurnReplies;
  #hasKept = false;
  #pendingBytes = 0;
  #closing = false;
  #paused = false;

  /**
   * @param onBytes told how many bytes have come into the shared buffer, when the connection is to be used directly
   * @param unixSocket path of the Unix socket that it came by
   */
  constructor(
    socket: net.Socket,
    events: ConnectionEvents,
    turn: TurnReplies,
    onBytes: ((bytes: number) => void) | null,
    unixSocket: string | null = null,
  ) {
    this.socket = socket;
    this.#turn = turn;
    this.#events = events;
    this.remoteAddress = addressText(unixSocket ?? socket.remoteAddress, socket.remotePort);
    this.localAddress = addressText(unixSocket ?? socket.localAddress, socket.localPort);
    this.#handle = onBytes === null ? null : handleOf(socket);
    if (onBytes !== null && this.#handle !== null) readDirectly(this.#handle, onBytes);
    this.fileDescriptor = handleOf(socket)?.fd ?? -1;
    socket.on('error', () => socket.destroy());
    socket.on('end', () => this.close());
    socket.on('close', () => this.#events.closed(this.session));
    socket.on('drain', () => this.#onDrain());
  }

  get pendingBytes(): number {
    return this.#handle === null ? this.socket.writableLength : this.#pendingBytes;
  }

  send(source: { buffer: Buffer }, start: number, end: number, canWait = false): void {
    if (this.#closing) return;
    if (canWait && this.#handle !== null && this.#turn.keep(this, source.buffer, start, end)) {
      this.#hasKept = true;
      return;
    }
    if (this.#hasKept) this.#turn.send();
    this.#write(source, start === 0 ? heads.of(source.buffer, end) : source.buffer.subarray(start, end));
  }

  sendKept(source: { buffer: Buffer }, bytes: Buffer): void {
    this.#hasKept = false;
    this.#write(source, bytes);
  }

  #write(source: { buffer: Buffer }, bytes: Buffer): void {
    this.#events.counts.writes++;
    if (this.#handle !== null) {
      this.#sendDirectly(this.#handle, source, bytes);
    } else if (!this.socket.destroyed) {
      this.socket.write(bytes);
      if (this.socket.writableLength > 0) source.buffer = Buffer.allocUnsafeSlow(REPLACEMENT_BYTES);
    }
    const pending = this.pendingBytes;
    if (pending > 0) this.#events.overLimit(this.session, pending);
  }

  #sendDirectly(handle: StreamHandle, source: { buffer: Buffer }, bytes: Buffer): void {
    const status = writeDirectly(handle, bytes, this);
    if (status < 0) {
      this.socket.destroy();
    } else if (status === 1) {
      this.#pendingBytes += bytes.length;
      source.buffer = Buffer.allocUnsafeSlow(REPLACEMENT_BYTES);
    }
  }

  written(bytes: number, status: number): void {
    this.#pendingBytes -= bytes;
    if (status < 0) this.socket.destroy();
    else if (this.#pendingBytes === 0) this.#onDrain();
  }

  #onDrain(): void {
    if (this.#closing) this.socket.destroySoon();
    else this.#events.drained(this.session);
  }

  close(): void {
    if (this.#closing) return;
    if (this.#hasKept) this.#turn.send();
    this.#closing = true;
    this.socket.resume();
    if (this.#pendingBytes === 0) this.socket.destroySoon();
    // A client that neither reads nor closes is not waited for.
    this.socket.setTimeout(10_000, () => this.socket.destroy());
  }

  destroy(): void {
    if (this.#hasKept) this.#turn.send();
    this.#closing = true;
    this.socket.destroy();
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.socket.resume();
  }
}

/** As Redis writes it: `127.0.0.1:6379`, `[::1]:6379`, `/path:0`. */
function addressText(address = '', port = 0): string {
  return address.includes(':') && !address.startsWith('/') ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * Rebuilds an accepted, still paused socket so that its reads land in the shared buffer. `onRead` is given how many
 * bytes did.
 */
export function withSharedBuffer(accepted: net.Socket, buffer: Buffer, onRead: (bytes: number) => void): net.Socket {
  const holder = accepted as unknown as { _handle: object | null };
  const handle = holder._handle;
  holder._handle = null;
  const options = {
    handle,
    allowHalfOpen: true,
    onread: {
      buffer,
      callback: (bytes: number): boolean => {
        onRead(bytes);
        return true;
      },
    },
  };
  return new net.Socket(options as net.SocketConstructorOpts);
}
