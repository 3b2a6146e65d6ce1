/** The keyspace as replication sees it. */
import { KIND_FLOOR, RecordReader, type RecordWriter } from '../../protocol/change-record.ts';
import { PeerProtocolError, REFUSE_HORIZON } from '../../protocol/peer-frame.ts';
import { COMPARED_KEY_BYTES_MAX, type KeyName } from '../../protocol/peer-elements.ts';
import { KeyTable } from '../../replication/repair/key-table.ts';
import type {
  CellScan,
  KeyPart,
  KeySelection,
  LargeKey,
  LongTurn,
  RecordScan,
  Replica,
  ReplicaScan,
  Stamp,
  StreamTurn,
  SummarySink,
  TakeRule,
  Taking,
} from '../../replication/replica.ts';
import { listedKeys, skipBucket } from '../../replication/replica.ts';
import type { MergeSource } from '../../storage/merging/conflicts.ts';
import { keyKindOf } from '../../storage/collections/kinds.ts';
import { CellDigests, CellRecords, comparableAt } from '../../storage/digests/element-cells.ts';
import { EvictedDigests } from '../../storage/digests/evicted-digests.ts';
import { forsakeKey, takeKey, takeNewKey } from '../../storage/tombstones/forsake.ts';
import { PARTIAL } from '../../storage/arena/block.ts';
import type { DoubtedKeys, ForsakingPass } from '../../storage/eviction/doubted-keys.ts';
import type { ReadThrough } from '../../storage/eviction/read-through.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import type { KeyName as StoredKeyName } from '../../storage/backends/key-names.ts';
import { type LongTurnLimits, mayHaveRun, TurnAside } from '../../storage/merging/long-turn.ts';
import { applyRecords } from '../../storage/merging/merge.ts';
import { checkRecords } from '../../storage/merging/record-check.ts';
import { RegisterScan } from '../../storage/digests/register-scan.ts';
import type { RelayedTurns } from '../../storage/flush/relayed-turns.ts';
import type { KeyspaceEvents } from '../pubsub/keyspace-events.ts';

/** How long one slice of a scan may hold the event loop; what is done with it comes on top. */
const SLICE_MS = 0.15;
/** How much may wait to be compared with what the stores have of keys: a peer that gives more is asked again. */
const TAKEN_BYTES_MAX = 64 << 20;

/** Where evicted keys are read back: what of ReadThrough counts here. */
type EvictedKeySource = Pick<ReadThrough, 'search' | 'doubted'>;

export class ReplicaAdapter implements Replica {
  readonly #keyspace: Keyspace;
  readonly #relayed: RelayedTurns;
  readonly #events: KeyspaceEvents | null;
  readonly #monotonicMs: () => number;
  readonly #evicted: EvictedKeySource | null;

  /** @param evicted reads evicted keys back; null where nothing does */
  constructor(
    keyspace: Keyspace,
    relayed: RelayedTurns,
    monotonicMs: () => number,
    events: KeyspaceEvents | null = null,
    evicted: EvictedKeySource | null = null,
  ) {
    this.#evicted = evicted;
    this.#keyspace = keyspace;
    this.#relayed = relayed;
    this.#events = events;
    this.#monotonicMs = monotonicMs;
  }

