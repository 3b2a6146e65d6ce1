/** Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP. */
import { RAW, VALUE_INLINE_MAX } from '../../storage/arena/block.ts';
import { type BitOperation, combineBits, countBits, findBit, invertBits } from '../../storage/types/bitmap.ts';
import { deleteKey, editString } from '../../storage/types/string.ts';
import { bitOffset } from '../arguments/bit-offset.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { useString, useStringToWrite } from '../values/string-use.ts';

// ---- single bits ----

/** The bit at a position of the value last read; 0 past its end. */
function bitAt(call: Call, offset: number): 0 | 1 {
  const { keyspace } = call;
  const byte = Math.floor(offset / 8);
  if (byte >= keyspace.valueLength) return 0;
  return ((keyspace.valueBuffer[keyspace.valueStart + byte] >> (7 - (offset & 7))) & 1) === 1 ? 1 : 0;
}

function setbit(call: Call): void {
  const { keyspace, buffer, starts, lengths } = call;
  const offset = bitOffset(call, 2);
  const bit = call.integerIn(3, 0, 1, 'ERR bit is not an integer or out of range');
  const ref = useStringToWrite(call, 1);
  if (ref !== 0) keyspace.readValue(ref);
  const length = ref === 0 ? 0 : keyspace.valueLength;
  const byte = Math.floor(offset / 8);
  const old = ref === 0 ? 0 : bitAt(call, offset);
  if (byte >= length || old !== bit) {
    editString(keyspace, call.database, buffer, starts[1], lengths[1], Math.max(length, byte + 1));
    const mask = 0x80 >> (offset & 7);
    if (bit === 1) keyspace.valueBuffer[keyspace.valueStart + byte] |= mask;
    else keyspace.valueBuffer[keyspace.valueStart + byte] &= ~mask;
  }
  call.reply.integer(old);
}

function getbit(call: Call): void {
  const offset = bitOffset(call, 2);
  const ref = useString(call, 1);
  if (ref !== 0) call.keyspace.readValue(ref);
  call.reply.integer(ref === 0 ? 0 : bitAt(call, offset));
}

// ---- ranges ----

/** The unit of a range, in bits, from the argument at `index`; bytes when there is none. */
function rangeUnit(call: Call, index: number): 1 | 8 {
  if (index >= call.argc || call.is(index, 'BYTE')) return 8;
  return call.is(index, 'BIT') ? 1 : call.syntaxError();
}

/** The first bit of a range whose start is `start` units, clamped to the value of `length` bytes. */
function firstBit(start: number, length: number, unit: 1 | 8): number {
  const total = (length * 8) / unit;
  return Math.max(0, start < 0 ? start + total : start) * unit;
}

/** The last bit, included, of a range whose end is `end` units, clamped to the value. */
function lastBit(end: number, length: number, unit: 1 | 8): number {
  const total = (length * 8) / unit;
  return (Math.min(total - 1, Math.max(0, end < 0 ? end + total : end)) + 1) * unit - 1;
}

function bitcount(call: Call): void {
  const { keyspace, reply, argc } = call;
  if (argc > 5) call.syntaxError();
  const start = argc > 2 ? call.integer(2) : 0;
  // A start alone is Valkey's since 8.0; Redis refuses it.
  const end = argc > 3 ? call.integer(3) : -1;
  const unit = rangeUnit(call, 4);
  const ref = useString(call, 1);
  if (ref === 0) {
    reply.integer(0);
    return;
  }
  keyspace.readValue(ref);
  const first = firstBit(start, keyspace.valueLength, unit);
  const last = lastBit(end, keyspace.valueLength, unit);
  const empty = first > last || (start < 0 && end < 0 && start > end);
  reply.integer(empty ? 0 : countBits(keyspace.valueBuffer, keyspace.valueStart, first, last));
}

function bitpos(call: Call): void {
  const { keyspace, reply, argc } = call;
  const bit = call.integer(2);
  if (bit !== 0 && bit !== 1) throw new CommandError('ERR The bit argument must be 1 or 0.');
  if (argc > 6) call.syntaxError();
  const start = argc > 3 ? call.integer(3) : 0;
  const unit = rangeUnit(call, 5);
  const end = argc > 4 ? call.integer(4) : -1;
  const ref = useString(call, 1);
  if (ref === 0) {
    // A missing key is zeros without end.
    reply.integer(bit === 1 ? -1 : 0);
    return;
  }
  keyspace.readValue(ref);
  const { valueLength } = keyspace;
  const first = firstBit(start, valueLength, unit);
  const last = lastBit(end, valueLength, unit);
  const found = first > last ? -1 : findBit(keyspace.valueBuffer, keyspace.valueStart, first, last, bit);
  // Without an end, zeros are thought to follow the value.
  reply.integer(found < 0 && first <= last && bit === 0 && argc < 5 ? valueLength * 8 : found);
}

