/** How often the keys of an idle node are gone through for tombstones, in virtual time. */
import { expect, it } from '@jest/globals';
import pino from 'pino';
import { Config } from '../../../server/config/config.ts';
import { Runtime } from '../../../server/runtime.ts';
import { systemEnvironment } from '../../../server/runtime/system-environment.ts';
import { LogKeeper, VirtualTime } from '../../replication/virtual-world.ts';
import { HarnessClient } from '../../support/command-harness.ts';

it('a few keys are gone through once a second while nothing is to go', async () => {
  const settings = { port: '0', 'http-port': '0', 'data-dir': 'none', 'peer-port': 'none', databases: '1' };
  const config = Config.fromSources({ settings });
  const time = new VirtualTime();
  const quiet = { logger: pino({ level: 'silent' }), log: new LogKeeper() };
  const runtime = await Runtime.create(config, { ...systemEnvironment(config), ...quiet, time }, { listen: false });
  await runtime.start();
  const client = new HarnessClient(1, runtime.dispatcher, 0);
  for (const key of ['one', 'two', 'three']) client.run('SET', key, 'value');
  const { index } = runtime.keyspace.databases[0];
  const visit = index.visitRange.bind(index);
  let laps = 0;
  index.visitRange = (...range) => {
    laps++;
    return visit(...range);
  };
  time.run(20_000);
  expect(laps).toBeGreaterThanOrEqual(18);
  expect(laps).toBeLessThanOrEqual(21);
  await runtime.shutdown({ save: false, force: true, now: true });
});
