import { describe, it } from '@jest/globals';
import { geoCommands } from '../../../server/commands/geo.ts';
import { sortedSetRangeCommands } from '../../../server/commands/sorted-set-ranges.ts';
import { sortedSetCommands } from '../../../server/commands/sorted-sets.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { checkSequence, keyspaceCommands, type Step } from '../../support/sequences.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/geo.test.ts';

const comparison = shareComparison([
  ...keyspaceCommands,
  ...sortedSetCommands,
  ...sortedSetRangeCommands,
  ...geoCommands,
]);

const SICILY: Step =
  'GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1 17.241510 38.788135 edge2';
const AROUND = 'FROMLONLAT 15 37';

const sequences: Record<string, Step[]> = {
  'scores that are no geohashes': [
    'ZADD g 0.5 half 1.75 more -0.5 less 3.2e15 place 4503599627370495.5 last 1e300 far -inf never inf ever',
    ...[
      'GEORADIUS g 0 0 30000 km',
      'GEOSEARCH g FROMMEMBER half BYRADIUS 30000 km',
      'GEOSEARCH g FROMMEMBER more BYBOX 9 9 km',
    ].map((search) => `${search} WITHHASH WITHDIST ASC`),
    'GEODIST g half place',
    'GEOSEARCHSTORE d g FROMMEMBER half BYRADIUS 10 km',
    'ZRANGE d 0 -1 WITHSCORES',
  ],
  GEOADD: [
    SICILY,
    SICILY,
    'GEOADD s NX 1 1 Palermo 2 2 new',
    'GEOADD s XX CH 1 1 Palermo 2 2 missing',
    'GEOADD s CH 3 3 Palermo 4 4 other',
    'ZRANGE s 0 -1 WITHSCORES',
    'GEOADD s 181 0 x',
    'GEOADD s 0 86 x',
    'GEOADD s -180.5 -85.06 x',
    'GEOADD s a 0 x',
    'GEOADD s 0 b x',
    'GEOADD s 1 2',
    'GEOADD s 1 2 x 3',
    'GEOADD s NX XX 1 2 x',
    'GEOADD s inf 2 x',
    'GEOADD s 180 85.05112878 corner -180 -85.05112878 other',
    'GEOPOS s corner other',
    'ZSCORE s corner',
    'SET str 1',
    'GEOADD str 1 2 x',
    'GEOADD s CH XX NX 1 2',
    'GEOADD s CH 1',
  ],
  'GEODIST, GEOHASH, GEOPOS': [
    SICILY,
    'GEODIST s Palermo Catania',
    'GEODIST s Palermo Catania km',
    'GEODIST s Palermo Catania MI',
    'GEODIST s Palermo Catania ft',
    'GEODIST s Palermo Palermo',
    'GEODIST s Palermo x',
    'GEODIST none a b',
    'GEODIST s Palermo Catania yd',
    'GEODIST none a b yd',
    'GEODIST s a b m x',
    'GEOHASH s Palermo Catania x',
    'GEOHASH none a',
    'GEOHASH s',
    'GEOPOS s Palermo Catania x',
    'GEOPOS none a',
    'GEOPOS s',
    'SET str 1',
    'GEODIST str a b',
    'GEOHASH str a',
    'GEOPOS str a',
    'ZADD odd 5 a -1 b 1.5 c',
    'GEOPOS odd a',
    'GEOHASH odd a',
    'GEOADD z 0 0 a 0 1 b',
    'GEOPOS z a b',
    'GEODIST z a b',
    'GEOHASH z a b',
  ],
  GEOSEARCH: [
    SICILY,
    `GEOSEARCH s ${AROUND} BYRADIUS 200 km ASC`,
    `GEOSEARCH s ${AROUND} BYBOX 400 400 km ASC WITHCOORD WITHDIST WITHHASH`,
    `GEOSEARCH s ${AROUND} BYBOX 400 400 km DESC`,
    `GEOSEARCH s ${AROUND} BYRADIUS 200 km`,
    'GEOSEARCH s FROMMEMBER Catania BYRADIUS 100 mi WITHDIST',
    'GEOSEARCH s FROMMEMBER x BYRADIUS 100 mi',
    'GEOSEARCH none FROMMEMBER x BYRADIUS 100 mi',
    'GEOSEARCH none FROMMEMBER x BYRADIUS x mi',
    `GEOSEARCH s ${AROUND} BYRADIUS 2000 km COUNT 2`,
    `GEOSEARCH s ${AROUND} BYRADIUS 2000 km COUNT 2 DESC`,
    `GEOSEARCH s ${AROUND} BYRADIUS 2000 km COUNT 1 ANY`,
    `GEOSEARCH s ${AROUND} BYRADIUS 2000 km COUNT 3 ANY ASC`,
    `GEOSEARCH s ${AROUND} BYRADIUS 2000 km ANY`,
    `GEOSEARCH s ${AROUND} BYRADIUS 2000 km COUNT 0`,
    `GEOSEARCH s ${AROUND} BYRADIUS 2000 km COUNT x`,
    `GEOSEARCH s ${AROUND} BYRADIUS 2000 km COUNT`,
    `GEOSEARCH s ${AROUND} BYRADIUS -1 km`,
    `GEOSEARCH s ${AROUND} BYRADIUS x km`,
    `GEOSEARCH s ${AROUND} BYRADIUS 1 yd`,
    `GEOSEARCH s ${AROUND} BYBOX x 1 km`,
    `GEOSEARCH s ${AROUND} BYBOX 1 x km`,
    `GEOSEARCH s ${AROUND} BYBOX -1 1 km`,
    `GEOSEARCH s ${AROUND} WITHDIST ASC ASC`,
    'GEOSEARCH s BYRADIUS 1 km ASC WITHDIST ASC',
    `GEOSEARCH s ${AROUND} BYRADIUS 1 km BYBOX 1 1 km`,
    `GEOSEARCH s ${AROUND} FROMMEMBER Palermo BYRADIUS 1 km`,
    `GEOSEARCH s ${AROUND} BYRADIUS 1 km STORE x`,
    `GEOSEARCH s ${AROUND} BYRADIUS 1 km STOREDIST`,
    'GEOSEARCH s FROMLONLAT 200 0 BYRADIUS 1 km',
    'GEOSEARCH s FROMLONLAT x 0 BYRADIUS 1 km',
    `GEOSEARCH s ${AROUND} BYRADIUS 0 m`,
    'GEOSEARCH s FROMMEMBER Palermo BYRADIUS 0 m',
    'GEOSEARCH s FROMMEMBER Palermo BYBOX 0 0 m',
    'SET str 1',
    `GEOSEARCH str ${AROUND} BYRADIUS 1 km`,
    `GEOSEARCH s ${AROUND} BYRADIUS 30000 km ASC WITHDIST`,
    `GEOSEARCH s ${AROUND} BYRADIUS 6000 km`,
    'geosearch s byradius 1 km asc withdist asc',
  ],
  GEOSEARCHSTORE: [
    SICILY,
    `GEOSEARCHSTORE d s ${AROUND} BYBOX 400 400 km ASC COUNT 3`,
    'ZRANGE d 0 -1 WITHSCORES',
    `GEOSEARCHSTORE d s ${AROUND} BYRADIUS 200 km STOREDIST COUNT 1`,
    'ZCARD d',
    `GEOSEARCHSTORE d s ${AROUND} BYRADIUS 200 km WITHDIST`,
    `GEOSEARCHSTORE d s ${AROUND} BYRADIUS 1 m`,
    'EXISTS d',
    `GEOSEARCHSTORE d none ${AROUND} BYRADIUS 1 m`,
    `GEOSEARCHSTORE s s ${AROUND} BYRADIUS 200 km`,
    'ZRANGE s 0 -1 WITHSCORES',
    `GEOSEARCHSTORE d s ${AROUND} BYRADIUS 1 km STORE x`,
    'GEOSEARCHSTORE d s ASC ASC ASC ASC ASC',
  ],
  'GEORADIUS and GEORADIUSBYMEMBER': [
    SICILY,
    'GEORADIUS s 15 37 200 km',
    'GEORADIUS s 15 37 200 km WITHDIST WITHCOORD WITHHASH ASC',
    'GEORADIUS s 15 37 200 km COUNT 1 DESC',
    'GEORADIUS s 15 37 200 km STORE d',
    'ZRANGE d 0 -1 WITHSCORES',
    'GEORADIUS s 15 37 200 km STOREDIST d COUNT 1',
    'ZCARD d',
    'GEORADIUS s 15 37 200 km STORE d WITHDIST',
    'GEORADIUS s 15 37 200 km STORE',
    'GEORADIUS none 15 37 200 km STORE d',
    'EXISTS d',
    'GEORADIUS_RO s 15 37 200 km ASC',
    'GEORADIUS_RO s 15 37 200 km STORE d',
    'GEORADIUSBYMEMBER s Palermo 200 km',
    'GEORADIUSBYMEMBER s Palermo 200 km WITHDIST',
    'GEORADIUSBYMEMBER s x 200 km',
    'GEORADIUSBYMEMBER none x 200 km',
    'GEORADIUSBYMEMBER none x x yd',
    'GEORADIUSBYMEMBER_RO s Palermo 200 km DESC',
    'GEORADIUSBYMEMBER_RO s Palermo 200 km STORE x',
    'GEORADIUSBYMEMBER s Palermo 200 km STORE d',
    'ZCARD d',
    'GEORADIUS s 15 37 x km',
    'GEORADIUS s 15 37 1 yd',
    'GEORADIUS s x 37 1 km',
    'GEORADIUS s 15 99 1 km',
    'GEORADIUS s 15 37 200 km FROMMEMBER x',
    'GEORADIUS s 15 37 200 km COUNT 1 ANY',
    'SET str 1',
    'GEORADIUS str x 37 1 km',
    'GEORADIUS none 15 37 200 km',
    'GEORADIUS s 15 37 -1 km',
  ],
};

