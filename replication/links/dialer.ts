/**
 * Decides whom to dial when. An entry is a configured `host:port`, whose name is resolved again at each attempt and may stand
 * for several peers, or the last known address of a member. What is linked already is left alone.
 */
import type { Network, Random } from '../environment.ts';
import { formatPeerAddress } from './address.ts';
import type { Ending } from './ending.ts';
import { REFUSE_CLOCK, REFUSE_SECOND_LINK, REFUSE_SELF } from '../../protocol/peer-frame.ts';

/** How often a member is looked at again that is linked, or that refused. */
const RECHECK_MS = 5000;
/** A link that lasted this long is dialed again at once when it breaks. */
const SETTLED_MS = 1000;
/** After more links in a row that did not, the peer is dialed like one that does not answer: it may end each for the same reason. */
const SHORT_LINKS_MAX = 3;
/** A peer that refuses a second link knows one that this node has lost; it takes up to the peer's timeout until it has lost it too. */
const STALE_LINK_MS = 1000;
/** An address that turned out to be this node's own is left alone for this long. */
const SELF_MS = 60_000;

/** One address of an entry. */
interface Endpoint {
  readonly address: string;
  /** The node that answered there last. */
  nodeId: string | null;
  isDialing: boolean;
  selfUntilMs: number;
}

interface Entry {
  host: string;
  port: number;
  /** Set for the entry of a member that was learned of. */
  readonly nodeId: string | null;
  failures: number;
  nextAtMs: number;
  isResolving: boolean;
  lastError: string | null;
  readonly endpoints: Map<string, Endpoint>;
}

/** What the dialing of one address is known by, until it has ended. */
export interface Attempt {
  readonly entry: Entry;
  readonly endpoint: Endpoint;
}

export interface DialerOwner {
  readonly settings: {
    readonly reconnectMinMs: number;
    readonly reconnectMaxMs: number;
    readonly resolveIntervalMs: number;
  };
  readonly random: Random;
  readonly network: Network;
  /** Told of names that nobody knows. */
  readonly log: { unresolved(host: string, why: string, nowMs: number): void };
  /** True for nodes that are not to be dialed: linked ones, forgotten ones. */
  isSettled(nodeId: string): boolean;
  /** The linked node that says it listens there, or null. */
  linkedAt(address: string, port: number): string | null;
  nowMs(): number;
  dial(address: string, port: number, attempt: Attempt): void;
}

/** How an address that is being dialed stands, for people. */
export interface DialStatus {
  readonly address: string;
  readonly isConfigured: boolean;
  readonly failures: number;
  readonly lastError: string | null;
}

export class Dialer {
  isPaused = false;
  #owner: DialerOwner;
  #entries = new Map<string, Entry>();
  /** Links in a row to a node that did not last. */
  readonly #shortLinks = new Map<string, number>();

  constructor(owner: DialerOwner) {
    this.#owner = owner;
  }

  /** Adds a configured peer. */
  add(host: string, port: number): void {
    const key = `peer ${formatPeerAddress(host, port)}`;
    if (!this.#entries.has(key)) this.#entries.set(key, this.#entry(host, port, null));
  }

  /** Adds or moves the entry of a member. */
  follow(nodeId: string, host: string, port: number): void {
    if (port === 0 || host === '') return;
    const key = `node ${nodeId}`;
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#entries.set(key, this.#entry(host, port, nodeId));
    } else if (entry.host !== host || entry.port !== port) {
      entry.host = host;
      entry.port = port;
      entry.failures = 0;
      entry.nextAtMs = 0;
    }
  }

