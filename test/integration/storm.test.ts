/** `npm run storm` runs this for as long as it is told to; MANTIS_STORM_SECONDS and MANTIS_TEST_SEED say how long, and which. */
import { expect, it } from '@jest/globals';
import { withSeed } from '../support/seed.ts';
import { Storm } from '../storm/storm.ts';

const seconds = Number(process.env['MANTIS_STORM_SECONDS'] ?? 15);
/** Starting, healing and agreeing on a machine that does much else. */
const allowanceMs = 240_000;

it(
  'five nodes agree and have lost nothing after a storm',
  async () => {
    const log = process.env['MANTIS_STORM_LOG'] === undefined ? undefined : (line: string): void => console.info(line);
    await withSeed('test/integration/storm.test.ts', async (random) => {
      const report = await Storm.run(seconds, random.uint32(), log);
      if (seconds > 60) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
      expect(report.anomalies.slice(0, 20)).toEqual([]);
      expect(report.acknowledged).toBeGreaterThan(100);
    });
  },
  seconds * 1000 + allowanceMs,
);
