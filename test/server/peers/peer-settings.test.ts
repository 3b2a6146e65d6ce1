/** Options about peers that are changed while nodes run. */
import { describe, expect, it } from '@jest/globals';
import { Replicator } from '../../../replication/replicator.ts';
import { systemRandom, systemTime } from '../../../replication/system.ts';
import { tcpNetwork } from '../../../replication/tcp.ts';
import { Config } from '../../../server/config/config.ts';
import { followPeerSettings } from '../../../server/peers/peer-settings.ts';
import { changeableOptions } from '../../../server/runtime/runtime-options.ts';
import { ModelReplica } from '../../replication/model-replica.ts';
import { LogKeeper } from '../../replication/virtual-world.ts';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import { waitFor } from '../../support/wait-for.ts';

function followed(settings: Record<string, string>): { config: Config; replicator: Replicator } {
  const config = Config.fromSources({ settings: { 'enable-protected-configs': 'yes', ...settings } });
  const nodeId = { hi: 1, lo: 1 };
  const environment = { time: systemTime, random: systemRandom, network: tcpNetwork(undefined), log: new LogKeeper() };
  const replica = new ModelReplica(nodeId, () => 0);
  const replicator = new Replicator({ nodeId, port: 0, ...changeableOptions(config.values) }, replica, environment);
  followPeerSettings(config, replicator);
  return { config, replicator };
}

describe('CONFIG SET', () => {
  it.each([
    ['outbox-bytes-max', '2mb', 'outboxBytesMax', 2 * 1024 * 1024],
    ['max-clock-drift', '7s', 'maxClockDriftMs', 7000],
    ['peer-ping-interval', '70ms', 'pingIntervalMs', 70],
    ['peer-timeout', '3s', 'peerTimeoutMs', 3000],
    ['peer-connect-timeout', '900', 'handshakeTimeoutMs', 900],
    ['peer-reconnect-delay-max', '2s', 'reconnectMaxMs', 2000],
    ['peer-resolve-interval', '1s', 'resolveIntervalMs', 1000],
    ['repair-interval', '5s', 'repairIntervalMs', 5000],
    ['repair-rate', '1mb', 'repairBytesPerSecond', 1024 * 1024],
    ['tombstone-horizon', '1h', 'tombstoneHorizonMs', 3_600_000],
    ['tombstone-horizon', '2h', 'memberReapMs', 7 * 7_200_000],
  ] as const)('of %s %s holds at once', (name, text, setting, value) => {
    const { config, replicator } = followed({});
    expect(config.set([name, text])).toBeNull();
    expect(replicator.settings[setting]).toBe(value);
  });

  it('bounds what is kept for peers', () => {
    const { config, replicator } = followed({});
    expect(config.set(['outbox-bytes-max', '3mb'])).toBeNull();
    expect(replicator.status().outboxBytesMax).toBe(3 * 1024 * 1024);
  });

  it('changes a secret, and refuses to give or take one: the peer port listens where it did', () => {
    const { config, replicator } = followed({ 'cluster-secret': 'first-secret' });
    expect(config.set(['cluster-secret', 'second-secret first-secret'])).toBeNull();
    expect(replicator.settings.secrets).toEqual(['second-secret', 'first-secret']);
    expect(config.set(['cluster-secret', ''])).toMatch(/cease to have one/);
    expect(replicator.settings.secrets).toEqual(['second-secret', 'first-secret']);
    expect(followed({}).config.set(['cluster-secret', 'first-secret'])).toMatch(/cease to have one/);
  });
});

it('a secret is changed while a cluster runs, node by node', async () => {
  const options = (secret: string, peers: MantisProcess[]): string[] => [
    '--enable-protected-configs',
    'yes',
    '--cluster-secret',
    secret,
    ...peers.flatMap(({ peerPort }) => ['--peers', `127.0.0.1:${peerPort}`]),
  ];
  const first = await startMantis({ dataDir: 'none', args: options('old-secret', []) });
  const second = await startMantis({ dataDir: 'none', args: options('old-secret', [first]) });
  const clients = await Promise.all([first, second].map(({ port }) => RespClient.connect(port)));
  for (const secrets of ['old-secret new-secret', 'new-secret old-secret', 'new-secret']) {
    for (const client of clients) expect(await client.command('CONFIG', 'SET', 'cluster-secret', secrets)).toBe('OK');
  }
  const third = await startMantis({ dataDir: 'none', args: options('new-secret', [first]) });
  const late = await RespClient.connect(third.port);
  await waitFor('three nodes to be linked', async () =>
    /^peers_linked:2\r$/m.test(String(await late.command('INFO', 'mantis'))),
  );
  await Promise.all([...clients, late].map((client) => client.close()));
  await Promise.all([first, second, third].map(({ server }) => server.stop()));
}, 60_000);
