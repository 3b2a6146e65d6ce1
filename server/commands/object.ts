/** OBJECT: how a key is kept, and how it was used. */
import { parseInteger } from '../../protocol/integer.ts';
import { frequencyOf, idleSeconds } from '../../storage/eviction/access.ts';
import { COUNTER, OBJECT, RAW, TYPE_STRING } from '../../storage/arena/block.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { collectionEncoding } from '../values/encoding.ts';
import { peekKey } from '../values/key-use.ts';
import { container, helpSubcommand } from '../definitions/subcommand-help.ts';

/** Digits and sign of the longest 64-bit integer. */
const INTEGER_BYTES_MAX = 20;
/** The longest string that Redis keeps together with its header. */
const EMBEDDED_BYTES_MAX = 44;
/** Redis shares the objects of small integers, and shows this count for them. */
const SHARED_REFERENCES = 2147483647;
const SHARED_INTEGER_MAX = 9999;

const SWITCHING =
  'Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.';
const COUNTS_USE = `ERR An LFU maxmemory policy is selected, idle time not tracked. ${SWITCHING}`;
const NO_COUNT = `ERR An LFU maxmemory policy is not selected, access frequency not tracked. ${SWITCHING}`;

/** The integer that the string is kept as; undefined when it is kept as bytes. */
function asInteger(call: Call, ref: number): number | bigint | undefined {
  const { keyspace } = call;
  if (keyspace.typeOf(ref) !== TYPE_STRING || (keyspace.flagsOf(ref) & RAW) !== 0) return undefined;
  keyspace.readValue(ref);
  const { valueBuffer, valueStart, valueLength } = keyspace;
  return valueLength > INTEGER_BYTES_MAX ? undefined : parseInteger(valueBuffer, valueStart, valueLength);
}

/** The name of the form in which Redis would keep the string: clients look at it to judge what it costs. */
function stringEncoding(call: Call, ref: number): string {
  if (asInteger(call, ref) !== undefined) return 'int';
  const { keyspace } = call;
  const flags = keyspace.flagsOf(ref);
  keyspace.readValue(ref);
  const short = keyspace.valueLength <= EMBEDDED_BYTES_MAX || (flags & COUNTER) !== 0;
  return short && (flags & (RAW | OBJECT)) === 0 ? 'embstr' : 'raw';
}

/** The key at argument 2; 0 with the reply written when there is none. */
function keyOrNil(call: Call): number {
  const ref = peekKey(call, 2);
  if (ref === 0) call.reply.nil();
  return ref;
}

/** The name of the form in which Redis would keep what is at the key. */
export function keyEncoding(call: Call, ref: number): string {
  const { keyspace } = call;
  if (keyspace.typeOf(ref) === TYPE_STRING) return stringEncoding(call, ref);
  return collectionEncoding(call, keyspace.collectionAt(ref));
}

function encoding(call: Call): void {
  const ref = keyOrNil(call);
  if (ref !== 0) call.reply.bulkString(keyEncoding(call, ref));
}

function refcount(call: Call): void {
  const ref = keyOrNil(call);
  if (ref === 0) return;
  const value = asInteger(call, ref);
  const isShared = value !== undefined && value >= 0 && value <= SHARED_INTEGER_MAX;
  call.reply.integer(isShared ? SHARED_REFERENCES : 1);
}

function idletime(call: Call): void {
  const ref = keyOrNil(call);
  if (ref === 0) return;
  if (call.keyspace.accessPolicy.countsUse) throw new CommandError(COUNTS_USE);
  call.reply.integer(idleSeconds(call.keyspace, ref));
}

function freq(call: Call): void {
  const ref = keyOrNil(call);
  if (ref === 0) return;
  if (!call.keyspace.accessPolicy.countsUse) throw new CommandError(NO_COUNT);
  call.reply.integer(frequencyOf(call.keyspace, ref));
}

function inspection(name: string, since: string, summary: string, run: (call: Call) => void): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'generic',
    complexity: 'O(1)',
    arity: 3,
    flags: ['readonly'],
    categories: ['keyspace'],
    keys: [keyRange(2, 2, 1, 'RO')],
    syntax: 'key',
    run,
  });
}

export const objectCommands: readonly CommandDefinition[] = [
  container({
    name: 'object',
    summary: 'Tells how a key is kept and used.',
    since: '2.2.3',
    group: 'generic',
    subcommands: [
      inspection('encoding', '2.2.3', 'Tells the form in which Redis would keep the value.', encoding),
      inspection('freq', '4.0.0', 'Tells how often the key is used, on a logarithmic scale from 0 to 255.', freq),
      helpSubcommand('generic', '6.2.0', ['keyspace']),
      inspection('idletime', '2.2.3', 'Tells how many seconds ago the key was last used.', idletime),
      inspection('refcount', '2.2.3', 'Tells how many references Redis would hold to the value.', refcount),
    ],
  }),
];