  /** What a peer streams it brings to MySQL itself; of a repair nobody knows. */
  applyRecords(records: Buffer, start: number, end: number, turn: StreamTurn | null, source: MergeSource): void {
    this.merge(turn, () => applyRecords(this.#keyspace, records, start, end, source));
  }

  /** Runs `work`, which merges the turn, or a part of a repair. */
  merge(turn: StreamTurn | null, work: () => void): void {
    const keyspace = this.#keyspace;
    if (turn !== null) this.#relayed.note(turn.incarnation, turn.stamp);
    keyspace.relaying = turn !== null;
    try {
      work();
    } finally {
      keyspace.relaying = false;
    }
    if (this.#events?.isOn === true) this.#events.raiseMerged();
  }

  startTurn(pieces: readonly Buffer[], start: number, end: number, limits: LongTurnLimits): LongTurn | null {
    if (pieces.length > 1) return new AdapterTurn(this, new TurnAside(this.#keyspace, pieces, limits));
    const [records] = pieces;
    if (!mayHaveRun(records, start, end, limits.elementsMin)) return null;
    const kept = Buffer.from(records.subarray(start, end));
    return new AdapterTurn(this, new TurnAside(this.#keyspace, [kept], limits));
  }

  observeStamp(hi: number, lo: number): void {
    this.#keyspace.clock.observe(hi, lo);
  }

  currentStamp(): Stamp {
    return { hi: this.#keyspace.clock.hi, lo: this.#keyspace.clock.lo };
  }

  nowMs(): number {
    return this.#keyspace.clock.refresh();
  }

  get digests(): Uint32Array {
    return this.#keyspace.digests.words;
  }

  groupDigests(): Uint32Array {
    return this.#keyspace.digests.groups();
  }

  get isDigested(): boolean {
    return this.#keyspace.digestStart === null;
  }

  keyCount(): number {
    let count = 0;
    for (const { index, evictedDigests } of this.#keyspace.databases) count += index.count + evictedDigests.count;
    return count;
  }

  startScan(): ReplicaScan {
    return new AdapterScan(this.#keyspace, this.#monotonicMs, this.#evicted);
  }

  startCells({ database, key, kind }: KeyName, bits: number): CellScan | null {
    const keyspace = this.#keyspace;
    if (keyspace.databases[database] === undefined) return null;
    const collection = comparableAt(keyspace, keyspace.find(keyspace.databases[database], key, 0, key.length));
    if (collection === null || keyKindOf(collection.type) !== kind) return null;
    return new AdapterCells(new CellDigests(keyspace, collection, bits), this.#monotonicMs);
  }

  startParts(parts: readonly KeyPart[]): RecordScan {
    const scan = new CellRecords(this.#keyspace, parts);
    const records: RecordScan['records'] = (_selection, writer, maxBytes) => {
      const endMs = this.#monotonicMs() + SLICE_MS;
      return scan.step(writer, maxBytes, () => this.#monotonicMs() >= endMs);
    };
    return { records, close: () => undefined };
  }

  startTaking(rule: TakeRule): Taking {
    return new AdapterTaking(this.#keyspace, rule, this.#evicted?.doubted ?? null);
  }

  get isSettled(): boolean {
    return this.#evicted?.doubted.isSettled !== false;
  }
}

class AdapterTurn implements LongTurn {
  readonly #adapter: ReplicaAdapter;
  readonly #aside: TurnAside;

  constructor(adapter: ReplicaAdapter, aside: TurnAside) {
    this.#adapter = adapter;
    this.#aside = aside;
  }

  step(): boolean {
    return this.#aside.step();
  }

  finish(turn: StreamTurn, source: MergeSource): void {
    this.#adapter.merge(turn, () => this.#aside.finish(source));
  }

  close(): void {
    this.#aside.close();
  }
}

/** Gathers the records of one key until the next one's begin. Those of a key that is not here are taken as they come. */
class AdapterTaking implements Taking {
  readonly #keyspace: Keyspace;
  readonly #rule: TakeRule;
  readonly #doubted: DoubtedKeys | null;
  readonly #seen: KeyTable;
  readonly #reader = new RecordReader();
  #parts: Buffer[] = [];
  #database = -1;
  /** The key that came last is #key[0, #keyLength). */
  #key: Buffer = Buffer.alloc(256);
  #keyLength = 0;
  #isNew = false;

  constructor(keyspace: Keyspace, rule: TakeRule, doubted: DoubtedKeys | null) {
    this.#keyspace = keyspace;
    this.#rule = rule;
    this.#doubted = doubted;
    this.#seen = new KeyTable(keyspace.clock.lo, false);
  }

  records(records: Buffer, start: number, end: number): void {
    checkRecords(this.#keyspace, records, start, end);
    const reader = this.#reader;
    let from = start;
    for (let at = start; at < end;) {
      const next = reader.read(records, at, end);
      const { kind, database, keyStart, keyLength } = reader;
      if (kind === KIND_FLOOR) {
        // It belongs to no key.
        this.#add(records, from, at);
        this.end();
        applyRecords(this.#keyspace, records, at, next);
        from = at = next;
        continue;
      }
      if (!this.#isAt(database, records, keyStart, keyLength)) {
        const isNew = this.#isMissing(database, records, keyStart, keyLength);
        // Keys that are not here are taken together: what is here of one need not be compared with all that comes of it.
        if (!isNew || !this.#isNew || this.#database < 0) {
          this.#add(records, from, at);
          this.end();
          from = at;
        }
        this.#begin(database, records, keyStart, keyLength, isNew);
      }
      at = next;
    }
    this.#add(records, from, end);
  }

  /** Whether the records that came last are of this key. */
  #isAt(database: number, records: Buffer, keyStart: number, keyLength: number): boolean {
    if (database !== this.#database || keyLength !== this.#keyLength) return false;
    return records.compare(this.#key, 0, keyLength, keyStart, keyStart + keyLength) === 0;
  }

  #isMissing(database: number, records: Buffer, keyStart: number, keyLength: number): boolean {
    const keyspace = this.#keyspace;
    const { evicted } = keyspace.databases[database];
    if (keyspace.find(keyspace.databases[database], records, keyStart, keyLength) !== 0) return false;
    return this.#doubted === null || !evicted.has(keyspace.hash);
  }

  #begin(database: number, records: Buffer, keyStart: number, keyLength: number, isNew: boolean): void {
    this.#database = database;
    this.#isNew = isNew;
    if (keyLength > this.#key.length) this.#key = Buffer.allocUnsafeSlow(keyLength * 2);
    records.copy(this.#key, 0, keyStart, keyStart + keyLength);
    this.#keyLength = keyLength;
    const { digests } = this.#keyspace;
    digests.hashKey(database, this.#key, 0, keyLength);
    this.#seen.set(digests.keyHi, digests.keyLo);
  }

  #add(records: Buffer, start: number, end: number): void {
    if (end === start) return;
    if (this.#isNew) takeNewKey(this.#keyspace, records, start, end, this.#rule.ownBoundOf);
    else this.#parts.push(Buffer.from(records.subarray(start, end)));
  }

  sawKey(hashHi: number, hashLo: number): boolean {
    return this.#seen.has(hashHi, hashLo);
  }

  end(): void {
    this.#database = -1;
    if (this.#parts.length === 0) return;
    const records = Buffer.concat(this.#parts);
    this.#parts = [];
    takeKey(this.#keyspace, records, this.#rule.boundOf, this.#rule.ownBoundOf);
    this.#doubt(records);
  }

  /** Of a key that was evicted the stores may have more, which is compared when it has been read back. */
  #doubt(records: Buffer): void {
    const doubted = this.#doubted;
    if (doubted === null) return;
    const keyspace = this.#keyspace;
    this.#reader.read(records, 0);
    const { database, keyStart, keyLength } = this.#reader;
    if (!keyspace.isPartial(keyspace.databases[database], records, keyStart, keyLength)) return;
    const key = Buffer.from(records.subarray(keyStart, keyStart + keyLength));
    doubted.addTaken({ database, key }, records, this.#rule.boundOf);
    if (doubted.takenBytes <= TAKEN_BYTES_MAX) return;
    const problem =
      'the stores give evicted keys slower than the state of the peer comes: it is taken again when they have';
    throw new PeerProtocolError(REFUSE_HORIZON, problem);
  }
}

class AdapterCells implements CellScan {
  readonly #digests: CellDigests;
  readonly #monotonicMs: () => number;

  constructor(digests: CellDigests, monotonicMs: () => number) {
    this.#digests = digests;
    this.#monotonicMs = monotonicMs;
  }

  get words(): Uint32Array {
    return this.#digests.words;
  }

  get isLost(): boolean {
    return this.#digests.isLost;
  }

  step(): boolean {
    const endMs = this.#monotonicMs() + SLICE_MS;
    while (this.#digests.step()) if (this.#monotonicMs() >= endMs) return true;
    return false;
  }
}

class AdapterScan implements ReplicaScan {
  readonly #keyspace: Keyspace;
  readonly #scan: RegisterScan;
  /** Where the walk over what is known of evicted keys stands, which follows the one over the keys. */
  #evictedDatabase = 0;
  #evictedTable = 0;
  readonly #monotonicMs: () => number;
  /** The key that is being told of; 0 for an evicted one. */
  #toldDatabase = 0;
  #toldRef = 0;

  readonly #evicted: EvictedKeySource | null;
  /** Keys that have come back from the stores since the summaries were begun, and the pass that deletes. */
  #arrivals: Map<string, StoredKeyName> | null = null;
  #pass: ForsakingPass | null = null;

  constructor(keyspace: Keyspace, monotonicMs: () => number, evicted: EvictedKeySource | null) {
    this.#evicted = evicted;
    this.#keyspace = keyspace;
    this.#scan = new RegisterScan(keyspace);
    this.#monotonicMs = monotonicMs;
  }

  summaries(buckets: Uint8Array, sink: SummarySink, maxKeys: number): boolean {
    const endMs = this.#monotonicMs() + SLICE_MS;
    const scan = this.#scan;
    const keyspace = this.#keyspace;
    this.#arrivals ??= this.#evicted?.doubted.beginArrivals() ?? null;
    let left = maxKeys;
    let more = true;
    while (more && left > 0 && this.#monotonicMs() < endMs) {
      more = scan.step((database, ref, hi, lo) => {
        if (buckets[hi >>> 16] === 0) return;
        keyspace.digestOf(keyspace.databases[database], ref);
        left--;
        this.#toldDatabase = database;
        this.#toldRef = ref;
        sink.key(hi, lo, keyspace.keyDigestHi, keyspace.keyDigestLo);
      });
    }
    this.#toldRef = 0;
    // After the others: what is evicted meanwhile is not missed.
    while (!more && this.#hasEvicted && left > 0 && this.#monotonicMs() < endMs) {
      this.#nextEvicted((evicted, table) =>
        evicted.visit(table, (hi, lo, digestHi, digestLo) => {
          if (buckets[hi >>> 16] === 0) return;
          left--;
          sink.key(hi, lo, digestHi, digestLo);
        }),
      );
    }
    return more || this.#hasEvicted || this.#tellArrivals(buckets, sink, left);
  }

  /** What has come back meanwhile is where the walk had passed, and not among the evicted keys any more. @returns whether there is more */
  #tellArrivals(buckets: Uint8Array, sink: SummarySink, maxKeys: number): boolean {
    const keyspace = this.#keyspace;
    const { databases, digests } = keyspace;
    let left = maxKeys;
    for (const [name, { database: number, key }] of this.#arrivals ?? []) {
      if (left-- <= 0) return true;
      this.#arrivals!.delete(name);
      const database = databases[number];
      const ref = keyspace.find(database, key, 0, key.length);
      digests.hashKey(number, key, 0, key.length);
      const { keyHi, keyLo } = digests;
      if (buckets[keyHi >>> 16] === 0) continue;
      if (ref !== 0) {
        keyspace.digestOf(database, ref);
        sink.key(keyHi, keyLo, keyspace.keyDigestHi, keyspace.keyDigestLo);
      } else if (database.evictedDigests.read(keyHi, keyLo)) {
        sink.key(keyHi, keyLo, database.evictedDigests.digestHi, database.evictedDigests.digestLo);
      }
    }
    return false;
  }

  largeKey(elementsMin: number): LargeKey | null {
    const keyspace = this.#keyspace;
    const collection = comparableAt(keyspace, this.#toldRef);
    if (collection === null || collection.count <= elementsMin) return null;
    keyspace.readKey(this.#toldRef);
    const { keyBuffer, keyStart, keyLength } = keyspace;
    if (keyLength > COMPARED_KEY_BYTES_MAX) return null;
    const key = Buffer.from(keyBuffer.subarray(keyStart, keyStart + keyLength));
    const kind = keyKindOf(collection.type);
    return { database: this.#toldDatabase, key, kind, elementCount: collection.count };
  }

  get #hasEvicted(): boolean {
    return this.#evictedDatabase < this.#keyspace.databases.length;
  }

  /** Takes the next table of what is known of evicted keys. */
  #nextEvicted(take: (evicted: EvictedDigests, table: number) => void): void {
    const { evictedDigests } = this.#keyspace.databases[this.#evictedDatabase];
    if (evictedDigests.count > 0) take(evictedDigests, this.#evictedTable++);
    if (evictedDigests.count > 0 && this.#evictedTable < EvictedDigests.tableCount) return;
    this.#evictedTable = 0;
    this.#evictedDatabase++;
  }

  records(selection: KeySelection, writer: RecordWriter, maxBytes: number): boolean {
    const endMs = this.#monotonicMs() + SLICE_MS;
    const scan = this.#scan;
    const { tombstonesAbove } = selection;
    scan.floors(writer);
    let more = true;
    while ((more || scan.hasUnfinished) && writer.length < maxBytes && this.#monotonicMs() < endMs) {
      if (scan.hasUnfinished) {
        scan.encodeUnfinished(writer, maxBytes, () => this.#monotonicMs() >= endMs);
        continue;
      }
      more = scan.step((database, ref, hi, lo) => {
        if (isSelected(selection, hi, lo)) scan.encode(database, ref, writer);
        else if (tombstonesAbove !== undefined) scan.encodeTombstones(database, ref, tombstonesAbove, writer);
      });
    }
    if (more || scan.hasUnfinished || tombstonesAbove !== undefined) return more || scan.hasUnfinished;
    while (this.#hasEvicted && this.#monotonicMs() < endMs) this.#askEvicted(selection);
    return this.#hasEvicted;
  }

  /** The peer lacks what is selected, and memory has nothing of evicted keys that it could give: the stores are searched. */
  #askEvicted(selection: KeySelection): void {
    const { digests } = this.#keyspace;
    const search = this.#evicted?.search ?? null;
    const isAsked = (hi: number, lo: number): boolean => isSelected(selection, hi, lo);
    const seek = search === null ? null : (hi: number, lo: number): boolean => search.seek(hi, lo);
    this.#nextEvicted((evicted, table) =>
      evicted.ask(table, isAsked, seek, (hashHi, _hashLo, hi, lo) => digests.toggleKey(hashHi, hi, lo)),
    );
  }

  forsake(selection: KeySelection, rule: TakeRule): boolean {
    const endMs = this.#monotonicMs() + SLICE_MS;
    const keyspace = this.#keyspace;
    const { boundOf } = rule;
    const doubted = isAnyForsaken(rule) ? (this.#evicted?.doubted ?? null) : null;
    if (this.#pass === null && doubted !== null) {
      this.#pass = { boundOf, isLacked: (hi, lo) => isSelected(selection, hi, lo) };
      doubted.beginPass(this.#pass);
    }
    let more = true;
    while (more && this.#monotonicMs() < endMs) {
      more = this.#scan.step((database, ref, hi, lo) => {
        if (!isSelected(selection, hi, lo)) return;
        if ((keyspace.flagsOf(ref) & PARTIAL) !== 0) doubted?.addLacked(hi, lo, boundOf);
        forsakeKey(keyspace, keyspace.databases[database], ref, boundOf);
      });
    }
    if (more || !isAnyForsaken(rule)) return more;
    while (this.#hasEvicted && this.#monotonicMs() < endMs) this.#forsakeEvicted(selection, boundOf);
    return this.#hasEvicted;
  }

  /** The peer lacks what is selected: none of it is counted any more, or given to anybody before it was read back and judged. */
  #forsakeEvicted(selection: KeySelection, boundOf: TakeRule['boundOf']): void {
    const { digests } = this.#keyspace;
    const goes = (hi: number, lo: number): boolean => isSelected(selection, hi, lo);
    this.#nextEvicted((evicted, table) =>
      evicted.drop(table, goes, (hashHi, hashLo, hi, lo) => {
        digests.toggleKey(hashHi, hi, lo);
        this.#evicted?.doubted.addLacked(hashHi, hashLo, boundOf);
      }),
    );
  }

  close(): void {
    if (this.#arrivals !== null) this.#evicted?.doubted.endArrivals(this.#arrivals);
    if (this.#pass !== null) this.#evicted?.doubted.endPass(this.#pass);
    this.#arrivals = this.#pass = null;
  }
}

function isSelected({ buckets, has }: KeySelection, hashHi: number, hashLo: number): boolean {
  const wanted = buckets[hashHi >>> 16];
  return wanted !== skipBucket && (wanted !== listedKeys || has(hashHi, hashLo));
}

/** Whether anything is deleted because the peer lacks it: no writer's bound is above that of one whom nobody knows. */
function isAnyForsaken({ boundOf }: TakeRule): boolean {
  const { hi, lo } = boundOf(0xffffffff, 0xffffffff);
  return (hi | lo) !== 0;
}
