/**
 * How malloc gets its memory, which glibc reads from the environment once, when a process starts: so the program starts itself
 * anew, in the same process, before it has loaded anything (30 ms).
 *
 * By itself malloc gives each thread memory of its own, and what one has freed no other can use: with an embedded store, whose
 * work goes around among LevelDB's, Node.js's and V8's threads, that was 40 MB beyond what was in use. And it stops giving large
 * blocks back to the system once it has seen some freed.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  // Larger ones are mapped one by one, and go back when they are freed; a page of them costs more than one that is kept.
  MALLOC_MMAP_THRESHOLD_: String(256 << 10),
  MALLOC_TRIM_THRESHOLD_: String(4 << 20),
};

/** Returns only when malloc has its settings, or nobody can give it any. What the environment says goes before them. */
export function settleAllocator(): void {
  const { env, platform, execPath, execArgv, argv, execve } = process;
  const isSettled = Object.keys(SETTINGS).every((name) => env[name] !== undefined);
  // A channel to whoever has started this process would be lost.
  if (isSettled || platform !== 'linux' || execve === undefined || process.connected) return;
  execve.call(process, execPath, [execPath, ...execArgv, ...argv.slice(1)], { ...SETTINGS, ...env });
}
