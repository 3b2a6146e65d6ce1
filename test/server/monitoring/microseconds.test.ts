import { describe, expect, it } from '@jest/globals';
import { Microseconds } from '../../../server/monitoring/microseconds.ts';

describe('microseconds of a clock that is read in milliseconds', () => {
  it('go on within a millisecond and end with it', () => {
    const microseconds = new Microseconds();
    expect(microseconds.of(1_700_000_000_123, 50.5)).toBe(123_000);
    expect(microseconds.of(1_700_000_000_123, 50.75)).toBe(123_250);
    expect(microseconds.of(1_700_000_000_123, 60)).toBe(123_999);
    expect(microseconds.of(1_700_000_000_124, 60)).toBe(124_000);
    expect(microseconds.of(1_700_000_001_000, 936.5)).toBe(0);
  });
});
