/**
 * Loaded into a server with --import: measures its turns of the event loop, and answers its parent's messages with the longest and
 * with how long most are. What is measured is CPU time of the main thread between two runs of a timer that is due every
 * millisecond: what other processes take does not count, nor does waiting. libuv says how many turns that were; of several within
 * a millisecond each counts as their mean. Garbage collection is told apart by its own times. Of the longest turn it also tells when that was,
 * how long it took by the clock, and what the kernel counted meanwhile: where the machine stood still, so did the other node at the same time.
 */
import { Server } from 'node:net';
import { PerformanceObserver, performance } from 'node:perf_hooks';

const COUNTED_MS = 3;
const KEPT_MS = 60_000;
/** Turns are counted by their length, in steps of so much. */
const STEP_MS = 0.05;
const STEPS = 4000;

/** @type {{ startMs: number, endMs: number, cpuMs: number, faults: number, preemptions: number }[]} */
let turns = [];
/** @type {{ startMs: number, endMs: number }[]} */
let collections = [];
const counts = new Uint32Array(STEPS);
let totalCpuMs = 0;
let beganMs = 0;

new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) {
    collections.push({ startMs: startTime, endMs: startTime + duration });
  }
  const oldestMs = performance.now() - KEPT_MS;
  if (collections[0].startMs < oldestMs) collections = collections.filter(({ endMs }) => endMs > oldestMs);
}).observe({ entryTypes: ['gc'] });

/**
 * The kernel brings what a running thread has used up to date at its ticks, milliseconds apart, and when somebody asks for all of
 * the process's.
 */
function usage() {
  const { minorPageFault, involuntaryContextSwitches } = process.resourceUsage();
  const { user, system } = process.threadCpuUsage();
  return { cpuMs: (user + system) / 1000, faults: minorPageFault, preemptions: involuntaryContextSwitches };
}

let lastMs = 0;
let last = usage();
let lastLoops = 0;

function tick() {
  const nowMs = performance.now();
  const now = usage();
  const { loopCount } = performance.nodeTiming.uvMetricsInfo;
  const cpuMs = now.cpuMs - last.cpuMs;
  const loops = Math.max(1, loopCount - lastLoops);
  counts[Math.min(STEPS - 1, Math.floor(cpuMs / loops / STEP_MS))] += loops;
  totalCpuMs += cpuMs;
  if (cpuMs > COUNTED_MS) {
    const faults = now.faults - last.faults;
    turns.push({ startMs: lastMs, endMs: nowMs, cpuMs, faults, preemptions: now.preemptions - last.preemptions });
  }
  lastMs = nowMs;
  last = now;
  lastLoops = loopCount;
}

// Until it has started to listen, and is through with what it does in that turn, nobody waits for it.
const { listen } = Server.prototype;
Server.prototype.listen = function (...args) {
  Server.prototype.listen = listen;
  this.once('listening', () => setImmediate(begin));
  return listen.apply(this, args);
};

function begin() {
  lastMs = beganMs = performance.now();
  last = usage();
  setInterval(tick, 1).unref();
}

/** The length in milliseconds that a share of the turns does not exceed. */
function quantile(share) {
  let left = share * counts.reduce((sum, count) => sum + count, 0);
  for (let step = 0; step < STEPS; step++) {
    left -= counts[step];
    if (left <= 0) return (step + 1) * STEP_MS;
  }
  return STEPS * STEP_MS;
}

function take() {
  let workMs = 0;
  let totalMs = 0;
  let longest = null;
  for (const { startMs, endMs, cpuMs, faults, preemptions } of turns) {
    let collectedMs = 0;
    for (const one of collections) {
      collectedMs += Math.max(0, Math.min(endMs, one.endMs) - Math.max(startMs, one.startMs));
    }
    totalMs = Math.max(totalMs, cpuMs);
    if (cpuMs - collectedMs <= workMs) continue;
    workMs = cpuMs - collectedMs;
    const atMs = performance.timeOrigin + startMs;
    longest = { atMs, wallMs: endMs - startMs, cpuMs, collectedMs, faults, preemptions };
  }
  const nowMs = performance.now();
  const busyShare = totalCpuMs / Math.max(1, nowMs - beganMs);
  const result = { workMs, totalMs, longest, p99Ms: quantile(0.99), p999Ms: quantile(0.999), busyShare };
  turns = [];
  counts.fill(0);
  totalCpuMs = 0;
  beganMs = nowMs;
  return result;
}

// Entries of the last collections are handed out a little later than they were made.
process.on('message', () => setTimeout(() => process.send(take()), 20));
process.channel.unref();
