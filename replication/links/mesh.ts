/**
 * All links of a node: accepts and dials connections, ties each to a `Link`, moves frames between the two, decides which of two
 * links to one peer stays, and keeps the member list. Knows no sockets and no clock but those it was given.
 */
import {
  REFUSE_CERTIFICATE,
  REFUSE_CLOCK,
  REFUSE_FORGOTTEN,
  REFUSE_FULL,
  REFUSE_SECOND_LINK,
  REFUSE_STOPPING,
  PeerProtocolError,
  PEER_VERSION_PUBLISH,
} from '../../protocol/peer-frame.ts';
import { encodeForget, type Forget, type Hello, type MemberAddress } from '../../protocol/peer-message.ts';
import { framesOf, type Published } from '../../protocol/peer-publish.ts';
import { formatNodeId, parseNodeId } from '../../protocol/stamp.ts';
import { formatPeerAddress } from './address.ts';
import { checkHello, checkRival, isSame, noteWriter } from './admission.ts';
import type { Applied } from '../stream/applied.ts';
import { ClockWatch } from '../membership/clock-watch.ts';
import { Dialer, type Attempt } from './dialer.ts';
import type { Connection, Environment, Network, Random } from '../environment.ts';
import { FrameScratch } from '../stream/frame-scratch.ts';
import { Horizon, isAbove, later, stampText } from '../membership/horizon.ts';
import { Link } from './link.ts';
import type { LinkOwner } from './link-owner.ts';
import { Membership, type Member, streamOf } from '../membership/membership.ts';
import { MergeTurns } from '../stream/merge-turns.ts';
import type { Outbox } from '../stream/outbox.ts';
import { RefusalLog } from './refusal-log.ts';
import { RepairRate } from '../repair/repair.ts';
import { RepairTurns } from '../repair/repair-turns.ts';
import type { Replica, Stamp } from '../replica.ts';
import type { KnownMember, ReplicatorSettings } from '../settings.ts';
import { Standing } from '../membership/standing.ts';

/** Bytes a connection may hold that the network has not taken; the rest stays in the shared outbox. */
const QUEUED_BYTES_MAX = 256 * 1024;
/** Accepted connections that have not authenticated. */
const STRANGERS_MAX = 128;
/** After a member is lost, the others compare notes within this time: it may have died after telling only some of them. */
const REPAIR_AFTER_LOSS_MS = 3000;
/** A tick that comes so late finds a process that has not been run, and has not heard what its peers said meanwhile. */
const LATE_TICK_MS = 500;

const none: Stamp = { hi: 0, lo: 0 };

/** A link, its connection, and the attempt that it came of. */
export interface Session {
  readonly link: Link;
  readonly connection: Connection;
  readonly attempt: Attempt | null;
  isFinished: boolean;
  /** A long turn that has come over the connection is being merged. */
  isMerging: boolean;
}

export class Mesh implements LinkOwner<Link> {
  readonly settings: ReplicatorSettings;
  readonly replica: Replica;
  readonly outbox: Outbox;
  readonly random: Random;
  readonly network: Network;
  readonly repairRate: RepairRate;
  readonly repairFrames = new FrameScratch();
  readonly membership: Membership;
  readonly dialer: Dialer;
  readonly applied: Applied;
  readonly horizon: Horizon;
  readonly standing: Standing;
  readonly clocks: ClockWatch;
  /** Live links by node id. */
  readonly live = new Map<string, Session>();
  /** Called when a member has acknowledged more. */
  onAcknowledged: (stamp: Stamp) => void = () => undefined;
  /** Called with what clients of another node have published. */
  onPublished: (messages: readonly Published[]) => void = () => undefined;
  /** Called before a node without members gets its first one: from then on changes have to be published. */
  onFirstMember: () => void = () => undefined;
  port = 0;
  isPaused = false;
  /** How often a peer has said that this node's clock is ahead. */
  clockRefusals = 0;
  /** Records left out of finished links' repairs because of their stamps. */
  pastFutureRecords = 0;
  #environment: Environment;
  readonly log: RefusalLog;
  #sessions = new Set<Session>();
  /** Nodes of which a link has made way for another one that is not live yet: they are not lost. */
  readonly #replaced = new Set<string>();
  #tickedAtMs: number;
  #clockAtTick = none;
  #complete = none;
  #turns: RepairTurns<Session>;
  #merges: MergeTurns<Session>;
  #isStopped = false;

