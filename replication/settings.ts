/** The options of replication, with their defaults. Durations are milliseconds, sizes bytes. */
import { FRAME_BYTES_MAX_DEFAULT, FRAME_PART_BYTES, PEER_VERSION_HIGHEST } from '../protocol/peer-frame.ts';
import type { PeerAddress } from './links/address.ts';
import type { HorizonFacts } from './membership/horizon.ts';
import type { Stamp } from './replica.ts';

/** A member as it is kept over a restart. */
export interface KnownMember {
  /** 16 hex digits. */
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** The stamp up to which all that it wrote is known, and the origins of its writes: 16 hex digits each. */
  readonly complete?: string;
  readonly writers?: readonly string[];
}

/** Turns of peers that are merged in steps. */
export interface LongTurns {
  /** With so many new elements of a key in a row. */
  readonly elementsMin: number;
  readonly elementsAStep: number;
  /** Steps of one turn of the event loop, if time allows, and how long it rests after them. */
  readonly stepsATurn: number;
  readonly restMs: number;
}

/** What a node may set; only the node id has no default. */
export interface ReplicatorOptions {
  /** 64 random bits that stay with the node's data. */
  readonly nodeId: Stamp;
  /** 64 random bits drawn at each start; drawn here when absent. */
  readonly incarnation?: Stamp;
  /** Nodes of different clusters refuse each other. Empty = the default cluster. */
  readonly clusterId?: string;
  /** At most two: the first is the present one, the second is accepted too while it is being changed. */
  readonly secrets?: readonly string[];
  /** Addresses to listen on; loopback only when there is no secret. Empty = do not listen. */
  readonly bind?: readonly string[];
  /** 0 = any free port. */
  readonly port: number;
  /** Where others reach this node, when that is not the address they see. */
  readonly advertiseHost?: string;
  readonly advertisePort?: number;
  readonly peers?: readonly PeerAddress[];
  /** What `knownMembers` said before the restart. */
  readonly members?: readonly KnownMember[];
  /** What `horizonFacts` said before the restart. */
  readonly horizon?: HorizonFacts | null;
  /** The origins that this node's writes have carried, the present one last; the node id where there is none. */
  readonly writers?: readonly Stamp[];
  /** What has been merged may be lost in a crash: `noteDurable` says what cannot. */
  readonly isDurabilityTold?: boolean;
  /** There is a database, to which this node may bring what it has merged later: `noteBrought` says what it has not to bring any more. */
  readonly isBroughtTold?: boolean;
  /** True once this node has dropped keys that were not deleted. */
  readonly hasEvicted?: () => boolean;
  /** Commands of clients since the start: while it grows, repairs leave them time. */
  readonly commandCount?: () => number;
  /** A member that nobody has been linked to for this long is set aside: tombstones do not wait for it. */
  readonly tombstoneHorizonMs?: number;
  readonly outboxBytesMax?: number;
  readonly frameBytesMax?: number;
  readonly turnBytesMax?: number;
  readonly maxClockDriftMs?: number;
  readonly pingIntervalMs?: number;
  /** A link that has been silent for this long is dead. */
  readonly peerTimeoutMs?: number;
  readonly handshakeTimeoutMs?: number;
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
  /** A name among the peers is resolved again this often. */
  readonly resolveIntervalMs?: number;
  readonly repairIntervalMs?: number;
  /** 0 = no limit. */
  readonly repairBytesPerSecond?: number;
  readonly repairSummariesMax?: number;
  /** Collections of more elements than this are compared by their elements where they differ. */
  readonly repairElementsMin?: number;
  readonly longTurns?: LongTurns;
  /** The highest version of the peer protocol to speak: less than this release's own stands for an older one. */
  readonly peerVersionHighest?: number;
  readonly membersMax?: number;
  /** A member that nobody has been linked to for this long is dropped from the list. */
  readonly memberReapMs?: number;
  /** How long a forgotten node is not let in again. */
  readonly forgetBanMs?: number;
}

/** What may change while a node runs. */
export type ChangeableOptions = Pick<
  ReplicatorOptions,
  | 'secrets'
  | 'outboxBytesMax'
  | 'maxClockDriftMs'
  | 'tombstoneHorizonMs'
  | 'pingIntervalMs'
  | 'peerTimeoutMs'
  | 'handshakeTimeoutMs'
  | 'reconnectMaxMs'
  | 'resolveIntervalMs'
  | 'repairIntervalMs'
  | 'repairBytesPerSecond'
>;

type Defaulted = Omit<ReplicatorOptions, 'incarnation' | 'advertisePort' | 'bind'>;

/** All options, filled in. */
export type ReplicatorSettings = Required<Defaulted> & {
  readonly incarnation: Stamp;
  readonly advertisePort: number | null;
  readonly bind: readonly string[];
};

const megabyte = 1024 * 1024;
const DAY_MS = 86_400_000;
/** A member that stays away is dropped from the list after so many horizons. */
const REAP_HORIZONS = 7;

/** Largest single turn: a 512 MB key and a 512 MB value, and what frames them. */
const TURN_BYTES_MAX_DEFAULT = 1088 * megabyte;

/** Changes settings in place, for everybody who reads them. */
export function changeSettings(settings: ReplicatorSettings, changed: ChangeableOptions): void {
  const horizonMs = changed.tombstoneHorizonMs ?? settings.tombstoneHorizonMs;
  Object.assign(settings, changed, { memberReapMs: REAP_HORIZONS * horizonMs });
}

/** @throws Error that names the option, when values cannot work */
export function fillSettings(options: ReplicatorOptions, incarnation: Stamp): ReplicatorSettings {
  const secrets = options.secrets ?? [];
  const settings: ReplicatorSettings = {
    clusterId: '',
    advertiseHost: '',
    peers: [],
    members: [],
    horizon: null,
    writers: [options.nodeId],
    isDurabilityTold: false,
    isBroughtTold: false,
    hasEvicted: () => false,
    commandCount: () => 0,
    tombstoneHorizonMs: DAY_MS,
    outboxBytesMax: 64 * megabyte,
    frameBytesMax: FRAME_BYTES_MAX_DEFAULT,
    turnBytesMax: TURN_BYTES_MAX_DEFAULT,
    maxClockDriftMs: 60_000,
    pingIntervalMs: 1000,
    peerTimeoutMs: 5000,
    handshakeTimeoutMs: 5000,
    reconnectMinMs: 100,
    reconnectMaxMs: 10_000,
    resolveIntervalMs: 5000,
    repairIntervalMs: 60_000,
    repairBytesPerSecond: 32 * megabyte,
    repairSummariesMax: 1 << 20,
    repairElementsMin: 256,
    longTurns: { elementsMin: 2000, elementsAStep: 32, stepsATurn: 16, restMs: 0 },
    peerVersionHighest: PEER_VERSION_HIGHEST,
    membersMax: 256,
    memberReapMs: REAP_HORIZONS * (options.tombstoneHorizonMs ?? DAY_MS),
    forgetBanMs: 60_000,
    incarnation,
    ...options,
    secrets,
    advertisePort: options.advertisePort ?? null,
    bind: options.bind ?? [secrets.length === 0 ? '127.0.0.1' : '0.0.0.0'],
  };
  if (secrets.length > 2)
    throw new Error('cluster-secret takes at most two secrets: the present one and the one before');
  if (secrets.some((secret) => secret.length === 0)) throw new Error('cluster-secret is empty');
  if (settings.frameBytesMax < 2 * FRAME_PART_BYTES)
    throw new Error(`a peer frame's bound must be at least ${2 * FRAME_PART_BYTES} bytes`);
  return settings;
}
