import { describe, expect, it } from '@jest/globals';
import { hashCommands } from '../../../server/commands/hashes.ts';
import { keyCommands } from '../../../server/commands/keys.ts';
import { listCommands } from '../../../server/commands/lists.ts';
import { setCommands } from '../../../server/commands/sets.ts';
import { sortCommands } from '../../../server/commands/sort.ts';
import { sortedSetCommands } from '../../../server/commands/sorted-sets.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/sort.test.ts';
const commands = [
  ...sortCommands,
  ...listCommands,
  ...setCommands,
  ...sortedSetCommands,
  ...hashCommands,
  ...stringCommands,
  ...keyCommands,
];

const comparison = shareComparison(commands);

const ELEMENTS = ['1', '2', '3', '10', '-5', '1.5', '2e1', 'inf', '07', '0x10'];

function content(random: SeededRandom): Request[] {
  const some = () => random.shuffle(ELEMENTS).slice(0, 1 + random.below(ELEMENTS.length));
  return [
    ['RPUSH', 'list', ...some(), ...some()],
    ['RPUSH', 'words', 'b', 'a', 'é', '', 'B', 'ab'],
    ['SADD', 'set', ...some()],
    ['ZADD', 'zset', ...some().flatMap((element, index) => [String((index * 7) % 5), element])],
    // Weights that are all different: of equal ones no order is promised.
    ['MSET', ...random.shuffle(ELEMENTS).flatMap((element, index) => [`weight_${element}`, String(index * 3 - 10)])],
    ['DEL', 'weight_1'],
    ...ELEMENTS.map((element, index) => [
      'HSET',
      `hash_${element}`,
      'weight',
      String(50 - index),
      'name',
      `name ${element}`,
    ]),
    ['SET', 'text', 'a string'],
  ];
}

function randomSort(random: SeededRandom): Request {
  const options: Request[] = [
    ['ASC'],
    ['desc'],
    ['DESC'],
    ['LIMIT', String(random.below(8) - 2), String(random.below(8) - 2)],
    ['LIMIT', 'a', '1'],
    ['BY', 'weight_*'],
    ['BY', 'hash_*->weight'],
    ['GET', '#'],
    ['GET', 'weight_*'],
    ['GET', 'hash_*->name'],
    ['GET', 'hash_*->nothing'],
    ['GET', 'list*'],
    ['GET', 'fixed'],
    ['STORE', 'stored'],
    ['BY'],
    ['x'],
  ];
  const chosen = Array.from({ length: random.below(4) }, () =>
    random.pick(random.below(10) === 0 ? options : options.slice(0, -2)),
  );
  // BY with a pattern that names no key leaves the order alone, and a set has none that two servers share.
  const keepsOrder = chosen.some((option) => option.length === 1 && option[0] === 'BY');
  const key = random.pick(keepsOrder ? ['list', 'zset', 'none'] : ['list', 'set', 'zset', 'none']);
  return [random.below(5) === 0 ? 'SORT_RO' : 'SORT', key, ...chosen.flat()];
}

describe('SORT and SORT_RO', () => {
  it('answer as redis-server does, whatever they are sent', () =>
    withSeed(thisFile, async (random) => {
      for (let round = 0; round < 20; round++) {
        const requests = Array.from({ length: 60 }, () => [randomSort(random), ['LRANGE', 'stored', '0', '-1']]).flat();
        await comparison().check([...content(random), ...requests]);
      }
    }));

  it('sort text, leave the order alone, and refuse what redis-server refuses', () =>
    withSeed(thisFile, async (random) => {
      await comparison().check([
        ...content(random),
        ['SORT', 'words'],
        ['SORT', 'words', 'ALPHA'],
        ['SORT', 'words', 'ALPHA', 'DESC', 'LIMIT', '1', '3'],
        ['SORT', 'words', 'BY', 'nosort'],
        ['SORT', 'words', 'BY', 'nosort', 'DESC'],
        ['SORT', 'words', 'BY', 'nosort', 'DESC', 'LIMIT', '1', '2'],
        ['SORT', 'words', 'BY', 'nosort', 'LIMIT', '4', '20', 'GET', '#', 'GET', '#'],
        ['SORT', 'zset', 'BY', 'nosort'],
        ['SORT', 'zset', 'BY', 'nosort', 'DESC'],
        ['SORT', 'zset', 'BY', 'nosort', 'DESC', 'LIMIT', '1', '2'],
        ['SORT', 'zset', 'BY', 'nosort', 'LIMIT', '1', '2'],
        ['SORT', 'set', 'BY', 'nosort', 'STORE', 'stored'],
        ['LRANGE', 'stored', '0', '-1'],
        ['SORT', 'set', 'ALPHA', 'BY', 'hash_*->weight'],
        ['SORT', 'none', 'STORE', 'stored'],
        ['EXISTS', 'stored'],
        ['SORT', 'list', 'STORE', 'list'],
        ['LRANGE', 'list', '0', '-1'],
        ['SORT', 'text'],
        ['SORT', 'text', 'x'],
        ['SORT', 'list', 'LIMIT', '1'],
        ['SORT', 'list', 'STORE'],
        ['SORT_RO', 'list', 'STORE', 'stored'],
      ]);
      expect(random.seed).toBeGreaterThanOrEqual(0);
    }));
});
