/** The node as part of its cluster and of its durable stores; for INFO and MANTIS STATUS. */
import { formatNodeId, formatStamp } from '../../protocol/stamp.ts';
import { dirtyCount } from '../../storage/changes/outflow.ts';
import { mantisVersion } from '../config/version.ts';
import type { Node } from '../node.ts';
import type { Field } from './fields.ts';
import { uptimeSeconds } from './server.ts';

function underscored(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The plain figures of an object and of the objects in it, under its name. */
function flatten(prefix: string, value: unknown): Field[] {
  if (typeof value === 'number' || typeof value === 'string') return [[prefix, value]];
  if (typeof value === 'boolean') return [[prefix, value ? 1 : 0]];
  if (typeof value === 'bigint') return [[prefix, value.toString()]];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, part]) => flatten(`${prefix}_${underscored(name)}`, part));
}

function storeFields(node: Node): Field[] {
  const { flusher, keyspace } = node;
  if (flusher === null) return [['stores', 'none']];
  return [['dirty_registers', dirtyCount(keyspace)], ...flatten('store', flusher.status())];
}

function peerFields(node: Node): Field[] {
  if (node.replicator === null) return [['peer_port', 'none']];
  const status = node.replicator.status();
  const peers = status.peers.map(({ id, address, state, lagBytes, heardAgoMs, roundTripMs }, index): Field => [
    `peer${index}`,
    `id=${id},address=${address},state=${state},lag_bytes=${lagBytes},heard_ago_ms=${heardAgoMs},` +
      `round_trip_ms=${roundTripMs === null ? -1 : Math.round(roundTripMs)}`,
  ]);
  return [
    ['peer_port', status.port],
    ['peers_known', status.peers.length],
    ['peers_linked', node.replicator.linkedPeers],
    ['last_published', status.lastPublished],
    ['outbox_bytes', status.outboxBytes],
    ['outbox_dropped_frames', status.outboxDroppedFrames],
    ['held', status.held],
    ['reaped', status.reaped],
    ['tombstones_wait_for_peers', status.peers.filter(({ isWaitedFor }) => isWaitedFor).length],
    ['clock_ahead_of_peers_ms', status.clock.aheadMs],
    ['clock_refusals', status.clockRefusals],
    ['future_records', status.futureRecords],
    ...peers,
  ];
}

function stateOf(node: Node): string {
  if (node.loading !== null) return 'loading';
  return node.writeRefusal === null ? 'serving' : 'read-only';
}

/** Keys that were deleted or have lapsed, and are remembered. */
export function tombstoneCount({ keyspace }: Node): number {
  return keyspace.databases.reduce((total, { index, keyCount }) => total + index.count - keyCount, 0);
}

export function mantisFields(node: Node): Field[] {
  const { clock, databases } = node.keyspace;
  return [
    ['mantis_version', mantisVersion],
    ['node_id', formatNodeId(node.nodeHi, node.nodeLo)],
    ['cluster_id', node.config.values['cluster-id']],
    ['state', stateOf(node)],
    ...(node.writeRefusal === null ? [] : [['write_refusal', node.writeRefusal] satisfies Field]),
    ['uptime_seconds', uptimeSeconds(node)],
    ['keys', databases.reduce((total, { keyCount }) => total + keyCount, 0)],
    ['tombstones', tombstoneCount(node)],
    ['evicted_keys_counted', databases.reduce((total, { evictedDigests }) => total + evictedDigests.count, 0)],
    ['evicted_keys_uncounted', node.keyspace.evictedUncounted],
    ['clients', node.sessions.size],
    ['clock', formatStamp(clock.hi, clock.lo)],
    ['clock_ahead_ms', Math.max(0, clock.aheadMs())],
    ...peerFields(node),
    ...storeFields(node),
  ];
}
