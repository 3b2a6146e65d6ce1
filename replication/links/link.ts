/**
 * One link to one peer, as a state machine without I/O: it is told of bytes and of time, and it is asked for the next frame.
 *
 *   hello ──► auth ──► live ──► closed          (any state ──► closed)
 *
 * docs/peer-protocol.md draws who says what when.
 */
import {
  FRAME_ACK,
  FRAME_AUTH,
  FRAME_BYTES_BEFORE_AUTHENTICATION,
  FRAME_BROUGHT,
  FRAME_FORGET,
  FRAME_HELLO,
  FRAME_PING,
  FRAME_PONG,
  FRAME_PUBLISH,
  FRAME_RECORDS,
  FRAME_REFUSE,
  FRAME_RESUME,
  FRAME_SEEN,
  FRAME_STREAM,
  FrameDecoder,
  PEER_MAGIC,
  PeerProtocolError,
  REFUSE_MALFORMED,
  REFUSE_SECRET,
  REFUSE_SILENT,
} from '../../protocol/peer-frame.ts';
import {
  decodeAck,
  decodeAuth,
  decodeForget,
  decodeHello,
  decodePing,
  decodePong,
  decodePosition,
  decodeRefuse,
  encodeAck,
  encodeAuth,
  encodeForget,
  encodeHello,
  encodeRefuse,
  encodeResume,
  encodeStream,
  type Hello,
  type Position,
} from '../../protocol/peer-message.ts';
import { decodePublish } from '../../protocol/peer-publish.ts';
import { formatNodeId, stampMs } from '../../protocol/stamp.ts';
import { decodeSeen } from '../../protocol/written.ts';
import type { Ending } from './ending.ts';
import { checkProofs, prove, type Role, type Transcript, transcriptOf } from './handshake.ts';
import { checkVersions, makeHello } from './hello.ts';
import { isAbove, noteBrought, noteCompleteness, refusePush } from '../membership/horizon.ts';
import type { LinkOwner } from './link-owner.ts';
import { LinkHistory } from './link-history.ts';
import { LinkRepair } from '../repair/link-repair.ts';
import type { Member } from '../membership/membership.ts';
import { Pings } from './ping.ts';
import { Publisher } from '../stream/publisher.ts';
import type { Stamp } from '../replica.ts';
import { StreamReceiver, StreamSender, checkClock, isLong, isUrgent } from '../stream/stream.ts';

const NONE: Stamp = { hi: 0, lo: 0 };

export type LinkState = 'hello' | 'auth' | 'live' | 'closed';

export class Link {
  readonly role: Role;
  readonly remoteHost: string;
  state: LinkState = 'hello';
  ending: Ending | null = null;
  /** Set with the peer's HELLO; to be believed once the state is live. */
  hello: Hello | null = null;
  member: Member | null = null;
  /** Null before the link is live. */
  repair: LinkRepair | null = null;
  bytesIn = 0;
  bytesOut = 0;
  turnsIn = 0;
  roundTripMs: number | null = null;
  /** The peer's wall clock minus ours, as far as the round trip lets one tell. */
  clockOffsetMs: number | null = null;
  /** The peer has told of members that are not known here. */
  tellsOfStrangers = false;
  /** What the peer said it still has to send to us. */
  peerBacklogBytes = 0;
  liveSinceMs: number | null = null;
  heardAtMs: number;
  /** For so long since it heard of the peer this node has not been run: that is not the peer's silence. */
  excusedMs = 0;
  #owner: LinkOwner<Link>;
  #decoder = new FrameDecoder(FRAME_BYTES_BEFORE_AUTHENTICATION);
  #control: Buffer[] = [];
  #helloSent: Buffer | null = null;
  #told: Hello | null = null;
  /** This side's proof, where a refusal is to be told with it: only then the peer can believe what it says of clocks. */
  #proofPending: Buffer | null = null;
  /** The peer has proved who it is and is about to refuse this node's clock. */
  #isAwaitingRefusal = false;
  /** The peer's RESUME, which is answered when this node has resynchronised. */
  #heldResume: Position | null = null;
  #helloReceived: Buffer | null = null;
  #startedAtMs: number;
  #pings: Pings | null = null;
  #ackPending = false;
  /** What came before the peer's stream has been resumed or repaired. */
  #isStreamWhole = false;
  #sender: StreamSender;
  #receiver: StreamReceiver | null = null;
  #history: LinkHistory | null = null;
  #preferRepair = false;
  readonly publisher: Publisher;

