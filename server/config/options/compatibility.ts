/**
 * Options of Redis 7 (and a few of Valkey 8) that clients, tools and test suites read or set, and that change nothing here: their
 * job is done otherwise, or there is nothing to tune. They are kept and shown as Redis shows them.
 */
import { oomScores, saveRules, shutdownWords } from '../composite-types.ts';
import { onlyValue } from '../node-types.ts';
import type { OptionTraits } from '../option-definition.ts';
import { accepted } from '../option-definition.ts';
import { choice, integer, longInteger, size, text, ValueError, yesNo } from '../option-type.ts';

const NEVER: OptionTraits = { mutable: 'never' };

function switchOption(fallback: 'yes' | 'no', summary: string, traits: OptionTraits = {}) {
  return accepted(yesNo(), fallback, summary, traits);
}

function checkTemplate(value: string): void {
  const known = /^(title|listen-addr|server-mode|port|tls-port|unixsocket|config-file)$/;
  for (const variable of value.matchAll(/\{([^}]*)\}?/g)) {
    if (!variable[0].endsWith('}') || !known.test(variable[1] ?? '')) {
      throw new ValueError('template format is invalid or contains unknown variables');
    }
  }
}

function checkHostname(value: string): void {
  if (!/^[a-z0-9.-]*$/i.test(value)) {
    throw new ValueError('Hostnames may only contain alphanumeric characters, hyphens or dots');
  }
}

function refusePath(value: string): void {
  if (value.includes('/')) throw new ValueError("dbfilename can't be a path, just a filename");
}

const snapshotOptions = {
  dbfilename: accepted(text('file name', refusePath), 'dump.rdb', 'Name of the snapshot file.', { protected: true }),
  save: accepted(saveRules(), '', 'When Redis would write a snapshot.', { instead: 'data-dir and flush-interval' }),
  appendonly: switchOption('no', 'Append-only file of Redis.', { instead: 'durability' }),
  appendfsync: accepted(
    choice('everysec', 'always', 'no'),
    'everysec',
    'How often Redis would sync its append-only file.',
    {
      instead: 'durability',
    },
  ),
  appendfilename: accepted(text('file name'), 'appendonly.aof', 'Name of the append-only file.', NEVER),
  appenddirname: accepted(text('folder name'), 'appendonlydir', 'Folder of the append-only file.', NEVER),
  'no-appendfsync-on-rewrite': switchOption('no', 'Syncing during a rewrite.'),
  'auto-aof-rewrite-percentage': accepted(integer(), '100', 'Growth at which the append-only file is rewritten.'),
  'auto-aof-rewrite-min-size': accepted(size(), '64mb', 'Size from which it is.'),
  'aof-load-truncated': switchOption('yes', 'Loading of a torn append-only file.'),
  'aof-use-rdb-preamble': switchOption('yes', 'Form of the append-only file.'),
  'aof-timestamp-enabled': switchOption('no', 'Times in the append-only file.'),
  'aof-rewrite-incremental-fsync': switchOption('yes', 'Syncing in steps.'),
  'aof-disable-auto-gc': switchOption('no', 'Removal of old append-only files.'),
  rdbcompression: switchOption('yes', 'Compression of snapshots.'),
  rdbchecksum: switchOption('yes', 'Checksum of snapshots.', NEVER),
  'rdb-del-sync-files': switchOption('no', 'Removal of snapshots made for replicas.'),
  'rdb-save-incremental-fsync': switchOption('yes', 'Syncing in steps.'),
  'rdb-key-save-delay': accepted(integer(-2147483648), '0', 'Delay for tests of Redis.', { hidden: true }),
  'key-load-delay': accepted(integer(-2147483648), '0', 'Delay for tests of Redis.', { hidden: true }),
  'loading-process-events-interval-bytes': accepted(size(1024), '2mb', 'Step of loading in Redis.', { hidden: true }),
  'stop-writes-on-bgsave-error': switchOption('yes', 'Refusal of writes after a failed snapshot.'),
  'sanitize-dump-payload': accepted(
    choice('no', 'yes', 'clients'),
    'no',
    'Depth of the check of RESTORE payloads; ours is always full.',
  ),
};

