/** HyperLogLogs: how many different elements, about, in 12 KiB at most. */
import {
  CHANGED,
  createEmpty,
  DAMAGED,
  DENSE_BYTES,
  denseGet,
  denseSet,
  describeRuns,
  ENCODING_DENSE,
  estimate,
  hashedRegister,
  hashedValue,
  hashElement,
  isHyperLogLog,
  markStale,
  raiseRegisters,
  readCached,
  REGISTERS,
  sparseSet,
  TOO_LARGE,
  toDense,
  writeCached,
  type SparseValue,
} from '../../storage/types/hyperloglog.ts';
import { hyperLogLogAt, putOwnPart, readOwnPart } from '../../storage/types/hyperloglog-write.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { useString, useStringToWrite } from '../values/string-use.ts';

const NOT_ONE = 'WRONGTYPE Key is not a valid HyperLogLog string value.';
const CORRUPTED = 'INVALIDOBJ Corrupted HLL object detected';

/** Leaves the value of the string in `keyspace.valueBuffer`. @throws CommandError when it is no HyperLogLog */
function readHyperLogLog(call: Call, ref: number): void {
  const { keyspace } = call;
  keyspace.readValue(ref);
  if (!isHyperLogLog(keyspace.valueBuffer, keyspace.valueStart, keyspace.valueLength)) throw new CommandError(NOT_ONE);
}

/** A value being changed; it turns dense when it has to. */
class Draft {
  readonly #sparseBytesMax: number;
  #sparse: SparseValue | null = null;
  #dense: Buffer | null = null;
  changed = false;

  constructor(buffer: Buffer, start: number, length: number, sparseBytesMax: number) {
    this.#sparseBytesMax = sparseBytesMax;
    if (buffer[start + 4] === ENCODING_DENSE) {
      this.#dense = Buffer.from(buffer.subarray(start, start + length));
    } else {
      const copy = Buffer.allocUnsafe(length + 16);
      buffer.copy(copy, 0, start, start + length);
      this.#sparse = { buffer: copy, length };
    }
  }

