/**
 * The worker thread that owns the durable stores, so that the event loop of the clients never waits for a disk or for MySQL.
 * It answers the requests of remote-engine.ts. Functions cannot be sent to a thread, so it takes time and randomness from the
 * machine itself.
 */
import { strict as assert } from 'node:assert';
import { parentPort, workerData } from 'node:worker_threads';
import type { OnRecords } from '../backends/backend.ts';
import type { RefusedRow } from '../backends/mysql.ts';
import { FlushEngine } from './flush-engine.ts';
import type { EngineOptions } from './flush-types.ts';
import type { TakeRecords } from '../tombstones/removals.ts';
import { failureOf, type EngineMethod, type FromWorker, type ToWorker } from './worker-messages.ts';

/** Slices of a load that may be under way to the main thread at once. */
const LOAD_WINDOW = 3;

assert(parentPort !== null, 'the flush worker runs in a worker thread');
const port = parentPort;
const options = workerData as EngineOptions;

function post(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

const engine = new FlushEngine(
  options,
  options.mysqlUrl,
  null,
  {
    onStatus: (status) => post({ type: 'status', status }),
    onEmptied: () => post({ type: 'emptied' }),
    onFatal: (error) => post({ type: 'fatal', failure: failureOf(error) }),
  },
  {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    random: () => Math.random(),
    setTimer(delayMs, callback) {
      const timer = setTimeout(callback, delayMs);
      return { cancel: () => clearTimeout(timer) };
    },
  },
);

const credits = new Map<number, { left: number; resume: (() => void) | null }>();

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function rowOf(row: RefusedRow): RefusedRow {
  return { ...row, records: bufferOf(row.records) };
}

/** Sends records in slices, as fast as the other thread uses them up. */
async function stream<T>(id: number, work: (onRecords: OnRecords) => Promise<T>): Promise<T> {
  const credit: { left: number; resume: (() => void) | null } = { left: LOAD_WINDOW, resume: null };
  credits.set(id, credit);
  let last: Promise<void> = Promise.resolve();
  const send: OnRecords = async (records, rowsDone, rowsTotal) => {
    if (credit.left === 0) await new Promise<void>((resolve) => (credit.resume = resolve));
    credit.left--;
    post({ type: 'records', id, records, rowsDone, rowsTotal }, [records.buffer as ArrayBuffer]);
  };
  try {
    return await work((...slice) => (last = last.then(() => send(...slice))));
  } finally {
    credits.delete(id);
  }
}

function taking(onRecords: OnRecords): TakeRecords {
  return async (records) => {
    await onRecords(records, 0, 0);
  };
}

/** The engine's methods as the other thread calls them. */
const methods: {
  [Name in EngineMethod['name']]: (id: number, call: Extract<EngineMethod, { name: Name }>) => Promise<unknown>;
} = {
  open: () => engine.open(),
  load: (id, { store, stampMsMax }) => stream(id, (onRecords) => engine.load(store, stampMsMax, onRecords)),
  write: (_id, { records, seen, isGuarded }) => engine.write(bufferOf(records), seen, isGuarded),
  backUp: (_id, { request }) => engine.backUp(request),
  report: (_id, { progress }) => engine.report(progress),
  leave: (_id, { progress }) => engine.leave(progress),
  heldGenerations: () => engine.heldGenerations(),
  readHeld: (_id, { generation, from }) => engine.readHeld(generation, from === null ? null : bufferOf(from)),
  releaseHeld: (_id, { generation, refused }) => engine.releaseHeld(generation, refused.map(rowOf)),
  merge: (_id, { records }) => engine.merge(bufferOf(records)),
  remove: (id, { records, stampMsMax }) =>
    stream(id, (onRecords) => engine.remove(bufferOf(records), stampMsMax, taking(onRecords))),
  outlived: (id, { records }) => stream(id, (onRecords) => engine.outlived(bufferOf(records), taking(onRecords))),
  fetch: (id, { keys }) => stream(id, (onRecords) => engine.fetch(bufferOf(keys), taking(onRecords))),
  search: (_id, { hashes, from }) => engine.search(bufferOf(hashes), from === null ? null : bufferOf(from)),
  removeExactly: (_id, { records }) => engine.removeExactly(bufferOf(records)),
  drained: () => engine.drained(),
  refill: () => engine.refill(),
  readMeta: (_id, { key }) => engine.readMeta(key),
  writeMeta: (_id, { key, bytes }) => engine.writeMeta(key, bufferOf(bytes)),
  take: (_id, { rowsMax, bytesMax }) => engine.take(rowsMax, bytesMax),
  done: (_id, { ticket, refused }) => engine.done(ticket, refused.map(rowOf)),
  count: () => engine.count(),
  close: () => engine.close(),
};

async function answer(id: number, call: EngineMethod): Promise<void> {
  try {
    const method = methods[call.name] as (id: number, call: EngineMethod) => Promise<unknown>;
    post({ type: 'result', id, value: await method(id, call) });
  } catch (error) {
    post({ type: 'failed', id, failure: failureOf(error) });
  }
}

port.on('message', (message: ToWorker) => {
  if (message.type === 'call') {
    void answer(message.id, message.call);
    return;
  }
  const credit = credits.get(message.id);
  if (credit === undefined) return;
  credit.left++;
  credit.resume?.();
  credit.resume = null;
});