  constructor(
    settings: ReplicatorSettings,
    replica: Replica,
    outbox: Outbox,
    applied: Applied,
    environment: Environment,
  ) {
    this.settings = settings;
    this.replica = replica;
    this.outbox = outbox;
    this.random = environment.random;
    this.network = environment.network;
    this.#environment = environment;
    this.log = new RefusalLog(environment.log, (nowMs) => this.clocks.standing(nowMs));
    const { time } = environment;
    this.#tickedAtMs = time.monotonicMs();
    this.#turns = new RepairTurns(time, settings.commandCount, this.live, (session) => this.pump(session));
    this.#merges = new MergeTurns(time, settings.longTurns, (session) => this.pump(session));
    this.repairRate = new RepairRate(settings.repairBytesPerSecond, time.monotonicMs());
    this.membership = new Membership(settings);
    this.applied = applied;
    applied.streams = () => this.membership.streams();
    applied.onWait = () => {
      for (const { link } of this.live.values()) this.seen(link);
    };
    this.dialer = new Dialer(this);
    for (const { host, port } of settings.peers) this.dialer.add(host, port);
    this.horizon = new Horizon(this.membership, settings, replica);
    this.standing = new Standing(settings, this.membership, this.horizon, environment.log, () => this.#hasStrangers());
    this.clocks = new ClockWatch(replica, settings);
    for (const known of settings.members) this.#recall(known);
    // What was written before the restart is not in the outbox: the stream of this run begins here, for whoever links.
    if (settings.members.length > 0) this.outbox.skip(replica.currentStamp());
  }

  /** A member from before a restart. */
  #recall({ id, host, port, complete = '', writers = [] }: KnownMember): void {
    const nodeId = parseNodeId(id);
    const member = nodeId === null ? null : this.membership.recall(nodeId, host, port, this.nowMs());
    if (member === null) return;
    member.heardUpTo = parseNodeId(complete) ?? none;
    for (const writer of writers) member.writers.add(writer);
    this.dialer.follow(id, host, port);
  }

  nowMs(): number {
    return this.#environment.time.monotonicMs();
  }

  // What the dialer asks.

  isSettled(nodeId: string): boolean {
    return this.live.has(nodeId) || this.membership.isBanned(nodeId, this.nowMs());
  }

  linkedAt(address: string, port: number): string | null {
    for (const [id, session] of this.live) {
      const member = session.link.member!;
      if (member.port === port && member.host === address) return id;
    }
    return null;
  }

  dial(address: string, port: number, attempt: Attempt): void {
    this.#attach(this.network.connect(address, port, attempt.entry.host), 'dial', attempt);
  }

  /** A connection has come in. `problem`: why it is refused. */
  accept(connection: Connection, problem: string | null = null): void {
    let strangers = 0;
    for (const { link } of this.#sessions) if (link.role === 'accept' && link.state !== 'live') strangers++;
    if (this.isPaused || this.#isStopped || strangers >= STRANGERS_MAX) {
      connection.close();
      return;
    }
    const session = this.#attach(connection, 'accept', null);
    session.link.opened(this.nowMs());
    if (problem === null) return;
    session.link.refuse(REFUSE_CERTIFICATE, problem);
    this.pump(session);
  }

  /** Somebody did not come as far as a connection. */
  strangerFailed(remoteHost: string, why: string): void {
    if (!this.isPaused) this.log.failed(remoteHost, why, this.nowMs());
  }

  #attach(connection: Connection, role: 'dial' | 'accept', attempt: Attempt | null): Session {
    const link = new Link(this, role, connection.remoteHost, this.nowMs());
    const session: Session = { link, connection, attempt, isFinished: false, isMerging: false };
    this.#sessions.add(session);
    connection.events = {
      opened: () => {
        link.opened(this.nowMs());
        this.pump(session);
      },
      received: (buffer, start, end) => {
        const { pacedFrames, backlogFrames } = link;
        const nowMs = this.nowMs();
        link.received(buffer, start, end, nowMs);
        if (link.pacedFrames !== pacedFrames) {
          this.#turns.received(connection, nowMs, link.backlogFrames !== backlogFrames);
        }
        this.#merges.received(session);
        this.pump(session);
      },
      writable: () => this.pump(session),
      closed: (reason) => {
        if (link.ending === null) link.lost(reason);
        this.#finish(session);
      },
    };
    return session;
  }

