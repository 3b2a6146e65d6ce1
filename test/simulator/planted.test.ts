/** Whether the planted faults can still be planted; `npm run simulate -- --faults` looks whether they are found. */
import { describe, expect, it } from '@jest/globals';
import { plantedFaults } from './planted-faults.ts';
import { unplantable } from './planting.ts';

describe('planted faults', () => {
  it('are thirty or more, have names of their own, and find their places in the sources', () => {
    expect(plantedFaults.length).toBeGreaterThanOrEqual(30);
    expect(new Set(plantedFaults.map(({ name }) => name)).size).toBe(plantedFaults.length);
    expect(unplantable(plantedFaults)).toEqual([]);
  });
});
