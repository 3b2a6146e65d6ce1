/** `npm run storm -- --database` runs this for as long as it is told to; MANTIS_STORM_SECONDS and MANTIS_TEST_SEED say how long, and which. */
import { expect, it } from '@jest/globals';
import { DatabaseStorm } from '../storm/database-storm.ts';
import { withSeed } from '../support/seed.ts';

const seconds = Number(process.env['MANTIS_STORM_SECONDS'] ?? 4);
/** Starting, healing and agreeing on a machine that does much else. */
const allowanceMs = 300_000;

it(
  'nodes on one database agree with it and with their stores after a storm, and the table alone has lost nothing',
  async () => {
    const log =
      process.env['MANTIS_STORM_LOG'] === undefined
        ? undefined
        : (line: string): void => void process.stdout.write(`${line}\n`);
    await withSeed('test/integration/database-storm.test.ts', async (random) => {
      const report = await DatabaseStorm.run(seconds, random.uint32(), log);
      if (seconds > 60) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
      expect(report.anomalies.slice(0, 20)).toEqual([]);
      expect(report.acknowledged).toBeGreaterThan(100);
    });
  },
  seconds * 1000 + allowanceMs,
);
