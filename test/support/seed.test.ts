import { describe, expect, it, jest } from '@jest/globals';
import { SeededRandom, replayCommand, withSeed } from './seed.ts';

describe('SeededRandom', () => {
  it('gives the same numbers for the same seed', () => {
    const draw = (seed: number): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 5 }, () => random.uint32());
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  it('stays within its bounds', () => {
    const random = new SeededRandom(1);
    for (let round = 0; round < 1000; round++) {
      const value = random.below(6);
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(6);
    }
    expect(random.shuffle([1, 2, 3, 4]).sort()).toEqual([1, 2, 3, 4]);
    expect(random.bytes(9)).toHaveLength(9);
  });

  it('prints how to replay a failure', async () => {
    const write = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    const failing = withSeed('test/x.test.ts', () => Promise.reject(new Error('no')), 42);
    await expect(failing).rejects.toThrow('no');
    expect(write).toHaveBeenCalledWith(`replay with: ${replayCommand('test/x.test.ts', 42)}\n`);
    expect(replayCommand('test/x.test.ts', 42)).toBe('MANTIS_TEST_SEED=42 npm test -- test/x.test.ts');
    write.mockRestore();
  });
});