// ---- BITOP ----

function operationAt(call: Call, index: number): BitOperation | 'not' {
  if (call.is(index, 'AND')) return 'and';
  if (call.is(index, 'OR')) return 'or';
  if (call.is(index, 'XOR')) return 'xor';
  return call.is(index, 'NOT') ? 'not' : call.syntaxError();
}

/** The length of the longest of the source strings. */
function longestSource(call: Call): number {
  const { keyspace } = call;
  let longest = 0;
  for (let index = 3; index < call.argc; index++) {
    const ref = useString(call, index);
    if (ref === 0) continue;
    keyspace.readValue(ref);
    longest = Math.max(longest, keyspace.valueLength);
  }
  return longest;
}

function combineSources(call: Call, operation: BitOperation | 'not', length: number): Buffer {
  const { keyspace } = call;
  const result = Buffer.alloc(length);
  for (let index = 3; index < call.argc; index++) {
    const ref = call.lookup(index);
    if (ref === 0) {
      if (operation === 'and') return result.fill(0);
      continue;
    }
    keyspace.readValue(ref);
    const { valueBuffer, valueStart, valueLength } = keyspace;
    if (index === 3) valueBuffer.copy(result, 0, valueStart, valueStart + valueLength);
    else if (operation !== 'not') combineBits(operation, result, valueBuffer, valueStart, valueLength);
  }
  if (operation === 'not') invertBits(result);
  return result;
}

/** Gives the key at argument 2 a value whose buffer may be kept, without a deadline. */
function storeResult(call: Call, result: Buffer): void {
  const { keyspace, database, buffer, starts, lengths } = call;
  const ref = keyspace.find(database, buffer, starts[2], lengths[2]);
  const { hash } = keyspace;
  keyspace.beginLocal(0);
  if (result.length > VALUE_INLINE_MAX) {
    keyspace.putLarge(database, hash, ref, buffer, starts[2], lengths[2], result, result.length, RAW, true);
  } else {
    keyspace.put(database, hash, ref, buffer, starts[2], lengths[2], result, 0, result.length, RAW, true);
  }
}

function bitop(call: Call): void {
  const operation = operationAt(call, 1);
  if (operation === 'not' && call.argc !== 4) {
    throw new CommandError('ERR BITOP NOT must be called with a single source key.');
  }
  const length = longestSource(call);
  if (length > 0) storeResult(call, combineSources(call, operation, length));
  else deleteKey(call.keyspace, call.database, call.buffer, call.starts[2], call.lengths[2]);
  call.reply.integer(length);
}

// ---- definitions ----

export const bitmapCommands: readonly CommandDefinition[] = [
  command({
    name: 'setbit',
    summary: 'Sets or clears one bit of a string, which grows to hold it, and returns what the bit was.',
    since: '2.2.0',
    group: 'bitmap',
    complexity: 'O(1) in a string longer than 4096 bytes, O(N) in a shorter one',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update')],
    syntax: 'key offset value',
    merge:
      'The resulting string is written as a whole: of bits set at once on two nodes, only the later string counts.',
    run: setbit,
  }),
  command({
    name: 'getbit',
    summary: 'Returns one bit of a string, 0 past its end.',
    since: '2.2.0',
    group: 'bitmap',
    complexity: 'O(1)',
    arity: 3,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key offset',
    run: getbit,
  }),
  command({
    name: 'bitcount',
    summary: 'Counts the bits that are set in a string, or in a range of its bytes or bits.',
    since: '2.6.0',
    group: 'bitmap',
    complexity: 'O(N)',
    arity: -2,
    flags: ['readonly'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key [start [end [BYTE|BIT]]]',
    run: bitcount,
  }),
  command({
    name: 'bitpos',
    summary: 'Finds the first bit that is set, or clear, in a string or in a range of its bytes or bits.',
    since: '2.8.7',
    group: 'bitmap',
    complexity: 'O(N)',
    arity: -3,
    flags: ['readonly'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key bit [start [end [BYTE|BIT]]]',
    run: bitpos,
  }),
  command({
    name: 'bitop',
    summary: 'Combines strings bit by bit into another key: AND, OR, XOR, or NOT of a single one.',
    since: '2.6.0',
    group: 'bitmap',
    complexity: 'O(N) where N is the bytes of all strings together',
    arity: -4,
    flags: ['write', 'denyoom'],
    keys: [keyRange(2, 2, 1, 'OW', 'update'), keyRange(3, -1, 1, 'RO', 'access')],
    syntax: 'operation destkey key [key ...]',
    merge: 'The result is computed on the node that was asked and written there like SET: the latest one counts.',
    run: bitop,
  }),
];
