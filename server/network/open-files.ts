/** How many clients the operating system lets a process have: each takes an open file, and the stores and peers need some too. */
import { readFileSync } from 'node:fs';

/** Kept for the stores, peers and listeners: this many, or this share where LevelDB would keep so many tables open. */
const KEPT_LEAST = 128;
const KEPT_SHARE = 0.2;

/** What `/proc/self/limits` says of open files; Infinity where nothing does. */
export function openFilesMost(limits = readLimits()): number {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? Infinity : Number(soft);
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    // Not Linux: there Node.js has asked for as many as it can get.
    return '';
  }
}

/** Clients that so many open files are enough for; at least one. */
export function clientsMost(openFiles: number): number {
  return Math.max(1, Math.floor(Math.min(openFiles - KEPT_LEAST, openFiles * (1 - KEPT_SHARE))));
}
