/**
 * Places on earth as 52-bit numbers, the scores of geo sets: 26 bits of longitude and 26 of latitude, interleaved, so that
 * places that are close mostly have close numbers. Latitudes end where the Mercator projection is a square.
 *
 *   bit 51 longitude, most significant | bit 50 latitude | … | bit 1 longitude | bit 0 latitude
 *
 * Distances are haversine, on a sphere with the radius that Redis uses.
 */

export interface Place {
  longitude: number;
  latitude: number;
}

export const LONGITUDE_MAX = 180;
export const LATITUDE_MAX = 85.05112878;
const EARTH_RADIUS_M = 6372797.560856;
/** Half of the equator's length, by which the size of cells is estimated. */
const HALF_EQUATOR_M = 20037726.37;
const STEPS_MAX = 26;
/** Towards the poles cells are narrow: larger ones are taken. */
const LATITUDE_NARROW = 66;
const LATITUDE_NARROWER = 80;
const ALPHABET = '0123456789bcdefghjkmnpqrstuvwxyz';
const TEXT_LENGTH = 11;

function toRadians(degrees: number): number {
  return degrees * (Math.PI / 180);
}

function toDegrees(radians: number): number {
  return radians / (Math.PI / 180);
}

/** Puts 13 bits at every other place. */
function spread(bits: number): number {
  bits = (bits | (bits << 8)) & 0x00ff00ff;
  bits = (bits | (bits << 4)) & 0x0f0f0f0f;
  bits = (bits | (bits << 2)) & 0x33333333;
  return (bits | (bits << 1)) & 0x55555555;
}

function gather(bits: number): number {
  bits &= 0x55555555;
  bits = (bits | (bits >>> 1)) & 0x33333333;
  bits = (bits | (bits >>> 2)) & 0x0f0f0f0f;
  bits = (bits | (bits >>> 4)) & 0x00ff00ff;
  return (bits | (bits >>> 8)) & 0x0000ffff;
}

const HALF = 2 ** 26;

function interleave(latitude: number, longitude: number): number {
  const high = spread(latitude >>> 13) + spread(longitude >>> 13) * 2;
  const low = spread(latitude & 0x1fff) + spread(longitude & 0x1fff) * 2;
  return high * HALF + low;
}

/** Where in 2^steps equal parts of [-most, most] the value lies. */
function partOf(value: number, most: number, steps: number): number {
  return Math.floor(((value + most) / (2 * most)) * 2 ** steps);
}

/** The number of a place. */
export function encodePlace({ longitude, latitude }: Place, latitudeMost = LATITUDE_MAX): number {
  return interleave(partOf(latitude, latitudeMost, STEPS_MAX), partOf(longitude, LONGITUDE_MAX, STEPS_MAX));
}

/** The least value of a part, `most` included. */
function startOf(part: number, most: number, steps: number): number {
  return -most + (part / 2 ** steps) * (2 * most);
}

function middleOf(part: number, most: number): number {
  const middle = (startOf(part, most, STEPS_MAX) + startOf(part + 1, most, STEPS_MAX)) / 2;
  return Math.max(-most, Math.min(most, middle));
}

/** The middle of what a number stands for. */
export function decodePlace(bits: number): Place {
  const high = Math.floor(bits / HALF);
  const low = bits % HALF;
  const latitude = gather(high) * 0x2000 + gather(low);
  const longitude = gather(high >>> 1) * 0x2000 + gather(low >>> 1);
  return { longitude: middleOf(longitude, LONGITUDE_MAX), latitude: middleOf(latitude, LATITUDE_MAX) };
}

/** The place as the 11 characters of geohash.org, which counts latitudes up to the poles; the last one holds no bits. */
export function geohashText(place: Place): string {
  const bits = encodePlace(place, 90);
  let text = '';
  for (let shift = 47; shift >= 0; shift -= 5) text += ALPHABET[Math.floor(bits / 2 ** shift) % 32];
  return text.padEnd(TEXT_LENGTH, ALPHABET[0]);
}

/** Metres between latitudes. */
function latitudeDistance(a: number, b: number): number {
  return EARTH_RADIUS_M * Math.abs(toRadians(b) - toRadians(a));
}

/** Metres. */
export function distance(a: Place, b: Place): number {
  const v = Math.sin((toRadians(b.longitude) - toRadians(a.longitude)) / 2);
  if (v === 0) return latitudeDistance(a.latitude, b.latitude);
  const latitudeA = toRadians(a.latitude);
  const latitudeB = toRadians(b.latitude);
  const u = Math.sin((latitudeB - latitudeA) / 2);
  return 2 * EARTH_RADIUS_M * Math.asin(Math.sqrt(u * u + Math.cos(latitudeA) * Math.cos(latitudeB) * v * v));
}

/** A circle, or a rectangle, around a place; metres. */
export type Area = { center: Place; radiusM: number } | { center: Place; widthM: number; heightM: number };

