import { describe, expect, it } from '@jest/globals';
import { allNames } from '../../../server/config/option-table.ts';
import { editDistance, globMatcher, isGlob, nearestName } from '../../../server/config/text-match.ts';

describe('globMatcher', () => {
  it.each([
    ['*', 'anything', true],
    ['max*', 'maxmemory', true],
    ['*max-*-entries*', 'hash-max-listpack-entries', true],
    ['p?rt', 'port', true],
    ['p[a-o]rt', 'port', true],
    ['p[o-a]rt', 'port', true],
    ['p[^o]rt', 'port', false],
    ['P\\*', 'port', false],
    ['PORT', 'port', true],
    ['port*x', 'port', false],
    ['', 'port', false],
    ['p[o', 'po', true],
  ])('%j against %j is %j', (pattern, name, expected) => {
    expect(globMatcher(pattern)(name)).toBe(expected);
  });

  it('takes linear time for patterns that make others explode', () => {
    const started = performance.now();
    expect(globMatcher(`${'a*'.repeat(50_000)}b`)('a'.repeat(60))).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it('knows a pattern from a name', () => {
    expect([isGlob('port'), isGlob('p*'), isGlob('p[o]rt'), isGlob('po?t')]).toEqual([false, true, true, true]);
  });
});

describe('nearestName', () => {
  it('counts insertions, removals, replacements and swaps', () => {
    expect([editDistance('', 'abc'), editDistance('prot', 'port'), editDistance('kitten', 'sitting')]).toEqual([
      3, 1, 3,
    ]);
  });

  it.each([
    ['prot', 'port'],
    ['max-memory', 'maxmemory'],
    ['flush_interval', 'flush-interval'],
    ['requirepas', 'requirepass'],
    ['clock-drift', 'max-clock-drift'],
  ])('finds for %j %j', (wrong, right) => {
    expect(nearestName(wrong, allNames)).toBe(right);
  });

  it('finds nothing for what is near nothing', () => {
    expect(nearestName('zzzzzzzzzzzz', allNames)).toBeUndefined();
  });
});
