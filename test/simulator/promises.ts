/** A count of what clients were promised that knows nothing of stamps, merging or replication. */
import type { Turn } from './ledger.ts';
import type { Reply } from './simulated-client.ts';
import type { Command } from './workload.ts';

/** One write of the kind that nobody else can undo. */
interface Promised {
  readonly command: Command;
  readonly node: number;
  /** The turn that it left in; null while it has not. */
  turn: Turn | null;
  /** Its reply; undefined while there is none. */
  reply: Reply | undefined;
  /** It was in memory only when its node crashed. */
  isForgotten: boolean;
}

/** What a node shows, as the checks ask for it. */
export interface Shown {
  get(key: string): string | null;
  fields(key: string): Map<string, string>;
  members(key: string): Set<string>;
  elements(key: string): string[];
  entries(key: string): string[];
}

const promisedKeys = /^(mark|gone|brief|count|counts|members|fields|roll|log|stream)(:|$)/;

function isError(reply: Reply | undefined): boolean {
  return typeof reply === 'string' && reply.startsWith('-');
}

export class Promises {
  readonly #all: Promised[] = [];
  #unpublished: Promised[] = [];

  static covers(command: Command): boolean {
    return command.length > 1 && promisedKeys.test(command[1]);
  }

  /** A command was run; its reply comes with `answer`. */
  note(node: number, command: Command): Promised {
    const promised: Promised = { command, node, turn: null, reply: undefined, isForgotten: false };
    this.#all.push(promised);
    this.#unpublished.push(promised);
    return promised;
  }

  /** A node's turn has left it. */
  published(node: number, turn: Turn): void {
    this.#unpublished = this.#unpublished.filter((promised) => {
      if (promised.node !== node) return true;
      promised.turn = turn;
      turn.unanswered += promised.reply === undefined ? 1 : 0;
      return false;
    });
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

  /** What is wrong with what a node shows at the end; null when nothing is. */
  broken(shown: Shown): string | null {
    const marks = this.#brokenMarks(shown);
    return marks ?? this.#brokenCounts(shown) ?? this.#brokenCollections(shown);
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
    const fields = shown.fields('counts');
    for (const [name, { least, most }] of sums) {
      const text = name.startsWith('counts/') ? fields.get(name.slice(7)) : shown.get(name);
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
    return (
      this.#brokenOrder('list', this.#of('RPUSH', /^log$/), shown.elements('log'), 2) ??
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
}
