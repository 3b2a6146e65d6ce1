/** Searches of GEOSEARCH, GEORADIUS and their kin: the arguments, and what they find. */
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import {
  type Area,
  decodePlace,
  distanceWithin,
  LATITUDE_MAX,
  LONGITUDE_MAX,
  type Place,
  rangesOf,
} from '../../storage/types/geohash.ts';
import type { Call } from '../dispatch/call.ts';
import { elementAt } from './collection-use.ts';
import { CommandError } from '../definitions/command-error.ts';
import { scoreArgument } from '../arguments/score-arguments.ts';
import { useSortedSet } from './sorted-set-use.ts';

/** Metres. */
const UNITS: Record<string, number> = { M: 1, KM: 1000, FT: 0.3048, MI: 1609.34 };

/** A unit of length in metres. @throws CommandError */
export function unitArgument(call: Call, index: number): number {
  const unit = UNITS[call.latin1(index).toUpperCase()];
  if (unit === undefined) throw new CommandError('ERR unsupported unit provided. please use M, KM, FT, MI');
  return unit;
}

/** A longitude and the latitude after it. @throws CommandError */
export function placeArgument(call: Call, index: number): Place {
  const longitude = scoreArgument(call, index);
  const latitude = scoreArgument(call, index + 1);
  if (Math.abs(longitude) <= LONGITUDE_MAX && Math.abs(latitude) <= LATITUDE_MAX) return { longitude, latitude };
  const shown = [longitude, latitude].map((value) =>
    Number.isFinite(value) ? value.toFixed(6) : String(value).slice(0, -5).toLowerCase(),
  );
  throw new CommandError(`ERR invalid longitude,latitude pair ${shown.join(',')}`);
}

/** The place of the member at argument `index`; null when there is none. */
export function placeOf(call: Call, set: SortedSet, index: number): Place | null {
  const element = elementAt(call, set, index);
  return element === 0 ? null : decodePlace(set.scoreOf(element));
}

type Shape = { radius: number } | { width: number; height: number };

export interface GeoRequest {
  set: SortedSet | null;
  area: Area | null;
  /** Metres of the unit that distances are given in. */
  unitM: number;
  withDistance: boolean;
  withHash: boolean;
  withPlace: boolean;
  order: 'none' | 'ascending' | 'descending';
  /** 0 for all. */
  count: number;
  /** Any `count` of them will do. */
  any: boolean;
  /** The argument that names the key where the result goes; 0 for none. */
  storeIndex: number;
  storesDistance: boolean;
}

export interface GeoForm {
  /** The argument that is the key. */
  key: number;
  /** What the arguments after the key begin with; `options` when keywords say everything. */
  center: 'place' | 'member' | 'options';
  /** STORE and STOREDIST may be given. */
  mayStore: boolean;
  /** The result goes to argument 1. */
  stores: boolean;
}

/** Reads the arguments of one search. */
class Parser {
  readonly #call: Call;
  readonly #form: GeoForm;
  readonly #request: GeoRequest;
  #center: Place | null = null;
  #shape: Shape | null = null;
  #centerGiven: 'place' | 'member' | null = null;
  #shapeGiven: 'radius' | 'box' | null = null;
  #index = 0;

