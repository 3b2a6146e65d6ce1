import { describe, expect, it } from '@jest/globals';
import { formatDouble } from '../../../protocol/format-double.ts';
import { readPlainScore, readScore } from '../../../storage/collections/score.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/collections/score.test.ts';

function read(text: string): number {
  const bytes = Buffer.from(`<${text}>`, 'latin1');
  return readPlainScore(bytes, 1, text.length);
}

describe('scores', () => {
  it('are read from digits as from text', async () => {
    await withSeed(thisFile, (random) => {
      for (let run = 0; run < 20_000; run++) {
        const digits = String(random.below(10 ** (1 + random.below(9)))) + String(random.below(1_000_000));
        const point = random.below(digits.length);
        const sign = random.chance(0.5) ? '-' : '';
        const text = random.chance(0.3) ? sign + digits : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
        const number = Number(text) + 0;
        expect(read(text)).toBe(number);
        const written = Buffer.from(formatDouble(number), 'latin1');
        expect(readScore(written, 0, written.length)).toBe(number);
      }
    });
  });

  it.each(['', '-', '.', '-.', '1e5', 'inf', '-inf', '1.2.3', '1-2', '1234567890123456', '0.1234567890123456', ' 1'])(
    'are not digits in %j',
    (text) => {
      expect(read(text)).toBeNaN();
    },
  );
});
