/** MEMORY: what keys and the node cost. */
import { SAMPLES_DEFAULT, deadlineBytes, indexBytes, keyBytes } from '../../storage/arena/memory-usage.ts';
import type { Call } from '../dispatch/call.ts';
import { command, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { type MemoryFigures, memoryFigures } from '../info/memory-figures.ts';
import { peekKey } from '../values/key-use.ts';
import { container, helpSubcommand } from '../definitions/subcommand-help.ts';

/** Reserved against used memory past which MEMORY DOCTOR speaks of fragmentation, and what it takes to matter. */
const FRAGMENTATION_RATIO_MAX = 1.5;
const FRAGMENTATION_BYTES_MIN = 64 << 20;
/** The share of `maxmemory` past which MEMORY DOCTOR speaks of it. */
const FULLNESS_MAX = 0.9;
/** The share of `maxmemory` that is not counted past which MEMORY DOCTOR speaks of it. */
const UNCOUNTED_MAX = 0.25;

function usage(call: Call): void {
  let samples = SAMPLES_DEFAULT;
  for (let index = 3; index < call.argc; index += 2) {
    if (!call.is(index, 'SAMPLES') || index + 1 >= call.argc) call.syntaxError();
    samples = call.integer(index + 1);
    if (samples < 0) call.syntaxError();
  }
  const ref = peekKey(call, 2);
  if (ref === 0) call.reply.nil();
  else call.reply.integer(keyBytes(call.keyspace, ref, samples));
}

function findings(call: Call): string[] {
  const { usedBytes, activeBytes: heldBytes } = memoryFigures(call.node);
  const found: string[] = [];
  if (heldBytes - usedBytes > FRAGMENTATION_BYTES_MIN && heldBytes > usedBytes * FRAGMENTATION_RATIO_MAX) {
    found.push(
      `Memory is fragmented: ${heldBytes} bytes are held for ${usedBytes} bytes of data. Keys of other sizes were deleted; ` +
        'the pages are used again by keys of those sizes; MEMORY PURGE moves the data together and gives the rest back.',
    );
  }
  const bound = call.node.dispatcher.memory?.bound;
  const maxBytes = Number(call.node.config.values.maxmemory);
  if (maxBytes > 0 && bound !== undefined && bound.uncountedBytes > maxBytes * UNCOUNTED_MAX) {
    found.push(
      `The process has grown by ${bound.uncountedBytes} bytes besides its data, for clients, stores and Node.js itself: so much ` +
        'less of maxmemory is left for keys. A larger maxmemory makes that a smaller part.',
    );
  }
  if (maxBytes > 0 && usedBytes > maxBytes * FULLNESS_MAX) {
    found.push(`The data takes ${usedBytes} of the ${maxBytes} bytes that maxmemory allows.`);
  }
  return found;
}

function doctor(call: Call): void {
  const found = findings(call);
  call.reply.verbatim(found.length === 0 ? 'No problem with the memory of this node was found.' : found.join('\n'));
}

type Figure = readonly [name: string, value: number, kind: 'bytes' | 'ratio'];

/** What follows the databases: totals, and how the allocator and the process stand to them. */
function totals(figures: MemoryFigures, keyCount: number): readonly Figure[] {
  const { usedBytes, peakBytes, overheadBytes, activeBytes, residentBytes } = figures;
  const datasetBytes = usedBytes - overheadBytes;
  const processBytes = process.memoryUsage.rss();
  return [
    ['overhead.total', overheadBytes, 'bytes'],
    ['keys.count', keyCount, 'bytes'],
    ['keys.bytes-per-key', keyCount === 0 ? 0 : Math.floor(usedBytes / keyCount), 'bytes'],
    ['dataset.bytes', datasetBytes, 'bytes'],
    ['dataset.percentage', usedBytes === 0 ? 0 : (datasetBytes * 100) / usedBytes, 'ratio'],
    ['peak.percentage', peakBytes === 0 ? 0 : (usedBytes * 100) / peakBytes, 'ratio'],
    ['allocator.allocated', usedBytes, 'bytes'],
    ['allocator.active', activeBytes, 'bytes'],
    ['allocator.resident', residentBytes, 'bytes'],
    ['allocator-fragmentation.ratio', usedBytes === 0 ? 1 : activeBytes / usedBytes, 'ratio'],
    ['allocator-fragmentation.bytes', activeBytes - usedBytes, 'bytes'],
    ['allocator-rss.ratio', activeBytes === 0 ? 1 : residentBytes / activeBytes, 'ratio'],
    ['allocator-rss.bytes', residentBytes - activeBytes, 'bytes'],
    ['rss-overhead.ratio', residentBytes === 0 ? 1 : processBytes / residentBytes, 'ratio'],
    ['rss-overhead.bytes', processBytes - residentBytes, 'bytes'],
    ['fragmentation', usedBytes === 0 ? 1 : processBytes / usedBytes, 'ratio'],
    ['fragmentation.bytes', processBytes - usedBytes, 'bytes'],
  ];
}

function stats(call: Call): void {
  const { keyspace, reply, node } = call;
  const figures = memoryFigures(node);
  const databases = keyspace.databases.filter((database) => database.keyCount > 0);
  const keyCount = databases.reduce((total, database) => total + database.keyCount, 0);
  const before: readonly Figure[] = [
    ['peak.allocated', figures.peakBytes, 'bytes'],
    ['total.allocated', figures.usedBytes, 'bytes'],
    ['startup.allocated', 0, 'bytes'],
    ['replication.backlog', 0, 'bytes'],
    ['clients.slaves', 0, 'bytes'],
    ['clients.normal', 0, 'bytes'],
    ['cluster.links', 0, 'bytes'],
    ['aof.buffer', 0, 'bytes'],
    ['lua.caches', node.scripting.cache.bytes, 'bytes'],
    ['functions.caches', node.scripting.libraries.bytes, 'bytes'],
  ];
  const behind = totals(figures, keyCount);
  reply.map(before.length + databases.length + behind.length);
  for (const figure of before) replyFigure(call, ...figure);
  for (const database of databases) {
    reply.bulkString(`db.${database.number}`);
    reply.map(2);
    replyFigure(call, 'overhead.hashtable.main', indexBytes(database), 'bytes');
    replyFigure(call, 'overhead.hashtable.expires', deadlineBytes(database), 'bytes');
  }
  for (const figure of behind) replyFigure(call, ...figure);
}

function replyFigure(call: Call, name: string, value: number, kind: 'bytes' | 'ratio'): void {
  call.reply.bulkString(name);
  if (kind === 'bytes') call.reply.integer(value);
  else call.reply.double(value);
}

function mallocStats(call: Call): void {
  const { arena } = call.keyspace;
  const lines = [
    `blocks in use: ${arena.usedBytes} bytes`,
    `pages held: ${arena.residentBytes} bytes, of which ${arena.emptyBytes} are empty`,
    `values outside the arena: ${arena.large.bytes} bytes`,
  ];
  call.reply.verbatim(`${lines.join('\n')}\n`);
}

/** Moves all blocks together, gives back what becomes empty, and has V8 collect its garbage. */
function purge(call: Call): void {
  call.node.dispatcher.memory?.bound.purge();
  call.reply.ok();
}

function memorySubcommand(
  name: string,
  summary: string,
  complexity: string,
  run: (call: Call) => void,
): CommandDefinition {
  return command({ name, summary, since: '4.0.0', group: 'server', complexity, arity: 2, flags: [], syntax: '', run });
}

export const memoryCommands: readonly CommandDefinition[] = [
  container({
    name: 'memory',
    summary: 'Tells what keys and the node cost.',
    since: '4.0.0',
    group: 'server',
    subcommands: [
      memorySubcommand('doctor', 'Says in words what is wrong with the memory of the node.', 'O(1)', doctor),
      helpSubcommand('server', '4.0.0'),
      memorySubcommand('malloc-stats', 'Shows figures of the allocator.', 'O(1)', mallocStats),
      memorySubcommand(
        'purge',
        'Moves the data together and gives unused memory back.',
        'O(N) where N is the number of keys and elements',
        purge,
      ),
      memorySubcommand('stats', 'Shows what the memory of the node is used for.', 'O(1)', stats),
      command({
        name: 'usage',
        summary: 'Tells how many bytes a key costs.',
        since: '4.0.0',
        group: 'server',
        complexity: 'O(1)',
        arity: -3,
        flags: ['readonly'],
        keys: [keyRange(2, 2, 1, 'RO')],
        syntax: 'key [SAMPLES count]',
        run: usage,
      }),
    ],
  }),
];
