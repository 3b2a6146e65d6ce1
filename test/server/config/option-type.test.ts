import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { KEYSPACE_EVENT } from '../../../server/config/composite-types.ts';
import { Config } from '../../../server/config/config.ts';
import { allOptions, defaultValue } from '../../../server/config/option-table.ts';

function shown(name: string, value: string): string {
  const config = Config.fromSources({ settings: { [name]: value } });
  return config.get([name])[0]?.[1] ?? '';
}

function refusal(name: string, value: string): string {
  const answer = Config.fromSources().set([name, value]);
  return answer === null
    ? 'OK'
    : answer.replace(/^ERR CONFIG SET failed \(possibly related to argument '[^']*'\) - /, '');
}

describe('option types', () => {
  it.each([
    ['maxmemory', '10', '10'],
    ['maxmemory', '1k', '1000'],
    ['maxmemory', '1KB', '1024'],
    ['maxmemory', '2mb', '2097152'],
    ['maxmemory', '1G', '1000000000'],
    ['maxmemory', '18446744073709551615', '18446744073709551615'],
    ['maxmemory', '', '0'],
    ['repl-backlog-size', '1', '16384'],
    ['hz', '1000', '500'],
    ['hz', '0', '1'],
    ['slowlog-log-slower-than', '9223372036854775807', '9223372036854775807'],
    ['timeout', '5', '5'],
    ['timeout', '2m', '120'],
    ['timeout', '1500ms', '1500ms'],
    ['flush-interval', '250', '250'],
    ['flush-interval', '1.5s', '1500'],
    ['tombstone-horizon', '24h', '86400000'],
    ['tombstone-horizon', '2d', '172800000'],
    ['appendfsync', 'ALWAYS', 'always'],
    ['unixsocketperm', '700', '700'],
    ['save', '900  1 300 10', '900 1 300 10'],
    [
      'client-output-buffer-limit',
      'normal 1mb 2mb 60',
      'normal 1048576 2097152 60 slave 268435456 67108864 60 pubsub 33554432 8388608 60',
    ],
    ['notify-keyspace-events', 'Exg', 'gxE'],
    ['notify-keyspace-events', 'KEA', 'AKE'],
    ['notify-keyspace-events', 'tdmnE', 'tdnEm'],
    ['notify-keyspace-events', 'KEAmn', 'AKEmn'],
    ['maxmemory-clients', '10%', '10%'],
    ['maxmemory-clients', '5mb', '5242880'],
    ['latency-tracking-info-percentiles', '50.0 99.90', '50 99.9'],
    ['shutdown-on-sigterm', 'now nosave', 'nosave now'],
    ['peers', 'a:1,[::1]:2 b:3', 'a:1 [::1]:2 b:3'],
    ['peer-port', 'NONE', 'none'],
    ['durability', 'replicas=2', 'replicas=2'],
    ['node-id', '00000000000000AB', '00000000000000ab'],
    ['data-dir', 'none', 'none'],
  ])('%s %j reads back as %j', (name, value, expected) => {
    expect(shown(name, value)).toBe(expected);
  });

  it.each([
    ['timeout', '1.5', "argument couldn't be parsed into an integer"],
    ['timeout', '05', "argument couldn't be parsed into an integer"],
    ['timeout', '5x', 'argument must be a duration'],
    ['timeout', '-1', 'argument must be between 0 and 2147483647 inclusive'],
    ['timeout', '9999999h', 'argument must be between 0 and 2147483647 inclusive'],
    ['acllog-max-len', '9223372036854775808', "argument couldn't be parsed into an integer"],
    ['maxmemory', '1.5k', 'argument must be a memory value'],
    ['maxmemory', '5p', 'argument must be a memory value'],
    ['maxmemory', '-1', 'argument must be a memory value'],
    ['proto-max-bulk-len', '1', 'argument must be between 1048576 and 9223372036854775807 inclusive'],
    ['maxmemory-clients', '200%', 'percentage argument must be less or equal to 100'],
    ['save', '900 1 300', 'Invalid save parameters'],
    ['save', '0 1', 'Invalid save parameters'],
    ['client-output-buffer-limit', 'normal 1 2', 'Wrong number of arguments in buffer limit configuration.'],
    ['client-output-buffer-limit', 'wrong 1 2 3', 'Invalid client class specified in buffer limit configuration.'],
    [
      'client-output-buffer-limit',
      'normal 1 1 x',
      'Error in hard, soft or soft_seconds setting in buffer limit configuration.',
    ],
    ['notify-keyspace-events', 'Q', "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."],
    ['oom-score-adj-values', '1 2', 'wrong number of arguments'],
    ['oom-score-adj-values', '1 2 5000', 'Invalid oom-score-adj-values, elements must be between -2000 and 2000.'],
    ['cluster-announce-hostname', 'a_b', 'Hostnames may only contain alphanumeric characters, hyphens or dots'],
    ['proc-title-template', '{title} {x}', 'template format is invalid or contains unknown variables'],
  ])('CONFIG SET %s %j answers %j', (name, value, expected) => {
    expect(refusal(name, value)).toBe(expected);
  });

  it.each([
    ['peers', 'nohost', "'nohost' is not an address"],
    ['peers', 'a:70000', "'a:70000' is not an address"],
    ['peer-port', '0', 'argument must be between 1 and 65535 inclusive'],
    ['durability', 'replicas=0', 'argument(s) must be one of the following'],
    ['node-id', '0000000000000000', '16 hexadecimal digits'],
    ['cluster-secret', 'short', 'a secret has 8 bytes or more'],
    ['cluster-secret', 'first-one second-one third-one', 'at most two secrets'],
    ['mysql', 'http://host/db', 'argument must be a MySQL address'],
    ['mysql', 'mysql://host', 'a host and a database'],
    ['data-dir', '', "argument must be a path or 'none'"],
    ['dbfilename', 'a/b', "dbfilename can't be a path, just a filename"],
    ['daemonize', 'yes', "only 'no' is supported"],
    ['replicaof', 'host 6379', 'every node takes writes'],
    ['unixsocketperm', '9', "couldn't be parsed as an octal number"],
    ['unixsocketperm', '1000', 'argument must be between 0 and 777 inclusive'],
  ])('refuses %s %j: %j', (name, value, expected) => {
    expect(() => Config.fromSources({ settings: { [name]: value } })).toThrow(expected);
  });

  it('gives typed values', () => {
    const { values } = Config.fromSources({
      settings: {
        port: 7001,
        bind: ['10.0.0.1', '::1'],
        'latency-tracking': false,
        'notify-keyspace-events': 'Ex',
        'max-clock-drift': '5m',
        dir: 'somewhere',
        peers: ['a:1'],
      },
    });
    const port: number = values.port;
    const driftMs: number = values['max-clock-drift'];
    expect([port, driftMs, values['latency-tracking'], values.bind]).toEqual([
      7001,
      300_000,
      false,
      ['10.0.0.1', '::1'],
    ]);
    expect(values['notify-keyspace-events']).toBe(KEYSPACE_EVENT.keyeventChannel | KEYSPACE_EVENT.expired);
    expect(values.dir).toBe(resolve('somewhere'));
    expect(values.peers).toEqual([{ host: 'a', port: 1 }]);
    expect(values.durability).toEqual({ mode: 'interval' });
  });
});

describe('every option', () => {
  it.each(allOptions.map((option) => [option.name, option] as const))(
    '%s: its lines read back as its value',
    (_, option) => {
      const { type } = option.definition;
      const value = defaultValue(option);
      let read: unknown;
      for (const args of type.lines(value)) read = type.parse(args, read);
      expect(read).toEqual(value);
      expect(option.definition.summary).toMatch(/\.$/);
    },
  );
});