  #entry(host: string, port: number, nodeId: string | null): Entry {
    const fresh = { failures: 0, nextAtMs: 0, isResolving: false, lastError: null };
    return { host, port, nodeId, ...fresh, endpoints: new Map<string, Endpoint>() };
  }

  /** Drops the entry of a member. */
  remove(nodeId: string): void {
    this.#entries.delete(`node ${nodeId}`);
    this.#shortLinks.delete(nodeId);
  }

  /** A link to this node has broken. */
  lost(nodeId: string, livedMs: number, nowMs: number): void {
    const shortLinks = livedMs < SETTLED_MS ? (this.#shortLinks.get(nodeId) ?? 0) + 1 : 0;
    if (shortLinks === 0) this.#shortLinks.delete(nodeId);
    else this.#shortLinks.set(nodeId, shortLinks);
    for (const entry of this.#entriesOf(nodeId)) entry.lastError = null;
    if (shortLinks <= SHORT_LINKS_MAX) this.wake(nodeId, nowMs);
  }

  /** Why the node could not be reached since it was lost; null where it could, or was not dialed. */
  lastErrorOf(nodeId: string): string | null {
    return this.#entriesOf(nodeId).find(({ lastError }) => lastError !== null)?.lastError ?? null;
  }

  /** The addresses that stand for a node: its own, and the configured ones where it answered. */
  #entriesOf(nodeId: string): Entry[] {
    const isOf = ({ nodeId: own, endpoints }: Entry): boolean =>
      own === nodeId || [...endpoints.values()].some((one) => one.nodeId === nodeId);
    return [...this.#entries.values()].filter(isOf);
  }

  /** Dials a node again soon; without a node: dials everything now. */
  wake(nodeId: string | null, nowMs: number): void {
    for (const entry of nodeId === null ? this.#entries.values() : this.#entriesOf(nodeId)) {
      entry.failures = 0;
      const delayMs = nodeId === null ? 0 : this.#owner.settings.reconnectMinMs * this.#owner.random.fraction();
      entry.nextAtMs = Math.min(entry.nextAtMs, nowMs + delayMs);
    }
  }

  tick(nowMs: number): void {
    if (this.isPaused) return;
    for (const entry of this.#entries.values()) {
      if (nowMs < entry.nextAtMs || entry.isResolving) continue;
      const againMs = entry.nodeId === null ? this.#owner.settings.resolveIntervalMs : RECHECK_MS;
      entry.nextAtMs = nowMs + againMs * (0.75 + 0.5 * this.#owner.random.fraction());
      if (entry.nodeId !== null && this.#owner.isSettled(entry.nodeId)) continue;
      entry.isResolving = true;
      this.#owner.network.resolve(entry.host, (problem, addresses) => this.#resolved(entry, problem, addresses));
    }
  }

  /** An attempt, or the link that came of it, has ended. Returns true when it is worth telling the operator. */
  ended(attempt: Attempt, ending: Ending, peerId: string | null, livedMs: number, nowMs: number): boolean {
    const { entry, endpoint } = attempt;
    endpoint.isDialing = false;
    if (peerId !== null) endpoint.nodeId = peerId;
    if (ending.code === REFUSE_SELF) endpoint.selfUntilMs = nowMs + SELF_MS;
    if (ending.code === REFUSE_SECOND_LINK && ending.by === 'peer' && peerId !== null) {
      if (!this.#owner.isSettled(peerId)) entry.nextAtMs = Math.min(entry.nextAtMs, nowMs + STALE_LINK_MS);
      return false;
    }
    if (ending.code === REFUSE_SELF || ending.code === REFUSE_SECOND_LINK) return false;
    if (livedMs >= SETTLED_MS) entry.failures = 0;
    else entry.failures++;
    const isNews = entry.lastError !== ending.message;
    entry.lastError = ending.message;
    entry.nextAtMs = nowMs + this.#backoffMs(ending.code === REFUSE_CLOCK ? 30 : entry.failures);
    return isNews;
  }

  /** An attempt has become a link. */
  linked(attempt: Attempt, nodeId: string): void {
    attempt.endpoint.nodeId = nodeId;
    attempt.entry.lastError = null;
  }

  /** True while no node, or none yet, has answered at a configured address. */
  hasUnmetPeers(): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.nodeId !== null) continue;
      const endpoints = [...entry.endpoints.values()];
      if (endpoints.length === 0 || endpoints.some((one) => one.nodeId === null && one.selfUntilMs === 0)) return true;
    }
    return false;
  }

  status(): DialStatus[] {
    return [...this.#entries.values()].map((entry) => ({
      address: formatPeerAddress(entry.host, entry.port),
      isConfigured: entry.nodeId === null,
      failures: entry.failures,
      lastError: entry.lastError,
    }));
  }

  #backoffMs(failures: number): number {
    const { reconnectMinMs, reconnectMaxMs } = this.#owner.settings;
    const full = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(failures, 30));
    return full * (0.5 + 0.5 * this.#owner.random.fraction());
  }

  #resolved(entry: Entry, problem: string | null, addresses: readonly string[]): void {
    const nowMs = this.#owner.nowMs();
    entry.isResolving = false;
    if (this.isPaused) return;
    if (problem !== null || addresses.length === 0) {
      entry.failures++;
      const why = problem ?? 'the name has no address';
      if (entry.lastError !== why) this.#owner.log.unresolved(entry.host, why, nowMs);
      entry.lastError = why;
      entry.nextAtMs = nowMs + this.#backoffMs(entry.failures);
      return;
    }
    for (const known of entry.endpoints.values()) {
      if (!known.isDialing && !addresses.includes(known.address)) entry.endpoints.delete(known.address);
    }
    for (const address of addresses) this.#consider(entry, address, nowMs);
  }

  #consider(entry: Entry, address: string, nowMs: number): void {
    let endpoint = entry.endpoints.get(address);
    if (endpoint === undefined) {
      endpoint = { address, nodeId: entry.nodeId, isDialing: false, selfUntilMs: 0 };
      entry.endpoints.set(address, endpoint);
    }
    if (endpoint.isDialing || nowMs < endpoint.selfUntilMs) return;
    endpoint.nodeId = this.#owner.linkedAt(address, entry.port) ?? endpoint.nodeId;
    if (endpoint.nodeId !== null && this.#owner.isSettled(endpoint.nodeId)) return;
    if (this.#isDialed(address, entry.port)) return;
    endpoint.isDialing = true;
    this.#owner.dial(address, entry.port, { entry, endpoint });
  }

  #isDialed(address: string, port: number): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.port === port && entry.endpoints.get(address)?.isDialing === true) return true;
    }
    return false;
  }
}
