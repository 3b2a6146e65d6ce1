/** Whether stores have what they have to: when a write is acknowledged, when a node crashes after it, and at the end. */
import { RecordReader } from '../../protocol/change-record.ts';
import { compareVersions } from '../../protocol/register-order.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import type { Stamp } from '../../replication/replica.ts';
import { factsOf, isRemovalRecord, type Ledger, type Turn } from './ledger.ts';
import type { Promised, Whole } from './promises.ts';
import { diskOf, rowsOf } from './losses.ts';
import { describeRecords, dumpKey, withoutBatchFlags } from './reference.ts';
import { isDurable, isError, type Stores } from './replies.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { registerIdOf } from './simulated-database.ts';

/** Commands that have always written something when their reply is no error. */
const writing = new Set(['SET', 'INCRBY', 'HINCRBY', 'SADD', 'HSET', 'ZADD', 'RPUSH', 'ZINCRBY', 'XADD']);

/** A key that is written once, was acknowledged and is on its node's disk from then on. */
interface Vow {
  readonly node: SimulatedNode;
  readonly key: string;
}

export class Vows {
  readonly #stores: Stores;
  readonly #ledger: Ledger;
  readonly #vows: Vow[] = [];
  readonly #given = new RecordReader();
  readonly #held = new RecordReader();

  constructor(stores: Stores, ledger: Ledger) {
    this.#stores = stores;
    this.#ledger = ledger;
  }

  /** A key that is written once was acknowledged as durable. */
  note(node: SimulatedNode, key: string): void {
    if (this.#stores.schedule.durability === 'always') this.#vows.push({ node, key });
  }

  /** What a crash has taken from a node's disk that it had acknowledged; null when nothing. */
  brokenAtCrash(node: SimulatedNode): string | null {
    const lost = this.#vows.find((vow) => vow.node === node && !isDurable(this.#stores, node, vow.key));
    return lost === undefined ? null : `${node.host} has acknowledged ${lost.key}, which a crash took from its disk`;
  }

  /** What a node ran as one and a crash has left on its disk in part; null when nothing. */
  tornAtCrash(node: SimulatedNode, wholes: readonly Whole[]): string | null {
    if (wholes.length === 0 || !this.#stores.schedule.hasDisk) return null;
    const disk = diskOf(node);
    for (const { own, turn } of wholes) {
      const left = own.filter((record) => this.#ledger.isHeld(record, disk));
      if (left.length === 0 || left.length === own.length) continue;
      const names = own.map((record) => `${nameOf(record)}${left.includes(record) ? '' : ' (lost)'}`);
      return `a crash of ${node.host} has left a part of what was run as one ${turn.atMs}: ${names.join(', ')}`;
    }
    return null;
  }

  /** What was acknowledged just now and is not where it has to be, of all that left in the same turns; null when nothing. */
  brokenAtReply(node: SimulatedNode, promised: readonly (Promised | null)[]): string | null {
    const { durability, hasDisk } = this.#stores.schedule;
    if (durability !== 'mysql' && (durability !== 'always' || !hasDisk)) return null;
    const turns = new Set<Turn>();
    for (const one of promised) {
      if (one === null || one.turn === null || !writing.has(one.command[0])) continue;
      if (isError(one.reply)) continue;
      if (one.turn.run === node.starts) turns.add(one.turn);
    }
    for (const turn of turns) {
      if (durability === 'always' && this.#isInJournal(node, turn)) continue;
      const isMysql = durability === 'mysql';
      const missing = turn.records.find(
        (record) => !this.#isThere(node, record, isMysql) && !(isMysql && this.#wasForgotten(record, turn)),
      );
      if (missing === undefined) continue;
      return `what ${node.host} wrote to ${nameOf(missing)} was acknowledged, and is not where durability ${durability} promises:\n${describeRecords(missing).join()}`;
    }
    return null;
  }

  /** What a node has told others that MySQL has of its writes, and is not there; null when nothing. */
  brokenAtProgress(node: SimulatedNode, { hi, lo }: Stamp): string | null {
    for (const turn of this.#ledger.turns) {
      if (turn.isBrought || turn.node !== node.number - 1 || turn.run !== node.starts) continue;
      if (compareStamp(turn.stamp.hi, turn.stamp.lo, hi, lo) > 0) break;
      turn.isBrought = true;
      // It may have been forgotten there since, on behalf of another node.
      const missing = turn.records.find(
        (record) => !this.#isThere(node, record, true) && !this.#stores.database.wasRemoved(record, turn.atMs),
      );
      if (missing !== undefined)
        return `${node.host} says that MySQL has what it wrote to ${nameOf(missing)}, and it has not:\n${describeRecords(missing).join()}`;
    }
    return null;
  }

  /**
   * Whether a removal was in the database and has been taken out since, as one that nobody needs. A list that is made anew tells of
   * its floor again while a vacuum on another node is under way with the list as it was: elements that come are newer, and nothing
   * that the floor removed is in the table any more.
   */
  #wasForgotten(record: Buffer, { atMs }: Turn): boolean {
    if (!isRemovalRecord(record) || !this.#stores.database.wasRemoved(record, atMs)) return false;
    return !this.#ledger.wouldShow(record, rowsOf(this.#stores));
  }

  #isInJournal(node: SimulatedNode, turn: Turn): boolean {
    const bytes = Buffer.concat(turn.records);
    return node.disk.journal.records().some((records) => records.includes(bytes));
  }

  #isThere(node: SimulatedNode, record: Buffer, isMysql: boolean): boolean {
    const { database } = this.#stores;
    this.#given.read(record, 0);
    const id = registerIdOf(this.#given);
    const held = isMysql ? database.rows.get(id) : node.disk.durableValue(`r${id}`)?.subarray(4);
    if (held !== undefined) {
      this.#held.read(held, 0);
      if (compareVersions(this.#given, this.#held) <= 0) return true;
    }
    // What was changed since in memory need not have come to a store before that.
    const { key, database: number } = factsOf(record);
    if (node.runtime === null || !dumpKey(node.runtime.keyspace, number, key).includes(withoutBatchFlags(record)))
      return true;
    return this.#ledger.isHeld(record, isMysql ? rowsOf(this.#stores) : diskOf(node));
  }
}

function nameOf(record: Buffer): string {
  return factsOf(record).key.toString('latin1');
}
