/**
 * Proof of the cluster secret: each side shows HMAC-SHA-256, under the secret, of its role and of both HELLO payloads, which
 * hold both nonces. The dialing side proves first, so that nobody who merely connects is given a proof to guess against.
 * During a change of secret a node has two: it shows a proof for each and accepts either.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { PROOFS_MAX } from '../../protocol/peer-message.ts';

export type Role = 'dial' | 'accept';

/** What both sides have said, in the order dialing side, accepting side: payload bytes of their HELLO frames. */
export interface Transcript {
  dialed: Buffer;
  accepted: Buffer;
}

export function transcriptOf(role: Role, sent: Buffer, received: Buffer): Transcript {
  return role === 'dial' ? { dialed: sent, accepted: received } : { dialed: received, accepted: sent };
}

const CONTEXT = 'mantis peer channel 1';

function proof(secret: string, role: Role, transcript: Transcript): Buffer {
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(transcript.dialed.length, 0);
  lengths.writeUInt32LE(transcript.accepted.length, 4);
  return createHmac('sha256', secret)
    .update(`${CONTEXT} ${role}\0`)
    .update(lengths)
    .update(transcript.dialed)
    .update(transcript.accepted)
    .digest();
}

/** The proofs that a node with these secrets shows in `role`. */
export function prove(secrets: readonly string[], role: Role, transcript: Transcript): Buffer[] {
  return secrets.slice(0, PROOFS_MAX).map((secret) => proof(secret, role, transcript));
}

/** Why the other side's proofs, shown in `role`, are not accepted; null when they are. Compares in constant time. */
export function checkProofs(
  secrets: readonly string[],
  role: Role,
  transcript: Transcript,
  shown: readonly Buffer[],
): string | null {
  if (secrets.length === 0 && shown.length === 0) return null;
  if (secrets.length === 0) return 'one side has a cluster-secret and the other has none';
  if (shown.length === 0) return 'a cluster-secret is required and none was shown';
  let accepted = false;
  for (const expected of prove(secrets, role, transcript)) {
    for (const candidate of shown) {
      if (timingSafeEqual(expected, candidate)) accepted = true;
    }
  }
  return accepted ? null : 'the cluster-secret is not the same on both sides';
}
