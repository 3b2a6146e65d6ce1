/** How long a small collection stays as it was used before it is packed, in virtual time. */
import { expect, it } from '@jest/globals';
import pino from 'pino';
import { Config } from '../../../server/config/config.ts';
import { Runtime } from '../../../server/runtime.ts';
import { systemEnvironment } from '../../../server/runtime/system-environment.ts';
import { LogKeeper, VirtualTime } from '../../replication/virtual-world.ts';
import { HarnessClient } from '../../support/command-harness.ts';

/** A node with three hashes that have just been made, and the virtual time that it lives in. */
async function startWithThree(): Promise<{ runtime: Runtime; client: HarnessClient; time: VirtualTime }> {
  const settings = { port: '0', 'http-port': '0', 'data-dir': 'none', 'peer-port': 'none' };
  const config = Config.fromSources({ settings });
  const time = new VirtualTime();
  const quiet = { logger: pino({ level: 'silent' }), log: new LogKeeper() };
  const environment = { ...systemEnvironment(config), ...quiet, time };
  const runtime = await Runtime.create(config, environment, { listen: false });
  await runtime.start();
  const client = new HarnessClient(1, runtime.dispatcher, 0);
  for (const key of ['one', 'two', 'three']) expect(client.run('HSET', key, 'field', 'v').toString()).toBe(':1\r\n');
  return { runtime, client, time };
}

it('a few collections are packed after 5 to 10 seconds without use, and not before', async () => {
  const { runtime, time } = await startWithThree();
  const { objects } = runtime.keyspace;
  time.run(4900);
  expect(objects.unpackedCount).toBe(3);
  time.run(5200);
  expect(objects.unpackedCount).toBe(0);
  await runtime.shutdown({ save: false, force: true, now: true });
});

it('one that is used stays, while the others are packed', async () => {
  const { runtime, client, time } = await startWithThree();
  const { objects } = runtime.keyspace;
  for (let second = 0; second < 20; second++) {
    time.run(1000);
    client.run('HGET', 'two', 'field');
  }
  expect(objects.unpackedCount).toBe(1);
  await runtime.shutdown({ save: false, force: true, now: true });
});
