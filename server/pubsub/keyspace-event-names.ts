/** Which events a command raises for the keys that it has changed, in Redis's names. */
import { KEYSPACE_EVENT } from '../config/composite-types.ts';

const { generic, string, list, set, hash, sortedSet, stream } = KEYSPACE_EVENT;

/** A command and its arguments, as text. */
export interface EventSource {
  /** `xgroup|create` for a subcommand. */
  readonly name: string;
  readonly argc: number;
  bytes(index: number): Buffer;
}

function word(source: EventSource, index: number): string {
  return index < source.argc ? source.bytes(index).toString('latin1').toLowerCase() : '';
}

export interface NamedEvent {
  /** One of KEYSPACE_EVENT's classes. */
  readonly eventClass: number;
  readonly name: string;
  /** It takes from the key: raised also when the key has gone with the last of it. */
  readonly removes?: boolean;
  /** Only for the key at this argument. */
  readonly argument?: number;
}

function events(eventClass: number, names: string, removes = false): [string, NamedEvent][] {
  return names.split(' ').map((pair) => {
    const [command, name] = pair.split('=');
    return [command, { eventClass, name: name ?? command, removes }];
  });
}

const PLAIN: ReadonlyMap<string, NamedEvent> = new Map([
  ...events(string, 'set setex=set psetex=set setnx=set getset=set mset=set msetnx=set bitop=set append setrange'),
  ...events(string, 'incr=incrby decr=incrby incrby decrby=incrby incrbyfloat setbit bitfield=setbit'),
  ...events(string, 'pfadd pfmerge=pfadd'),
  ...events(
    generic,
    'expire pexpire=expire expireat=expire pexpireat=expire persist restore restore-asking=restore copy=copy_to',
  ),
  ...events(list, 'lpush rpush lpushx=lpush rpushx=rpush linsert lset sort=sortstore'),
  ...events(list, 'lpop rpop blpop=lpop brpop=rpop lrem ltrim', true),
  ...events(set, 'sadd sinterstore sunionstore sdiffstore'),
  ...events(set, 'srem spop', true),
  ...events(hash, 'hset hmset=hset hsetnx=hset hincrby hincrbyfloat hpersist'),
  ...events(hash, 'hdel hgetdel=hdel', true),
  ...events(sortedSet, 'zincrby=zincr geoadd=zadd zrangestore zunionstore zinterstore zdiffstore geosearchstore'),
  ...events(sortedSet, 'georadius=georadiusstore georadiusbymember=georadiusstore'),
  ...events(sortedSet, 'zrem zremrangebyscore zremrangebyrank', true),
  ...events(sortedSet, 'zremrangebylex zpopmin zpopmax bzpopmin=zpopmin bzpopmax=zpopmax', true),
  ...events(stream, 'xadd xdel xtrim xsetid xgroup|create=xgroup-create xgroup|setid=xgroup-setid'),
  ...events(stream, 'xgroup|destroy=xgroup-destroy xgroup|createconsumer=xgroup-createconsumer'),
  ...events(stream, 'xgroup|delconsumer=xgroup-delconsumer'),
]);

/** A move between two lists: first what comes, then what goes. */
function move(from: string, to: string): NamedEvent[] {
  return [
    { eventClass: list, name: to === 'left' ? 'lpush' : 'rpush', argument: 2 },
    { eventClass: list, name: from === 'left' ? 'lpop' : 'rpop', removes: true, argument: 1 },
  ];
}

/** Where the word stands behind the keys of a command that says how many there are at `count`. */
function afterKeys(source: EventSource, count: number): string {
  return word(source, count + 1 + Number(word(source, count)));
}

function hasWord(source: EventSource, from: number, words: readonly string[]): boolean {
  for (let index = from; index < source.argc; index++) if (words.includes(word(source, index))) return true;
  return false;
}

