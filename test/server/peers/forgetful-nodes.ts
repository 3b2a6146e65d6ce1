/** Nodes that run every command, hear from each other only when they are told to, and forget what was deleted. */
import { RecordWriter } from '../../../protocol/change-record.ts';
import { allCommands } from '../../../server/commands/all.ts';
import { CommandTable } from '../../../server/definitions/command-table.ts';
import { encodeKey } from '../../../storage/changes/encode.ts';
import { drainDirty, drainFeed } from '../../../storage/changes/outflow.ts';
import { installPacking } from '../../../storage/collections/packing.ts';
import { expireDueElements } from '../../../storage/collections/element-expiry.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import type { Keyspace } from '../../../storage/keyspace.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { Reaper } from '../../../storage/tombstones/reaper.ts';
import { encodeCommand, readReplies, type Reply } from '../../simulator/simulated-client.ts';
import { CommandHarness } from '../../support/command-harness.ts';

export type Command = readonly string[];

const commands = new CommandTable(allCommands);

class Node {
  readonly keyspace: Keyspace;
  readonly #harness: CommandHarness;
  readonly #reaper: Reaper;
  readonly #writer = new RecordWriter();
  /** What this node has written, a part for each command. */
  readonly sent: Buffer[] = [];

  constructor(number: number, wallClockMs: () => number) {
    const options = { nodeId: number * 10, wallClockMs, monotonicMs: () => 0, databases: 1, commands };
    this.#harness = new CommandHarness(allCommands, options);
    this.keyspace = this.#harness.keyspace;
    Object.assign(this.keyspace, { digesting: true, feeding: true, storing: true, isShared: true });
    installPacking(this.keyspace);
    this.#reaper = new Reaper(this.keyspace);
  }

  ask(command: Command): Reply {
    return readReplies(this.#harness.client.send(Buffer.from(encodeCommand(command), 'latin1')))[0];
  }

  run(command: Command): Reply {
    this.settle();
    const reply = this.ask(command);
    drainFeed(this.keyspace, this.#writer);
    const records = this.#writer.take();
    if (records.length > 0) this.sent.push(Buffer.from(records));
    return reply;
  }

  apply(records: Buffer): void {
    applyRecords(this.keyspace, records, 0, records.length);
  }

  /** Hides what is due. */
  settle(): void {
    this.keyspace.clock.refresh();
    while (expireDue(this.keyspace, 100));
    while (expireDueElements(this.keyspace, 100));
  }

  /** Stores what is dirty, in a store that keeps nothing. */
  store(): void {
    while (drainDirty(this.keyspace, this.#writer, 1 << 20) > 0) this.#writer.reset();
    this.#writer.reset();
  }

  sweep(): void {
    this.store();
    const { clock, databases } = this.keyspace;
    for (let seen = 0; seen <= databases[0].index.count; seen += 2000) this.#reaper.step(clock, clock, clock.nowMs);
  }

  stateOf(key: string): Buffer {
    const bytes = Buffer.from(key);
    const [database] = this.keyspace.databases;
    const ref = this.keyspace.find(database, bytes, 0, bytes.length);
    if (ref !== 0) encodeKey(this.keyspace, database, ref, this.#writer);
    return Buffer.from(this.#writer.take());
  }

  digestOf(key: string): string {
    const bytes = Buffer.from(key);
    const [database] = this.keyspace.databases;
    const ref = this.keyspace.find(database, bytes, 0, bytes.length);
    if (ref === 0) return '0:0';
    this.keyspace.digestOf(database, ref);
    return `${this.keyspace.keyDigestHi}:${this.keyspace.keyDigestLo}`;
  }

  /** What a client would read of the key. */
  shown(key: string): string {
    const type = this.ask(['TYPE', key]) as string;
    if (type === 'none') return type;
    return `${type} until ${String(this.ask(['PEXPIRETIME', key]))}: ${JSON.stringify(this.#valueOf(type, key))}`;
  }

  #valueOf(type: string, key: string): unknown {
    const read = (...command: string[]): string[] => this.ask(command) as string[];
    switch (type) {
      case 'string': {
        const text = this.ask(['GET', key]) as string;
        return text.startsWith('HYLL') ? this.ask(['PFCOUNT', key]) : text;
      }
      case 'hash': {
        const flat = read('HGETALL', key);
        const names = flat.filter((_text, at) => at % 2 === 0).sort();
        return names.map((name) => [
          name,
          this.ask(['HGET', key, name]),
          this.ask(['HPEXPIRETIME', key, 'FIELDS', '1', name]),
        ]);
      }
      case 'set':
        return read('SMEMBERS', key).sort();
      case 'zset':
        return read('ZRANGE', key, '0', '-1', 'WITHSCORES');
      case 'list':
        return read('LRANGE', key, '0', '-1');
      default:
        return read('XRANGE', key, '-', '+');
    }
  }
}

export class ForgetfulNodes {
  readonly nodes: Node[];
  nowMs = 1_700_000_000_000;
  /** How many parts of another node's each has heard. */
  readonly #heard: number[][];
  repairs = 0;

  constructor(count: number) {
    this.nodes = Array.from({ length: count }, (_none, index) => new Node(index + 1, () => this.nowMs));
    this.#heard = this.nodes.map(() => this.nodes.map(() => 0));
  }

  /** A node hears what another one has written since. */
  deliver(from: number, to: number): void {
    const { sent } = this.nodes[from];
    for (; this.#heard[to][from] < sent.length; this.#heard[to][from]++) {
      this.nodes[to].apply(sent[this.#heard[to][from]]);
    }
  }

  /** All hear of everything, in this order of pairs; then of the keys that differ all that each has of them. */
  meet(pairs: readonly (readonly [number, number])[], keys: readonly string[]): void {
    this.nowMs += 1;
    for (const [from, to] of pairs) this.deliver(from, to);
    for (const node of this.nodes) node.settle();
    for (let round = 0; round < 3 && keys.some((key) => !this.isAlike(key)); round++) {
      this.repairs++;
      for (const [from, to] of pairs) this.#repair(from, to, keys);
    }
    for (const node of this.nodes) node.store();
  }

  #repair(from: number, to: number, keys: readonly string[]): void {
    if (from > to) return;
    const [a, b] = [this.nodes[from], this.nodes[to]];
    for (const key of keys) {
      if (a.digestOf(key) === b.digestOf(key)) continue;
      const [ofA, ofB] = [a.stateOf(key), b.stateOf(key)];
      b.apply(ofA);
      a.apply(ofB);
    }
  }

  isAlike(key: string): boolean {
    return new Set(this.nodes.map((node) => node.digestOf(key))).size === 1;
  }

  /** A node forgets what was deleted and what has lapsed. All have heard of it. */
  forget(index: number): void {
    this.nowMs += 1;
    for (let sweep = 0; sweep < 2; sweep++) {
      this.nowMs += 1;
      for (const node of this.nodes) node.settle();
      this.nodes[index].sweep();
    }
  }
}
