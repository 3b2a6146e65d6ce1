/**
 * Who a node is. Its peers know it by its node id, which stays the same. What it writes carries a writer id as the origin,
 * which is a new one after a crash: its store may lack the last increments, which its peers have. Were it to go on with the
 * sums that it finds, their newer stamps would take those increments away from everybody.
 */
import { formatNodeId, parseNodeId } from '../protocol/stamp.ts';
import type { Random } from '../replication/environment.ts';

interface NodeId {
  readonly hi: number;
  readonly lo: number;
}

export interface Identity {
  readonly node: NodeId;
  readonly writer: NodeId;
}

/** Small facts that the embedded store keeps. */
export interface StoredFacts {
  get(name: string): Promise<Buffer | null>;
  set(name: string, bytes: Buffer): Promise<void>;
}

const NODE_ID = 'node-id';
/** There only after a clean stop, and taken away before the first write of the next run. */
const WRITER_ID = 'writer-id';

/** What a copy of the store must not say: it is the node as after a crash, whose peers may have more than the copy has. */
export const FACTS_OF_A_CLEAN_STOP: readonly string[] = [WRITER_ID];

function drawId(random: Random): NodeId {
  const drawn = random.bytes(8);
  return { hi: drawn.readUInt32BE(0), lo: drawn.readUInt32BE(4) };
}

function idBytes({ hi, lo }: NodeId): Buffer {
  return Buffer.from(formatNodeId(hi, lo), 'latin1');
}

/**
 * The node id is the one that is configured, else the one that the store remembers, else a new one.
 * @param configured 16 hexadecimal digits, or empty
 * @param facts null without a store
 */
export async function identify(configured: string, random: Random, facts: StoredFacts | null): Promise<Identity> {
  const stored = (await facts?.get(NODE_ID))?.toString('latin1') ?? '';
  const known = parseNodeId(configured !== '' ? configured : stored);
  const node = known ?? drawId(random);
  const id = idBytes(node);
  if (stored !== id.toString('latin1')) await facts?.set(NODE_ID, id);
  // An id that was never used before has written nothing that could be lost.
  if (known === null) return { node, writer: node };
  const kept = (await facts?.get(WRITER_ID))?.toString('latin1') ?? '';
  if (kept !== '') await facts?.set(WRITER_ID, Buffer.alloc(0));
  return { node, writer: parseNodeId(kept) ?? drawId(random) };
}

/** To be called when everything that was written is durable and nothing more will be. */
export async function rememberWriter(writer: NodeId, facts: StoredFacts): Promise<void> {
  await facts.set(WRITER_ID, idBytes(writer));
}
