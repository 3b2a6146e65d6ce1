/**
 * Replication of one node, as the rest of the server sees it: publish local changes, wait for acknowledgements, tell the state
 * of the peers. Everything that it needs of the world is injected, so that a whole cluster can run in virtual time.
 */
import type { Published } from '../protocol/peer-publish.ts';
import { formatStamp } from '../protocol/stamp.ts';
import { AckWaiters } from './stream/ack-waiters.ts';
import type { ClockStanding } from './membership/clock-watch.ts';
import { Applied } from './stream/applied.ts';
import { isLoopback } from './links/address.ts';
import type { Environment, Listener, Timer } from './environment.ts';
import { type HorizonFacts, later, stampText } from './membership/horizon.ts';
import { Mesh } from './links/mesh.ts';
import { Outbox } from './stream/outbox.ts';
import { oldestRemoval } from './stream/record-guard.ts';
import type { Replica, Stamp } from './replica.ts';
import type { Member } from './membership/membership.ts';
import {
  type ChangeableOptions,
  changeSettings,
  fillSettings,
  type KnownMember,
  type ReplicatorOptions,
  type ReplicatorSettings,
} from './settings.ts';
import { replicationStatus, type ReplicationStatus } from './status.ts';

const TICK_MS_MAX = 100;

export class Replicator {
  readonly settings: ReplicatorSettings;
  /** What this node has of each writer. */
  readonly applied: Applied;
  #environment: Environment;
  #outbox: Outbox;
  #mesh: Mesh;
  #waiters: AckWaiters;
  #listeners: Listener[] = [];
  #tickTimer: Timer | null = null;
  #isStopped = false;

  /**
   * @param applied what this node has of each writer; its own writer is its node id unless it says another
   * @throws Error for options that cannot work
   */
  constructor(
    options: ReplicatorOptions,
    replica: Replica,
    environment: Environment,
    applied = new Applied(options.nodeId, () => replica.currentStamp()),
  ) {
    const drawn = environment.random.bytes(8);
    const incarnation = options.incarnation ?? { hi: drawn.readUInt32BE(0), lo: drawn.readUInt32BE(4) };
    this.settings = fillSettings(options, incarnation);
    this.applied = applied;
    this.#environment = environment;
    this.#outbox = new Outbox(this.settings.outboxBytesMax);
    this.#mesh = new Mesh(this.settings, replica, this.#outbox, applied, environment);
    this.#waiters = new AckWaiters(environment.time, (stamp) => this.acknowledgedCount(stamp));
    this.#mesh.onAcknowledged = (stamp) => this.#waiters.acknowledged(stamp);
  }

  /** From now on these hold. Links that have proved a secret stay; new ones prove what is given now. */
  configure(changed: ChangeableOptions): void {
    changeSettings(this.settings, changed);
    this.#outbox.bytesMax = this.settings.outboxBytesMax;
    this.#mesh.repairRate.bytesPerSecond = this.settings.repairBytesPerSecond;
  }

  /**
   * Listens and begins to dial.
   * @throws Error when a bind address cannot be used, or reaches beyond this machine without a cluster-secret
   */
  async start(): Promise<{ port: number }> {
    const { bind, secrets } = this.settings;
    const open = secrets.length === 0 ? bind.find((host) => !isLoopback(host)) : undefined;
    if (open !== undefined) {
      throw new Error(
        `the peer port on ${open} would take writes from anyone: set cluster-secret, or bind the peer port to 127.0.0.1`,
      );
    }
    let port = this.settings.port;
    for (const host of bind) {
      const listener = await this.#environment.network.listen(
        host,
        port,
        (connection, problem) => this.#mesh.accept(connection, problem),
        (remoteHost, why) => this.#mesh.strangerFailed(remoteHost, why),
      );
      this.#listeners.push(listener);
      port = listener.port;
    }
    this.#mesh.port = bind.length === 0 ? 0 : port;
    this.#tick();
    return { port: this.#mesh.port };
  }

