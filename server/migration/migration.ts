/**
 * One MIGRATE on its way. Keys are sent one after the other, so many at a time as the other server has yet to answer for, and each is
 * deleted here when it says OK; other clients go on meanwhile. A key that somebody changes between being sent and being taken stays:
 * what was acknowledged here is nowhere else.
 */
import type { StoreError } from '../../storage/backends/backend.ts';
import { hideDueElements } from '../../storage/collections/element-expiry.ts';
import { deleteKey, keptDeadline } from '../../storage/types/string.ts';
import { formatNodeId } from '../../protocol/stamp.ts';
import { CommandError } from '../definitions/command-error.ts';
import { payloadOf } from '../codecs/dump-payload.ts';
import type { Node } from '../node.ts';
import type { Session } from '../clients/session.ts';
import { TargetConnection, TargetError } from './target-connection.ts';
import { type Watcher, watchName } from '../transactions/watch-table.ts';

export interface MigrationRequest {
  readonly host: string;
  readonly port: number;
  /** Number of the database that the keys are in. */
  readonly database: number;
  /** Number of the database that they go to, as the other server is told it. */
  readonly targetDatabase: string;
  readonly timeoutMs: number;
  readonly keys: readonly Buffer[];
  /** Keys stay here. */
  readonly isCopy: boolean;
  /** Keys may be there already. */
  readonly replaces: boolean;
  /** What AUTH is called with; empty to not call it. */
  readonly credentials: readonly Buffer[];
}

/** What may be sent and unanswered. One value may be larger. */
const UNANSWERED_BYTES = 1024 * 1024;
const UNANSWERED_KEYS = 256;
/** Keys that are read back from the stores at once. */
const READ_BACK_KEYS = 64;
/** How often is looked whether CLIENT PAUSE is over. */
const PAUSE_STEP_MS = 10;
/** What is told of an error of the other server. */
const ERROR_LENGTH_MAX = 1024;

/** Ends a migration with this reply. */
class MigrationError extends Error {}

interface Sent extends Watcher {
  readonly key: Buffer;
  /** Milliseconds since 1970; 0 for none. */
  readonly deadlineMs: number;
  readonly bytes: number;
}

function words(...texts: string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text));
}

export class Migration {
  readonly #node: Node;
  readonly #session: Session;
  readonly #request: MigrationRequest;
  readonly #target: TargetConnection;
  /** Sent and not answered. */
  readonly #sent: Sent[] = [];
  #sentBytes = 0;
  #isOver = false;
  #keysSent = 0;
  #keysKept = 0;
  /** The first error of the other server. */
  #refusal: string | null = null;
  /** A key was deleted here. */
  hasWritten = false;

  constructor(node: Node, session: Session, request: MigrationRequest) {
    this.#node = node;
    this.#session = session;
    this.#request = request;
    this.#target = new TargetConnection(node.outbound, request.timeoutMs);
  }

  /**
   * Resolves to the reply: `OK`, `NOKEY`, or an error with its code.
   * @param isAnyThere whether memory has one of the keys
   */
  async run(isAnyThere: boolean): Promise<string> {
    try {
      if (!isAnyThere && !(await this.#isAnyStored())) return 'NOKEY';
      await this.#target.connect(this.#request.host, this.#request.port);
      await this.#greet();
      await this.#sendAll();
      while (this.#sent.length > 0) await this.#settle();
      return this.#refusal ?? this.#replyOfKept() ?? 'OK';
    } catch (error) {
      const isExpected = [TargetError, MigrationError, CommandError].some((kind) => error instanceof kind);
      if (isExpected) return this.#refusal ?? (error as Error).message;
      throw error;
    } finally {
      this.cancel();
    }
  }

  /** Sends and deletes nothing more. */
  cancel(): void {
    this.#isOver = true;
    this.#target.close();
    for (const sent of this.#sent.splice(0)) this.#node.watches.forget(sent);
  }

  #replyOfKept(): string | null {
    if (this.#keysKept === 0) return null;
    return `ERR changed while being migrated, and kept here: ${this.#keysKept} of ${this.#keysSent} keys. The target has what they were before`;
  }

  async #isAnyStored(): Promise<boolean> {
    for (const key of this.#request.keys) {
      await this.#readBack([key]);
      this.#goOn();
      if (this.#find(key) !== 0) return true;
    }
    return false;
  }

  #find(key: Buffer): number {
    const { keyspace } = this.#node;
    keyspace.clock.refresh();
    hideDueElements(keyspace);
    return keyspace.lookup(keyspace.databases[this.#request.database], key, 0, key.length);
  }

  /** Has those of the keys read back that were evicted. */
  async #readBack(keys: readonly Buffer[]): Promise<void> {
    const { keyspace, readThrough, config, outbound } = this.#node;
    const { database } = this.#request;
    if (readThrough === undefined || readThrough === null) return;
    const isEvicted = (key: Buffer): boolean => keyspace.isPartial(keyspace.databases[database], key, 0, key.length);
    const evicted = keys.filter(isEvicted).map((key) => ({ database, key }));
    if (evicted.length === 0) return;
    const timeoutMs = config.values['read-through-timeout'];
    const late = Promise.withResolvers<never>();
    const timer = outbound.time.setTimer(timeoutMs, () =>
      late.reject(new MigrationError(`ERR the durable store has not answered within ${timeoutMs} ms`)),
    );
    try {
      const fetched = readThrough.fetch(evicted).catch((error: StoreError) => {
        throw new MigrationError(`ERR the durable store cannot be read: ${error.message}`);
      });
      await Promise.race([fetched, late.promise]);
    } finally {
      timer.cancel();
    }
  }

  /** @throws MigrationError when the client is gone */
  #goOn(): void {
    if (this.#isOver) throw new MigrationError('the client is gone');
  }

  // ---- sending ----

  async #greet(): Promise<void> {
    const { credentials, targetDatabase } = this.#request;
    if (credentials.length > 0) this.#target.put([Buffer.from('AUTH'), ...credentials]);
    this.#target.put(words('SELECT', targetDatabase));
    const mayBePeer = this.#mayBePeer;
    if (mayBePeer) this.#target.put(words('INFO', 'mantis'));
    if (credentials.length > 0) this.#expectOk(await this.#target.answer());
    this.#expectOk(await this.#target.answer());
    if (mayBePeer) this.#refusePeer(await this.#target.answer());
  }

  /** What is deleted here is deleted at peers: there may be nothing left of a key that one of them was sent. */
  get #mayBePeer(): boolean {
    const { isCopy, database, targetDatabase } = this.#request;
    return !isCopy && targetDatabase === String(database) && this.#peers.length > 0;
  }

  get #peers(): readonly string[] {
    return this.#node.replicator?.status().peers.map(({ id }) => id) ?? [];
  }

  #refusePeer(information: string): void {
    const id = /^node_id:([0-9a-f]+)/m.exec(information)?.[1];
    const { nodeHi, nodeLo } = this.#node;
    if (id === undefined || ![...this.#peers, formatNodeId(nodeHi, nodeLo)].includes(id)) return;
    throw new MigrationError(
      'ERR the target is a peer of this node: it has the same keys, and loses those that are deleted here',
    );
  }

  #noteRefusal(answer: string): void {
    const text = answer.startsWith('-') ? answer.slice(1) : `not OK, but ${JSON.stringify(answer)}`;
    this.#refusal ??= `ERR Target instance replied with error: ${text.slice(0, ERROR_LENGTH_MAX)}`;
  }

  #expectOk(answer: string): void {
    if (answer === '+OK') return;
    this.#noteRefusal(answer);
    throw new MigrationError('refused');
  }

