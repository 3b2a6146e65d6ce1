/** Places as members of sorted sets: GEOADD, GEODIST, GEOHASH, GEOPOS, GEOSEARCH, GEORADIUS and their kin. */
import { decodePlace, distance, encodePlace, geohashText, type Place } from '../../storage/types/geohash.ts';
import type { Call } from '../dispatch/call.ts';
import { replyName } from '../values/collection-use.ts';
import { command, keyRange } from '../definitions/command.ts';
import type { CommandDefinition, KeySpec } from '../definitions/command.ts';
import {
  type GeoForm,
  type GeoFound,
  type GeoRequest,
  geoSearch,
  parseGeoSearch,
  placeArgument,
  placeOf,
  unitArgument,
} from '../values/geo-search.ts';
import { storeScored } from '../values/sorted-set-store.ts';
import { useSortedSet } from '../values/sorted-set-use.ts';
import { addMembers, CH, NX, XX } from './sorted-sets.ts';

/** Digits after the point that Redis shows of coordinates and of distances. */
const PLACE_DIGITS = 17;
const DISTANCE_DIGITS = 4;

function geoadd(call: Call): void {
  let options = 0;
  let first = 2;
  for (; first < call.argc; first++) {
    if (call.is(first, 'NX')) options |= NX;
    else if (call.is(first, 'XX')) options |= XX;
    else if (call.is(first, 'CH')) options |= CH;
    else break;
  }
  if ((call.argc - first) % 3 !== 0 || (options & (NX | XX)) === (NX | XX)) call.syntaxError();
  for (let index = first; index < call.argc; index += 3) placeArgument(call, index);
  // Without places it is a ZADD without scores.
  if (first === call.argc) call.syntaxError();
  addMembers(call, options, first, 3, (_call, index) => encodePlace(placeArgument(call, index)));
}

function replyDistance(call: Call, metres: number, unitM: number): void {
  call.reply.bulkString((metres / unitM).toFixed(DISTANCE_DIGITS));
}

function geodist(call: Call): void {
  if (call.argc > 5) call.syntaxError();
  const unitM = call.argc === 5 ? unitArgument(call, 4) : 1;
  const set = useSortedSet(call, 1);
  const from = set === null ? null : placeOf(call, set, 2);
  const to = set === null ? null : placeOf(call, set, 3);
  if (from === null || to === null) call.reply.nil();
  else replyDistance(call, distance(from, to), unitM);
}

function geohash(call: Call): void {
  const set = useSortedSet(call, 1);
  call.reply.array(call.argc - 2);
  for (let index = 2; index < call.argc; index++) {
    const place = set === null ? null : placeOf(call, set, index);
    if (place === null) call.reply.nil();
    else call.reply.bulkString(geohashText(place));
  }
}

/** A number in full, without zeros at its end. */
function replyCoordinate({ reply }: Call, degrees: number): void {
  const text = degrees.toFixed(PLACE_DIGITS).replace(/\.?0+$/, '');
  if (reply.protocol === 2) reply.bulkString(text);
  else reply.raw(Buffer.from(`,${text}\r\n`));
}

function replyPlace(call: Call, { longitude, latitude }: Place): void {
  call.reply.array(2);
  replyCoordinate(call, longitude);
  replyCoordinate(call, latitude);
}

function geopos(call: Call): void {
  const set = useSortedSet(call, 1);
  call.reply.array(call.argc - 2);
  for (let index = 2; index < call.argc; index++) {
    const place = set === null ? null : placeOf(call, set, index);
    if (place === null) call.reply.nilArray();
    else replyPlace(call, place);
  }
}

function search(call: Call, form: GeoForm): void {
  const request = parseGeoSearch(call, form);
  const found = geoSearch(request);
  if (request.storeIndex === 0) {
    replyFound(call, request, found);
    return;
  }
  const { set, storesDistance, unitM } = request;
  const members = found.map(({ ref, hash, metres }) => ({
    member: set!.memberOf(ref),
    score: storesDistance ? metres / unitM : hash,
  }));
  call.reply.integer(storeScored(call, request.storeIndex, members));
}

function replyFound(call: Call, request: GeoRequest, found: readonly GeoFound[]): void {
  const { reply } = call;
  const { withDistance, withHash, withPlace, unitM } = request;
  const parts = 1 + Number(withDistance) + Number(withHash) + Number(withPlace);
  reply.array(found.length);
  for (const { ref, hash, metres } of found) {
    if (parts > 1) reply.array(parts);
    replyName(call, ref);
    if (withDistance) replyDistance(call, metres, unitM);
    // A score that was no geohash is told without its fraction, which no place has.
    if (withHash) reply.integer(Math.trunc(hash));
    if (withPlace) replyPlace(call, decodePlace(hash));
  }
}

