import type { Database } from '../../storage/database.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import type { Node } from '../node.ts';
import type { Field } from './fields.ts';

const BYTES_A_KILOBYTE = 1024;
/** Keys with a deadline that their mean time to live is worked out from. */
const TTL_SAMPLES = 64;

function mean(samples: Float64Array): number {
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
}

function kilobytes(samples: Float64Array): string {
  return (mean(samples) / BYTES_A_KILOBYTE).toFixed(2);
}

/** Bytes received from and sent to peers. */
function peerBytes(node: Node): { received: number; sent: number } {
  const peers = node.replicator?.status().peers ?? [];
  return {
    received: peers.reduce((sum, { bytesIn }) => sum + bytesIn, 0),
    sent: peers.reduce((sum, { bytesOut }) => sum + bytesOut, 0),
  };
}

export function statisticsFields(node: Node): Field[] {
  const { statistics, keyspace } = node;
  const { received, sent } = peerBytes(node);
  return [
    ['total_connections_received', statistics.connectionsReceived],
    ['total_commands_processed', statistics.commandsProcessed],
    ['instantaneous_ops_per_sec', Math.round(mean(statistics.operationSamples))],
    ['total_net_input_bytes', statistics.bytesIn],
    ['total_net_output_bytes', statistics.bytesOut],
    ['total_net_repl_input_bytes', received],
    ['total_net_repl_output_bytes', sent],
    ['instantaneous_input_kbps', kilobytes(statistics.bytesInSamples)],
    ['instantaneous_output_kbps', kilobytes(statistics.bytesOutSamples)],
    ['rejected_connections', statistics.connectionsRejected],
    ['sync_full', 0],
    ['sync_partial_ok', 0],
    ['sync_partial_err', 0],
    ['expired_subkeys', keyspace.expiredElements],
    ['expired_keys', keyspace.expiredKeys],
    ['expired_stale_perc', '0.00'],
    ['expired_time_cap_reached_count', 0],
    ['expire_cycle_cpu_milliseconds', 0],
    ['evicted_keys', statistics.evictedKeys],
    ['evicted_clients', statistics.evictedClients],
    ['total_eviction_exceeded_time', 0],
    ['current_eviction_exceeded_time', 0],
    ['keyspace_hits', statistics.keyspaceHits],
    ['keyspace_misses', statistics.keyspaceMisses],
    ['pubsub_channels', node.pubsub.channels.size],
    ['pubsub_patterns', node.pubsub.patterns.size],
    ['pubsubshard_channels', node.pubsub.shards.size],
    ['latest_fork_usec', 0],
    ['total_forks', 0],
    ['migrate_cached_sockets', 0],
    ['slave_expires_tracked_keys', 0],
    ['tracking_total_keys', node.tracking.keyCount],
    ['tracking_total_items', node.tracking.itemCount],
    ['tracking_total_prefixes', node.tracking.prefixCount],
    ['total_reads_processed', statistics.reads],
    ['total_writes_processed', statistics.writes],
    ['io_threaded_reads_processed', 0],
    ['io_threaded_writes_processed', 0],
    ['unexpected_error_replies', statistics.unexpectedErrorReplies],
    ['total_error_replies', statistics.errorReplies],
    ['dump_payload_sanitizations', 0],
    ['acl_access_denied_auth', statistics.authenticationFailures],
    ['acl_access_denied_cmd', statistics.deniedCommands],
    ['acl_access_denied_key', statistics.deniedKeys],
    ['acl_access_denied_channel', statistics.deniedChannels],
    ['client_query_buffer_limit_disconnections', statistics.queryLimitDisconnections],
    ['client_output_buffer_limit_disconnections', statistics.outputLimitDisconnections],
    ['protocol_errors', statistics.protocolErrors],
  ];
}

/**
 * Redis's replication, of which this node is a primary without replicas, and what merging the peers' changes came to: the peers
 * themselves are in the Mantis section.
 */
export function replicationFields(node: Node): Field[] {
  const { merges } = node.keyspace;
  return [
    ['role', 'master'],
    ['connected_slaves', 0],
    ['master_failover_state', 'no-failover'],
    ['master_replid', node.runId],
    ['master_replid2', '0'.repeat(node.runId.length)],
    ['master_repl_offset', 0],
    ['second_repl_offset', -1],
    ['repl_backlog_active', 0],
    ['repl_backlog_size', 0],
    ['repl_backlog_first_byte_offset', 0],
    ['repl_backlog_histlen', 0],
    ['merges_won', merges.won],
    ['merges_lost', merges.lost],
    ['merges_equal', merges.equal],
    ['conflicts_won', merges.conflictsWon],
    ['conflicts_lost', merges.conflictsLost],
  ];
}

/** Processor seconds, of all threads. */
export function processorFields(): Field[] {
  const { user, system } = process.cpuUsage();
  const seconds = (microseconds: number): string => (microseconds / 1e6).toFixed(6);
  return [
    ['used_cpu_sys', seconds(system)],
    ['used_cpu_user', seconds(user)],
    ['used_cpu_sys_children', '0.000000'],
    ['used_cpu_user_children', '0.000000'],
  ];
}

/** The mean time to live of some of a database's keys, in milliseconds; 0 without deadlines. Redis, too, tells an estimate. */
function averageTtlMs(keyspace: Keyspace, { deadlines }: Database): number {
  const nowMs = keyspace.clock.nowMs;
  let sumMs = 0;
  let count = 0;
  for (let index = 0; index < TTL_SAMPLES && index < deadlines.length; index++) {
    const ref = deadlines.sample(index / Math.min(TTL_SAMPLES, deadlines.length));
    const leftMs = keyspace.isKeyBlock(ref) ? keyspace.deadlineOf(ref) - nowMs : 0;
    // Of a key that was deleted or has no deadline any more an entry may be left.
    if (leftMs <= 0) continue;
    sumMs += leftMs;
    count++;
  }
  return count === 0 ? 0 : Math.round(sumMs / count);
}

export function keyspaceFields({ keyspace }: Node): Field[] {
  return keyspace.databases
    .filter(({ keyCount }) => keyCount > 0)
    .map((database) => [
      `db${database.number}`,
      `keys=${database.keyCount},expires=${database.deadlineCount},avg_ttl=${averageTtlMs(keyspace, database)}`,
    ]);
}
