/** The options that say what the keyspace remembers of keys' use and of conflicts, handed to the keyspace now and at every change. */
import type { Keyspace } from '../../storage/keyspace.ts';
import type { Config } from '../config/config.ts';

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
