/**
 * What replication needs of the node's memory. The storage side implements this over its keyspace; tests implement it over a Map.
 *
 * Two numbers tie nodes together and so must be computed alike by every node that speaks the same protocol version, whatever
 * hash its own index uses:
 * - key hash: 64 bits over (database, key). Its upper 16 bits are the key's bucket, 0 … 65535.
 * - register digest: 64 bits over (database, key, kind, element, stamp, origin, deadline's stamp and origin) of one register's
 *   winning version. The digest of a key is the XOR of its registers' digests, that of a bucket the XOR of its keys'. Two
 *   replicas that show the same have the same digests. Tombstones may be left out, and then have the digest 0; a bucket whose
 *   digest is 0 need not be empty.
 *
 * Every 64-bit number travels as two unsigned 32-bit numbers, high word first.
 */
import type { RecordWriter } from '../protocol/change-record.ts';
import type { KeyName } from '../protocol/peer-elements.ts';
import type { MergeSource } from '../storage/merging/conflicts.ts';
import type { LongTurnLimits } from '../storage/merging/long-turn.ts';

/** A hybrid logical clock reading, as the two halves of 64 bits (44 bits of milliseconds, 20 bits of counter). */
export interface Stamp {
  readonly hi: number;
  readonly lo: number;
}

/** Which keys a scan is to deliver. */
export interface KeySelection {
  /** One byte per bucket: `skipBucket`, `wholeBucket`, or `listedKeys` for only the keys that `has` accepts. */
  readonly buckets: Uint8Array;
  /** Asked only for keys whose bucket is marked `listedKeys`. */
  has(hashHi: number, hashLo: number): boolean;
  /** Also every tombstone that may be newer than this, whatever the bucket. */
  readonly tombstonesAbove?: Stamp;
}

/** What a node that resynchronises may not keep, and what it may not take over. */
export interface TakeRule {
  /** Of registers with this origin that the peer lacks, those stamped up to the bound were deleted there. */
  boundOf(originHi: number, originLo: number): Stamp;
  /** The same for what this node lacks itself, where the peer has to resynchronise as well; else null. */
  readonly ownBoundOf: ((originHi: number, originLo: number) => Stamp) | null;
}

/** Values of a `KeySelection`'s buckets. */
export const skipBucket = 0;
export const wholeBucket = 1;
export const listedKeys = 2;

/** Receives one entry per key from `ReplicaScan.summaries`. */
export interface SummarySink {
  key(hashHi: number, hashLo: number, digestHi: number, digestLo: number): void;
}

/** What records are taken from in slices. */
export interface RecordScan {
  /**
   * Goes on until `writer` holds `maxBytes` or more, or for about 0.15 ms, whichever is first, and may write nothing. Never stops
   * inside a register; may stop between two registers of a key.
   * @returns true while there is more
   */
  records(selection: KeySelection, writer: RecordWriter, maxBytes: number): boolean;
  /** Releases what the scan holds. Called exactly once, also after the last slice. */
  close(): void;
}

/** A key that can be compared by its elements. */
export interface LargeKey extends KeyName {
  /** About how many elements it has. */
  readonly elementCount: number;
}

/** A key of which everything is to be sent, or what is in some of its 2^bits cells and what belongs to all of the key. */
export interface KeyPart extends KeyName {
  readonly bits: number;
  /** A byte for each cell, 1 for those wanted; null = all of the key. */
  readonly cells: Uint8Array | null;
}

/**
 * One pass over the elements of a key, for the digests of its cells: the XOR of digests of its elements, by the first bits of a
 * hash of their names. All nodes compute both alike. What changes during the pass may be seen old or new.
 */
export interface CellScan {
  /** Two words for each cell, high then low; complete when `step` has returned false. */
  readonly words: Uint32Array;
  /** The key was deleted, replaced or evicted meanwhile: the digests are of no use. */
  readonly isLost: boolean;
  /** Goes on for about 1 ms. @returns true while there is more */
  step(): boolean;
}

/**
 * One full pass over all keys, tombstones and floors included, in slices. Order is free; a key present during the whole pass
 * is delivered at least once, even when the table grows meanwhile. A key delivered twice does no harm. What changes during the
 * pass may be seen old or new: live frames carry it anyway. A scan is used either for summaries or for records, not both.
 */
