/**
 * What a command waits for before it runs: keys that were evicted and have to be read back, and room in memory while what could
 * leave it is being stored. Its session waits as one in a blocking command does; the others go on.
 */
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import { parseSafeInteger } from '../../protocol/integer.ts';
import type { Time } from '../../replication/environment.ts';
import type { KeyName } from '../../storage/backends/key-names.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { nameOf } from '../../storage/eviction/doubted-keys.ts';
import type { ReadThrough } from '../../storage/eviction/read-through.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import { KeyCountError, keysOf } from '../definitions/key-extraction.ts';
import type { MemoryGuard } from '../memory/memory-guard.ts';
import type { Node } from '../node.ts';
import type { Session } from '../clients/session.ts';
import type { Invocation } from '../transactions/transaction.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

/** How often a command's keys may be evicted again before it runs. */
const READS_MAX = 8;
/** How often others may take the room that the command has waited for. */
const ROOMS_MAX = 1000;
/** How long a command that needs no room waits for the stores. */
const TOLD_WITHIN_MS = 50;

export interface WaitControl {
  readonly time: Pick<Time, 'setTimer'>;
  /** Runs the session's deferred command again. */
  wake(session: Session): void;
}

interface Wait {
  isOver: boolean;
  reads: number;
  rooms: number;
  /** Keys that the stores were asked for and do not have. */
  absent: ReadonlySet<string>;
  failure: string | null;
}

/**
 * Commands that need not know what their keys hold, as they write them anew; of SET only the forms without conditions. MIGRATE has
 * keys read back by itself, when their turn comes.
 */
const BLIND = new Set(['mset', 'setex', 'psetex', 'migrate']);
const NONE: ReadonlySet<string> = new Set();
const emptySet = (): ReadonlySet<string> => NONE;
const DEADLINE_WORDS = new Set(['EX', 'PX', 'EXAT', 'PXAT']);

function textOf(args: ArgumentSource, index: number): string {
  return args.buffer.toString('latin1', args.starts[index], args.starts[index] + args.lengths[index]);
}

function isBlind(command: CommandOf<never>, args: ArgumentSource): boolean {
  if (command.name !== 'set') return BLIND.has(command.name);
  return args.argc === 3 || (args.argc === 5 && DEADLINE_WORDS.has(textOf(args, 3).toUpperCase()));
}

export class Waits {
  readonly #node: Node;
  readonly #memory: MemoryGuard;
  readonly #readThrough: ReadThrough | null;
  readonly #control: WaitControl;
  readonly #waits = new Map<Session, Wait>();
  /** Commands that need no room have waited for this for too long. */
  #slow: Promise<void> | null = null;

  constructor(node: Node, memory: MemoryGuard, readThrough: ReadThrough | null, control: WaitControl) {
    this.#node = node;
    this.#memory = memory;
    this.#readThrough = readThrough;
    this.#control = control;
  }

  /** Sessions that wait. */
  get count(): number {
    return this.#waits.size;
  }

