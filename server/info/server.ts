import { arch, machine, release, type } from 'node:os';
import { formatNodeId } from '../../protocol/stamp.ts';
import { mantisVersion } from '../config/version.ts';
import type { Node } from '../node.ts';
import { REDIS_VERSION } from '../config/redis-version.ts';
import type { Field } from './fields.ts';

const SECONDS_A_DAY = 86_400;

export function uptimeSeconds(node: Node): number {
  return Math.max(0, Math.floor((node.keyspace.clock.nowMs - node.startedAtMs) / 1000));
}

export function serverFields(node: Node): Field[] {
  const { values, file } = node.config;
  const uptime = uptimeSeconds(node);
  return [
    ['redis_version', REDIS_VERSION],
    ['redis_git_sha1', '00000000'],
    ['redis_git_dirty', 0],
    ['redis_build_id', '0'],
    ['redis_mode', 'standalone'],
    ['server_name', 'mantis'],
    ['mantis_version', mantisVersion],
    ['node_id', formatNodeId(node.nodeHi, node.nodeLo)],
    ['node_version', process.version],
    ['os', `${type()} ${release()} ${machine()}`],
    ['arch_bits', arch().includes('64') || arch() === 's390x' ? 64 : 32],
    ['monotonic_clock', 'performance.now'],
    ['multiplexing_api', 'libuv'],
    ['process_id', process.pid],
    ['process_supervised', 'no'],
    ['run_id', node.runId],
    ['tcp_port', values.port],
    ['server_time_usec', node.keyspace.clock.nowMs * 1000],
    ['uptime_in_seconds', uptime],
    ['uptime_in_days', Math.floor(uptime / SECONDS_A_DAY)],
    ['hz', values.hz],
    ['configured_hz', values.hz],
    ['lru_clock', node.keyspace.accessClock],
    ['executable', process.argv[1] ?? process.execPath],
    ['config_file', file ?? ''],
    ['io_threads_active', 0],
  ];
}
