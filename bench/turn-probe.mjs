/**
 * Loaded into a server with --import: measures its turns of the event loop, and answers its parent's messages with the longest. A
 * turn is the CPU time of the main thread between two runs of a timer that is due every millisecond: what other processes
 * take does not count, nor does waiting. Garbage collection is told apart by its own times.
 */
import { Server } from 'node:net';
import { PerformanceObserver, performance } from 'node:perf_hooks';

const COUNTED_MS = 3;
const KEPT_MS = 60_000;

/** @type {{ startMs: number, endMs: number, cpuMs: number }[]} */
let turns = [];
/** @type {{ startMs: number, endMs: number }[]} */
let collections = [];

new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) {
    collections.push({ startMs: startTime, endMs: startTime + duration });
  }
  const oldestMs = performance.now() - KEPT_MS;
  if (collections[0].startMs < oldestMs) collections = collections.filter(({ endMs }) => endMs > oldestMs);
}).observe({ entryTypes: ['gc'] });

let lastMs = 0;
let lastCpu = process.threadCpuUsage();

function tick() {
  const nowMs = performance.now();
  const cpu = process.threadCpuUsage();
  const cpuMs = (cpu.user + cpu.system - lastCpu.user - lastCpu.system) / 1000;
  if (cpuMs > COUNTED_MS) turns.push({ startMs: lastMs, endMs: nowMs, cpuMs });
  lastMs = nowMs;
  lastCpu = cpu;
}

// Until it listens nobody waits for it.
const { listen } = Server.prototype;
Server.prototype.listen = function (...args) {
  Server.prototype.listen = listen;
  lastMs = performance.now();
  lastCpu = process.threadCpuUsage();
  setInterval(tick, 1).unref();
  return listen.apply(this, args);
};

function take() {
  let workMs = 0;
  let totalMs = 0;
  for (const { startMs, endMs, cpuMs } of turns) {
    let collectedMs = 0;
    for (const one of collections) {
      collectedMs += Math.max(0, Math.min(endMs, one.endMs) - Math.max(startMs, one.startMs));
    }
    workMs = Math.max(workMs, cpuMs - collectedMs);
    totalMs = Math.max(totalMs, cpuMs);
  }
  turns = [];
  return { workMs, totalMs };
}

// Entries of the last collections are handed out a little later than they were made.
process.on('message', () => setTimeout(() => process.send(take()), 20));
process.channel.unref();
