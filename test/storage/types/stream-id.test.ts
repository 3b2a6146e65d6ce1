import { describe, expect, it } from '@jest/globals';
import { generateId, sequenceNumberAfter } from '../../../storage/types/stream-id.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/types/stream-id.test.ts';

describe('sequence numbers', () => {
  it('are the same in numbers as in bigints, with peers and without', () =>
    withSeed(thisFile, (random) => {
      for (let run = 0; run < 2000; run++) {
        const mark = random.chance(0.3) ? -1 : random.below(1 << 20);
        const last = Math.floor(random.fraction() * 2 ** random.below(52));
        const id = generateId({ ms: 5n, seq: BigInt(last) }, 5, mark);
        expect(sequenceNumberAfter(last, mark)).toBe(Number(id!.seq));
        const first = generateId({ ms: 4n, seq: BigInt(last) }, 5, mark);
        expect(sequenceNumberAfter(-1, mark)).toBe(Number(first!.seq));
      }
    }));
});
