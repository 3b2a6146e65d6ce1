/** Virtual time, a virtual network and seeded randomness: a whole cluster in one thread, the same from the same seed. */
import type {
  Connection,
  ConnectionEvents,
  Listener,
  Log,
  Network,
  Random,
  Time,
  Timer,
} from '../../replication/environment.ts';
import { FRAME_FLAG_MORE, FRAME_RECORDS } from '../../protocol/peer-frame.ts';

const REPLAYED_TURNS = 6;

/** A local name, because looking up a global in jest's module context is slow. */
const { imul } = Math;

/** A small seeded generator (mulberry32). */
export class SeededRandom implements Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let word = this.#state;
    word = imul(word ^ (word >>> 15), word | 1);
    word ^= word + imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 0x1_0000_0000;
  }
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }
  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let index = 0; index < length; index++) bytes[index] = this.below(256);
    return bytes;
  }
}

interface Event {
  atMs: number;
  order: number;
  callback: (() => void) | null;
}

export class VirtualTime implements Time {
  #nowMs = 0;
  #order = 0;
  #heap: Event[] = [];
  /** Called after each event; a world of whole nodes lets their promises go on here. */
  afterEvent: () => void = () => undefined;
  eventCount = 0;

  monotonicMs(): number {
    return this.#nowMs;
  }
  setTimer(delayMs: number, callback: () => void): Timer {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#push(event);
    return { cancel: () => (event.callback = null) };
  }
  defer(callback: () => void): void {
    this.setTimer(0.01, callback);
  }

