/** Whether the planted faults can still be planted, and those with a seed in the table are still found. */
import { describe, expect, it } from '@jest/globals';
import { plantedFaults } from './planted-faults.ts';
import { unplantable } from './planting.ts';
import { seedsDeadlineMs } from './seeds.ts';
import { runSimulator } from './simulator-process.ts';

describe('planted faults', () => {
  it('are thirty or more, have names of their own, and find their places in the sources', () => {
    expect(plantedFaults.length).toBeGreaterThanOrEqual(30);
    expect(new Set(plantedFaults.map(({ name }) => name)).size).toBe(plantedFaults.length);
    expect(unplantable(plantedFaults)).toEqual([]);
  });

  it(
    'are found, where the table names a seed',
    async () => {
      const names = plantedFaults.filter(({ seed }) => seed > 0).map(({ name }) => name);
      const { exitCode, output } = await runSimulator('--fault', names.join(','));
      expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
    },
    seedsDeadlineMs,
  );
});
