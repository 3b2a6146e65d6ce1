/** MANTIS WHY and MANTIS CONFLICTS: who wrote what a key shows, when, and what was lost to it. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { formatNodeId, formatStamp, stampMs } from '../../protocol/stamp.ts';
import {
  COUNTER,
  DEAD,
  EXPIRED,
  HIDDEN,
  OBJECT,
  TYPE_HASH,
  TYPE_SET,
  TYPE_SORTED_SET,
} from '../../storage/arena/block.ts';
import { ELEMENT_COUNTED, ELEMENT_DEAD } from '../../storage/collections/element-layout.ts';
import { decodeElementCounter } from '../../storage/collections/element-writes.ts';
import type { Conflict, ContestedWrite } from '../../storage/merging/conflicts.ts';
import type { CounterEntry } from '../../storage/types/counter-payload.ts';
import { readCounter } from '../../storage/types/counter.ts';
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, command, keyRange } from '../definitions/command.ts';
import type { Node } from '../node.ts';
import { typeName } from '../values/type-name.ts';

const CONFLICTS_SHOWN = 10;
/** The latest time that a Date can be (ECMA-262, Time Values). */
const DATE_MS_MAX = 8.64e15;

/** One field of a reply: a text, bytes, a number, a map, or a list of maps. */
type Value = string | number | Buffer | { readonly map: Fields } | { readonly list: readonly Fields[] };
type Fields = readonly (readonly [string, Value])[];

function replyMap(reply: ReplyWriter, fields: Fields): void {
  reply.map(fields.length);
  for (const [name, value] of fields) {
    reply.bulkString(name);
    if (typeof value === 'number') reply.integer(value);
    else if (typeof value === 'string') reply.bulkString(value);
    else if (Buffer.isBuffer(value)) reply.bulk(value, 0, value.length);
    else if ('map' in value) replyMap(reply, value.map);
    else replyList(reply, value.list);
  }
}

function replyList(reply: ReplyWriter, list: readonly Fields[]): void {
  reply.array(list.length);
  for (const fields of list) replyMap(reply, fields);
}

/** The node that writes as this writer; the writer's own id where nobody knows whose it was. */
function nodeOf(node: Node, hi: number, lo: number): string {
  const own = node.applied.own();
  if (hi === own.writerHi && lo === own.writerLo) return formatNodeId(node.nodeHi, node.nodeLo);
  return node.replicator?.nodeOfWriter(hi, lo) ?? formatNodeId(hi, lo);
}

function writeFields(node: Node, hi: number, lo: number, writerHi: number, writerLo: number): Fields {
  return [
    ['node', nodeOf(node, writerHi, writerLo)],
    ['writer', formatNodeId(writerHi, writerLo)],
    ['stamp', formatStamp(hi, lo)],
    ['time', new Date(stampMs(hi, lo)).toISOString()],
  ];
}

function sideFields(node: Node, side: ContestedWrite): Fields {
  const { stampHi, stampLo, writerHi, writerLo, isRemoval } = side;
  return [...writeFields(node, stampHi, stampLo, writerHi, writerLo), ['removal', isRemoval ? 1 : 0]];
}

function conflictFields(node: Node, conflict: Conflict): Fields {
  const { atMs, kind, database, key, element, winner, loser } = conflict;
  return [
    ['seen', new Date(atMs).toISOString()],
    ['kind', kind],
    ['database', database],
    ['key', key],
    ...(element === null ? [] : ([['element', element]] as const)),
    ['winner', { map: sideFields(node, winner) }],
    ['loser', { map: sideFields(node, loser) }],
  ];
}

/** The sums of increments that a counter shows beside its base. */
function sumFields(call: Call, entries: readonly CounterEntry[]): Fields {
  const { nodes } = call.keyspace;
  const sums = entries.map(({ origin, versionHi, versionLo, sum }): Fields => [
    ['sum', sum],
    ...writeFields(call.node, versionHi, versionLo, nodes.hi[origin], nodes.lo[origin]),
  ]);
  return sums.length === 0 ? [] : [['increments', { list: sums }]];
}

/** The version of a register; nothing for one that was never written. */
function versionFields(call: Call, hi: number, lo: number, origin: number): Fields {
  const { nodes } = call.keyspace;
  return hi === 0 ? [] : writeFields(call.node, hi, lo, nodes.hi[origin], nodes.lo[origin]);
}

/** A deadline may be later than any date that JavaScript can name; it is told in milliseconds since 1970 then. */
function instantOf(ms: number): string {
  return ms > DATE_MS_MAX ? String(ms) : new Date(ms).toISOString();
}