  // What a link asks.

  advertisedPort(): number {
    return this.settings.advertisePort ?? this.port;
  }

  admit(link: Link, hello: Hello, nowMs: number): Member {
    const { id, node, incarnation } = checkHello(this.settings, this.membership, hello, this.horizon.reaped, nowMs);
    const rival = this.live.get(id);
    if (rival !== undefined) {
      checkRival(link, rival.link, { selfId: this.membership.selfId, id, incarnation }, this.settings, nowMs);
      if (isSame(rival.link.member!.incarnation, incarnation)) this.#replaced.add(id);
      rival.link.refuse(REFUSE_SECOND_LINK, 'replaced by another link');
      this.#finish(rival);
    }
    this.#replaced.delete(id);
    if (this.membership.members.size === 0) this.#beginStream();
    const member = this.membership.meet(node, incarnation, hello.host || link.remoteHost, hello.port, nowMs);
    if (member === null) throw new PeerProtocolError(REFUSE_FULL, `more than ${this.settings.membersMax} members`);
    this.horizon.joined(member);
    member.metAt = this.replica.currentStamp();
    this.horizon.forgets.delete(id);
    noteWriter(member, hello);
    this.#welcome(link, member);
    return member;
  }

  /** Nobody was there to send anything to. What is written by now the first member gets by repair, the rest by the stream. */
  #beginStream(): void {
    this.onFirstMember();
    const now = this.replica.currentStamp();
    if (isAbove(now, this.outbox.last)) this.outbox.skip(now);
  }

  #welcome(link: Link, member: Member): void {
    const session = [...this.#sessions].find((one) => one.link === link)!;
    member.isLinked = true;
    this.live.set(member.id, session);
    if (session.attempt !== null) this.dialer.linked(session.attempt, member.id);
    this.dialer.follow(member.id, member.host, member.port);
  }

  linked({ member }: Link): void {
    this.#environment.log.info(`linked to node ${member!.id} at ${formatPeerAddress(member!.host, member!.port)}`);
  }

  members(): MemberAddress[] {
    return this.membership.addresses();
  }

  learn(link: Link, told: readonly MemberAddress[]): void {
    const nowMs = this.nowMs();
    let isRelaying = false;
    for (const member of this.membership.learn(told, nowMs)) {
      this.horizon.joined(member);
      this.dialer.follow(member.id, member.host, member.port);
    }
    link.tellsOfStrangers = false;
    for (const address of told) {
      const id = formatNodeId(address.nodeHi, address.nodeLo);
      const member = this.membership.members.get(id);
      if (member === undefined) {
        link.tellsOfStrangers ||= id !== this.membership.selfId;
      } else if (address.linked && !member.isLinked) {
        isRelaying = true;
        this.dialer.follow(member.id, member.host, member.port);
      }
    }
    if (link.repair !== null) link.repair.isRelaying = isRelaying;
  }

  acknowledged(link: Link): void {
    this.onAcknowledged(link.member!.acknowledged);
  }

  /** What somebody waits for, and no stream brings, comes by a repair with a peer that has it. */
  seen(link: Link): void {
    const { repair } = link;
    if (repair === null || repair.isDue || !this.applied.isAwaited) return;
    const missing = this.applied.missingFrom(repair.seen);
    if (missing.some(({ writerHi, writerLo }) => !this.#isStreaming(writerHi, writerLo))) repair.ask();
  }

  #isStreaming(writerHi: number, writerLo: number): boolean {
    const writers = [...this.live.values()].map(({ link }) => link.member?.writer);
    return writers.some((writer) => writer?.hi === writerHi && writer.lo === writerLo);
  }

  takeSlice(): boolean {
    return this.#turns.takeSlice();
  }

  // Movement.

  /** Moves frames from a link to its connection, as many as the connection will take. */
  pump(session: Session): void {
    if (session.isFinished) return;
    const { link, connection } = session;
    if (link.ending !== null) {
      this.#finish(session);
      return;
    }
    const nowMs = this.nowMs();
    const frames: Buffer[] = [];
    let queued = connection.queuedBytes();
    while (queued < QUEUED_BYTES_MAX) {
      const frame = link.next(nowMs);
      if (frame === null) break;
      frames.push(frame);
      queued += frame.length;
    }
    if (frames.length > 0) connection.write(frames);
    this.repairFrames.reset();
    const { repair, state } = link;
    if (state === 'closed') this.#finish(session);
    else if (repair === null || queued >= QUEUED_BYTES_MAX) return;
    else if (repair.isWaitingForRate) this.#turns.scheduleRate();
    else if (repair.isScanning) this.#turns.schedule();
  }

  /** Sends messages on channels to everyone who is linked now. */
  publishMessages(messages: readonly Published[]): void {
    for (const frame of framesOf(messages)) {
      for (const { link } of this.live.values()) {
        // What a slower peer, or an older release, does not take is not kept for it.
        if (link.hello!.versionHighest < PEER_VERSION_PUBLISH) continue;
        link.publisher.push(frame, this.outbox.nextSequence);
      }
    }
    this.pumpAll();
  }

  published(messages: readonly Published[]): void {
    this.onPublished(messages);
  }

  /** A turn has been published: send it to everyone now. */
  pumpAll(): void {
    for (const session of this.live.values()) this.pump(session);
  }

  tick(): void {
    const nowMs = this.nowMs();
    const lateMs = nowMs - this.#tickedAtMs;
    this.#tickedAtMs = nowMs;
    for (const session of this.#sessions) {
      if (lateMs > LATE_TICK_MS) session.link.excusedMs += lateMs;
      session.link.tick(nowMs);
      this.pump(session);
    }
    if (!this.isPaused) this.dialer.tick(nowMs);
    for (const gone of this.standing.reapMembers(nowMs)) this.dialer.remove(gone.id);
    const acknowledged = this.membership.leastAcknowledged();
    if (acknowledged !== null) this.outbox.trim(acknowledged);
    [this.#complete, this.#clockAtTick] = [this.#clockAtTick, this.replica.currentStamp()];
  }

  /** Turns are published when they end: what was written before the tick before this one has been. */
  complete(): Stamp {
    return later(this.#complete, this.outbox.last);
  }

  held(): Stamp {
    return this.standing.held();
  }

  setBehind(link: Link, isOwn: boolean, reaped: Stamp): void {
    this.standing.setBehind(link, isOwn, reaped);
  }

  /** True while there may be members that this node does not know: what they hold, and what they have heard, is not known either. */
  #hasStrangers(): boolean {
    if (this.dialer.hasUnmetPeers()) return true;
    for (const { link } of this.live.values()) if (link.tellsOfStrangers) return true;
    return false;
  }

  /** A link is over: says so to the peer if it is still there, and to the operator. */
  #finish(session: Session): void {
    if (session.isFinished) return;
    session.isFinished = true;
    this.#sessions.delete(session);
    const { link, connection, attempt } = session;
    const nowMs = this.nowMs();
    const ending = link.ending!;
    const farewell: Buffer[] = [];
    for (let frame = link.next(nowMs); frame !== null; frame = link.next(nowMs)) farewell.push(frame);
    if (farewell.length > 0) connection.write(farewell);
    connection.close();
    const livedMs = link.liveSinceMs === null ? 0 : nowMs - link.liveSinceMs;
    const isNews = attempt === null || this.dialer.ended(attempt, ending, link.peerId, livedMs, nowMs);
    if (link.member !== null) this.#unlink(session, link.member, nowMs);
    else if (this.#replaced.delete(link.peerId ?? '')) this.#lost(link.peerId!, livedMs, nowMs);
    if (ending.by === 'peer' && ending.code === REFUSE_CLOCK) this.clockRefusals++;
    if (!this.isPaused) this.log.ended(link, ending, isNews, nowMs);
  }

  #unlink(session: Session, member: Member, nowMs: number): void {
    const { link } = session;
    const ending = link.ending!;
    member.past.bytesIn += link.bytesIn;
    member.past.bytesOut += link.bytesOut;
    member.past.repairs += link.repair?.finished ?? 0;
    member.past.links++;
    this.pastFutureRecords += link.futureRecords;
    this.applied.note(streamOf(member));
    if (this.live.get(member.id) !== session) return;
    this.live.delete(member.id);
    member.isLinked = false;
    member.lastEnding = ending;
    member.lastSeenMs = Math.max(member.lastSeenMs, link.heardAtMs + link.excusedMs);
    if (ending.code === REFUSE_CLOCK || ending.code === REFUSE_FORGOTTEN) return;
    // The peer may be the first to see that other link whole.
    const isReplaced = ending.code === REFUSE_SECOND_LINK && ending.by === 'peer';
    if (isReplaced && [...this.#sessions].some((one) => one.link.peerId === member.id)) this.#replaced.add(member.id);
    if (!this.#replaced.has(member.id)) this.#lost(member.id, nowMs - link.liveSinceMs!, nowMs);
  }

  #lost(nodeId: string, livedMs: number, nowMs: number): void {
    this.dialer.lost(nodeId, livedMs, nowMs);
    for (const other of this.live.values()) other.link.repair?.soon(nowMs, REPAIR_AFTER_LOSS_MS);
  }

  /** Removes a member here and at all others: closes its link and keeps it out for a while. */
  forget(nodeId: string): boolean {
    const member = this.membership.members.get(nodeId);
    if (member === undefined) return this.horizon.forgets.has(nodeId);
    this.forgetTold({ node: member.node, stamp: this.replica.currentStamp(), complete: member.heardUpTo });
    return true;
  }

  /** Somebody has ordered a node to be forgotten: does so, and passes it on. */
  forgetTold(forget: Forget): void {
    const nodeId = stampText(forget.node);
    const member = this.membership.members.get(nodeId);
    // The order may be older than the node's coming back.
    if (nodeId === this.membership.selfId || (member !== undefined && isAbove(member.metAt, forget.stamp))) return;
    if (!this.horizon.order(forget)) return;
    const session = this.live.get(nodeId);
    if (member !== undefined) {
      member.heardUpTo = later(member.heardUpTo, forget.complete);
      this.horizon.left(member);
    }
    this.membership.forget(nodeId, this.nowMs());
    this.clocks.forget(nodeId);
    this.dialer.remove(nodeId);
    this.#environment.log.warn(`node ${nodeId} is forgotten; should it come back, it has to resynchronise`);
    if (session !== undefined) {
      session.link.refuse(REFUSE_FORGOTTEN, `node ${nodeId} has been forgotten`);
      this.#finish(session);
    }
    for (const { link } of this.live.values()) link.tell(encodeForget(forget));
    this.pumpAll();
  }

  /** Drops all links without a word and refuses new ones, as if the network were cut. */
  pause(): void {
    this.isPaused = true;
    this.dialer.isPaused = true;
    this.#dropAll((link) => link.lost('links are down'));
  }

  resume(): void {
    this.isPaused = false;
    this.dialer.isPaused = false;
    this.dialer.wake(null, this.nowMs());
    this.tick();
  }

  stop(): void {
    this.#isStopped = true;
    this.#turns.stop();
    this.dialer.isPaused = true;
    this.#dropAll((link) => link.refuse(REFUSE_STOPPING, 'the node is stopping'));
  }

  #dropAll(end: (link: Link) => void): void {
    for (const session of [...this.#sessions]) {
      end(session.link);
      this.#finish(session);
    }
  }
}
