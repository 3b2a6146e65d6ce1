/** Registers to change records: what peers are sent and stores are given. */
import {
  FLAG_DEAD,
  FLAG_EXPIRED,
  KIND_COUNTER,
  KIND_FLOOR,
  KIND_STRING,
  type RecordWriter,
} from '../../protocol/change-record.ts';
import { WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import {
  COUNTER,
  DEAD,
  DEADLINE,
  EXPIRED,
  FEED,
  HEADER_BYTES,
  OBJECT,
  OWED,
  PARTIAL,
  RAW,
  STORE,
} from '../arena/block.ts';
import { ElementCursor } from '../collections/collection.ts';
import { encodeCollection } from '../collections/encode.ts';
import { encodeShadow, shadowOf } from '../collections/shadow.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { type CounterDeadline, type CounterEntry, decodeCounter, encodeSumValue } from '../types/counter-payload.ts';

const NO_BYTES = Buffer.alloc(0);
/** A block whose flags are none but these holds a live string: its key, and behind it the value. */
const PLAIN = RAW | FEED | STORE | OWED | PARTIAL;
const element = Buffer.alloc(8);

/** Appends every register of the key in the block. */
export function encodeKey(keyspace: Keyspace, database: Database, ref: number, writer: RecordWriter): void {
  const flags = keyspace.flagsOf(ref);
  if (database.shadows.size > 0) encodeShadowAt(keyspace, database, ref, writer);
  if ((flags & ~PLAIN) === 0) {
    encodePlain(keyspace, database, ref, writer);
    return;
  }
  if ((flags & OBJECT) !== 0) {
    encodeCollection(keyspace, database, ref, new ElementCursor(), writer, Infinity);
    return;
  }
  if ((flags & COUNTER) !== 0) {
    encodeCounterKey(keyspace, database, ref, flags, writer);
    return;
  }
  keyspace.readPayload(ref, flags);
  encodeString(keyspace, database, ref, flags, keyspace.valueBuffer, keyspace.valueStart, keyspace.valueLength, writer);
}

/** Appends the hidden registers of other types at the key, if there are any. */
export function encodeShadowAt(keyspace: Keyspace, database: Database, ref: number, writer: RecordWriter): void {
  keyspace.readKey(ref);
  const shadow = shadowOf(database, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  if (shadow !== undefined) encodeShadow(shadow, writer);
}

/** The same for the stores, which are given it once. */
export function encodeDirtyShadowAt(keyspace: Keyspace, database: Database, ref: number, writer: RecordWriter): void {
  keyspace.readKey(ref);
  const shadow = shadowOf(database, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  if (shadow === undefined || !shadow.isDirty) return;
  shadow.isDirty = false;
  encodeShadow(shadow, writer);
}

/** Most changes: nothing is read but the block's words, and key and value are copied in one go. */
function encodePlain({ arena, nodes }: Keyspace, database: Database, ref: number, writer: RecordWriter): void {
  const segment = ref >>> 20;
  const words = arena.words[segment];
  const word = (ref & 0xfffff) << 1;
  const origin = words[word + 1] & 0xffff;
  writer.string(
    words[word + 2],
    words[word + 3],
    nodes.hi[origin],
    nodes.lo[origin],
    database.number,
    arena.views[segment],
    (word << 2) + HEADER_BYTES,
    words[word + 4],
    words[word + 5],
  );
}

function encodeString(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  flags: number,
  value: Buffer,
  valueStart: number,
  valueLength: number,
  writer: RecordWriter,
): void {
  const { nodes } = keyspace;
  const words = keyspace.arena.words[ref >>> 20];
  const word = (ref & 0xfffff) << 1;
  const origin = words[word + 1] & 0xffff;
  keyspace.readKey(ref);
  writer.begin(
    KIND_STRING,
    ((flags & DEAD) !== 0 ? FLAG_DEAD : 0) | ((flags & EXPIRED) !== 0 ? FLAG_EXPIRED : 0),
    words[word + 2],
    words[word + 3],
    nodes.hi[origin],
    nodes.lo[origin],
    database.number,
    keyspace.keyBuffer,
    keyspace.keyStart,
    keyspace.keyLength,
  );
  if ((flags & DEADLINE) !== 0) {
    const deadlineOrigin = words[word + 10] & 0xffff;
    writer.deadline(
      words[word + 6] * 0x100000000 + words[word + 7],
      words[word + 8],
      words[word + 9],
      nodes.hi[deadlineOrigin],
      nodes.lo[deadlineOrigin],
    );
  }
  const view = value === keyspace.valueBuffer ? keyspace.valueView : null;
  if (view !== null && valueLength <= WORD_COPY_MAX) writer.valueView(view, valueStart, valueLength);
  else writer.value(value, valueStart, valueLength);
  writer.end();
}

function encodeCounterKey(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  flags: number,
  writer: RecordWriter,
): void {
  const state = decodeCounter(keyspace.arena, ref);
  keyspace.readVersion(ref);
  const dead = (flags & DEAD) !== 0;
  if (keyspace.stampHi !== 0) {
    const base = dead ? NO_BYTES : Buffer.from(state.base, 'latin1');
    // A dead base has no deadline of its own: what the block carries then is the counter's.
    encodeString(keyspace, database, ref, dead ? flags & ~DEADLINE : flags, base, 0, base.length, writer);
  }
  for (const entry of state.entries) encodeEntry(keyspace, database, ref, entry, writer);
  const { deadlineMs: ms, deadlineStampHi: stampHi, deadlineStampLo: stampLo, deadlineOrigin: origin } = keyspace;
  if (dead && ms >= 0) encodeCounterDeadline(keyspace, database, ref, { ms, stampHi, stampLo, origin }, writer);
  else if (state.dormant !== null) encodeCounterDeadline(keyspace, database, ref, state.dormant, writer);
}

function encodeEntry(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  entry: CounterEntry,
  writer: RecordWriter,
): void {
  const hi = keyspace.nodes.hi[entry.origin];
  const lo = keyspace.nodes.lo[entry.origin];
  keyspace.readKey(ref);
  writer.begin(
    KIND_COUNTER,
    0,
    entry.versionHi,
    entry.versionLo,
    hi,
    lo,
    database.number,
    keyspace.keyBuffer,
    keyspace.keyStart,
    keyspace.keyLength,
  );
  element.writeUInt32BE(hi, 0);
  element.writeUInt32BE(lo, 4);
  writer.element(element, 0, 8);
  encodeSumValue(entry, hi, lo, writer);
  writer.end();
}

function encodeCounterDeadline(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  deadline: CounterDeadline,
  writer: RecordWriter,
): void {
  const hi = keyspace.nodes.hi[deadline.origin];
  const lo = keyspace.nodes.lo[deadline.origin];
  keyspace.readKey(ref);
  writer.begin(
    KIND_COUNTER,
    0,
    deadline.stampHi,
    deadline.stampLo,
    hi,
    lo,
    database.number,
    keyspace.keyBuffer,
    keyspace.keyStart,
    keyspace.keyLength,
  );
  writer.element(NO_BYTES, 0, 0);
  writer.deadline(deadline.ms, deadline.stampHi, deadline.stampLo, hi, lo);
  writer.end();
}

/** Appends a database's floor, when it has one. */
export function encodeFloor(keyspace: Keyspace, database: Database, writer: RecordWriter): void {
  if (database.floorHi === 0) return;
  const origin = database.floorOrigin;
  writer.begin(
    KIND_FLOOR,
    0,
    database.floorHi,
    database.floorLo,
    keyspace.nodes.hi[origin],
    keyspace.nodes.lo[origin],
    database.number,
    NO_BYTES,
    0,
    0,
  );
  writer.end();
}