function keyState(call: Call, ref: number): string {
  const flags = call.keyspace.flagsOf(ref);
  if ((flags & HIDDEN) === 0) return typeName(call.keyspace.typeOf(ref));
  if ((flags & EXPIRED) !== 0) return 'expired';
  return 'removed';
}

function keyFields(call: Call, ref: number): Fields {
  const { keyspace } = call;
  const flags = keyspace.flagsOf(ref);
  const isCounter = (flags & COUNTER) !== 0;
  const entries = isCounter ? readCounter(keyspace, ref).entries : [];
  keyspace.readVersion(ref);
  const { stampHi, stampLo, origin, deadlineMs, deadlineStampHi, deadlineStampLo, deadlineOrigin } = keyspace;
  const fields: (readonly [string, Value])[] = [['state', keyState(call, ref)]];
  // The base under a counter that began with an increment is a removal, or nothing.
  if (!isCounter || (flags & DEAD) === 0) fields.push(...versionFields(call, stampHi, stampLo, origin));
  fields.push(...sumFields(call, entries));
  if (deadlineMs > 0) {
    const set = versionFields(call, deadlineStampHi, deadlineStampLo, deadlineOrigin);
    fields.push(['deadline', { map: [['until', instantOf(deadlineMs)], ...set] }]);
  }
  return fields;
}

function elementFields(call: Call, ref: number): Fields {
  const { keyspace } = call;
  const type = (keyspace.flagsOf(ref) & OBJECT) === 0 ? -1 : keyspace.typeOf(ref);
  if (type !== TYPE_HASH && type !== TYPE_SET && type !== TYPE_SORTED_SET) {
    return call.fail('ERR only hashes, sets and sorted sets have elements with names');
  }
  const collection = keyspace.collectionAt(ref);
  const element = collection.find(call.buffer, call.starts[3], call.lengths[3]);
  if (element === 0) return [['state', 'none']];
  const { elements } = keyspace;
  const flags = elements.flagsOf(element);
  const isCounter = (flags & ELEMENT_COUNTED) !== 0;
  const isDead = (flags & ELEMENT_DEAD) !== 0;
  const entries = isCounter ? decodeElementCounter(keyspace, element).entries : [];
  const fields: (readonly [string, Value])[] = [['state', isDead && !isCounter ? 'removed' : typeName(type)]];
  if (!isCounter || !isDead) {
    const hi = elements.stampHiOf(element);
    fields.push(...versionFields(call, hi, elements.stampLoOf(element), elements.originOf(element)));
  }
  fields.push(...sumFields(call, entries));
  return fields;
}

function why(call: Call): void {
  const { node, keyspace, database } = call;
  if (call.argc > 4) call.syntaxError();
  const key = call.bytes(2);
  const element = call.argc === 4 ? call.bytes(3) : null;
  // What is past its deadline is taken away first, as for every reader; tombstones count too.
  call.lookup(2);
  const ref = keyspace.find(database, key, 0, key.length);
  const known =
    ref === 0 ? [['state', 'none'] as const] : element === null ? keyFields(call, ref) : elementFields(call, ref);
  const conflicts = keyspace.merges.log.of(database.number, key, element).map((one) => conflictFields(node, one));
  replyMap(call.reply, [...known, ['conflicts', { list: conflicts }]]);
}

function conflicts(call: Call): void {
  if (call.argc > 3) call.syntaxError();
  const count = call.argc === 3 ? call.integerIn(2, 0, Number.MAX_SAFE_INTEGER) : CONFLICTS_SHOWN;
  replyList(
    call.reply,
    call.keyspace.merges.log.newest(count).map((one) => conflictFields(call.node, one)),
  );
}

export const conflictSubcommands: readonly CommandDefinition[] = [
  command({
    name: 'why',
    summary: 'Tells which node wrote what a key or an element shows, when, and what was lost to it lately.',
    since: '0.1.0',
    group: 'mantis',
    complexity: 'O(N) for N entries of the log of conflicts',
    arity: -3,
    flags: ['readonly'],
    keys: [keyRange(2, 2, 1, 'RO', 'access')],
    syntax: 'key [element]',
    run: why,
  }),
  command({
    name: 'conflicts',
    summary: 'Shows the latest writes of this node that met concurrent ones of others, ten or as many as asked for.',
    since: '0.1.0',
    group: 'mantis',
    complexity: 'O(N) for N entries shown',
    arity: -2,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    syntax: '[count]',
    run: conflicts,
  }),
];