export interface ReplicaScan extends RecordScan {
  /**
   * Goes on for at most `maxKeys` delivered keys or about 0.15 ms, whichever is first, and may deliver nothing.
   * Delivers the keys whose bucket is non-zero in `buckets` (65,536 bytes), those that are only tombstones among them: it is
   * by them that a deletion spreads.
   * @returns true while there is more
   */
  summaries(buckets: Uint8Array, sink: SummarySink, maxKeys: number): boolean;
  /**
   * To be asked while `sink.key` is told of a key.
   * @returns null for a key that has at most so many elements, or cannot be compared by them
   */
  largeKey(elementsMin: number): LargeKey | null;
  /**
   * Writes every register of each selected key, and at its first call what belongs to no key (the databases' floors), whatever
   * is selected.
   */
  records(selection: KeySelection, writer: RecordWriter, maxBytes: number): boolean;
  /**
   * Deletes, of each selected key, the registers up to the rule's bound: the peer does not have the key. For about 0.15 ms.
   * @returns true while there is more
   */
  forsake(selection: KeySelection, rule: TakeRule): boolean;
}

/** One turn of a peer's stream: what the peer itself has written, up to a stamp. */
export interface StreamTurn {
  /** The run of the peer's process. */
  readonly incarnation: Stamp;
  readonly stamp: Stamp;
}

/** Merges what a peer has of keys that differ, all of a key's registers in a row, and deletes what it lacks by the rule. */
export interface Taking {
  /** @throws RecordError when any record is malformed; nothing of them has been merged then */
  records(records: Buffer, start: number, end: number): void;
  /** Whether the peer has sent anything of this key. */
  sawKey(hashHi: number, hashLo: number): boolean;
  /** The last key is complete. */
  end(): void;
}

/** A turn that is merged in steps. */
export interface LongTurn {
  /** Does a step of what nobody sees yet. @returns true while there is more. @throws RecordError when a record is malformed */
  step(): boolean;
  /** Merges it, before it returns. */
  finish(turn: StreamTurn, source: MergeSource): void;
  /** It is not to be merged. */
  close(): void;
}

/** The node's memory, as replication sees it. Nothing here may call back into replication synchronously. */
export interface Replica {
  /**
   * Merges packed change records, all or none, before it returns, and lets the clock observe their stamps, so that a later
   * local write is above what it overwrites. The bytes are not kept after the call. Stamps are inside the drift bound.
   * @param turn where the records come from; null for a repair, which brings those of any node
   * @param source what is known of the way on which they came, for telling conflicts
   * @throws RecordError when any record is malformed; nothing has been merged then
   */
  applyRecords(records: Buffer, start: number, end: number, turn: StreamTurn | null, source: MergeSource): void;

  /**
   * Begins to merge a turn that has thousands of new elements of a key, in steps, so that nobody sees a part of it.
   * @param pieces records in pieces of whole ones, which are not changed any more; of a single one only `start` to `end` counts, which is copied
   * @returns null when that is not worth while, or cannot be: it is to be given to `applyRecords`
   */
  startTurn(pieces: readonly Buffer[], start: number, end: number, limits: LongTurnLimits): LongTurn | null;

  /** The hybrid clock's receive rule: later local stamps are above this one. Called only with stamps inside the drift bound. */
  observeStamp(hi: number, lo: number): void;
  /** The hybrid clock's present reading; does not advance it. */
  currentStamp(): Stamp;
  /** Wall clock in milliseconds since 1970, the one the hybrid clock is fed from. */
  nowMs(): number;

  /** 2 × 65,536 words, live (not a copy): bucket i's digest is words 2i (high) and 2i+1 (low). Kept up to date at each apply. */
  readonly digests: Uint32Array;
  /** XOR of the digests of each 256 buckets in a row: 2 × 256 words, good until the next change. */
  groupDigests(): Uint32Array;
  /** False while the digests are being computed for the first time: they are of no use yet. */
  readonly isDigested: boolean;
  /** Number of distinct (database, key), tombstones included; an estimate is enough. */
  keyCount(): number;
  /** Begins a pass over all keys. */
  startScan(): ReplicaScan;
  /** Begins a pass over the elements of a key; null where it is not here, of another kind, or not whole. */
  startCells(name: KeyName, bits: number): CellScan | null;
  /** Begins to write keys, or parts of keys; the selection that its `records` is given counts for nothing. */
  startParts(parts: readonly KeyPart[]): RecordScan;
  /**
   * False while this node may have, where no comparison could see it, what was deleted at a peer whose state it has taken: its
   * stores have evicted keys of which that is yet to be found out.
   */
  readonly isSettled: boolean;
  /** Begins to take a peer's state. */
  startTaking(rule: TakeRule): Taking;
}