describe('places, as redis-server has them', () => {
  it.each(Object.keys(sequences))('%s', async (name) => {
    await checkSequence(comparison(), sequences[name]);
  });

  it('random searches, all over the earth and in one town', async () => {
    await withSeed(thisFile, async (random) => {
      const between = (least: number, most: number): number =>
        Number((least + ((most - least) * random.below(1_000_001)) / 1_000_000).toFixed(6));
      const wide = (): [number, number] => [between(-180, 180), between(-85, 85)];
      const near = (): [number, number] => [between(2.2, 2.4), between(48.8, 48.9)];
      const requests: Request[] = [];
      for (let count = 0; count < 300; count++) {
        requests.push(['GEOADD', 'wide', ...wide(), `m${count}`], ['GEOADD', 'near', ...near(), `m${count}`]);
      }
      for (let count = 0; count < 400; count++) {
        const isWide = random.chance(0.5);
        const key = isWide ? 'wide' : 'near';
        const center = isWide ? wide() : near();
        const size = isWide ? between(1, random.chance(0.3) ? 12000 : 2000) : between(0.1, 12);
        const shape = random.chance(0.5) ? ['BYRADIUS', size, 'km'] : ['BYBOX', size, size * 2, 'km'];
        requests.push(['GEOSEARCH', key, 'FROMLONLAT', ...center, ...shape, 'WITHDIST', 'WITHHASH']);
        requests.push([
          'GEOSEARCH',
          key,
          'FROMMEMBER',
          `m${random.below(300)}`,
          ...shape,
          'ASC',
          'COUNT',
          1 + random.below(20),
          'WITHCOORD',
        ]);
        requests.push(['GEOSEARCH', key, 'FROMLONLAT', ...center, ...shape, 'COUNT', 1 + random.below(5), 'ANY']);
      }
      await comparison().check(requests, {
        prepareRedis: [
          ['HELLO', 2],
          ['SELECT', 0],
        ],
      });
    });
  });
});
