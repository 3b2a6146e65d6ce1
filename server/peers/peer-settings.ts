/** The options about peers that CONFIG SET changes, handed to the replicator at every change. */
import type { Replicator } from '../../replication/replicator.ts';
import type { Config } from '../config/config.ts';
import { ValueError } from '../config/option-type.ts';
import { changeableOptions } from '../runtime/runtime-options.ts';

const NAMES = [
  'outbox-bytes-max',
  'max-clock-drift',
  'tombstone-horizon',
  'peer-ping-interval',
  'peer-timeout',
  'peer-connect-timeout',
  'peer-reconnect-delay-max',
  'peer-resolve-interval',
  'repair-interval',
  'repair-rate',
] as const;

export function followPeerSettings(config: Config, replicator: Replicator): void {
  const apply = (): void => replicator.configure(changeableOptions(config.values));
  for (const name of NAMES) config.onChange(name, apply);
  config.onChange('cluster-secret', (secrets, before) => {
    // With it goes where the peer port listens.
    if ((secrets.length === 0) !== (before.length === 0))
      throw new ValueError('a running node can change its secret, but not begin or cease to have one');
    apply();
  });
}