  constructor(call: Call, form: GeoForm) {
    this.#call = call;
    this.#form = form;
    this.#request = {
      set: useSortedSet(call, form.key),
      area: null,
      unitM: 1,
      withDistance: false,
      withHash: false,
      withPlace: false,
      order: 'none',
      count: 0,
      any: false,
      storeIndex: form.stores ? 1 : 0,
      storesDistance: false,
    };
  }

  parse(): GeoRequest {
    const call = this.#call;
    const { key, center } = this.#form;
    this.#index = key + 1;
    if (center === 'place') {
      this.#center = placeArgument(call, key + 1);
      this.#radius(key + 3);
      this.#index = key + 5;
    } else if (center === 'member') {
      this.#member(key + 1);
      // Without a key only the options matter: whether the result is stored.
      if (this.#request.set !== null) this.#radius(key + 2);
      this.#index = key + 4;
    }
    for (; this.#index < call.argc; this.#index++) {
      if (!this.#output() && !this.#store() && !(center === 'options' && this.#where())) call.syntaxError();
    }
    this.#check();
    return this.#request;
  }

  #member(index: number): void {
    const { set } = this.#request;
    if (set === null) return;
    this.#center = placeOf(this.#call, set, index);
    if (this.#center === null) throw new CommandError('ERR could not decode requested zset member');
  }

  #radius(index: number): void {
    const radius = scoreArgument(this.#call, index, 'ERR need numeric radius');
    if (radius < 0) throw new CommandError('ERR radius cannot be negative');
    this.#request.unitM = unitArgument(this.#call, index + 1);
    this.#shape = { radius };
  }

  #box(index: number): void {
    const width = scoreArgument(this.#call, index, 'ERR need numeric width');
    const height = scoreArgument(this.#call, index + 1, 'ERR need numeric height');
    if (width < 0 || height < 0) throw new CommandError('ERR height or width cannot be negative');
    this.#request.unitM = unitArgument(this.#call, index + 2);
    this.#shape = { width, height };
  }

  /** Whether the argument is this word and so many follow; passes over those. */
  #takes(word: string, following = 0): boolean {
    if (!this.#call.is(this.#index, word) || this.#index + following >= this.#call.argc) return false;
    this.#index += following;
    return true;
  }

  #output(): boolean {
    const request = this.#request;
    if (this.#takes('WITHDIST')) request.withDistance = true;
    else if (this.#takes('WITHHASH')) request.withHash = true;
    else if (this.#takes('WITHCOORD')) request.withPlace = true;
    else if (this.#takes('ANY')) request.any = true;
    else if (this.#takes('ASC')) request.order = 'ascending';
    else if (this.#takes('DESC')) request.order = 'descending';
    else if (this.#takes('COUNT', 1)) {
      request.count = this.#call.integer(this.#index);
      if (request.count <= 0) throw new CommandError('ERR COUNT must be > 0');
    } else return false;
    return true;
  }

  #store(): boolean {
    const request = this.#request;
    const { mayStore, stores } = this.#form;
    if (mayStore && this.#takes('STORE', 1)) request.storesDistance = false;
    else if (mayStore && this.#takes('STOREDIST', 1)) request.storesDistance = true;
    else if (stores && this.#takes('STOREDIST')) {
      request.storesDistance = true;
      return true;
    } else return false;
    request.storeIndex = this.#index;
    return true;
  }

  #where(): boolean {
    const at = this.#index + 1;
    if (this.#centerGiven !== 'place' && this.#takes('FROMMEMBER', 1)) {
      this.#centerGiven = 'member';
      this.#member(at);
    } else if (this.#centerGiven !== 'member' && this.#takes('FROMLONLAT', 2)) {
      this.#centerGiven = 'place';
      this.#center = placeArgument(this.#call, at);
    } else if (this.#shapeGiven !== 'box' && this.#takes('BYRADIUS', 2)) {
      this.#shapeGiven = 'radius';
      this.#radius(at);
    } else if (this.#shapeGiven !== 'radius' && this.#takes('BYBOX', 3)) {
      this.#shapeGiven = 'box';
      this.#box(at);
    } else return false;
    return true;
  }

  #check(): void {
    const request = this.#request;
    const { center, stores } = this.#form;
    if (request.storeIndex !== 0 && (request.withDistance || request.withHash || request.withPlace)) {
      const what = stores ? 'GEOSEARCHSTORE' : 'STORE option in GEORADIUS';
      throw new CommandError(`ERR ${what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options`);
    }
    const name = this.#call.text(0);
    if (center === 'options' && this.#centerGiven === null) {
      throw new CommandError(`ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ${name}`);
    }
    if (center === 'options' && this.#shapeGiven === null) {
      throw new CommandError(`ERR exactly one of BYRADIUS and BYBOX can be specified for ${name}`);
    }
    if (request.any && request.count === 0) throw new CommandError('ERR the ANY argument requires COUNT argument');
    // The nearest ones are meant, unless any will do.
    if (request.count !== 0 && request.order === 'none' && !request.any) request.order = 'ascending';
    if (this.#center === null || this.#shape === null) return;
    const { unitM } = request;
    const shape = this.#shape;
    request.area =
      'radius' in shape
        ? { center: this.#center, radiusM: shape.radius * unitM }
        : { center: this.#center, widthM: shape.width * unitM, heightM: shape.height * unitM };
  }
}

/** @throws CommandError */
export function parseGeoSearch(call: Call, form: GeoForm): GeoRequest {
  return new Parser(call, form).parse();
}

export interface GeoFound {
  /** The element's block. */
  ref: number;
  hash: number;
  place: Place;
  metres: number;
}

/** What the search finds, in its order, at most its count. */
export function geoSearch({ set, area, any, count, order }: GeoRequest): GeoFound[] {
  const found: GeoFound[] = [];
  if (set === null || area === null) return found;
  const most = any ? count : Infinity;
  for (const { from, to } of rangesOf(area)) {
    if (found.length >= most) break;
    const first = set.order.countBelow(from, false);
    const end = set.order.countBelow(to, false);
    set.order.visit(first, end - first, false, (ref, hash) => {
      if (found.length >= most) return;
      const place = decodePlace(hash);
      const metres = distanceWithin(area, place);
      if (metres >= 0) found.push({ ref, hash, place, metres });
    });
  }
  if (order === 'ascending') found.sort((a, b) => a.metres - b.metres);
  else if (order === 'descending') found.sort((a, b) => b.metres - a.metres);
  return count > 0 && found.length > count ? found.slice(0, count) : found;
}
