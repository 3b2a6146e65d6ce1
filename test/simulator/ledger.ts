/** Everything that the nodes have ever published, and which of it a crash has rightly taken away. */
import { FLAG_DEAD, KIND_FLOOR, RecordReader } from '../../protocol/change-record.ts';
import { KIND_KEY_FLOOR } from '../../protocol/collection-kinds.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import type { Stamp } from '../../replication/replica.ts';
import { type Holder, Reference } from './reference.ts';
import { LAPSE_MS } from './schedule.ts';

/** What one node wrote in one turn of its event loop. */
export interface Turn {
  readonly number: number;
  readonly node: number;
  /** Which run of the node, from its start to its end. */
  readonly run: number;
  readonly atMs: number;
  readonly stamp: Stamp;
  readonly records: Buffer[];
  /** Records that nobody holds any more, by their number. */
  readonly lost: Set<number>;
  /** Keys, with their database, of lost records. */
  readonly lostKeys: Set<string>;
  /** Requests in it whose replies have not come. */
  unanswered: number;
  /** Its node has said that MySQL has it. */
  isBrought: boolean;
  /** When it was first found that a peer has acknowledged it; null while none has. */
  heardAtMs: number | null;
}

export interface RecordFacts {
  readonly database: number;
  readonly key: Buffer;
  readonly kind: number;
  readonly flags: number;
  readonly deadlineMs: number;
}

interface RunTurns {
  readonly turns: Turn[];
  /** For each other node, how many of them were looked at. */
  readonly checked: number[];
}

/** What a node wrote, and nobody heard of for so long, it wrote while it was cut off. */
const UNHEARD_MS = 1000;

/** Each turn is looked for at some of the other nodes. */
const CHECKED_ONE_IN = 8;

const reader = new RecordReader();
/** What was published is asked about again and again. */
const factsKnown = new WeakMap<Buffer, RecordFacts>();

/** @param record never changes */
export function factsOf(record: Buffer): RecordFacts {
  const known = factsKnown.get(record);
  if (known !== undefined) return known;
  reader.read(record, 0);
  const { database, kind, flags, deadlineMs, keyStart, keyLength } = reader;
  const facts = { database, kind, flags, deadlineMs, key: record.subarray(keyStart, keyStart + keyLength) };
  factsKnown.set(record, facts);
  return facts;
}

export function isRemovalRecord(record: Buffer): boolean {
  const { kind, flags } = factsOf(record);
  return (flags & FLAG_DEAD) !== 0 || kind === KIND_KEY_FLOOR || kind === KIND_FLOOR;
}

/** The key that a record is of, with its database. */
function nameOf(record: Buffer): string {
  const { database, key } = factsOf(record);
  return `${database}/${key.toString('latin1')}`;
}

export class Ledger {
  readonly turns: Turn[] = [];
  /** The same of each run of a node, in their order, which is that of their stamps. */
  readonly #ofRun = new Map<string, RunTurns>();
  readonly #judge = new Reference(false);
  /** By node, in their order: the turns that no peer has acknowledged yet. */
  readonly #unheard = new Map<number, Turn[]>();
  lostCount = 0;

  note(node: number, run: number, atMs: number, stamp: Stamp, records: Buffer): Turn {
    const copy = Buffer.from(records);
    const parts: Buffer[] = [];
    for (let at = 0; at < copy.length;) {
      const end = at + copy.readUInt32LE(at);
      parts.push(copy.subarray(at, end));
      at = end;
    }
    const turn = {
      number: this.turns.length,
      node,
      run,
      atMs,
      stamp,
      records: parts,
      lost: new Set<number>(),
      lostKeys: new Set<string>(),
    };
    const whole: Turn = { ...turn, unanswered: 0, isBrought: false, heardAtMs: null };
    this.turns.push(whole);
    this.#turnsOf(node, run).turns.push(whole);
    const unheard = this.#unheard.get(node);
    if (unheard === undefined) this.#unheard.set(node, [whole]);
    else unheard.push(whole);
    return whole;
  }

  /** A peer has acknowledged what a node wrote up to a stamp, also before it was started again. */
  heard(node: number, upTo: Stamp, atMs: number): void {
    const unheard = this.#unheard.get(node) ?? [];
    const count = unheard.findIndex(({ stamp }) => compareStamp(stamp.hi, stamp.lo, upTo.hi, upTo.lo) > 0);
    for (const turn of unheard.splice(0, count < 0 ? unheard.length : count)) turn.heardAtMs = atMs;
  }

  /** Whether this holder has the record or something that outdoes it. */
  isHeld(record: Buffer, holder: Holder): boolean {
    const { database, key } = factsOf(record);
    return !this.#judge.wouldChange(holder.dump(database, key), record);
  }

  /** Whether what a holder has would show something else by this record. */
  wouldShow(record: Buffer, holder: Holder): boolean {
    const { database, key } = factsOf(record);
    return this.#judge.wouldShow(holder.dump(database, key), record);
  }

  /** Whether one holder has something that a node wrote, and another one has not. */
  hasMore(node: number, holder: Holder, other: Holder): boolean {
    const records = this.turns.filter((turn) => turn.node === node).flatMap((turn) => turn.records);
    return records.some((record) => !this.isHeld(record, other) && this.isHeld(record, holder));
  }

