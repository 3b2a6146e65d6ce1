/** A count of what clients were promised that knows nothing of stamps, merging or replication. */
import type { Turn } from './ledger.ts';
import { isError } from './replies.ts';
import type { Reply } from './simulated-client.ts';
import { ownRecords } from './wholes.ts';
import type { Command } from './workload.ts';

/** One write of the kind that nobody else can undo. */
export interface Promised {
  readonly command: Command;
  readonly node: number;
  /** The turn that it left in; null while it has not. */
  turn: Turn | null;
  /** Its reply; undefined while there is none. */
  reply: Reply | undefined;
  /** It was in memory only when its node crashed. */
  isForgotten: boolean;
  /** What it was run with, in one transaction or script: all of that leaves in one turn. Itself alone for most. */
  readonly whole: Promised[];
}

/** What was run as one, and has left in one turn. */
export interface Whole {
  readonly turn: Turn;
  /** What nobody else writes. */
  readonly own: readonly Buffer[];
}

/** What a node shows, as the checks ask for it. */
export interface Shown {
  get(key: string): string | null;
  fields(key: string): Map<string, string>;
  members(key: string): Set<string>;
  elements(key: string): string[];
  entries(key: string): string[];
  scores(key: string): Map<string, string>;
  /** PFCOUNT. */
  count(keys: readonly string[]): number;
}

const promisedKeys =
  /^(mark|carried|gone|brief|count|counts|members|fields|roll|log|stream|shelf|done|scores|seen|passing|tide)(:|$)/;

export class Promises {
  readonly #all: Promised[] = [];
  #unpublished: Promised[] = [];
  readonly #delivered = new Set<string>();
  #wholes: Whole[] = [];

  static covers(command: Command): boolean {
    return command.length > 1 && promisedKeys.test(command[1]);
  }

  /**
   * A command is run; its reply comes with `answer`.
   * @param whole what was noted before of the same transaction or script
   */
  note(node: number, command: Command, whole: Promised[] = []): Promised {
    const promised: Promised = { command, node, turn: null, reply: undefined, isForgotten: false, whole };
    whole.push(promised);
    this.#all.push(promised);
    this.#unpublished.push(promised);
    return promised;
  }