const DEADLINES = ['ex', 'px', 'exat', 'pxat'];
const EXPIRE: NamedEvent = { eventClass: generic, name: 'expire' };
const HASH_EXPIRE: NamedEvent = { eventClass: hash, name: 'hexpire' };

type Special = (source: EventSource, nowMs: number) => NamedEvent[];

/** HEXPIRE and its kin: a deadline that has passed removes the fields. */
function hashExpiry(unitMs: 1 | 1000, isAbsolute: boolean): Special {
  return (source, nowMs) => {
    const deadlineMs = Number(word(source, 2)) * unitMs + (isAbsolute ? 0 : nowMs);
    return [deadlineMs <= nowMs ? PLAIN.get('hdel')! : HASH_EXPIRE];
  };
}

const SPECIAL: ReadonlyMap<string, Special> = new Map<string, Special>([
  ['set', (source) => [PLAIN.get('set')!, ...(hasWord(source, 3, DEADLINES) ? [EXPIRE] : [])]],
  ['setex', () => [PLAIN.get('set')!, EXPIRE]],
  ['psetex', () => [PLAIN.get('set')!, EXPIRE]],
  ['getex', (source) => [word(source, 2) === 'persist' ? PLAIN.get('persist')! : EXPIRE]],
  [
    'rename',
    () => [
      { eventClass: generic, name: 'rename_from', removes: true, argument: 1 },
      { eventClass: generic, name: 'rename_to', argument: 2 },
    ],
  ],
  ['lmove', (source) => move(word(source, 3), word(source, 4))],
  ['blmove', (source) => move(word(source, 3), word(source, 4))],
  ['rpoplpush', () => move('right', 'left')],
  ['brpoplpush', () => move('right', 'left')],
  ['lmpop', (source) => [PLAIN.get(afterKeys(source, 1) === 'left' ? 'lpop' : 'rpop')!]],
  ['blmpop', (source) => [PLAIN.get(afterKeys(source, 2) === 'left' ? 'lpop' : 'rpop')!]],
  ['zmpop', (source) => [PLAIN.get(afterKeys(source, 1) === 'min' ? 'zpopmin' : 'zpopmax')!]],
  ['bzmpop', (source) => [PLAIN.get(afterKeys(source, 2) === 'min' ? 'zpopmin' : 'zpopmax')!]],
  [
    'smove',
    () => [
      { eventClass: set, name: 'srem', removes: true, argument: 1 },
      { eventClass: set, name: 'sadd', argument: 2 },
    ],
  ],
  [
    'zadd',
    (source) => [{ eventClass: sortedSet, name: source.argc > 4 && hasWord(source, 2, ['incr']) ? 'zincr' : 'zadd' }],
  ],
  ['hsetex', (source) => [PLAIN.get('hset')!, ...(hasWord(source, 2, DEADLINES) ? [HASH_EXPIRE] : [])]],
  ['hgetex', (source) => [word(source, 2) === 'persist' ? PLAIN.get('hpersist')! : HASH_EXPIRE]],
  ['hexpire', hashExpiry(1000, false)],
  ['hpexpire', hashExpiry(1, false)],
  ['hexpireat', hashExpiry(1000, true)],
  ['hpexpireat', hashExpiry(1, true)],
  ['renamenx', (source, nowMs) => SPECIAL.get('rename')!(source, nowMs)],
]);

/**
 * The events of a command for each key that it has changed; none for one whose changes are not told of.
 * @param nowMs when it ran, in milliseconds since 1970
 */
export function eventsOf(source: EventSource, nowMs: number): readonly NamedEvent[] {
  const special = SPECIAL.get(source.name);
  if (special !== undefined) return special(source, nowMs);
  const plain = PLAIN.get(source.name);
  return plain === undefined ? [] : [plain];
}

/** Commands whose keys may go, and are then told of as deleted and nothing else. */
export const MAY_DELETE: ReadonlySet<string> = new Set(['del', 'unlink', 'getdel', 'getex', 'migrate']);
