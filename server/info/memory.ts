/**
 * Memory. `used_memory` is what the data costs; `used_memory_rss` is the process, with the program and Node.js's own heap in it. Keys
 * are evicted where `used_memory` passes `evict_beyond`: `maxmemory` less what the process has grown by that nothing counts.
 */
import { totalmem } from 'node:os';
import type { Node } from '../node.ts';
import { type Field, humanBytes, percent, ratio } from './fields.ts';
import { memoryFigures } from './memory-figures.ts';

/** The kernel is asked for the process's memory this often at most. */
const SAMPLE_MS = 100;

interface Sample {
  readonly atMs: number;
  readonly usage: NodeJS.MemoryUsage;
}

const samples = new WeakMap<Node, Sample>();

function processMemory(node: Node): NodeJS.MemoryUsage {
  const nowMs = node.monotonicMs();
  const known = samples.get(node);
  if (known !== undefined && nowMs - known.atMs < SAMPLE_MS) return known.usage;
  const usage = process.memoryUsage();
  samples.set(node, { atMs: nowMs, usage });
  return usage;
}

function withHuman(name: string, bytes: number): Field[] {
  return [
    [name, bytes],
    [`${name}_human`, humanBytes(bytes)],
  ];
}

function clientBytes(node: Node): number {
  let bytes = 0;
  for (const { decoder, transport, queued } of node.sessions.values()) {
    bytes += decoder.pendingBytes + transport.pendingBytes + (queued?.bytes ?? 0);
  }
  return bytes;
}

export function memoryFields(node: Node): Field[] {
  const { config, scripting } = node;
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = processMemory(node);
  const {
    usedBytes: used,
    peakBytes: peak,
    overheadBytes: overhead,
    activeBytes: active,
    residentBytes: resident,
  } = memoryFigures(node);
  const bound = node.dispatcher.memory?.bound;
  const evictAt = bound?.evictAtBytes ?? Infinity;
  const maxBytes = Number(config.values.maxmemory);
  return [
    ...withHuman('used_memory', used),
    ...withHuman('used_memory_rss', rss),
    ...withHuman('used_memory_peak', peak),
    ['used_memory_peak_perc', percent(used, peak)],
    ['used_memory_overhead', overhead],
    ['used_memory_startup', 0],
    ['used_memory_dataset', used - overhead],
    ['used_memory_dataset_perc', percent(used - overhead, used)],
    ['allocator_allocated', used],
    ['allocator_active', active],
    ['allocator_resident', resident],
    ...withHuman('total_system_memory', totalmem()),
    ...withHuman('used_memory_lua', scripting.machineBytes),
    ...withHuman('used_memory_scripts', scripting.cache.bytes + scripting.libraries.bytes),
    ['used_memory_vm_eval', scripting.machineBytes],
    ['used_memory_scripts_eval', scripting.cache.bytes],
    ['number_of_cached_scripts', scripting.cache.size],
    ['number_of_functions', scripting.libraries.functionCount],
    ['number_of_libraries', scripting.libraries.libraries.length],
    ['used_memory_vm_functions', 0],
    ...withHuman('used_memory_vm_total', scripting.machineBytes),
    ['used_memory_functions', scripting.libraries.bytes],
    ...withHuman('maxmemory', maxBytes),
    ['maxmemory_policy', config.values['maxmemory-policy']],
    ['process_growth', bound?.growthBytes ?? 0],
    ['process_uncounted', bound?.uncountedBytes ?? 0],
    ['evict_beyond', Number.isFinite(evictAt) ? Math.floor(evictAt) : 0],
    ['moved_blocks', bound?.compaction.moved ?? 0],
    ['allocator_frag_ratio', ratio(active, used)],
    ['allocator_frag_bytes', active - used],
    ['allocator_rss_ratio', ratio(resident, active)],
    ['allocator_rss_bytes', resident - active],
    ['rss_overhead_ratio', ratio(rss, resident)],
    ['rss_overhead_bytes', rss - resident],
    ['mem_fragmentation_ratio', ratio(rss, used)],
    ['mem_fragmentation_bytes', rss - used],
    ['mem_not_counted_for_evict', 0],
    ['mem_replication_backlog', node.replicator?.status().outboxBytes ?? 0],
    ['mem_total_replication_buffers', node.replicator?.status().outboxBytes ?? 0],
    ['mem_clients_slaves', 0],
    ['mem_clients_normal', clientBytes(node)],
    ['mem_aof_buffer', 0],
    ['mem_allocator', 'mantis-arena'],
    ['heap_used', heapUsed],
    ['heap_total', heapTotal],
    ['external', external],
    ['array_buffers', arrayBuffers],
    ['active_defrag_running', bound?.compaction.isUnderWay === true ? 1 : 0],
    ['lazyfree_pending_objects', node.keyspace.objects.garbageCount],
    ['lazyfreed_objects', node.keyspace.objects.lazilyFreed],
  ];
}
