/**
 * Loaded into a measured server (`node --import`): how long its event loop was held up, by the wall clock and by the CPU time that its
 * thread used meanwhile; on a busy machine the first counts what others took. Answers each connection to the port in
 * LOOP_PROBE_PORT with one line, and begins anew.
 */
import { createServer } from 'node:net';

/** The longest times between two looks, in milliseconds, beyond what lies between them by intention. */
export interface LoopStalls {
  wallMs: number;
  cpuMs: number;
  /** Looks that came more than 20 ms late, and those in which the thread itself used more. */
  over20Wall: number;
  over20Cpu: number;
}

const INTERVAL_MS = 2;
const STALL_MS = 20;

function none(): LoopStalls {
  return { wallMs: 0, cpuMs: 0, over20Wall: 0, over20Cpu: 0 };
}

/** CPU time of this thread, in milliseconds. Node.js 24 has it; its types do not yet. */
function threadCpuMs(): number {
  const { user, system } = (process as unknown as { threadCpuUsage(): NodeJS.CpuUsage }).threadCpuUsage();
  return (user + system) / 1000;
}

let stalls = none();
let lastMs = performance.now();
let lastCpuMs = threadCpuMs();
setInterval(() => {
  const nowMs = performance.now();
  const cpuMs = threadCpuMs();
  const wall = nowMs - lastMs - INTERVAL_MS;
  const cpu = cpuMs - lastCpuMs;
  stalls.wallMs = Math.max(stalls.wallMs, wall);
  stalls.cpuMs = Math.max(stalls.cpuMs, cpu);
  if (wall > STALL_MS) stalls.over20Wall++;
  if (cpu > STALL_MS) stalls.over20Cpu++;
  lastMs = nowMs;
  lastCpuMs = cpuMs;
}, INTERVAL_MS).unref();

createServer((socket) => {
  socket.on('error', () => undefined);
  socket.end(`${JSON.stringify(stalls)}\n`);
  stalls = none();
})
  .listen(Number(process.env['LOOP_PROBE_PORT']), '127.0.0.1')
  .unref();