  constructor(owner: LinkOwner<Link>, role: Role, remoteHost: string, nowMs: number) {
    this.#owner = owner;
    this.role = role;
    this.remoteHost = remoteHost;
    this.#startedAtMs = nowMs;
    this.heardAtMs = nowMs;
    this.#sender = new StreamSender(owner.outbox, () => this.repair?.want());
    this.publisher = new Publisher(owner.settings);
  }

  /** The peer's node id for people, or null before its HELLO. */
  get peerId(): string | null {
    return this.hello === null ? null : formatNodeId(this.hello.nodeHi, this.hello.nodeLo);
  }

  /** Records of this link's repairs that were left out because another node's clock is ahead. */
  get futureRecords(): number {
    return this.#receiver?.futureRecords ?? 0;
  }

  /** Frames that have come of what can wait for clients: of repairs, and of what the peer wrote before the link. */
  get pacedFrames(): number {
    return (this.repair?.framesIn ?? 0) + this.backlogFrames;
  }

  /** Of these, those of what the peer wrote before the link. */
  get backlogFrames(): number {
    return this.#receiver?.oldFrames ?? 0;
  }

  get hasGap(): boolean {
    return this.member?.progress.hasGap ?? false;
  }

  /** Bytes of this node's stream that the peer still has to be sent. */
  backlogBytes(): number {
    return this.state === 'live' && this.#sender.positioned ? this.#sender.backlogBytes() : 0;
  }

  /** The connection is open. */
  opened(nowMs: number): void {
    this.#startedAtMs = this.heardAtMs = nowMs;
    this.excusedMs = 0;
    if (this.role === 'dial') this.#sendHello();
  }

  /** Bytes have come; they are not kept after the call. */
  received(buffer: Buffer, start: number, end: number, nowMs: number): void {
    if (this.state === 'closed') return;
    this.bytesIn += end - start;
    this.heardAtMs = nowMs;
    this.excusedMs = 0;
    this.#decoder.feed(buffer, start, end);
    this.#refusing(() => this.#frames(nowMs));
  }