  #tick(): void {
    if (this.#isStopped) return;
    const { pingIntervalMs, reconnectMinMs } = this.settings;
    this.#tickTimer = this.#environment.time.setTimer(Math.min(TICK_MS_MAX, pingIntervalMs / 2, reconnectMinMs), () =>
      this.#tick(),
    );
    this.#mesh.tick();
  }

  /**
   * Sends one event-loop turn's local changes to all peers, before it returns where their connections take them.
   * @param records packed change records; not kept
   * @param stampHi with stampLo: the greatest stamp in the turn, or one above it
   * @returns the stamp to wait for: that one, or one above the turn before where that is greater
   */
  publish(records: Buffer, stampHi: number, stampLo: number): Stamp {
    const asked = { hi: stampHi, lo: stampLo };
    if (this.#mesh.membership.members.size === 0) return this.#outbox.skip(asked);
    const stamp = this.#outbox.append(records, asked);
    // Where the outbox had to go above the clock, the clock follows: later writes are above every turn.
    this.#mesh.replica.observeStamp(stamp.hi, stamp.lo);
    this.#mesh.pumpAll();
    return stamp;
  }

  /** Sends messages on channels to the nodes that are linked at this moment, behind the changes published so far. Not kept. */
  publishMessages(messages: readonly Published[]): void {
    this.#mesh.publishMessages(messages);
  }

  /** Calls back with what clients of other nodes have published. */
  onPublished(callback: (messages: readonly Published[]) => void): void {
    this.#mesh.onPublished = callback;
  }

  /** The last stamp published; (0, 0) before the first. */
  get lastPublished(): Stamp {
    return this.#outbox.last;
  }

  /** Number of live links. */
  get linkedPeers(): number {
    return this.#mesh.live.size;
  }

  /** How many members have applied this node's stream up to `stamp`. */
  acknowledgedCount(stamp: Stamp): number {
    return this.#mesh.membership.acknowledgedCount(stamp);
  }

  /** Resolves with how many members have applied up to `stamp`, when they are `count` or after `timeoutMs` (0 = no limit). */
  waitForAcks(stamp: Stamp, count: number, timeoutMs: number): Promise<number> {
    if (this.#isStopped) return Promise.resolve(this.acknowledgedCount(stamp));
    return this.#waiters.wait(stamp, count, timeoutMs);
  }

  /** Resolves when every linked peer has acknowledged what was published, with false when that takes longer than `timeoutMs`. */
  async drain(timeoutMs: number): Promise<boolean> {
    const { last } = this.#outbox;
    if (last.hi === 0 && last.lo === 0) return true;
    const count = this.linkedPeers;
    return (await this.waitForAcks(last, count, timeoutMs)) >= count;
  }

  /**
   * Everything that any node wrote up to this stamp is on every known member, as far as this one has been told; what was deleted
   * up to here cannot come back from any of them. (0, 0) while that is not known, null when there is no other member.
   */
  stableStamp(): Stamp | null {
    return this.#mesh.standing.stable();
  }

  /** The id of the node that writes as this writer now, as far as it is known; null otherwise. */
  nodeOfWriter(hi: number, lo: number): string | null {
    for (const { id, writer } of this.#mesh.membership.members.values()) {
      if (writer?.hi === hi && writer.lo === lo) return id;
    }
    return null;
  }

  /** How this node's clock stands against its peers': what they would refuse must not be acknowledged. */
  clockStanding(): ClockStanding {
    return this.#mesh.clocks.standing(this.#mesh.nowMs());
  }

  /** Calls back before this node gets its first member: what it writes has to be published from then on. */
  onFirstMember(callback: () => void): void {
    this.#mesh.onFirstMember = callback;
  }

  /** Up to where tombstones may be dropped, `old` being what is beyond the horizon; null when no other node counts. */
  reapableStamp(old: Stamp): Stamp | null {
    return this.#mesh.standing.reapable(old);
  }

  /** Everything that any member wrote up to here has been merged. */
  mergedStamp(): Stamp {
    return this.#mesh.standing.merged();
  }

  /** What was merged when `mergedStamp` said this survives a crash. Called where `isDurabilityTold`. */
  noteDurable(stamp: Stamp): void {
    const { horizon } = this.#mesh;
    horizon.held = later(horizon.held, stamp);
  }

  /** What was durable up to here is in the database as well, or has been deleted since. Called where `isBroughtTold`. */
  noteBrought(stamp: Stamp): void {
    const { horizon } = this.#mesh;
    horizon.brought = later(horizon.brought, stamp);
  }

  /** Tombstones up to here may be gone from now on; called before the first of them is. */
  noteReaped(stamp: Stamp): void {
    const { horizon } = this.#mesh;
    horizon.reaped = later(horizon.reaped, stamp);
  }

  /** Records of others have come from a database: with removals, of which the comparisons with members knew nothing. */
  noteLoaded(records: Buffer): void {
    const oldest = oldestRemoval(records, 0, records.length);
    if (oldest !== null) this.#mesh.membership.removalsCame(null, oldest);
  }

  get reapedStamp(): Stamp {
    return this.#mesh.horizon.reaped;
  }

  /** The state of a peer was taken that had dropped tombstones up to here. */
  get takenStamp(): Stamp {
    return this.#mesh.horizon.takenUpTo;
  }

  /** What the option `horizon` takes after a restart. */
  horizonFacts(): HorizonFacts {
    const { horizon } = this.#mesh;
    return { ...horizon.facts(), held: stampText(this.#mesh.held()) };
  }

  /** The members as the option `members` takes them. Kept over a restart, they go on counting for `stableStamp`. */
  knownMembers(): KnownMember[] {
    return [...this.#mesh.membership.members.values()].map(({ id, host, port, heardUpTo, writers }) => ({
      id,
      host,
      port,
      complete: stampText(heardUpTo),
      writers: [...writers],
    }));
  }

  /** Whom `knownMembers` tells of, without what changes all the time. */
  get memberNames(): Iterable<Pick<Member, 'id' | 'host' | 'port' | 'writers'>> {
    return this.#mesh.membership.members.values();
  }

  get hasMembers(): boolean {
    return this.#mesh.membership.members.size > 0;
  }

  /** Has this node compared with every linked peer soon: it can give now what it could not. */
  compare(): void {
    for (const { link } of this.#mesh.live.values()) link.repair?.ask();
  }

  /** Adds an address to dial, as the option `peers` does. */
  addPeer(host: string, port: number): void {
    this.#mesh.dialer.add(host, port);
  }

  /**
   * Removes a member, here and at all nodes that can be told, and keeps it out for a minute. Later it has to resynchronise.
   * @param nodeId 16 hex digits
   * @returns false when no such member was known
   */
  forget(nodeId: string): boolean {
    return this.#mesh.forget(nodeId.toLowerCase());
  }

  /** Drops all links and refuses new ones, as if the network were cut. */
  pauseLinks(): void {
    this.#mesh.pause();
  }

  resumeLinks(): void {
    if (this.#mesh.isPaused) this.#mesh.resume();
  }

  status(): ReplicationStatus {
    return replicationStatus(this.#mesh);
  }

  /** Tells the peers, closes everything, and lets those who wait go with what there is. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#tickTimer?.cancel();
    this.#mesh.stop();
    this.#waiters.stop();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    this.#environment.log.debug(`replication stopped at ${formatStamp(this.#outbox.last.hi, this.#outbox.last.lo)}`);
  }
}