/** The distance of a place in the area from its center in metres; negative when it is not in there. */
export function distanceWithin(area: Area, place: Place): number {
  const { center } = area;
  if ('radiusM' in area) {
    const metres = distance(center, place);
    return metres <= area.radiusM ? metres : -1;
  }
  if (latitudeDistance(place.latitude, center.latitude) > area.heightM / 2) return -1;
  const across = distance(place, { longitude: center.longitude, latitude: place.latitude });
  return across <= area.widthM / 2 ? distance(center, place) : -1;
}

interface Bounds {
  west: number;
  east: number;
  south: number;
  north: number;
}

function boundsOf(area: Area): Bounds {
  const { longitude, latitude } = area.center;
  const height = 'radiusM' in area ? area.radiusM : area.heightM / 2;
  const width = 'radiusM' in area ? area.radiusM : area.widthM / 2;
  const latitudeDelta = toDegrees(height / EARTH_RADIUS_M);
  // Degrees of longitude are shortest on the side of the pole.
  const widest = latitude < 0 ? latitude - latitudeDelta : latitude + latitudeDelta;
  const longitudeDelta = toDegrees(width / EARTH_RADIUS_M / Math.cos(toRadians(widest)));
  return {
    west: longitude - longitudeDelta,
    east: longitude + longitudeDelta,
    south: latitude - latitudeDelta,
    north: latitude + latitudeDelta,
  };
}

function estimateSteps(radiusM: number, latitude: number): number {
  if (radiusM === 0) return STEPS_MAX;
  let steps = -1;
  for (let metres = radiusM; metres < HALF_EQUATOR_M; metres *= 2) steps++;
  if (Math.abs(latitude) > LATITUDE_NARROW) steps--;
  if (Math.abs(latitude) > LATITUDE_NARROWER) steps--;
  return Math.max(1, Math.min(STEPS_MAX, steps));
}

/** A cell of the grid of 2^steps by 2^steps, and how far from the middle one it lies. */
interface Cell {
  column: number;
  row: number;
}

function cellOf({ longitude, latitude }: Place, steps: number): Cell {
  return { column: partOf(longitude, LONGITUDE_MAX, steps), row: partOf(latitude, LATITUDE_MAX, steps) };
}

function cellBounds({ column, row }: Cell, steps: number): Bounds {
  return {
    west: startOf(column, LONGITUDE_MAX, steps),
    east: startOf(column + 1, LONGITUDE_MAX, steps),
    south: startOf(row, LATITUDE_MAX, steps),
    north: startOf(row + 1, LATITUDE_MAX, steps),
  };
}

function neighbour({ column, row }: Cell, east: number, north: number, steps: number): Cell {
  const size = 2 ** steps;
  return { column: (column + east + size) % size, row: (row + north + size) % size };
}

/** The middle, then the neighbours in the order in which Redis looks at them: that is the order of unsorted replies. */
const AROUND: readonly (readonly [east: number, north: number])[] = [
  [0, 0],
  [0, 1],
  [0, -1],
  [1, 0],
  [-1, 0],
  [1, 1],
  [-1, 1],
  [1, -1],
  [-1, -1],
];

/** Whether the neighbours of the middle cell reach as far as the area does. */
function neighboursReach(middle: Cell, bounds: Bounds, steps: number): boolean {
  const at = (east: number, north: number): Bounds => cellBounds(neighbour(middle, east, north, steps), steps);
  return (
    at(0, 1).north >= bounds.north &&
    at(0, -1).south <= bounds.south &&
    at(1, 0).east >= bounds.east &&
    at(-1, 0).west <= bounds.west
  );
}

/** Ranges of numbers, `from` included and `to` not, that hold every place of the area, and others. */
export function rangesOf(area: Area): { from: number; to: number }[] {
  const bounds = boundsOf(area);
  const radiusM = 'radiusM' in area ? area.radiusM : Math.hypot(area.widthM / 2, area.heightM / 2);
  let steps = estimateSteps(radiusM, area.center.latitude);
  if (steps > 1 && !neighboursReach(cellOf(area.center, steps), bounds, steps)) steps--;
  const middle = cellOf(area.center, steps);
  const inner = cellBounds(middle, steps);
  const ranges: { from: number; to: number }[] = [];
  for (const [east, north] of AROUND) {
    if (steps >= 2) {
      if (north < 0 && inner.south < bounds.south) continue;
      if (north > 0 && inner.north > bounds.north) continue;
      if (east < 0 && inner.west < bounds.west) continue;
      if (east > 0 && inner.east > bounds.east) continue;
    }
    const { column, row } = neighbour(middle, east, north, steps);
    const width = 4 ** (STEPS_MAX - steps);
    const from = interleave(row, column) * width;
    // With few cells a neighbour may be one that was looked at.
    if (ranges.at(-1)?.from !== from) ranges.push({ from, to: from + width });
  }
  return ranges;
}
