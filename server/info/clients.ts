import type { Node } from '../node.ts';
import type { Field } from './fields.ts';

export function clientFields(node: Node): Field[] {
  let inputBytes = 0;
  let outputBytes = 0;
  for (const { decoder, transport } of node.sessions.values()) {
    inputBytes = Math.max(inputBytes, decoder.pendingBytes);
    outputBytes = Math.max(outputBytes, transport.pendingBytes);
  }
  return [
    ['connected_clients', node.sessions.size],
    ['cluster_connections', 0],
    ['maxclients', node.config.values.maxclients],
    ['client_recent_max_input_buffer', inputBytes],
    ['client_recent_max_output_buffer', outputBytes],
    // As in Redis, those that CLIENT PAUSE holds are among them.
    ['blocked_clients', node.blocking.count + node.dispatcher.pausedCount],
    ['tracking_clients', node.tracking.clientCount],
    ['watching_clients', [...node.sessions.values()].filter(({ watched }) => watched !== null).length],
    ['pubsub_clients', node.pubsub.clientCount(node.sessions.values())],
    ['clients_in_timeout_table', node.blocking.count],
    ['total_watched_keys', node.watches.size],
    ['total_blocking_keys', node.keyWaiters.size],
    ['total_blocking_keys_on_nokey', node.keyWaiters.sizeEndingWithoutKey],
  ];
}
