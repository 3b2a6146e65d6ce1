/** Finding keys: KEYS, SCAN, RANDOMKEY. */
import { GlobPattern } from '../../protocol/glob.ts';
import { expireDue } from '../../storage/expiry/expiry.ts';
import { HASH_END } from '../../storage/index/key-index.ts';
import { forEachKey, randomKey, scanKeys } from '../../storage/index/key-scan.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { typeName } from '../values/type-name.ts';

const UINT64_MAX = 2n ** 64n - 1n;
const COUNT_DEFAULT = 10;
/** Keys behind their deadline that one SCAN removes. */
const EXPIRED_MAX = 1000;

function replyKeys(call: Call, refs: readonly number[]): void {
  const { keyspace, reply } = call;
  reply.array(refs.length);
  for (const ref of refs) {
    keyspace.readKey(ref);
    reply.bulk(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  }
}

function patternArgument(call: Call, index: number): GlobPattern | null {
  const pattern = new GlobPattern(call.buffer, call.starts[index], call.lengths[index]);
  return pattern.matchesAll ? null : pattern;
}

function keyMatches(call: Call, pattern: GlobPattern | null, ref: number): boolean {
  if (pattern === null) return true;
  const { keyspace } = call;
  keyspace.readKey(ref);
  return pattern.matches(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
}

function keys(call: Call): void {
  const pattern = patternArgument(call, 1);
  const found: number[] = [];
  forEachKey(call.keyspace, call.database, (ref) => {
    if (keyMatches(call, pattern, ref)) found.push(ref);
  });
  replyKeys(call, found);
}

/** A cursor as C's strtoul reads it, to the first NUL. Those past the end are walks that are over. @throws CommandError */
export function cursorArgument(call: Call, index: number): number {
  const text = call.latin1(index).replace(/\0.*/s, '');
  if (text === '') return 0;
  const match = /^([+-]?)(\d{1,20})$/.exec(text);
  if (match === null || BigInt(match[2]) > UINT64_MAX) throw new CommandError('ERR invalid cursor');
  const cursor = Number(match[2]);
  return match[1] === '-' && cursor !== 0 ? HASH_END : Math.min(HASH_END, cursor);
}

interface ScanOptions {
  pattern: GlobPattern | null;
  count: number;
  /** Lower case; null for all types. */
  type: string | null;
}

function scanOptions(call: Call): ScanOptions {
  const options: ScanOptions = { pattern: null, count: COUNT_DEFAULT, type: null };
  for (let index = 2; index < call.argc; index += 2) {
    if (index + 1 >= call.argc) call.syntaxError();
    if (call.is(index, 'COUNT')) {
      options.count = call.integer(index + 1);
      if (options.count < 1) call.syntaxError();
    } else if (call.is(index, 'MATCH')) options.pattern = patternArgument(call, index + 1);
    else if (call.is(index, 'TYPE')) options.type = call.latin1(index + 1).toLowerCase();
    else call.syntaxError();
  }
  return options;
}

/** The cursor is a position in hash order: nothing is kept between calls, and no growth of the table moves it. */
function scan(call: Call): void {
  const { keyspace, reply } = call;
  const cursor = cursorArgument(call, 1);
  const { pattern, count, type } = scanOptions(call);
  // As in Redis, what a walk would come to behind its deadline is gone then, and counted.
  expireDue(keyspace, EXPIRED_MAX);
  const found: number[] = [];
  const next = scanKeys(keyspace, call.database, cursor, count, (ref) => {
    if (type !== null && typeName(keyspace.typeOf(ref)) !== type) return;
    if (keyMatches(call, pattern, ref)) found.push(ref);
  });
  reply.array(2);
  reply.bulkInteger(next === HASH_END ? 0 : next);
  replyKeys(call, found);
}

function randomkey(call: Call): void {
  const { keyspace, reply } = call;
  const ref = randomKey(keyspace, call.database, () => call.node.random());
  if (ref === 0) {
    reply.nil();
    return;
  }
  keyspace.readKey(ref);
  reply.bulk(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
}

export const scanCommands: readonly CommandDefinition[] = [
  command({
    name: 'keys',
    summary: 'Lists all keys that match a pattern.',
    since: '1.0.0',
    group: 'generic',
    complexity: 'O(N) with N the number of keys in the database',
    arity: 2,
    flags: ['readonly'],
    categories: ['keyspace', 'dangerous'],
    syntax: 'pattern',
    run: keys,
  }),
  command({
    name: 'scan',
    summary: 'Walks over the keys, a few at a time.',
    since: '2.8.0',
    group: 'generic',
    complexity: 'O(1) a call with the default COUNT, O(N) for the whole walk',
    arity: -2,
    flags: ['readonly'],
    categories: ['keyspace'],
    syntax: 'cursor [MATCH pattern] [COUNT count] [TYPE type]',
    run: scan,
  }),
  command({
    name: 'randomkey',
    summary: 'Gives some key of the database.',
    since: '1.0.0',
    group: 'generic',
    complexity: 'O(1)',
    arity: 1,
    flags: ['readonly'],
    categories: ['keyspace'],
    syntax: '',
    run: randomkey,
  }),
];