const replicaOptions = {
  replicaof: accepted(
    onlyValue('', "every node takes writes; name the others with 'peers'"),
    '',
    'The primary of a replica.',
    {
      mutable: 'never',
      aliases: ['slaveof'],
      instead: 'peers',
    },
  ),
  masteruser: accepted(text(), '', 'User at the primary.', { aliases: ['primaryuser'] }),
  masterauth: accepted(text(), '', 'Password at the primary.', {
    aliases: ['primaryauth'],
    secret: 'shown',
    instead: 'cluster-secret',
  }),
  'replica-serve-stale-data': switchOption('yes', 'Replies of a replica without its primary.', {
    aliases: ['slave-serve-stale-data'],
  }),
  'replica-read-only': switchOption('yes', 'Writes to a replica.', { aliases: ['slave-read-only'] }),
  'replica-priority': accepted(integer(), '100', 'Rank for Sentinel.', { aliases: ['slave-priority'] }),
  'replica-announced': switchOption('yes', 'Listing by Sentinel.'),
  'replica-announce-ip': accepted(text(), '', 'Address of a replica.', {
    aliases: ['slave-announce-ip'],
    instead: 'peer-advertise',
  }),
  'replica-announce-port': accepted(integer(0, 65535), '0', 'Port of a replica.', {
    aliases: ['slave-announce-port'],
    instead: 'peer-advertise',
  }),
  'replica-ignore-maxmemory': switchOption('yes', 'Eviction by a replica.', { aliases: ['slave-ignore-maxmemory'] }),
  'replica-ignore-disk-write-errors': switchOption('no', 'Disk errors of a replica.'),
  'replica-lazy-flush': switchOption('no', 'Flush of a replica in the background.', { aliases: ['slave-lazy-flush'] }),
  'min-replicas-max-lag': accepted(integer(), '10', 'Lag up to which replicas count.', {
    aliases: ['min-slaves-max-lag'],
    instead: 'peer-timeout',
  }),
  'repl-backlog-size': accepted(size(1, 9223372036854775807n, 16384), '1mb', 'Changes kept for replicas.', {
    instead: 'outbox-bytes-max',
  }),
  'repl-backlog-ttl': accepted(longInteger(), '3600', 'Time for which they are kept.'),
  'repl-timeout': accepted(integer(1), '60', 'Silence after which a replica is given up.', { instead: 'peer-timeout' }),
  'repl-ping-replica-period': accepted(integer(1), '10', 'Pings to replicas.', {
    aliases: ['repl-ping-slave-period'],
    instead: 'peer-ping-interval',
  }),
  'repl-disable-tcp-nodelay': switchOption('no', 'Batching by TCP.'),
  'repl-diskless-sync': switchOption('yes', 'Full copies without a file.'),
  'repl-diskless-sync-delay': accepted(integer(), '5', 'Wait for more replicas before a full copy.'),
  'repl-diskless-sync-max-replicas': accepted(integer(), '0', 'Replicas for which that wait ends.'),
  'repl-diskless-load': accepted(choice('disabled', 'on-empty-db', 'swapdb'), 'disabled', 'Loading of a full copy.'),
  'propagation-error-behavior': accepted(
    choice('ignore', 'panic', 'panic-on-replicas'),
    'ignore',
    'Errors in the replication stream.',
  ),
  'close-on-replica-write': switchOption('yes', 'Errors in the replication stream.', { hidden: true }),
};

