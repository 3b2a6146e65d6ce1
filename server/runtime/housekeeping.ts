/** What happens without anybody asking: expiry, timeouts of waiting commands and idle clients, samples for INFO. */
import type { Time, Timer } from '../../replication/environment.ts';
import { pruneSome } from '../../storage/collections/prune.ts';
import { expireDue } from '../../storage/expiry/expiry.ts';
import { Reaper } from '../../storage/tombstones/reaper.ts';
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import type { Listener } from '../network/listener.ts';
import type { Runtime } from './runtime-view.ts';

const ROUND_MS = 100;
/** Keys expired in one go before other work gets its turn. */
const EXPIRE_SLICE_KEYS = 5_000;
/** Collections that are looked at in one go for packing, which takes up to 10 µs each. */
const PACK_SLICE = 500;
/** In so many rounds all are looked at once, so that one is packed after 5 to 10 seconds without use; and in one no more than this. */
const PACK_ROUNDS = 50;
const PACK_MOST = 5_000;
/** All keys are looked at for tombstones no more often than this, while there are none to drop. */
const REAP_LAP_MS = 1000;
/** Elements of collections that are gone, freed in one go. */
const FREE_SLICE_ELEMENTS = 5_000;
/** Elements of collections that a floor has reached in part, looked at in one go. */
const PRUNE_SLICE_ELEMENTS = 2_000;

/** A MySQL that has not answered for so long is told of, though its connections live. */
const MYSQL_SILENT_MS = 10_000;

export class Housekeeping {
  /** DEBUG SET-ACTIVE-EXPIRE 0 turns this off. */
  activeExpiry = true;
  readonly #runtime: Runtime;
  readonly #dispatcher: Dispatcher;
  readonly #listener: Listener;
  readonly #time: Time;
  #timer: Timer | null = null;
  readonly #reaper: Reaper;
  /** When the reaper began with the first key last, and what it has dropped since. */
  readonly #reapLap = { startedMs: -Infinity, dropped: 0 };
  #stopped = false;
  #lastSample = { atMs: 0, commands: 0, bytesIn: 0, bytesOut: 0 };
  #lastRoundMs = 0;
  #freeing = false;
  #packing = false;
  /** The rounds that are left, and the collections that are to be looked at for packing in them. */
  readonly #packLap = { rounds: 0, collections: 0 };
  #isMysqlAway = false;

  constructor(runtime: Runtime, dispatcher: Dispatcher, listener: Listener, time: Time) {
    this.#runtime = runtime;
    this.#dispatcher = dispatcher;
    this.#listener = listener;
    this.#time = time;
    this.#reaper = new Reaper(runtime.keyspace, runtime.flusher, (records) => runtime.takeRows(records));
    runtime.blocking.onBlock = () => this.#schedule();
    runtime.keyspace.objects.onGarbage = () => this.#freeSoon();
    runtime.keyspace.prunesInSteps = true;
    runtime.keyspace.objects.onCrowded = () => this.#packSoon();
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    const delayMs = Math.min(ROUND_MS, Math.ceil(this.#runtime.blocking.nextTimeoutMs()));
    this.#timer = this.#time.setTimer(delayMs, () => this.#round());
  }

  #round(): void {
    const runtime = this.#runtime;
    const nowMs = runtime.keyspace.clock.refresh();
    runtime.blocking.tick();
    this.#dispatcher.tick();
    const monotonicMs = this.#time.monotonicMs();
    if (monotonicMs - this.#lastRoundMs >= ROUND_MS - 5) {
      this.#lastRoundMs = monotonicMs;
      runtime.keyspace.updateAccessClock(runtime.config.values['maxmemory-policy'].endsWith('lfu'));
      // Peers write, too, also where no client does.
      if (runtime.loading === null) this.#dispatcher.memory?.relieveSoon();
      if (runtime.loading === null && !this.#stopped) runtime.readThrough?.tick(monotonicMs);
      this.#expire();
      this.#packShare();
      this.#listener.closeIdle(nowMs);
      this.#listener.checkBuffers();
      this.#sample(monotonicMs);
      this.watchWrites();
      this.#reap(nowMs, monotonicMs);
      this.#keepHorizon(nowMs).catch((error: unknown) =>
        runtime.log.error({ err: error }, 'cannot keep the list of members'),
      );
      runtime
        .renewClockBound()
        .catch((error: unknown) => runtime.log.error({ err: error }, 'cannot keep the clock bound'));
    }
    this.#schedule();
  }

  /** Packs small collections that were not used since they were looked at a lap ago. */
  #packShare(): void {
    const lap = this.#packLap;
    if (lap.rounds === 0) {
      lap.rounds = PACK_ROUNDS;
      lap.collections = this.#runtime.keyspace.objects.unpackedCount;
    }
    const share = Math.min(PACK_MOST, Math.ceil(lap.collections / lap.rounds--));
    lap.collections -= share;
    if (share > 0) this.#pack(share);
  }

  /** Looks at so many collections, a few at a time. */
  #pack(left: number): void {
    if (this.#stopped) return;
    this.#runtime.keyspace.objects.packSome(Math.min(left, PACK_SLICE));
    if (left > PACK_SLICE) this.#time.defer(() => this.#pack(left - PACK_SLICE));
  }