  /** A node's turn has left it. @returns what is wrong with it; null when nothing is */
  published(node: number, turn: Turn): string | null {
    const wholes = new Set<Promised[]>();
    this.#unpublished = this.#unpublished.filter((promised) => {
      if (promised.node !== node) return true;
      promised.turn = turn;
      turn.unanswered += promised.reply === undefined ? 1 : 0;
      if (promised.whole.length > 1) wholes.add(promised.whole);
      return false;
    });
    let torn: string | null = null;
    for (const whole of wholes) {
      const commands = whole.map(({ command }) => command);
      const { own, missingCount } = ownRecords(commands, turn.records);
      if (own.length > 1) this.#wholes.push({ turn, own });
      if (own.length > 0 && missingCount > 0)
        torn ??= `only a part of what node ${node + 1} ran as one left it in one turn: ${commands.map((one) => one.join(' ')).join(', ')}`;
    }
    return torn;
  }

  /** What the last transactions and scripts of a node's run have written. */
  lastWholes(node: number, run: number, sinceMs: number): Whole[] {
    this.#wholes = this.#wholes.filter(({ turn }) => turn.atMs >= sinceMs);
    return this.#wholes.filter(({ turn }) => turn.node === node && turn.run === run);
  }

  answer(promised: Promised, reply: Reply): void {
    promised.reply = reply;
    if (promised.turn !== null) promised.turn.unanswered--;
  }

  /** What a node had not published yet is gone with it. */
  crashed(node: number): void {
    this.#unpublished = this.#unpublished.filter((promised) => {
      if (promised.node !== node) return true;
      promised.isForgotten = true;
      return false;
    });
  }

  /** Whether it must hold: it was acknowledged, and nothing rightly took it away. */
  #isCertain({ command, turn, reply, isForgotten }: Promised): boolean {
    return !isForgotten && reply !== undefined && !isError(reply) && turn?.lostKeys.has(`0/${command[1]}`) !== true;
  }

  /**
   * Entries that a group has given a reader, which it never gives twice while its node runs.
   * @returns what is wrong; null when nothing is
   */
  delivered(node: number, run: number, command: Command, reply: Reply): string | null {
    if (command[0] !== 'XREADGROUP' || command.at(-2) !== 'stream' || !Array.isArray(reply)) return null;
    for (const [, entries] of reply as [string, [string, Reply][]][]) {
      for (const [id] of entries) {
        const name = `${node} ${run} ${id}`;
        if (this.#delivered.has(name)) return `the entry ${id} was delivered twice by node ${node + 1}`;
        this.#delivered.add(name);
      }
    }
    return null;
  }

  /**
   * What is wrong with what a node shows at the end; null when nothing is.
   * @param estimate how many of these a HyperLogLog that has seen them counts
   */
  broken(shown: Shown, estimate: (elements: string[]) => number): string | null {
    return (
      this.#brokenMarks(shown) ??
      this.#brokenCarried(shown) ??
      this.#brokenCounts(shown) ??
      this.#brokenCollections(shown) ??
      this.#brokenShelf(shown) ??
      this.#brokenSeen(shown, estimate) ??
      this.#brokenPassing(shown) ??
      this.#brokenTides(shown)
    );
  }

  #of(name: string, key: RegExp): Promised[] {
    return this.#all.filter(({ command }) => command[0] === name && key.test(command[1]));
  }

  #brokenMarks(shown: Shown): string | null {
    for (const promised of this.#of('SET', /^mark:/)) {
      const [, key, value] = promised.command;
      const there = shown.get(key);
      if (there !== value && (there !== null || this.#isCertain(promised))) return `${key} is ${there}, not ${value}`;
    }
    for (const { command } of this.#of('SET', /^brief:/)) {
      if (shown.get(command[1]) !== null) return `${command[1]} is alive past its deadline`;
    }
    const deleted = new Map(this.#of('DEL', /^gone:/).map((promised) => [promised.command[1], promised]));
    for (const promised of this.#of('SET', /^gone:/)) {
      const key = promised.command[1];
      const end = deleted.get(key);
      const isThere = shown.get(key) !== null;
      if (end === undefined || (end.reply === 0 && !end.isForgotten)) {
        if (!isThere && this.#isCertain(promised)) return `${key} is not there, and nobody deleted it`;
      } else if (isThere && end.reply === 1 && this.#isCertain(end)) {
        return `${key} was deleted, and is there again`;
      }
    }
    return null;
  }

  /** What a script has read and written under another key is what it has told of. */
  #brokenCarried(shown: Shown): string | null {
    for (const promised of this.#of('SET', /^carried:/)) {
      const { reply, command } = promised;
      if (typeof reply !== 'string' || isError(reply)) continue;
      const there = shown.get(command[1]);
      if (there !== reply && (there !== null || this.#isCertain(promised)))
        return `${command[1]} is ${there}, and the script has told of ${reply}`;
    }
    return null;
  }

  #brokenCounts(shown: Shown): string | null {
    const sums = new Map<string, { least: number; most: number }>();
    const add = (name: string, promised: Promised, amount: number): void => {
      const sum = sums.get(name) ?? { least: 0, most: 0 };
      sums.set(name, sum);
      if (isError(promised.reply)) return;
      sum.most += amount;
      if (this.#isCertain(promised)) sum.least += amount;
    };
    for (const one of this.#of('INCRBY', /^count:/)) add(one.command[1], one, Number(one.command[2]));
    for (const one of this.#of('HINCRBY', /^counts$/)) add(`counts/${one.command[2]}`, one, Number(one.command[3]));
    for (const one of this.#of('ZINCRBY', /^scores$/)) add(`scores/${one.command[3]}`, one, Number(one.command[2]));
    const fields = shown.fields('counts');
    const scores = shown.scores('scores');
    for (const [name, { least, most }] of sums) {
      const [of, member] = name.split('/');
      const text = member === undefined ? shown.get(name) : (of === 'counts' ? fields : scores).get(member);
      const value = Number(text ?? 0);
      if (!(value >= least && value <= most)) return `${name} is ${value}, and not from ${least} to ${most}`;
    }
    return null;
  }

  #brokenCollections(shown: Shown): string | null {
    const fields = shown.fields('fields');
    for (const one of this.#of('HSET', /^fields$/)) {
      const [, , field, value] = one.command;
      if (fields.get(field) !== value && this.#isCertain(one)) return `field ${field} is ${fields.get(field)}`;
    }
    const members = shown.members('members');
    for (const one of this.#of('SADD', /^members$/)) {
      if (!members.has(one.command[2]) && this.#isCertain(one)) return `member ${one.command[2]} is missing`;
    }
    const roll = new Set(shown.elements('roll'));
    for (const one of this.#of('ZADD', /^roll$/)) {
      if (!roll.has(one.command[3]) && this.#isCertain(one)) return `${one.command[3]} is missing in the sorted set`;
    }
    const log = shown.elements('log');
    const inserted = this.#of('LINSERT', /^log$/).filter(({ reply }) => typeof reply === 'number' && reply > 0);
    return (
      this.#brokenOrder('list', this.#of('RPUSH', /^log$/), log, 2) ??
      this.#brokenOrder('list', inserted, log, 4) ??
      this.#brokenSequence(log) ??
      this.#brokenOrder('stream', this.#of('XADD', /^stream$/), shown.entries('stream'), 4)
    );
  }

  /** Every element is there once. */
  #brokenOrder(what: string, all: Promised[], there: string[], at: number): string | null {
    const once = new Set(there);
    if (once.size < there.length) return `the ${what} has an element twice`;
    for (const one of all) {
      if (!once.has(one.command[at]) && this.#isCertain(one)) return `${one.command[at]} is missing in the ${what}`;
    }
    return null;
  }

  /** What one node has pushed while it ran stands in that order. */
  #brokenSequence(log: string[]): string | null {
    const places = new Map(log.map((element, at) => [element, at]));
    const last = new Map<string, string>();
    for (const one of this.#of('RPUSH', /^log$/)) {
      if (one.turn === null || !this.#isCertain(one)) continue;
      const name = `${one.node} ${one.turn.run}`;
      const before = last.get(name);
      const element = one.command[2];
      last.set(name, element);
      if (before !== undefined && places.get(before)! > places.get(element)!)
        return `${element} comes before ${before} in the list, and was pushed after it`;
    }
    return null;
  }

  /** What was moved from one list to another is in one of them, or in both where two nodes moved it. */
  #brokenShelf(shown: Shown): string | null {
    const isTorn = this.#all.some(({ turn }) => turn?.lostKeys.has('0/done') === true);
    if (isTorn) return null;
    const there = new Set([...shown.elements('shelf'), ...shown.elements('done')]);
    for (const one of this.#of('RPUSH', /^shelf$/)) {
      const element = one.command[2];
      if (!there.has(element) && this.#isCertain(one)) return `${element} is on neither of the two lists`;
    }
    return null;
  }

  /** A HyperLogLog counts what all nodes have added, and several count as their union. */
  #brokenSeen(shown: Shown, estimate: (elements: string[]) => number): string | null {
    const all = this.#of('PFADD', /^seen:/);
    const keys = [...new Set(all.map(({ command }) => command[1]))];
    for (const some of [...keys.map((key) => [key]), keys]) {
      if (some.length === 0) continue;
      const added = all.filter(({ command, reply }) => some.includes(command[1]) && !isError(reply));
      const least = estimate(added.filter((one) => this.#isCertain(one)).map(({ command }) => command[2]));
      const most = estimate(added.map(({ command }) => command[2]));
      const count = shown.count(some);
      if (!(count >= least && count <= most))
        return `${some.join(' ')} count ${count}, and not from ${least} to ${most}`;
    }
    return null;
  }

  /** Fields that were given a deadline are gone, the others are there. */
  #brokenPassing(shown: Shown): string | null {
    const fields = shown.fields('passing');
    const ended = new Map(this.#of('HPEXPIRE', /^passing$/).map((one) => [one.command.at(-1)!, one]));
    for (const one of this.#of('HSET', /^passing$/)) {
      const field = one.command[2];
      const end = ended.get(field);
      if (end === undefined) {
        if (!fields.has(field) && this.#isCertain(one)) return `field ${field} is gone, and was given no deadline`;
      } else if (fields.has(field) && this.#isCertain(end) && Array.isArray(end.reply) && end.reply[0] === 1) {
        return `field ${field} is there past its deadline`;
      }
    }
    return null;
  }

  /**
   * A key that has lapsed is gone. Where it is made anew by the node that gave it its deadline, it has nothing of what it had
   * before, also not from a node whose clock was behind.
   */
  #brokenTides(shown: Shown): string | null {
    const writes = this.#of('HSET', /^tide:/);
    for (const end of this.#of('PEXPIRE', /^tide:/)) {
      const key = end.command[1];
      if (end.reply !== 1 || !this.#isCertain(end)) continue;
      const anew = writes.find(({ command }) => command[1] === key && command[2] === 'new');
      const asked = this.#of('HEXISTS', /^tide:/).find(({ command }) => command[1] === key);
      const fields = shown.fields(key);
      if (anew === undefined) {
        if (fields.size > 0) return `${key} is alive past its deadline`;
      } else if (asked?.reply === 0 && this.#isCertain(anew)) {
        const isSameRun = anew.turn !== null && end.turn?.node === anew.turn.node && end.turn.run === anew.turn.run;
        if (isSameRun && fields.has('old')) return `${key} has what it had before it lapsed`;
      }
    }
    return null;
  }
}
