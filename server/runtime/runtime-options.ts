/** From the configuration to what replication and the stores take. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { ChangeableOptions, KnownMember, ReplicatorOptions } from '../../replication/settings.ts';
import type { Stamp } from '../../replication/replica.ts';
import type { PeerTls } from '../../replication/tcp.ts';
import type { DurableStore } from '../../storage/backends/backend.ts';
import { levelBufferBytes } from '../../storage/backends/level-database.ts';
import type { MysqlPool } from '../../storage/backends/mysql-connections.ts';
import type { StoreEnvironment } from '../../storage/environment.ts';
import type { FlusherOptions } from '../../storage/flush/flusher-options.ts';
import { peerBindOf, peerPortOf } from '../config/checks.ts';
import type { ConfigValues } from '../config/option-table.ts';

/** Null when nothing is stored durably. `pool` comes instead of the `mysql` option. */
export function flusherOptions(
  values: ConfigValues,
  pool: MysqlPool | DurableStore | undefined,
  environment: StoreEnvironment,
): FlusherOptions | null {
  const dataDir = values['data-dir'];
  const mysql = pool ?? (values.mysql === '' ? null : values.mysql);
  if (dataDir === null && mysql === null) return null;
  return {
    dataDir,
    bufferBytes: levelBufferBytes(Number(values.maxmemory)),
    mysql,
    flushIntervalMs: values['flush-interval'],
    takeoverMs: values['takeover-after'],
    futureMsMax: () => values['max-clock-drift'],
    environment,
  };
}

/** Null when the node takes part in no cluster. */
export function replicatorOptions(
  values: ConfigValues,
  nodeId: Stamp,
  members: readonly KnownMember[],
): ReplicatorOptions | null {
  const port = peerPortOf(values);
  if (port === null) return null;
  const advertised = values['peer-advertise'];
  return {
    nodeId,
    clusterId: values['cluster-id'],
    bind: peerBindOf(values).flatMap(presentAddress),
    port,
    peers: values.peers,
    members,
    ...changeableOptions(values),
    ...(advertised === null ? {} : { advertiseHost: advertised.host, advertisePort: advertised.port }),
  };
}

/** What CONFIG SET may change. */
export function changeableOptions(values: ConfigValues): ChangeableOptions {
  return {
    secrets: values['cluster-secret'],
    outboxBytesMax: values['outbox-bytes-max'],
    maxClockDriftMs: values['max-clock-drift'],
    tombstoneHorizonMs: values['tombstone-horizon'],
    pingIntervalMs: values['peer-ping-interval'],
    peerTimeoutMs: values['peer-timeout'],
    handshakeTimeoutMs: values['peer-connect-timeout'],
    reconnectMaxMs: values['peer-reconnect-delay-max'],
    resolveIntervalMs: values['peer-resolve-interval'],
    repairIntervalMs: values['repair-interval'],
    repairBytesPerSecond: values['repair-rate'],
  };
}

/** An entry of `bind` as an address to listen on; nothing for an optional one that this machine does not have. */
function presentAddress(entry: string): string[] {
  const optional = entry.startsWith('-');
  const address = optional ? entry.slice(1) : entry;
  if (address === '*') return ['0.0.0.0'];
  if (address === '::*') return ['::'];
  if (!optional) return [address];
  const present = Object.values(networkInterfaces()).some((list) => list?.some((info) => info.address === address));
  return present ? [address] : [];
}

/** The certificates that peers show each other; undefined without peer-tls. @throws Error when a file cannot be read */
export function peerTls(values: ConfigValues): PeerTls | undefined {
  if (!values['peer-tls']) return undefined;
  const authority = values['peer-tls-ca-cert-file'];
  const passphrase = values['peer-tls-key-file-pass'];
  return {
    certificate: readFileSync(values['peer-tls-cert-file']),
    key: readFileSync(values['peer-tls-key-file']),
    ...(passphrase === '' ? {} : { passphrase }),
    isMutual: authority !== '',
    ...(authority === '' ? {} : { authority: readFileSync(authority) }),
  };
}
