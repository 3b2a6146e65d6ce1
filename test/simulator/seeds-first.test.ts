/** Whole nodes under faults: docs/simulator.md. The seeds are shared between two files, and so between two workers. */
import { expect, it } from '@jest/globals';
import { runSimulator } from './simulator-process.ts';
import { firstSeeds, seedOptions, seedsDeadlineMs } from './seeds.ts';

it(
  'all promises hold under the faults of the first seeds',
  async () => {
    const { exitCode, output } = await runSimulator(...seedOptions(firstSeeds));
    expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  },
  seedsDeadlineMs,
);