  /** `run`; `wait`: to be put off until `wake` is called; anything else is the error to answer with. */
  check(call: Invocation, session: Session): 'run' | 'wait' | (string & {}) {
    // The rule, and on the path of every command.
    if (this.#readThrough === null && this.#waits.size === 0 && this.#room(call, session) === null) return 'run';
    const wait = this.#waits.get(session);
    if (wait !== undefined) {
      if (!wait.isOver) return 'wait';
      if (wait.failure !== null) {
        this.#waits.delete(session);
        return wait.failure;
      }
    }
    const missing = this.#readThrough === null ? [] : this.#missing(call, session, wait?.absent ?? NONE);
    const room = this.#room(call, session);
    if (missing.length === 0 && room === null) {
      if (wait !== undefined) this.#waits.delete(session);
      return 'run';
    }
    const { reads, rooms } = wait ?? { reads: 0, rooms: 0 };
    const next: Wait = { isOver: false, reads, rooms, absent: NONE, failure: null };
    if (missing.length > 0 ? ++next.reads > READS_MAX : ++next.rooms > ROOMS_MAX) {
      this.#waits.delete(session);
      if (missing.length === 0 && !call.command.deniesOom) return 'run';
      return "OOM the command's keys do not fit 'maxmemory' together.";
    }
    this.#waits.set(session, next);
    if (missing.length === 0 && !call.command.deniesOom) {
      this.#begin(session, next, room!.then(emptySet), TOLD_WITHIN_MS, () => {
        this.#slow = room;
        return null;
      });
    } else {
      const timeoutMs = this.#node.config.values['read-through-timeout'];
      const reason = missing.length > 0 ? this.#readThrough!.fetch(missing) : room!.then(emptySet);
      const late = `ERR the durable store has not answered within ${timeoutMs} ms; the command was not run`;
      this.#begin(session, next, reason, timeoutMs, () => late);
    }
    return 'wait';
  }

  /**
   * What the command waits for where memory is short and what could leave it is being stored: room for a write. A client that keeps
   * a cache is told of what goes before it is answered (CLIENT TRACKING), so its reads wait, too, but not long.
   */
  #room(call: Invocation, session: Session): Promise<void> | null {
    const { deniesOom, keys } = call.command;
    if (!deniesOom && (session.tracking === null || keys === undefined)) return null;
    const room = this.#memory.roomSoon;
    return deniesOom || room !== this.#slow ? room : null;
  }

  /** @param onTimeout returns the error to answer with, null to run the command */
  #begin(
    session: Session,
    wait: Wait,
    reason: Promise<ReadonlySet<string>>,
    timeoutMs: number,
    onTimeout: () => string | null,
  ): void {
    const end = (failure: string | null): void => {
      // Only the first end counts; the client may have gone, too.
      if (wait.isOver || this.#waits.get(session) !== wait) return;
      wait.isOver = true;
      wait.failure = failure;
      timer.cancel();
      this.#control.wake(session);
    };
    const timer = this.#control.time.setTimer(timeoutMs, () => end(onTimeout()));
    reason.then(
      (absent) => {
        wait.absent = absent;
        end(null);
      },
      (error: unknown) => end(`ERR the durable store cannot be read: ${reasonOf(error)}`),
    );
  }

  /** The keys of the command, or of the transaction, that memory does not have all of. */
  #missing(call: Invocation, session: Session, absent: ReadonlySet<string>): KeyName[] {
    const { keyspace } = this.#node;
    if (keyspace.databases.every((database) => database.evicted.count === 0)) return [];
    const missing: KeyName[] = [];
    const { queued } = session;
    if (call.command.name !== 'exec') {
      addMissing(keyspace, session.database, call, missing);
    } else if (queued !== null) {
      const one = { ...call };
      let database = session.database;
      for (let index = 0; index < queued.commands.length; index++) {
        queued.load(index, one);
        if (one.command.name === 'select') database = numberOf(one, 1, database);
        addMissing(keyspace, database, one, missing);
      }
    }
    // The filter of evicted keys takes some for evicted that are not: they were looked for, and the command can run.
    return absent.size === 0 ? missing : missing.filter(({ database, key }) => !absent.has(nameOf(database, key)));
  }

  /** The client is gone. */
  forget(session: Session): void {
    this.#waits.delete(session);
  }
}

function numberOf(args: ArgumentSource, index: number, otherwise: number): number {
  const number = parseSafeInteger(args.buffer, args.starts[index], args.lengths[index]);
  return number >= 0 ? number : otherwise;
}

/** Adds the command's keys that memory does not have all of. */
export function addMissing(keyspace: Keyspace, number: number, call: Invocation, missing: KeyName[]): void {
  const { command } = call;
  if (command.keys === undefined || isBlind(command, call)) return;
  const add = (databaseNumber: number, index: number): void => {
    const database = keyspace.databases[databaseNumber];
    const start = call.starts[index];
    const length = call.lengths[index];
    if (database === undefined || !keyspace.isPartial(database, call.buffer, start, length)) return;
    missing.push({ database: databaseNumber, key: Buffer.from(call.buffer.subarray(start, start + length)) });
  };
  try {
    for (const { index } of keysOf(command, call)) add(number, index);
  } catch (error) {
    // The command itself says what is wrong with its arguments.
    if (!(error instanceof KeyCountError)) throw error;
    return;
  }
  // Whether a key is at its destination already is asked in the other database.
  if (command.name === 'move' && call.argc === 3) add(numberOf(call, 2, number), 1);
  if (command.name === 'copy') {
    for (let index = 3; index < call.argc - 1; index++) {
      if (textOf(call, index).toUpperCase() === 'DB') add(numberOf(call, index + 1, number), 2);
    }
  }
}
