/**
 * The options that say what the keyspace remembers of keys' use and of conflicts, and how many peers writes need, handed to whoever
 * heeds them now and at every change.
 */
import type { Keyspace } from '../../storage/keyspace.ts';
import type { Config } from '../config/config.ts';
import type { Node } from '../node.ts';

export function followConflictSettings(config: Config, keyspace: Keyspace): void {
  const apply = (): void => void (keyspace.merges.log.lengthMax = config.values['conflict-log-max-len']);
  config.onChange('conflict-log-max-len', apply);
  apply();
}

export function followAccessSettings(config: Config, keyspace: Keyspace): void {
  const apply = (): void => {
    const { values } = config;
    keyspace.accessPolicy.logFactor = values['lfu-log-factor'];
    keyspace.accessPolicy.decayMinutes = values['lfu-decay-time'];
    keyspace.updateAccessClock(values['maxmemory-policy'].endsWith('lfu'));
  };
  for (const name of ['maxmemory-policy', 'lfu-log-factor', 'lfu-decay-time'] as const) config.onChange(name, apply);
  apply();
}

export function followWriteSettings(config: Config, node: Pick<Node, 'peersToWrite'>): void {
  const apply = (): void => void (node.peersToWrite = config.values['min-replicas-to-write']);
  config.onChange('min-replicas-to-write', apply);
  apply();
}
