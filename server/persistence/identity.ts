/**
 * Who a node is. Its peers know it by its node id, which stays the same. What it writes carries a writer id as the origin,
 * which is a new one after a crash: its store may lack the last increments, which its peers have. Were it to go on with the
 * sums that it finds, their newer stamps would take those increments away from everybody. The same holds of a copy of the store,
 * whoever made it: the node that it was copied from has written on, or does so still, under another node id than the copy has.
 */
import { formatNodeId, parseNodeId } from '../../protocol/stamp.ts';
import type { Random } from '../../replication/environment.ts';

interface NodeId {
  readonly hi: number;
  readonly lo: number;
}

export interface Identity {
  readonly node: NodeId;
  readonly writer: NodeId;
  /** The store is that of a node of another id. */
  readonly isRenamed: boolean;
  /** Null where a store is never copied. */
  readonly seal: Seal | null;
}

/** Tells a store from a copy of it. */
export interface Seal {
  /** Makes a new one. */
  make(): string;
  /** The one that is there; empty when there is none. */
  read(): string;
}

/** Small facts that the embedded store keeps. */
export interface StoredFacts {
  get(name: string): Promise<Buffer | null>;
  set(name: string, bytes: Buffer): Promise<void>;
}

const NODE_ID = 'node-id';
/** There only after a clean stop, with the store's seal, and taken away before the first write of the next run. */
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
export async function identify(
  configured: string,
  random: Random,
  facts: StoredFacts | null,
  seal: Seal | null = null,
): Promise<Identity> {
  const stored = (await facts?.get(NODE_ID))?.toString('latin1') ?? '';
  const known = parseNodeId(configured !== '' ? configured : stored);
  const node = known ?? drawId(random);
  const id = idBytes(node);
  const isRenamed = stored !== '' && stored !== id.toString('latin1');
  if (stored !== id.toString('latin1')) await facts?.set(NODE_ID, id);
  // An id that was never used before has written nothing that could be lost.
  if (known === null) return { node, writer: node, isRenamed, seal };
  const kept = (await facts?.get(WRITER_ID))?.toString('latin1') ?? '';
  if (kept !== '') await facts?.set(WRITER_ID, Buffer.alloc(0));
  const [name, sealed = ''] = kept.split(' ');
  const isOwn = !isRenamed && (seal === null || (sealed !== '' && sealed === seal.read()));
  const writer = isOwn ? parseNodeId(name) : null;
  return { node, writer: writer ?? drawId(random), isRenamed, seal };
}

/** To be called when everything that was written is durable and nothing more will be. */
export async function rememberWriter({ writer, seal }: Identity, facts: StoredFacts): Promise<void> {
  const id = formatNodeId(writer.hi, writer.lo);
  await facts.set(WRITER_ID, Buffer.from(seal === null ? id : `${id} ${seal.make()}`, 'latin1'));
}