  /** Packs until no more are unpacked than memory has room for, in steps between other work. */
  #packSoon(): void {
    if (this.#stopped || this.#packing) return;
    this.#packing = true;
    this.#time.defer(() => {
      this.#packing = false;
      const { objects } = this.#runtime.keyspace;
      const before = objects.unpackedCount;
      objects.packSome(PACK_SLICE);
      // What cannot be packed is left as it is.
      if (objects.unpackedCount > objects.unpackedMost && objects.unpackedCount < before) this.#packSoon();
    });
  }

  /** Frees the elements of large collections that are gone, in whole or in part, a few at a time. */
  #freeSoon(): void {
    if (this.#stopped || this.#freeing) return;
    this.#freeing = true;
    this.#time.defer(() => {
      this.#freeing = false;
      const { keyspace } = this.#runtime;
      const isPruned = pruneSome(keyspace, PRUNE_SLICE_ELEMENTS);
      if (!keyspace.objects.freeSome(FREE_SLICE_ELEMENTS) || !isPruned) this.#freeSoon();
    });
  }

  #expire(): void {
    const runtime = this.#runtime;
    if (this.#stopped || !this.activeExpiry || runtime.loading !== null) return;
    runtime.keyspace.clock.refresh();
    if (expireDue(runtime.keyspace, EXPIRE_SLICE_KEYS)) this.#time.defer(() => this.#expire());
  }

  async #keepHorizon(nowMs: number): Promise<void> {
    if (this.#runtime.loading === null && !this.#stopped) await this.#runtime.keepHorizon(nowMs);
  }

  /** Drops tombstones that nobody needs any more. Few keys, of which none went in the last lap, are not looked at in every round. */
  #reap(nowMs: number, monotonicMs: number): void {
    const { loading, reapedStamp, replicator, config } = this.#runtime;
    if (loading !== null) return;
    const lap = this.#reapLap;
    if (this.#reaper.isAtStart) {
      if (lap.dropped === 0 && monotonicMs - lap.startedMs < REAP_LAP_MS) return;
      lap.startedMs = monotonicMs;
      lap.dropped = 0;
    }
    const driftMs = (replicator?.stableStamp() ?? null) === null ? 0 : config.values['max-clock-drift'];
    lap.dropped += this.#reaper.step(reapedStamp, reapedStamp, nowMs - driftMs);
  }

  /** Writes are refused while the embedded store cannot take them, or the peers would not: nothing acknowledged may be lost. */
  watchWrites(): void {
    const runtime = this.#runtime;
    this.#watchMysql();
    const refusal = this.#storeProblem() ?? this.#clockProblem();
    const isNews = (refusal === null) !== (runtime.writeRefusal === null);
    if (isNews && refusal !== null) runtime.log.error({ problem: refusal }, 'writes are refused');
    else if (isNews) runtime.log.info('writes are taken again');
    runtime.writeRefusal = refusal;
  }

  #watchMysql(): void {
    const mysql = this.#runtime.flusher?.status().mysql ?? null;
    const { log, keyspace } = this.#runtime;
    const isSilent = keyspace.clock.nowMs - (mysql?.waitingSinceMs ?? Infinity) >= MYSQL_SILENT_MS;
    const problem = mysql?.state === 'down' ? mysql.lastError : isSilent ? 'it does not answer' : null;
    if (problem !== null && !this.#isMysqlAway)
      log.warn({ problem, server: mysql?.server }, 'MySQL does not take what is written; it waits here');
    else if (problem === null && this.#isMysqlAway) log.warn('MySQL takes what is written again');
    this.#isMysqlAway = problem !== null;
  }

  #storeProblem(): string | null {
    const problem = this.#runtime.flusher?.status().writeError ?? null;
    return problem === null ? null : `MISCONF Mantis cannot write to its durable store: ${problem}`;
  }

  #clockProblem(): string | null {
    const standing = this.#runtime.replicator?.clockStanding();
    if (standing?.isRefused !== true) return null;
    const drift = this.#runtime.config.values['max-clock-drift'];
    return (
      `MISCONF the clock of this node is ${Math.round(standing.aheadMs / 1000)} s ahead of most of its peers', which take no change that is more than ` +
      `max-clock-drift (${drift} ms) ahead: check the time service here (chronyc tracking, timedatectl); writes are taken again when the clock is right`
    );
  }

  #sample(monotonicMs: number): void {
    const { statistics, keyspace } = this.#runtime;
    const last = this.#lastSample;
    const seconds = Math.max(0.001, (monotonicMs - last.atMs) / 1000);
    const at = statistics.sampleIndex++ % statistics.operationSamples.length;
    statistics.operationSamples[at] = Math.max(0, statistics.commandsProcessed - last.commands) / seconds;
    statistics.bytesInSamples[at] = Math.max(0, statistics.bytesIn - last.bytesIn) / seconds;
    statistics.bytesOutSamples[at] = Math.max(0, statistics.bytesOut - last.bytesOut) / seconds;
    statistics.usedMemoryPeakBytes = Math.max(statistics.usedMemoryPeakBytes, keyspace.usedBytes);
    last.atMs = monotonicMs;
    last.commands = statistics.commandsProcessed;
    last.bytesIn = statistics.bytesIn;
    last.bytesOut = statistics.bytesOut;
  }
}