const clusterOptions = {
  'cluster-enabled': accepted(
    onlyValue('no', "hash slots are not supported; every node holds everything, name the others with 'peers'"),
    'no',
    'Redis Cluster.',
    {
      mutable: 'never',
      instead: 'peers',
    },
  ),
  'cluster-config-file': accepted(text(), 'nodes.conf', 'File of Redis Cluster.', NEVER),
  'cluster-port': accepted(integer(0, 65535), '0', 'Port of Redis Cluster.', {
    mutable: 'never',
    instead: 'peer-port',
  }),
  'cluster-node-timeout': accepted(longInteger(), '15000', 'Silence after which a node is failing.', {
    instead: 'peer-timeout',
  }),
  'cluster-migration-barrier': accepted(integer(), '1', 'Migration of replicas.'),
  'cluster-replica-validity-factor': accepted(integer(), '10', 'Failover of Redis Cluster.', {
    aliases: ['cluster-slave-validity-factor'],
  }),
  'cluster-replica-no-failover': switchOption('no', 'Failover of Redis Cluster.', {
    aliases: ['cluster-slave-no-failover'],
  }),
  'cluster-require-full-coverage': switchOption('yes', 'Slots of Redis Cluster.'),
  'cluster-allow-reads-when-down': switchOption('no', 'Reads of Redis Cluster.'),
  'cluster-allow-pubsubshard-when-down': switchOption('yes', 'Channels of Redis Cluster.'),
  'cluster-allow-replica-migration': switchOption('yes', 'Migration of replicas.'),
  'cluster-link-sendbuf-limit': accepted(size(), '0', 'Bound of a link of Redis Cluster.', {
    instead: 'outbox-bytes-max',
  }),
  'cluster-preferred-endpoint-type': accepted(
    choice('ip', 'hostname', 'unknown-endpoint'),
    'ip',
    'Address form of Redis Cluster.',
  ),
  'cluster-announce-ip': accepted(text(), '', 'Address in Redis Cluster.', { instead: 'peer-advertise' }),
  'cluster-announce-hostname': accepted(text('host name', checkHostname), '', 'Host name in Redis Cluster.'),
  'cluster-announce-port': accepted(integer(0, 65535), '0', 'Port in Redis Cluster.'),
  'cluster-announce-tls-port': accepted(integer(0, 65535), '0', 'TLS port in Redis Cluster.'),
  'cluster-announce-bus-port': accepted(integer(0, 65535), '0', 'Bus port in Redis Cluster.'),
};

const tlsOptions = {
  'tls-client-cert-file': accepted(text('path'), '', 'Certificate towards other servers.', {
    instead: 'peer-tls-cert-file',
  }),
  'tls-client-key-file': accepted(text('path'), '', 'Key towards other servers.', { instead: 'peer-tls-key-file' }),
  'tls-client-key-file-pass': accepted(text(), '', 'Passphrase of that key.', {
    secret: 'masked',
    instead: 'peer-tls-key-file-pass',
  }),
  'tls-dh-params-file': accepted(text('path'), '', 'Diffie-Hellman parameters of old OpenSSL versions.'),
  'tls-cluster': switchOption('no', 'TLS between nodes.', { instead: 'peer-tls' }),
  'tls-replication': switchOption('no', 'TLS between nodes.', { instead: 'peer-tls' }),
  'tls-session-caching': switchOption('yes', 'TLS sessions.'),
  'tls-session-cache-size': accepted(integer(), '20480', 'TLS sessions.'),
  'tls-session-cache-timeout': accepted(integer(), '300', 'TLS sessions.'),
};