  /** Takes frames until there is no whole one, or a long turn has come that is merged first. */
  #frames(nowMs: number): void {
    while (!this.isMerging && this.#decoder.next()) {
      this.#frame(nowMs);
      if (this.ending !== null) return;
    }
    if (this.isMerging) this.#decoder.keep();
    else this.repair?.begin(nowMs);
  }

  #refusing<T>(work: () => T): T | null {
    try {
      return work();
    } catch (problem) {
      if (!(problem instanceof PeerProtocolError)) throw problem;
      this.refuse(problem.code, problem.message);
      return null;
    }
  }

  /** A long turn of the peer's is being merged by `mergeSome`; what has come behind it waits. */
  get isMerging(): boolean {
    return this.#receiver?.isMerging === true;
  }

  /** Goes on with a long turn, and then with what came behind it. */
  mergeSome(nowMs: number): void {
    if (this.state === 'closed') return;
    // It is this node that does not listen.
    this.heardAtMs = nowMs;
    this.#refusing(() => {
      if (this.#receiver!.mergeSome()) return;
      this.#turnCame(true);
      this.#frames(nowMs);
    });
  }

  /** Time has passed. */
  tick(nowMs: number): void {
    if (this.state === 'closed') return;
    const { settings } = this.#owner;
    if (this.state !== 'live') {
      if (nowMs - this.#startedAtMs - this.excusedMs > settings.handshakeTimeoutMs)
        this.refuse(REFUSE_SILENT, 'the handshake took too long');
      return;
    }
    if (nowMs - this.heardAtMs - this.excusedMs > settings.peerTimeoutMs) {
      this.refuse(REFUSE_SILENT, `nothing heard for ${Math.round(nowMs - this.heardAtMs)} ms`);
      return;
    }
    if (nowMs - this.#pings!.sentAtMs >= settings.pingIntervalMs) this.#pings!.due(nowMs);
    if (this.isMerging) return;
    const problem = this.#refusing(() => this.repair?.tick(nowMs) ?? null);
    if (problem !== null) this.refuse(REFUSE_SILENT, problem);
  }

  /** The next frame to send, or null when there is none at this moment. */
  next(nowMs: number): Buffer | null {
    let frame = this.#control.shift() ?? null;
    // What the peer said may show to be wrong only when this node comes to answer it.
    if (frame === null && this.state === 'live')
      frame = this.#refusing(() => this.#nextLive(nowMs)) ?? this.#control.shift() ?? null;
    if (frame !== null) this.bytesOut += frame.length;
    return frame;
  }

  /** Closes with a reason that the peer is told too. */
  refuse(code: number, message: string): void {
    if (this.state === 'closed') return;
    this.#control = this.#helloSent === null ? [PEER_MAGIC] : this.#proofPending === null ? [] : [this.#proofPending];
    this.#control.push(encodeRefuse(code, message));
    this.#end({ code, message, by: 'here' });
  }

  /** The connection is gone. */
  lost(reason: string): void {
    this.#control = [];
    this.#end({ code: 0, message: reason, by: 'network' });
  }

  #end(ending: Ending): void {
    this.ending ??= ending;
    this.state = 'closed';
    this.repair?.close();
    this.#receiver?.close();
  }

  #sendHello(): void {
    this.#told = makeHello(this.#owner);
    this.#helloSent = encodeHello(this.#told);
    this.#control.push(PEER_MAGIC, this.#helloSent);
  }

  #frame(nowMs: number): void {
    const { type, buffer, payloadStart: start, payloadEnd: end } = this.#decoder;
    if (type === FRAME_REFUSE) {
      const { reason, message } = decodeRefuse(buffer, start, end);
      this.#control = [];
      this.#end({ code: reason, message, by: 'peer' });
    } else if (this.state === 'hello' && type === FRAME_HELLO) {
      this.#receiveHello(buffer, start, end);
    } else if (this.#isAwaitingRefusal) {
      // The peer lets clocks be further ahead than this node does.
      this.#goLive(this.hello!, nowMs);
      this.#liveFrame(type, buffer, start, end, nowMs);
    } else if (this.state === 'auth' && type === FRAME_AUTH) {
      this.#receiveAuth(buffer, start, end, nowMs);
    } else if (this.state === 'live') {
      this.#liveFrame(type, buffer, start, end, nowMs);
    } else {
      throw new PeerProtocolError(REFUSE_MALFORMED, `a frame of type ${type} before authentication`);
    }
  }

  #receiveHello(buffer: Buffer, start: number, end: number): void {
    const hello = decodeHello(buffer, start, end);
    checkVersions(hello);
    this.hello = hello;
    this.#helloReceived = Buffer.from(buffer.subarray(start, end));
    this.state = 'auth';
    if (this.role === 'accept') this.#sendHello();
    else this.#control.push(encodeAuth(prove(this.#owner.settings.secrets, this.role, this.#transcript())));
  }

  #transcript(): Transcript {
    return transcriptOf(this.role, this.#helloSent!.subarray(12), this.#helloReceived!);
  }

  #receiveAuth(buffer: Buffer, start: number, end: number, nowMs: number): void {
    const { secrets } = this.#owner.settings;
    const peerRole: Role = this.role === 'dial' ? 'accept' : 'dial';
    const problem = checkProofs(secrets, peerRole, this.#transcript(), decodeAuth(buffer, start, end));
    if (problem !== null) throw new PeerProtocolError(REFUSE_SECRET, problem);
    const hello = this.hello!;
    this.#owner.clocks.note(this.peerId!, hello.wallMs, nowMs - this.#startedAtMs, nowMs);
    const proof = encodeAuth(prove(secrets, this.role, this.#transcript()));
    if (this.role === 'accept') this.#proofPending = proof;
    checkClock(hello.clockHi, hello.clockLo, this.#owner.replica, this.#owner.settings.maxClockDriftMs);
    this.#proofPending = null;
    if (this.role === 'accept') this.#control.push(proof);
    const { clockHi, clockLo } = this.#told!;
    const isAhead = stampMs(clockHi, clockLo) > hello.wallMs + this.#owner.settings.maxClockDriftMs;
    if (this.role === 'dial' && isAhead) this.#isAwaitingRefusal = true;
    else this.#goLive(hello, nowMs);
  }

  /** Both sides have proved who they are, and the peer is taken for a member. */
  #goLive(hello: Hello, nowMs: number): void {
    this.#isAwaitingRefusal = false;
    const member = this.#owner.admit(this, hello, nowMs);
    this.member = member;
    const history = new LinkHistory(member, this.#owner.applied, hello, () => !this.#isCaughtUp());
    this.#history = history;
    const receiver = new StreamReceiver(
      this.#owner.replica,
      member.progress,
      this.#owner.settings,
      member.node,
      member.incarnation,
      history,
      { hi: hello.clockHi, lo: hello.clockLo },
    );
    receiver.observeClock(hello.clockHi, hello.clockLo);
    this.#receiver = receiver;
    this.repair = new LinkRepair(this.#owner, receiver, this.#sender, member, nowMs);
    this.repair.onCovered = () => (this.#ackPending = this.#isStreamWhole = true);
    this.repair.onTaken = () => this.#answerResume();
    this.state = 'live';
    this.liveSinceMs = nowMs;
    this.#pings = new Pings(this.#owner, hello, this.#owner.settings.peerVersionHighest, nowMs);
    this.#pings.due(nowMs);
    this.#decoder.frameBytesMax = this.#owner.settings.frameBytesMax;
    const { applied } = member.progress;
    const isKnown = applied.hi !== 0 || applied.lo !== 0;
    this.#control.push(encodeResume({ flag: isKnown && !member.progress.hasGap, hi: applied.hi, lo: applied.lo }));
    this.#compareHorizons(hello, member);
    if (this.role === 'dial') this.#owner.linked(this);
  }

  /** Both sides go by what the two HELLOs said, and so decide alike who has to resynchronise. */
  #compareHorizons(hello: Hello, member: Member): void {
    const [own, theirs] = [this.#told!.horizon!, hello.horizon];
    member.held = theirs?.held ?? NONE;
    const isBehind = theirs !== null && isAbove(theirs.reaped, own.held);
    const isPeerBehind = isAbove(own.reaped, member.held);
    this.#owner.horizon.met(member.id, isBehind ? theirs.reaped : NONE);
    if (isBehind) this.#owner.setBehind(this, true, theirs.reaped);
    if (isPeerBehind) this.#owner.setBehind(this, false, own.reaped);
    for (const forget of this.#owner.horizon.forgets.values()) this.tell(encodeForget(forget));
    this.repair!.knows(hello);
    this.repair!.resynchronise(isBehind, isPeerBehind);
  }

  /** Says where this node's stream goes on, once it may push. What it wrote before goes by repair: some of it may be gone. */
  #answerResume(): void {
    if (this.#heldResume === null || this.repair!.isTaking) return;
    const known = this.#heldResume;
    this.#heldResume = null;
    const position = this.#sender.resume({ ...known, flag: known.flag && !this.repair!.hasTaken });
    this.#noteAcknowledged(known);
    this.#control.push(encodeStream(position));
    // The peer is to know before it takes its time for it.
    if (isLong(this.backlogBytes(), this.#owner.settings)) this.#pings!.hasten();
    if (!position.flag) this.repair!.want();
  }

  /** Tells the peer something beside the stream, if it knows such frames. */
  tell(frame: Buffer): void {
    if (this.state === 'live' && this.hello?.horizon !== null) this.#control.push(frame);
  }

  /** Nothing of the peer's stream is missing, and no repair is under way. */
  #isCaughtUp(): boolean {
    return this.#isStreamWhole && !this.hasGap && !this.repair!.isDue;
  }

  #liveFrame(type: number, buffer: Buffer, start: number, end: number, nowMs: number): void {
    const receiver = this.#receiver!;
    const { flags } = this.#decoder;
    if ((type === FRAME_RECORDS || type === FRAME_STREAM) && this.repair!.isGiving) refusePush();
    if (type === FRAME_RECORDS) {
      this.#turnCame(receiver.records(flags, buffer, start, end));
    } else if (type === FRAME_ACK) {
      const stamp = decodeAck(buffer, start, end);
      this.#sender.acknowledged(stamp);
      this.#noteAcknowledged(stamp);
    } else if (type === FRAME_PING) {
      const ping = decodePing(buffer, start, end);
      receiver.observeClock(ping.clockHi, ping.clockLo);
      this.peerBacklogBytes = ping.backlogBytes;
      this.#pings!.came(ping.token);
      receiver.isUrgent = isUrgent(ping.backlogBytes, this.#owner.settings);
      noteCompleteness(this.member!, ping, this.#isStreamWhole, this.#pings!.isBroughtTold);
      this.#owner.learn(this, ping.members);
    } else if (type === FRAME_BROUGHT) {
      noteBrought(this.member!, decodeAck(buffer, start, end));
    } else if (type === FRAME_SEEN) {
      this.#receiveSeen(buffer, start, end);
    } else if (type === FRAME_PONG) {
      this.#receivePong(buffer, start, end, nowMs);
    } else if (type === FRAME_PUBLISH) {
      this.#owner.published(decodePublish(buffer, start, end));
    } else if (type === FRAME_RESUME) {
      this.#heldResume = decodePosition(buffer, start, end);
      this.#history!.resumed(this.#heldResume);
      if (this.role === 'accept') this.#owner.linked(this);
      this.#answerResume();
    } else if (type === FRAME_FORGET) {
      this.#owner.forgetTold(decodeForget(buffer, start, end));
    } else if (type === FRAME_STREAM) {
      const position = decodePosition(buffer, start, end);
      receiver.start(position);
      this.#isStreamWhole = position.flag;
      this.#ackPending = true;
      if (!position.flag) this.repair!.want();
    } else {
      this.repair!.receive(type, buffer, start, end, flags, nowMs);
    }
  }

  #turnCame(isMerged: boolean): void {
    if (isMerged) {
      this.turnsIn++;
      this.#ackPending = true;
      if (this.#owner.applied.isAwaited) this.#owner.applied.advanced();
    }
    if (this.#receiver!.progress.hasGap && !this.repair!.isDue) this.repair!.ask();
  }

  #noteAcknowledged({ hi, lo }: Stamp): void {
    const member = this.member!;
    if (!isAbove({ hi, lo }, member.acknowledged)) return;
    member.acknowledged = { hi, lo };
    this.#owner.acknowledged(this);
  }

  #receiveSeen(buffer: Buffer, start: number, end: number): void {
    const seen = decodeSeen(buffer, start, end);
    this.member!.writer = { hi: seen[0].writerHi, lo: seen[0].writerLo };
    this.repair!.seen = seen;
    this.#history!.told(seen);
    this.#owner.seen(this);
  }

  #receivePong(buffer: Buffer, start: number, end: number, nowMs: number): void {
    const pong = decodePong(buffer, start, end);
    this.#receiver!.observeClock(pong.clockHi, pong.clockLo);
    const tookMs = this.#pings!.answered(pong, nowMs);
    if (tookMs === null) return;
    this.roundTripMs = tookMs;
    this.#owner.clocks.note(this.peerId!, pong.wallMs, this.roundTripMs, nowMs);
    this.clockOffsetMs = Math.round(pong.wallMs + this.roundTripMs / 2 - this.#owner.replica.nowMs());
  }

  #nextLive(nowMs: number): Buffer | null {
    if (this.#ackPending) {
      this.#ackPending = false;
      const { applied } = this.member!.progress;
      if (applied.hi !== 0 || applied.lo !== 0) return encodeAck(applied.hi, applied.lo);
    }
    const told = this.#pings!.next(nowMs, () => this.#sender.heldBytes());
    if (told !== null) return told;
    this.#preferRepair = !this.#preferRepair;
    const message = this.publisher.next(this.#sender.sequence);
    if (message !== null || this.#preferRepair) return message ?? this.repair!.next(nowMs) ?? this.#sender.next();
    return this.#sender.next() ?? this.repair!.next(nowMs);
  }
}
