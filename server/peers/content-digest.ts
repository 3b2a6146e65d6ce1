import { finishDigesting } from '../../storage/digests/digest-start.ts';
import { expireDue } from '../../storage/expiry/expiry.ts';
import { recomputeDigests } from '../../storage/digests/register-scan.ts';
import type { Node } from '../node.ts';

const EXPIRY_SLICE_KEYS = 10_000;

/** The digest of all that this node shows now, 16 hexadecimal digits: equal on all nodes that show the same. */
export function contentDigest(node: Node): string {
  const { keyspace } = node;
  keyspace.clock.refresh();
  while (expireDue(keyspace, EXPIRY_SLICE_KEYS));
  finishDigesting(keyspace);
  if (!keyspace.digesting) recomputeDigests(keyspace);
  return keyspace.digests.total();
}

/** The same, when the digests that are being computed between other work are there. */
export async function contentDigestSoon(node: Node): Promise<string> {
  await new Promise<void>((resolve) => {
    const { digestStart } = node.keyspace;
    if (digestStart === null) resolve();
    else digestStart.whenDone(resolve);
  });
  return contentDigest(node);
}
