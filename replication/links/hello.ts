/** What a node says of itself first, and whether two nodes speak a common version. */
import {
  PEER_VERSION_HIGHEST,
  PEER_VERSION_LOWEST,
  PeerProtocolError,
  REFUSE_VERSION,
} from '../../protocol/peer-frame.ts';
import { NONCE_BYTES, type Hello } from '../../protocol/peer-message.ts';
import type { RepairOwner } from '../repair/repair.ts';
import type { Stamp } from '../replica.ts';

/** What a HELLO says of its node. */
interface Speaker extends RepairOwner {
  /** The port that others can dial, or 0. */
  advertisedPort(): number;
  /** Everything that any member wrote up to here is here. */
  held(): Stamp;
}

export function makeHello(owner: Speaker): Hello {
  const { settings, replica, random, horizon } = owner;
  const clock = replica.currentStamp();
  return {
    versionLowest: PEER_VERSION_LOWEST,
    versionHighest: settings.peerVersionHighest,
    nodeHi: settings.nodeId.hi,
    nodeLo: settings.nodeId.lo,
    incarnationHi: settings.incarnation.hi,
    incarnationLo: settings.incarnation.lo,
    clockHi: clock.hi,
    clockLo: clock.lo,
    wallMs: replica.nowMs(),
    nonce: random.bytes(NONCE_BYTES),
    port: owner.advertisedPort(),
    host: settings.advertiseHost,
    clusterId: settings.clusterId,
    horizon: { held: owner.held(), reaped: horizon.reaped, writer: settings.writers.at(-1) ?? settings.nodeId },
  };
}

/** @throws PeerProtocolError when there is no common version */
export function checkVersions(hello: Hello): void {
  if (hello.versionLowest <= PEER_VERSION_HIGHEST && hello.versionHighest >= PEER_VERSION_LOWEST) return;
  throw new PeerProtocolError(
    REFUSE_VERSION,
    `no common version: one side speaks ${hello.versionLowest} to ${hello.versionHighest}, ` +
      `the other ${PEER_VERSION_LOWEST} to ${PEER_VERSION_HIGHEST}`,
  );
}
