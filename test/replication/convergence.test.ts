/**
 * Whole clusters under virtual time, each from one seed: random writes, deletes, cuts, one-way cuts, resets, stalls and restarts;
 * after healing all replicas must hold exactly the merge of all that was ever written.
 * One seed again: MANTIS_SEED=17 npm test -- convergence
 */
import { describe, expect, it } from '@jest/globals';
import { Storm } from './storm.ts';

const given = process.env['MANTIS_SEED'];
const seeds = given === undefined ? Array.from({ length: 50 }, (_unused, index) => index + 1) : [Number(given)];

describe('convergence', () => {
  const total = { resets: 0, cuts: 0, stalls: 0, restarts: 0, pauses: 0, stable: 0 };

  it.each(seeds)('of a cluster under faults, seed %i', async (seed) => {
    const storm = new Storm(seed);
    await storm.run();
    for (const node of storm.cluster.nodes) expect(node.replica.digest()).toBe(storm.oracle.digest());
    for (const fault of Object.keys(total) as (keyof typeof total)[]) total[fault] += storm.done[fault];
  });

  it('had every kind of fault', () => {
    if (given === undefined) expect(Object.values(total).every((count) => count > 0)).toBe(true);
  });
});