  async #sendAll(): Promise<void> {
    const { keys } = this.#request;
    for (let at = 0; at < keys.length; at += READ_BACK_KEYS) {
      const some = keys.slice(at, at + READ_BACK_KEYS);
      await this.#readBack(some);
      for (const key of some) await this.#send(key);
    }
  }

  async #send(key: Buffer): Promise<void> {
    while (this.#sent.length >= UNANSWERED_KEYS || this.#sentBytes > UNANSWERED_BYTES) await this.#settle();
    // Evicted again meanwhile.
    await this.#readBack([key]);
    this.#goOn();
    const ref = this.#find(key);
    // It has expired, or is deleted: there is nothing to move.
    if (ref === 0) return;
    const { keyspace, watches } = this.#node;
    const { database, replaces } = this.#request;
    const deadlineMs = keptDeadline(keyspace, ref);
    const leftMs = deadlineMs === 0 ? 0 : Math.max(1, deadlineMs - keyspace.clock.nowMs);
    const payload = payloadOf(keyspace, ref);
    const sent: Sent = { key, deadlineMs, bytes: payload.length, watched: null, watchBroken: false };
    watches.watch(sent, watchName(database, key, 0, key.length));
    this.#sent.push(sent);
    this.#sentBytes += sent.bytes;
    this.#keysSent++;
    this.#target.put([
      Buffer.from('RESTORE'),
      key,
      Buffer.from(String(leftMs)),
      payload,
      ...words(...(replaces ? ['REPLACE'] : [])),
    ]);
  }

  // ---- what was sent ----

  /** Waits for the answer to what was sent first. */
  async #settle(): Promise<void> {
    const answer = await this.#target.answer();
    this.#goOn();
    const [sent] = this.#sent;
    if (answer !== '+OK') this.#noteRefusal(answer);
    else if (!this.#request.isCopy) await this.#remove(sent);
    this.#sent.shift();
    this.#sentBytes -= sent.bytes;
    this.#node.watches.forget(sent);
  }

  /** Deletes a key that the other server has taken, unless it is no longer what was sent. */
  async #remove(sent: Sent): Promise<void> {
    await this.#untilNotPaused();
    await this.#readBack([sent.key]);
    this.#goOn();
    const { keyspace, writeRefusal } = this.#node;
    const isThere = this.#find(sent.key) !== 0;
    // It expires there as well.
    if (!isThere && sent.deadlineMs !== 0 && sent.deadlineMs <= keyspace.clock.nowMs) return;
    if (writeRefusal !== null) throw new MigrationError(writeRefusal);
    if (sent.watchBroken) this.#keysKept++;
    else this.#delete(sent.key);
  }

  /** CLIENT PAUSE puts off what writes. */
  async #untilNotPaused(): Promise<void> {
    const { dispatcher, outbound, keyspace } = this.#node;
    keyspace.clock.refresh();
    while (dispatcher.isPausing) {
      await new Promise<void>((resolve) => outbound.time.setTimer(PAUSE_STEP_MS, resolve));
      this.#goOn();
      keyspace.clock.refresh();
    }
  }

  #delete(key: Buffer): void {
    const { keyspace, keyspaceEvents } = this.#node;
    const isNested = keyspaceEvents.isOn && keyspaceEvents.begin();
    deleteKey(keyspace, keyspace.databases[this.#request.database], key, 0, key.length);
    if (keyspaceEvents.isOn) keyspaceEvents.end({ name: 'migrate', argc: 2, bytes: () => key }, isNested);
    this.hasWritten = true;
    this.#session.lastWriteHi = keyspace.clock.hi;
    this.#session.lastWriteLo = keyspace.clock.lo;
  }
}
