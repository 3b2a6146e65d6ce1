import type { Loading, Node } from '../node.ts';
import type { Field } from './fields.ts';

/** While loading; registers stand where Redis has bytes. */
function loadingFields(node: Node, loading: Loading): Field[] {
  const { done, total, startedAtMs } = loading;
  const elapsedSeconds = Math.max(0, node.monotonicMs() - startedAtMs) / 1000;
  const leftSeconds = done > 0 && total > done ? (elapsedSeconds * (total - done)) / done : 1;
  return [
    ['loading_start_time', Math.floor(node.keyspace.clock.nowMs / 1000 - elapsedSeconds)],
    ['loading_total_bytes', total],
    ['loading_loaded_bytes', done],
    ['loading_loaded_perc', (total === 0 ? 0 : (100 * done) / total).toFixed(2)],
    ['loading_eta_seconds', Math.ceil(leftSeconds)],
    ['loading_registers_per_second', elapsedSeconds > 0 ? Math.round(done / elapsedSeconds) : 0],
  ];
}

/** Keys that are in the stores alone, about; keys read back so far, and those of them that the stores did not have. */
function readThroughFields({ readThrough = null, keyspace }: Node): Field[] {
  if (readThrough === null) return [];
  return [
    ['evicted_keys_stored', keyspace.databases.reduce((sum, { evicted }) => sum + evicted.count, 0)],
    ['read_through_keys', readThrough.keysFetched],
    ['read_through_misses', readThrough.keysMissed],
    ['read_through_pending', readThrough.pendingCount],
    ['evicted_keys_doubted', readThrough.doubted.count],
  ];
}

export function persistenceFields(node: Node): Field[] {
  const { save, keyspace, loading } = node;
  const status = save.lastSaveOk ? 'ok' : 'err';
  return [
    ['loading', loading === null ? 0 : 1],
    ['async_loading', 0],
    ['rdb_changes_since_last_save', Math.max(0, keyspace.changes - save.changesAtLastSave)],
    ['rdb_bgsave_in_progress', save.saving ? 1 : 0],
    ['rdb_last_save_time', Math.floor(save.lastSaveAtMs / 1000)],
    ['rdb_last_bgsave_status', status],
    ['rdb_last_bgsave_time_sec', save.lastSaveSeconds],
    ['rdb_current_bgsave_time_sec', -1],
    ['rdb_saves', node.statistics.saves],
    ['rdb_last_cow_size', 0],
    ['aof_enabled', 0],
    ['aof_rewrite_in_progress', 0],
    ['aof_rewrite_scheduled', 0],
    ['aof_last_rewrite_time_sec', -1],
    ['aof_current_rewrite_time_sec', -1],
    ['aof_last_bgrewrite_status', status],
    ['aof_last_write_status', node.writeRefusal === null ? 'ok' : 'err'],
    ['aof_rewrites', 0],
    ['aof_last_cow_size', 0],
    ['module_fork_in_progress', 0],
    ['loading_torn_bytes', save.tornBytes],
    ['loading_doubtful_bytes', save.doubtfulBytes],
    ...readThroughFields(node),
    ...(loading === null ? [] : loadingFields(node, loading)),
  ];
}