  /** @throws CommandError when the value is damaged */
  becomeDense(): void {
    if (this.#sparse === null) return;
    this.#dense = toDense(this.#sparse.buffer, 0, this.#sparse.length);
    this.#sparse = null;
    if (this.#dense === null) throw new CommandError(CORRUPTED);
  }

  /** @throws CommandError when the value is damaged */
  raise(register: number, value: number): void {
    if (this.#sparse !== null) {
      const done = sparseSet(this.#sparse, register, value, this.#sparseBytesMax);
      if (done === DAMAGED) throw new CommandError(CORRUPTED);
      if (done === CHANGED) this.changed = true;
      if (done !== TOO_LARGE) return;
      this.becomeDense();
    }
    if (denseSet(this.#dense!, 0, register, value)) this.changed = true;
  }

  finish(): Buffer {
    const value = this.#dense ?? this.#sparse!.buffer.subarray(0, this.#sparse!.length);
    markStale(value, 0);
    return value;
  }
}

function sparseBytesMax(call: Call): number {
  return call.node.config.values['hll-sparse-max-bytes'];
}

/** Makes the value this node's part of the HyperLogLog at argument `index`, which keeps its deadline. */
function store(call: Call, index: number, ref: number, value: Buffer): void {
  const { keyspace, database, buffer, starts, lengths } = call;
  putOwnPart(keyspace, database, ref, buffer, starts[index], lengths[index], value);
}

/** This node's part of the HyperLogLog in `ref`, to be changed; a new one when it has none. */
function ownDraft(call: Call, ref: number): Draft {
  const { keyspace } = call;
  const collection = ref === 0 ? null : hyperLogLogAt(keyspace, ref);
  if (ref !== 0 && collection === null) keyspace.readValue(ref);
  if (ref !== 0 && (collection === null || readOwnPart(keyspace, collection))) {
    return new Draft(keyspace.valueBuffer, keyspace.valueStart, keyspace.valueLength, sparseBytesMax(call));
  }
  const empty = createEmpty();
  return new Draft(empty, 0, empty.length, sparseBytesMax(call));
}

function pfadd(call: Call): void {
  const { buffer, starts, lengths, argc } = call;
  const ref = useStringToWrite(call, 1);
  const isNew = ref === 0;
  // What all nodes have added, when this node has not added all of it.
  const seen = isNew ? null : registersOfOthers(call, ref);
  if (!isNew && seen === null && !raisesDense(call)) {
    call.reply.integer(0);
    return;
  }
  const draft = ownDraft(call, ref);
  for (let index = 2; index < argc; index++) {
    hashElement(buffer, starts[index], lengths[index]);
    if (seen === null || hashedValue > seen[hashedRegister]) draft.raise(hashedRegister, hashedValue);
  }
  if (draft.changed || isNew) store(call, 1, ref, draft.finish());
  call.reply.integer(draft.changed || isNew ? 1 : 0);
}

/** The registers of the HyperLogLog in `ref`; null when it is this node's alone, whose value is then read. @throws CommandError */
function registersOfOthers(call: Call, ref: number): Uint8Array | null {
  const { keyspace } = call;
  readHyperLogLog(call, ref);
  const collection = hyperLogLogAt(keyspace, ref);
  if (collection === null) return null;
  const { ownName, count } = collection;
  const own = collection.find(ownName, 0, ownName.length);
  if (count === 1 && own !== 0 && keyspace.elements.isVisible(own)) return null;
  const registers = new Uint8Array(REGISTERS);
  const { valueBuffer, valueStart, valueLength } = keyspace;
  if (!raiseRegisters(valueBuffer, valueStart, valueLength, registers)) throw new CommandError(CORRUPTED);
  return registers;
}

/** Whether an argument raises a register of the value just read, as far as can be told without making a copy of it. */
function raisesDense(call: Call): boolean {
  const { keyspace, buffer, starts, lengths, argc } = call;
  const { valueBuffer, valueStart } = keyspace;
  if (valueBuffer[valueStart + 4] !== ENCODING_DENSE) return true;
  for (let index = 2; index < argc; index++) {
    hashElement(buffer, starts[index], lengths[index]);
    if (denseGet(valueBuffer, valueStart, hashedRegister) < hashedValue) return true;
  }
  return false;
}

/** Raises `registers` by the HyperLogLog at argument `index`; returns its encoding, or -1 when there is none. */
function raiseBy(call: Call, index: number, registers: Uint8Array): number {
  const ref = useString(call, index);
  if (ref === 0) return -1;
  readHyperLogLog(call, ref);
  const { valueBuffer, valueStart, valueLength } = call.keyspace;
  if (!raiseRegisters(valueBuffer, valueStart, valueLength, registers)) throw new CommandError(CORRUPTED);
  return valueBuffer[valueStart + 4];
}

function pfcount(call: Call): void {
  const { keyspace, reply, argc } = call;
  const registers = new Uint8Array(REGISTERS);
  if (argc > 2) {
    for (let index = 1; index < argc; index++) raiseBy(call, index, registers);
    reply.integer(estimate(registers));
    return;
  }
  const ref = useString(call, 1);
  if (ref === 0) {
    reply.integer(0);
    return;
  }
  readHyperLogLog(call, ref);
  const { valueBuffer, valueStart, valueLength } = keyspace;
  const cached = readCached(valueBuffer, valueStart);
  if (cached >= 0n) {
    reply.bigint(cached);
    return;
  }
  if (!raiseRegisters(valueBuffer, valueStart, valueLength, registers)) throw new CommandError(CORRUPTED);
  const cardinality = estimate(registers);
  // Remembered where the value is, not as a write: counting on one node may not win over adding on another.
  writeCached(valueBuffer, valueStart, cardinality);
  reply.integer(cardinality);
}

function pfmerge(call: Call): void {
  const { argc } = call;
  const registers = new Uint8Array(REGISTERS);
  let isDense = false;
  for (let index = 1; index < argc; index++) {
    if (raiseBy(call, index, registers) === ENCODING_DENSE) isDense = true;
  }
  const ref = useStringToWrite(call, 1);
  const draft = ownDraft(call, ref);
  if (isDense) draft.becomeDense();
  for (let register = 0; register < REGISTERS; register++) {
    if (registers[register] !== 0) draft.raise(register, registers[register]);
  }
  store(call, 1, ref, draft.finish());
  call.reply.ok();
}

// ---- for people who look inside ----

function makeDense(call: Call, ref: number): void {
  const { valueBuffer, valueStart, valueLength } = call.keyspace;
  const dense = toDense(valueBuffer, valueStart, valueLength);
  if (dense === null) throw new CommandError(CORRUPTED);
  store(call, 2, ref, dense);
}

function pfdebug(call: Call): void {
  const { keyspace, reply } = call;
  const ref = call.lookupString(2);
  if (ref === 0) throw new CommandError('ERR The specified key does not exist');
  readHyperLogLog(call, ref);
  const { valueBuffer, valueStart, valueLength } = keyspace;
  const isDense = valueBuffer[valueStart + 4] === ENCODING_DENSE;
  if (call.is(1, 'GETREG')) {
    const registers = new Uint8Array(REGISTERS);
    if (!raiseRegisters(valueBuffer, valueStart, valueLength, registers)) throw new CommandError(CORRUPTED);
    if (!isDense) makeDense(call, ref);
    reply.array(REGISTERS);
    for (const value of registers) reply.integer(value);
  } else if (call.is(1, 'DECODE')) {
    if (isDense) throw new CommandError('ERR HLL encoding is not sparse');
    reply.bulkString(describeRuns(valueBuffer, valueStart, valueLength));
  } else if (call.is(1, 'ENCODING')) {
    reply.simple(isDense ? 'dense' : 'sparse');
  } else if (call.is(1, 'TODENSE')) {
    if (!isDense) makeDense(call, ref);
    reply.integer(isDense ? 0 : 1);
  } else {
    throw new CommandError(`ERR Unknown PFDEBUG subcommand '${call.text(1)}'`);
  }
}

/** Elements that the self-test counts, and how far off, relative to their number, the estimate may be: 4.5 standard errors. */
const SELF_TEST_ELEMENTS = 100_000;
const SELF_TEST_ERROR_MAX = 4.5 * 0.0081;

function pfselftest(call: Call): void {
  const dense = Buffer.alloc(DENSE_BYTES);
  const expected = new Uint8Array(REGISTERS);
  for (let element = 0; element < SELF_TEST_ELEMENTS; element++) {
    const text = Buffer.from(`element ${element}`);
    hashElement(text, 0, text.length);
    denseSet(dense, 0, hashedRegister, hashedValue);
    if (hashedValue > expected[hashedRegister]) expected[hashedRegister] = hashedValue;
  }
  for (let register = 0; register < REGISTERS; register++) {
    if (denseGet(dense, 0, register) === expected[register]) continue;
    throw new CommandError(`ERR TESTFAILED Register ${register} should be ${expected[register]} but is not`);
  }
  const error = Math.abs(estimate(expected) - SELF_TEST_ELEMENTS) / SELF_TEST_ELEMENTS;
  if (error > SELF_TEST_ERROR_MAX) throw new CommandError(`ERR TESTFAILED Too big error: ${error}`);
  call.reply.ok();
}

const BY_NODE =
  'Each node keeps what it has added; the greatest of each register over all nodes is what counts, so no addition is lost. A DEL ' +
  'takes away what its node has seen; a SET of the key replaces it.';

export const hyperLogLogCommands: readonly CommandDefinition[] = [
  command({
    name: 'pfadd',
    summary:
      'Adds elements to a HyperLogLog, which is made when it is missing; tells whether its estimate may have changed.',
    since: '2.8.9',
    group: 'hyperloglog',
    complexity: 'O(1) an element',
    arity: -2,
    flags: ['write', 'denyoom', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'insert')],
    syntax: 'key [element [element ...]]',
    merge: BY_NODE,
    run: pfadd,
  }),
  command({
    name: 'pfcount',
    summary: 'Estimates how many different elements HyperLogLogs have been given, all together.',
    since: '2.8.9',
    group: 'hyperloglog',
    complexity: 'O(1) for one key, whose estimate is remembered; O(N) for N keys',
    arity: -2,
    flags: ['readonly', 'may_replicate'],
    keys: [keyRange(1, -1, 1, 'RW', 'access')],
    syntax: 'key [key ...]',
    run: pfcount,
  }),
  command({
    name: 'pfmerge',
    summary: 'Adds to a HyperLogLog what others were given.',
    since: '2.8.9',
    group: 'hyperloglog',
    complexity: 'O(N) to merge N HyperLogLogs, but with high constant times',
    arity: -2,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'insert'), keyRange(2, -1, 1, 'RO', 'access')],
    syntax: 'destkey [sourcekey [sourcekey ...]]',
    merge: BY_NODE,
    run: pfmerge,
  }),
  command({
    name: 'pfdebug',
    summary: 'Shows how a HyperLogLog is kept: its registers, its runs, its encoding; or makes it dense.',
    since: '2.8.9',
    group: 'hyperloglog',
    complexity: 'O(1), but with high constant times',
    arity: 3,
    flags: ['write', 'denyoom', 'admin'],
    keys: [keyRange(2, 2, 1, 'RW', 'access')],
    syntax: '<GETREG|DECODE|ENCODING|TODENSE> key',
    merge: BY_NODE,
    run: pfdebug,
  }),
  command({
    name: 'pfselftest',
    summary: 'Tests the counting of this release.',
    since: '2.8.9',
    group: 'hyperloglog',
    complexity: 'O(1), but with high constant times',
    arity: 1,
    flags: ['admin'],
    syntax: '',
    run: pfselftest,
  }),
];