  /** Runs everything that is due in the next `durationMs`. */
  run(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#pop();
      if (next.callback === null) continue;
      this.#nowMs = next.atMs;
      this.eventCount++;
      next.callback();
      this.afterEvent();
    }
    this.#nowMs = endMs;
  }

  /** Runs until `condition` holds; false when it does not within `limitMs`. */
  runUntil(condition: () => boolean, limitMs: number, stepMs = 50): boolean {
    const endMs = this.#nowMs + limitMs;
    while (!condition()) {
      if (this.#nowMs >= endMs) return false;
      this.run(stepMs);
    }
    return true;
  }

  #isBefore(a: Event, b: Event): boolean {
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }
  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(event, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = event;
  }
  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const count = heap.length;
    if (count === 0) return;
    let at = 0;
    for (let child = 1; child < count; child = at * 2 + 1) {
      if (child + 1 < count && this.#isBefore(heap[child + 1], heap[child])) child++;
      if (!this.#isBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
  }
}

class VirtualConnection implements Connection {
  readonly remoteHost: string;
  readonly localHost: string;
  events: ConnectionEvents | null = null;
  other: VirtualConnection | null = null;
  isClosed = false;
  isHeld = false;
  /** Why it has broken, where that waits to be reported. */
  #heldReason: string | null = null;
  #world: VirtualWorld;
  #inFlight = 0;
  #deliveredAtMs = 0;
  /** The last turns of which each was one frame. */
  #turns: Buffer[] = [];

  constructor(world: VirtualWorld, localHost: string, remoteHost: string) {
    this.#world = world;
    this.localHost = localHost;
    this.remoteHost = remoteHost;
  }

  write(buffers: readonly Buffer[]): void {
    if (this.isClosed) return;
    const sent = this.#world.isReplaying ? this.#withReplays(buffers) : buffers;
    const whole = Buffer.concat(this.#world.mangle(this.localHost, this.remoteHost, sent));
    this.#inFlight += whole.length;
    // What a cut cable swallows is never delivered; the connection ends by silence or reset.
    if (this.#world.isCut(this.localHost, this.remoteHost)) return;
    const keptBytes = this.#world.keptBytes(whole.length);
    const bytes = whole.subarray(0, keptBytes);
    if (bytes.length > 0) this.#later(() => this.#deliver(bytes));
    if (keptBytes < whole.length) this.#later(() => this.#break());
  }

  /** The bytes so far have arrived; what follows is lost with the connection. */
  #break(): void {
    this.reset('reset in the middle of a frame');
    this.other?.reset('reset in the middle of a frame');
  }

  /** Some turns come again, at once or later: whole frames, where no other turn is in pieces. */
  #withReplays(frames: readonly Buffer[]): Buffer[] {
    const sent: Buffer[] = [];
    for (const frame of frames) {
      sent.push(frame);
      if (frame.length < 12 || frame[8] !== FRAME_RECORDS || (frame[10] & FRAME_FLAG_MORE) !== 0) continue;
      this.#turns.push(Buffer.from(frame));
      if (this.#turns.length > REPLAYED_TURNS) this.#turns.shift();
      const again = this.#world.replayOf(this.#turns);
      if (again !== null) sent.push(again);
    }
    return sent;
  }

  #later(callback: () => void): void {
    const { time } = this.#world;
    const atMs = Math.max(
      time.monotonicMs() + this.#world.delayBetweenMs(this.localHost, this.remoteHost),
      this.#deliveredAtMs,
    );
    this.#deliveredAtMs = atMs;
    time.setTimer(atMs - time.monotonicMs(), callback);
  }

  #deliver(bytes: Buffer): void {
    const { other } = this;
    if (this.#world.holdBack(this.remoteHost, () => this.#deliver(bytes))) return;
    if (this.#world.isCut(this.localHost, this.remoteHost) || other === null) return;
    this.#inFlight -= bytes.length;
    this.#world.onDelivered(this.localHost, this.remoteHost, bytes);
    for (let at = 0; at < bytes.length && !other.isClosed;) {
      const count = this.#world.pieceBytes(bytes.length - at);
      other.events?.received(bytes, at, at + count);
      at += count;
    }
    if (!this.isClosed) this.events?.writable();
  }

  /** Work takes no virtual time: nobody has to rest. */
  rest(): void {}
  /** What still comes is reported: the other side need not wait for it here. */
  hold(): void {
    this.isHeld = true;
  }
  release(): void {
    this.isHeld = false;
    const reason = this.#heldReason;
    if (reason === null) return;
    this.#heldReason = null;
    this.#world.time.setTimer(0, () => this.events?.closed(reason));
  }

  queuedBytes(): number {
    return this.#inFlight;
  }

  close(): void {
    this.release();
    if (this.isClosed) return;
    this.isClosed = true;
    this.#world.time.setTimer(0, () => this.events?.closed('closed here'));
    if (!this.#world.isCut(this.localHost, this.remoteHost)) this.#later(() => this.#tellClosed());
  }

  #tellClosed(): void {
    if (!this.#world.holdBack(this.remoteHost, () => this.#tellClosed())) this.other?.reset('closed by the peer');
  }

  /** Its own host is gone. */
  vanish(): void {
    this.isClosed = true;
    this.isHeld = false;
    this.#heldReason = null;
  }

  /** The connection breaks. */
  reset(reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.isHeld) this.#heldReason = reason;
    else this.events?.closed(reason);
  }
}

export class VirtualWorld {
  readonly time = new VirtualTime();
  readonly random: SeededRandom;
  /** Hosts that read nothing for now, and what waits for them. */
  #stalled = new Map<string, (() => void)[]>();
  /** Names that stand for several addresses. */
  readonly names = new Map<string, string[]>();
  minDelayMs = 0.1;
  maxDelayMs = 5;
  /** In this share of writes the connection breaks after a part of the bytes. */
  tornShare = 0;
  /** In this share of turns, one of the last turns is sent once more. */
  replayShare = 0;
  /** Added to every delay from or to a host. */
  readonly slowHosts = new Map<string, number>();
  readonly done = { torn: 0, replayed: 0 };
  /** Told of everything that arrives. */
  onDelivered: (from: string, to: string, bytes: Buffer) => void = () => undefined;
  /** What one host is sent by another in place of these frames. */
  mangle: (from: string, to: string, frames: readonly Buffer[]) => readonly Buffer[] = (_from, _to, frames) => frames;
  /** When set, what arrives is cut into pieces of up to this many bytes. */
  pieceBytesMax = 0;
  #listeners = new Map<string, (connection: Connection) => void>();
  #cuts = new Set<string>();
  #connections: VirtualConnection[] = [];

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  delayMs(): number {
    return this.minDelayMs + this.random.fraction() * (this.maxDelayMs - this.minDelayMs);
  }
  delayBetweenMs(from: string, to: string): number {
    const extraMs = (this.slowHosts.get(from) ?? 0) + (this.slowHosts.get(to) ?? 0);
    return this.delayMs() + (extraMs === 0 ? 0 : extraMs * this.random.fraction());
  }
  get isReplaying(): boolean {
    return this.replayShare > 0;
  }
  /** How many bytes of a write arrive before the connection breaks. */
  keptBytes(length: number): number {
    if (this.tornShare === 0 || this.random.fraction() >= this.tornShare) return length;
    this.done.torn++;
    return this.random.below(length);
  }
  replayOf(turns: readonly Buffer[]): Buffer | null {
    if (this.random.fraction() >= this.replayShare) return null;
    this.done.replayed++;
    return turns[this.random.below(turns.length)];
  }
  pieceBytes(available: number): number {
    return this.pieceBytesMax === 0 ? available : Math.min(available, 1 + this.random.below(this.pieceBytesMax));
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`);
  }
  /** The host stops reading. */
  stall(host: string): void {
    if (!this.#stalled.has(host)) this.#stalled.set(host, []);
  }
  /** Everyone reads again. */
  unstall(): void {
    const waiting = [...this.#stalled.values()].flat();
    this.#stalled.clear();
    for (const callback of waiting) callback();
  }
  /** One host reads again, or was ended. */
  unstallHost(host: string): void {
    const waiting = this.#stalled.get(host) ?? [];
    this.#stalled.delete(host);
    for (const callback of waiting) this.time.setTimer(0, callback);
  }
  /** True when the host does not read; `later` is kept for when it does. */
  holdBack(host: string, later: () => void): boolean {
    const waiting = this.#stalled.get(host);
    waiting?.push(later);
    return waiting !== undefined;
  }

  /** Nothing passes from one host to the other any more. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }
  cutBoth(a: string, b: string): void {
    this.cut(a, b);
    this.cut(b, a);
  }
  /** Cables are whole again; connections that lost bytes are reset. */
  heal(): void {
    const cuts = this.#cuts;
    this.#cuts = new Set();
    for (const one of this.#connections) {
      if (cuts.has(`${one.localHost}>${one.remoteHost}`)) {
        one.reset('reset');
        one.other?.reset('reset');
      }
    }
  }
  /** One cable is whole again, one way; what it has swallowed ends its connections. */
  mend(from: string, to: string): void {
    if (!this.#cuts.delete(`${from}>${to}`)) return;
    for (const one of this.#connections) {
      if (one.localHost !== from || one.remoteHost !== to) continue;
      one.reset('reset');
      one.other?.reset('reset');
    }
  }
  /** Breaks connections between two hosts, in the middle of whatever they carry. */
  resetBetween(a: string, b: string): void {
    this.#connections = this.#connections.filter((one) => !one.isClosed || one.isHeld);
    for (const one of this.#connections) {
      if ((one.localHost === a && one.remoteHost === b) || (one.localHost === b && one.remoteHost === a))
        one.reset('reset');
    }
  }
  /** Whether some host has yet to deal with what has come from this one. */
  isBeingHeard(host: string): boolean {
    return this.#connections.some((one) => one.remoteHost === host && one.isHeld);
  }
  /** The host is gone: what it held open is reset. */
  crash(host: string): void {
    for (const key of [...this.#listeners.keys()]) if (key.startsWith(`${host}:`)) this.#listeners.delete(key);
    for (const one of this.#connections) if (one.remoteHost === host) one.reset('reset');
    for (const one of this.#connections) if (one.localHost === host) one.vanish();
  }

  /** The network as one host sees it. */
  networkOf(host: string): Network {
    return {
      listen: (_bind, port, accept) => this.#listen(host, port, accept),
      resolve: (name, callback) => {
        this.time.setTimer(this.delayMs(), () => callback(null, this.names.get(name) ?? [name]));
      },
      connect: (address, port) => this.#connect(host, address, port),
    };
  }

  #listen(host: string, port: number, accept: (connection: Connection) => void): Promise<Listener> {
    const key = `${host}:${port}`;
    this.#listeners.set(key, accept);
    return Promise.resolve({
      port,
      close: () => {
        this.#listeners.delete(key);
        return Promise.resolve();
      },
    });
  }

  #connect(host: string, address: string, port: number): Connection {
    if (this.#connections.length > 64 * (this.#listeners.size + 1)) {
      this.#connections = this.#connections.filter((one) => !one.isClosed || one.isHeld);
    }
    const near = new VirtualConnection(this, host, address);
    this.#connections.push(near);
    this.time.setTimer(this.delayMs(), () => {
      if (near.isClosed || this.isCut(host, address) || this.isCut(address, host)) return;
      const accept = this.#listeners.get(`${address}:${port}`);
      if (accept === undefined) {
        near.reset('connection refused');
        return;
      }
      const far = new VirtualConnection(this, address, host);
      this.#connections.push(far);
      near.other = far;
      far.other = near;
      accept(far);
      near.events?.opened();
    });
    return near;
  }
}

/** Keeps what was logged. */
export class LogKeeper implements Log {
  readonly lines: string[] = [];
  debug(message: string): void {
    this.lines.push(`debug ${message}`);
  }
  info(message: string): void {
    this.lines.push(`info ${message}`);
  }
  warn(message: string): void {
    this.lines.push(`warn ${message}`);
  }
  error(message: string): void {
    this.lines.push(`error ${message}`);
  }
  has(part: string): boolean {
    return this.lines.some((line) => line.includes(part));
  }
}