const processOptions = {
  daemonize: accepted(
    onlyValue('no', 'start it from a service manager or a container, with --daemonize no where a file says yes'),
    'no',
    'Running in the background.',
    NEVER,
  ),
  supervised: accepted(choice('no', 'upstart', 'systemd', 'auto'), 'no', 'Signals to a service manager.', NEVER),
  'set-proc-title': switchOption('yes', 'Name in the process list.', NEVER),
  'proc-title-template': accepted(
    text('text', checkTemplate),
    '{title} {listen-addr} {server-mode}',
    'Form of that name.',
  ),
  'always-show-logo': switchOption('no', 'Logo in the log.', NEVER),
  'syslog-enabled': switchOption('no', 'Log to syslog.', { mutable: 'never', instead: 'logfile' }),
  'syslog-ident': accepted(text(), 'redis', 'Name in syslog.', NEVER),
  'syslog-facility': accepted(
    choice('user', 'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7'),
    'local0',
    'Facility of syslog.',
    NEVER,
  ),
  'crash-log-enabled': switchOption('yes', 'Report of a crash; ours is always written.'),
  'crash-memcheck-enabled': switchOption('yes', 'Memory check in it.'),
  'use-exit-on-panic': switchOption('no', 'End of a crashed process.', { hidden: true }),
  'shutdown-on-sigint': accepted(shutdownWords(), 'default', 'What SIGINT does; here it always flushes.'),
  'shutdown-on-sigterm': accepted(shutdownWords(), 'default', 'What SIGTERM does; here it always flushes.'),
  'enable-module-command': accepted(choice('no', 'yes', 'local'), 'no', 'MODULE; there are no modules.', NEVER),
  'ignore-warnings': accepted(text(), '', 'Warnings at start.'),
  'hide-user-data-from-log': switchOption('yes', 'User data in the log; ours never holds any.'),
  'enable-debug-assert': switchOption('no', 'Assertions for tests.', { mutable: 'never', hidden: true }),
  'io-threads': accepted(integer(1, 128), '1', 'Threads for sockets.', NEVER),
  'io-threads-do-reads': switchOption('no', 'Threads for reading.', NEVER),
  server_cpulist: accepted(text(), '', 'Processors for the server.', NEVER),
  bio_cpulist: accepted(text(), '', 'Processors for background work.', NEVER),
  aof_rewrite_cpulist: accepted(text(), '', 'Processors for rewriting.', NEVER),
  bgsave_cpulist: accepted(text(), '', 'Processors for snapshots.', NEVER),
  'bind-source-addr': accepted(text(), '', 'Source address of outgoing connections.'),
  'socket-mark-id': accepted(longInteger(), '0', 'Mark on sockets.', NEVER),
  'oom-score-adj': accepted(
    choice('no', 'yes', 'relative', 'absolute'),
    'no',
    "Rank for the kernel's out-of-memory killer.",
  ),
  'oom-score-adj-values': accepted(oomScores(), '0 200 800', 'Scores for it.'),
  'disable-thp': switchOption('yes', 'Huge pages.', NEVER),
};

const memoryOptions = {
  'active-expire-effort': accepted(
    integer(1, 10),
    '1',
    'How hard expired keys are looked for; ours go at their deadline.',
  ),
  'dynamic-hz': switchOption('yes', 'More housekeeping for many clients.'),
  'lazyfree-lazy-eviction': switchOption('no', 'Freeing in the background; ours always is.'),
  'lazyfree-lazy-expire': switchOption('no', 'Freeing in the background; ours always is.'),
  'lazyfree-lazy-server-del': switchOption('no', 'Freeing in the background; ours always is.'),
  'lazyfree-lazy-user-del': switchOption('no', 'Freeing in the background; ours always is.'),
  'lazyfree-lazy-user-flush': switchOption('no', 'Freeing in the background; ours always is.'),
  activerehashing: switchOption('yes', 'Growing the index in steps; ours always does.'),
  activedefrag: switchOption('no', 'Defragmentation.'),
  'active-defrag-ignore-bytes': accepted(size(1), '100mb', 'Defragmentation.'),
  'active-defrag-threshold-lower': accepted(integer(0, 1000), '10', 'Defragmentation.'),
  'active-defrag-threshold-upper': accepted(integer(0, 1000), '100', 'Defragmentation.'),
  'active-defrag-cycle-min': accepted(integer(1, 99), '1', 'Defragmentation.'),
  'active-defrag-cycle-max': accepted(integer(1, 99), '25', 'Defragmentation.'),
  'active-defrag-max-scan-fields': accepted(longInteger(1), '1000', 'Defragmentation.'),
  'jemalloc-bg-thread': switchOption('yes', 'Thread of the memory allocator.'),
  'list-compress-depth': accepted(integer(), '0', 'List nodes at each end that are not compressed; ours never are.'),
};

export const compatibilityOptions = {
  ...snapshotOptions,
  ...replicaOptions,
  ...clusterOptions,
  ...tlsOptions,
  ...processOptions,
  ...memoryOptions,
};
