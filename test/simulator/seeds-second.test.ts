/** The other half of the seeds: seeds-first.test.ts. */
import { expect, it } from '@jest/globals';
import { runSimulator } from './simulator-process.ts';
import { secondSeeds, seedOptions, seedsDeadlineMs } from './seeds.ts';

it(
  'all promises hold under the faults of the second half of the seeds',
  async () => {
    const { exitCode, output } = await runSimulator(...seedOptions(secondSeeds));
    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  },
  seedsDeadlineMs,
);