  /**
   * After a crash: of the turns that it may have taken away, notes the records that nobody holds any more.
   * @returns the turns that have lost something
   */
  judge(mayBeLost: (turn: Turn) => boolean, holders: readonly Holder[]): Turn[] {
    const hit = new Set<Turn>();
    for (const group of this.#byKey(mayBeLost).values()) {
      const { database, key } = factsOf(group.keys().next().value!);
      let missing = [...group.keys()];
      for (const holder of holders) {
        if (missing.length === 0) break;
        missing = this.#judge.changing(holder.dump(database, key), missing);
      }
      for (const record of missing) {
        // A removal may be forgotten once nothing that it removed is anywhere; a database's floor never is.
        const isRemoval = isRemovalRecord(record) && factsOf(record).kind !== KIND_FLOOR;
        if (isRemoval && !holders.some((holder) => this.#judge.wouldShow(holder.dump(database, key), record))) continue;
        const turn = group.get(record)!;
        turn.lost.add(turn.records.indexOf(record));
        turn.lostKeys.add(nameOf(record));
        this.lostCount++;
        hit.add(turn);
      }
    }
    return [...hit].sort((a, b) => a.number - b.number);
  }

  /** The records of some turns that are not lost, each with its turn, by what they are about. */
  #byKey(mayBeLost: (turn: Turn) => boolean): Map<string, Map<Buffer, Turn>> {
    const groups = new Map<string, Map<Buffer, Turn>>();
    for (const turn of this.turns) {
      if (!mayBeLost(turn)) continue;
      for (let index = 0; index < turn.records.length; index++) {
        if (turn.lost.has(index)) continue;
        const record = turn.records[index];
        const name = nameOf(record);
        const group = groups.get(name) ?? new Map<Buffer, Turn>();
        groups.set(name, group.set(record, turn));
      }
    }
    return groups;
  }

  /**
   * All that was not lost, merged.
   * @param lapseMs how late keys lapse there
   * @param isForgetful a key past its deadline is forgotten when it is written anew
   */
  merged(epochMs: number, lapseMs = LAPSE_MS, isForgetful = false): Reference {
    const reference = new Reference(true);
    for (const { atMs, records, lost } of this.turns) {
      reference.lapse(epochMs + atMs - lapseMs);
      const kept = lost.size === 0 ? records : records.filter((_record, index) => !lost.has(index));
      if (isForgetful) for (const record of kept) reference.forgetExpired(record);
      if (kept.length > 0) reference.apply(Buffer.concat(kept));
    }
    return reference;
  }

  /** The nodes that wrote to some keys (with their databases) while they were cut off. */
  cutOff(names: ReadonlySet<string>): number[] {
    const wrote = this.turns.filter(({ atMs, heardAtMs, records }) => {
      if (heardAtMs !== null && heardAtMs - atMs <= UNHEARD_MS) return false;
      return records.some((record) => names.has(nameOf(record)));
    });
    return [...new Set(wrote.map(({ node }) => node))];
  }

  /**
   * What was written to some keys, and not lost, merged in the order in which others came to hear of it: what one node wrote comes
   * when somebody else had it, which may be after the keys had lapsed there.
   */
  mergedLate(names: ReadonlySet<string>, lateNode: number, epochMs: number, lapseMs: number): Reference {
    const reference = new Reference(true);
    const endMs = this.turns.at(-1)?.atMs ?? 0;
    const comesAtMs = ({ node, atMs, heardAtMs }: Turn): number => (node === lateNode ? (heardAtMs ?? endMs) : atMs);
    for (const turn of this.turns.toSorted((a, b) => comesAtMs(a) - comesAtMs(b) || a.number - b.number)) {
      const kept = turn.records.filter(
        (record, index) => !turn.lost.has(index) && (names.has(nameOf(record)) || factsOf(record).kind === KIND_FLOOR),
      );
      if (kept.length === 0) continue;
      reference.lapse(epochMs + comesAtMs(turn) - lapseMs);
      reference.apply(Buffer.concat(kept));
    }
    return reference;
  }

  #turnsOf(node: number, run: number): RunTurns {
    const name = `${node}/${run}`;
    const known = this.#ofRun.get(name);
    if (known !== undefined) return known;
    const made: RunTurns = { turns: [], checked: [] };
    this.#ofRun.set(name, made);
    return made;
  }

  /** Some of the turns of a node's run up to a stamp that were not checked at another one yet; they count as checked from now on. */
  unchecked(node: number, run: number, upTo: Stamp, other: number): Turn[] {
    const { turns, checked } = this.#turnsOf(node, run);
    const found: Turn[] = [];
    let at = checked[other] ?? 0;
    for (; at < turns.length && compareStamp(turns[at].stamp.hi, turns[at].stamp.lo, upTo.hi, upTo.lo) <= 0; at++) {
      if ((turns[at].number + other) % CHECKED_ONE_IN === 0) found.push(turns[at]);
    }
    checked[other] = at;
    return found;
  }
}
