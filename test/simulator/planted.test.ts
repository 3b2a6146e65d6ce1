/**
 * Whether the simulator would find mistakes: each planted fault must be found. All of them would take long, so that a third has
 * its turn each day; `npm run simulate -- --faults` looks for all.
 */
import { describe, expect, it } from '@jest/globals';
import { plantedFaults } from './planted-faults.ts';
import { unplantable } from './planting.ts';
import { seedsDeadlineMs } from './seeds.ts';
import { runSimulator } from './simulator-process.ts';

const dayMs = 86_400_000;
const third = Math.floor(Date.now() / dayMs) % 3;
const names = plantedFaults.map(({ name }) => name).filter((_name, index) => index % 3 === third);

describe('planted faults', () => {
  it('are thirty or more, have names of their own, and find their places in the sources', () => {
    expect(plantedFaults.length).toBeGreaterThanOrEqual(30);
    expect(new Set(plantedFaults.map(({ name }) => name)).size).toBe(plantedFaults.length);
    expect(unplantable(plantedFaults)).toEqual([]);
  });

  it(
    `are found: ${names.join(', ')}`,
    async () => {
      const { exitCode, output } = await runSimulator('--fault', names.join(','));
      expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
      expect(output.match(/^found /gm)).toHaveLength(names.length);
    },
    seedsDeadlineMs,
  );
});