const OUTPUT = '[WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]';
const UNIT = '<M|KM|FT|MI>';
const WHERE = `<FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius ${UNIT}|BYBOX width height ${UNIT}>`;
const COMPLEXITY = 'O(N + log M) with N the members in the area’s bounding boxes and M all members';
const STORE_MERGE =
  'With STORE, computed on the node that was asked; the destination is deleted and written anew, so that concurrent writes to it stay beside.';

function storeKeys(from: number): KeySpec[] {
  return ['STORE', 'STOREDIST'].map((keyword) => ({
    kind: 'keyword',
    keyword,
    from,
    last: 0,
    step: 1,
    flags: ['OW', 'update'],
  }));
}

function radiusCommands(name: string, center: 'place' | 'member', arity: number, syntax: string): CommandDefinition[] {
  const around = center === 'place' ? 'a place' : 'a member';
  const form: GeoForm = { key: 1, center, mayStore: true, stores: false };
  return [
    command({
      name,
      summary: `Finds the members within a distance from ${around}, and may store them.`,
      since: '3.2.0',
      group: 'geo',
      complexity: COMPLEXITY,
      arity,
      flags: ['write', 'denyoom', 'movablekeys'],
      keys: [keyRange(1, 1, 1, 'RO', 'access'), ...storeKeys(-arity)],
      syntax: `${syntax} ${OUTPUT} [STORE key|STOREDIST key]`,
      merge: STORE_MERGE,
      run: (call) => search(call, form),
    }),
    command({
      name: `${name}_ro`,
      summary: `Finds the members within a distance from ${around}.`,
      since: '3.2.10',
      group: 'geo',
      complexity: COMPLEXITY,
      arity,
      flags: ['readonly'],
      keys: [keyRange(1, 1, 1, 'RO', 'access')],
      syntax: `${syntax} ${OUTPUT}`,
      run: (call) => search(call, { ...form, mayStore: false }),
    }),
  ];
}

function reading(
  name: string,
  summary: string,
  arity: number,
  complexity: string,
  syntax: string,
  run: (call: Call) => void,
): CommandDefinition {
  return command({
    name,
    summary,
    complexity,
    arity,
    syntax,
    run,
    since: name === 'geosearch' ? '6.2.0' : '3.2.0',
    group: 'geo',
    flags: ['readonly'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
  });
}

export const geoCommands: readonly CommandDefinition[] = [
  command({
    name: 'geoadd',
    summary: 'Gives members places; makes the set.',
    since: '3.2.0',
    group: 'geo',
    complexity: 'O(log N) for each member',
    arity: -5,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'RW', 'update')],
    syntax: 'key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]',
    merge: 'As ZADD: each member by itself, and the place written last counts on every node.',
    run: geoadd,
  }),
  reading('geodist', 'Returns the distance between two members.', -4, 'O(1)', `key member1 member2 [${UNIT}]`, geodist),
  reading(
    'geohash',
    'Returns the places of members as geohash text.',
    -2,
    'O(1) for each member',
    'key [member [member ...]]',
    geohash,
  ),
  reading(
    'geopos',
    'Returns the longitudes and latitudes of members.',
    -2,
    'O(1) for each member',
    'key [member [member ...]]',
    geopos,
  ),
  reading(
    'geosearch',
    'Finds the members in a circle or a rectangle.',
    -7,
    COMPLEXITY,
    `key ${WHERE} ${OUTPUT}`,
    (call) => search(call, { key: 1, center: 'options', mayStore: false, stores: false }),
  ),
  command({
    name: 'geosearchstore',
    summary: 'Stores the members in a circle or a rectangle as another sorted set.',
    since: '6.2.0',
    group: 'geo',
    complexity: COMPLEXITY,
    arity: -8,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'OW', 'update'), keyRange(2, 2, 1, 'RO', 'access')],
    syntax: `destination source ${WHERE} [COUNT count [ANY]] [ASC|DESC] [STOREDIST]`,
    merge:
      'Computed on the node that was asked; the destination is deleted and written anew, so that concurrent writes to it stay beside.',
    run: (call) => search(call, { key: 2, center: 'options', mayStore: false, stores: true }),
  }),
  ...radiusCommands('georadius', 'place', -6, `key longitude latitude radius ${UNIT}`),
  ...radiusCommands('georadiusbymember', 'member', -5, `key member radius ${UNIT}`),
];
