import { describe, expect, it } from '@jest/globals';
import { expiryCommands } from '../../../server/commands/expiry.ts';
import { hyperLogLogCommands } from '../../../server/commands/hyperloglog.ts';
import { stringRangeCommands } from '../../../server/commands/string-ranges.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { estimate, hashElement, hashedRegister, hashedValue, REGISTERS } from '../../../storage/types/hyperloglog.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { withSeed } from '../../support/seed.ts';

const commands = [...hyperLogLogCommands, ...stringCommands, ...stringRangeCommands, ...expiryCommands];
const thisFile = 'test/server/commands/hyperloglog.test.ts';
const comparison = shareComparison(commands);

describe('HyperLogLogs', () => {
  it('answer as redis-server does, and are the same bytes', async () => {
    const requests: Request[] = [
      ['PFADD', 'a'],
      ['GET', 'a'],
      ['PFADD', 'a'],
      ['PFCOUNT', 'a'],
      ['PFADD', 'a', 'x', 'y', ''],
      ['GET', 'a'],
      ['PFADD', 'a', 'x'],
      ['PFCOUNT', 'a'],
      ['GET', 'a'],
      ['PFADD', 'b', 'x', 'z'],
      ['PFCOUNT', 'a', 'b', 'none'],
      ['PFCOUNT', 'none'],
      ['PFMERGE', 'c', 'a', 'b'],
      ['GET', 'c'],
      ['PFCOUNT', 'c'],
      ['PFMERGE', 'd'],
      ['GET', 'd'],
      ['PFMERGE', 'e', 'none'],
      ['EXPIRE', 'a', '1000'],
      ['PFADD', 'a', 'more'],
      ['TTL', 'a'],
      ['PFDEBUG', 'ENCODING', 'a'],
      ['PFDEBUG', 'DECODE', 'a'],
      ['PFDEBUG', 'TODENSE', 'a'],
      ['GET', 'a'],
      ['PFDEBUG', 'TODENSE', 'a'],
      ['PFDEBUG', 'DECODE', 'a'],
      ['PFDEBUG', 'ENCODING', 'a'],
      ['PFDEBUG', 'ENCODING', 'none'],
      ['PFDEBUG', 'nothing', 'a'],
      ['PFADD', 'a', 'dense'],
      ['GET', 'a'],
      ['PFADD', 'a', 'dense'],
      ['PFCOUNT', 'a'],
      ['PFMERGE', 'b', 'a'],
      ['GET', 'b'],
      ['PFDEBUG', 'GETREG', 'c'],
      ['PFDEBUG', 'ENCODING', 'c'],
      ['SET', 's', 'text'],
      ['PFADD', 's', 'x'],
      ['PFCOUNT', 's'],
      ['PFCOUNT', 'a', 's'],
      ['PFMERGE', 's', 'a'],
      ['PFMERGE', 'n', 's'],
      ['PFADD', 'f', '1', '2'],
      ['APPEND', 'f', 'hello'],
      ['PFCOUNT', 'f'],
      ['PFMERGE', 'g', 'f'],
      ['PFADD', 'i', '1'],
      ['SETRANGE', 'i', '8', '\x7f'.repeat(8)],
      ['PFCOUNT', 'i'],
      ['PFADD', 'h', '1'],
      ['SETRANGE', 'h', '4', 'x'],
      ['PFCOUNT', 'h'],
      ['SETRANGE', 'h', '4', '\0'],
      ['PFADD', 'h', '1'],
    ];
    await comparison().check(requests);
  });

  it('are the same bytes after many additions, up to the dense form and beyond', async () => {
    await withSeed(thisFile, async (random) => {
      const requests: Request[] = [];
      for (let round = 0; round < 300; round++) {
        const key = round % 3 === 0 ? 'a' : 'b';
        const added = Array.from({ length: 1 + random.below(12) }, () => `element ${random.below(6000)}`);
        requests.push(['PFADD', key, ...added], ['GET', key], ['PFCOUNT', key]);
        if (round % 50 === 0) requests.push(['PFMERGE', 'c', 'a', 'b'], ['GET', 'c'], ['PFCOUNT', 'a', 'b']);
      }
      await comparison().check(requests);
    });
  }, 60_000);

  it('count within the error that 16,384 registers have', () => {
    const registers = new Uint8Array(REGISTERS);
    for (let element = 1; element <= 200_000; element++) {
      const text = Buffer.from(`visitor ${element}`);
      hashElement(text, 0, text.length);
      if (hashedValue > registers[hashedRegister]) registers[hashedRegister] = hashedValue;
    }
    expect(Math.abs(estimate(registers) - 200_000) / 200_000).toBeLessThan(0.03);
  });

  it('pass their own test', async () => {
    await comparison().check([['PFSELFTEST']]);
  }, 60_000);
});
