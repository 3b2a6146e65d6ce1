/** Parts of values: APPEND, STRLEN, GETRANGE, SETRANGE. */
import { editString, setString } from '../../storage/types/string.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { checkStringLength, useString, useStringToWrite } from '../values/string-use.ts';

/** Makes the string at argument 1 `newLength` bytes long and writes argument `source` into it at `offset`. */
function overwrite(call: Call, newLength: number, offset: number, source: number): void {
  const { keyspace, buffer, starts, lengths } = call;
  editString(keyspace, call.database, buffer, starts[1], lengths[1], newLength);
  buffer.copy(keyspace.valueBuffer, keyspace.valueStart + offset, starts[source], starts[source] + lengths[source]);
}

function append(call: Call): void {
  const { keyspace, buffer, starts, lengths } = call;
  const added = lengths[2];
  const ref = useStringToWrite(call, 1);
  if (ref === 0) {
    setString(keyspace, call.database, buffer, starts[1], lengths[1], buffer, starts[2], added, 0);
    call.reply.integer(added);
    return;
  }
  keyspace.readValue(ref);
  const { valueLength } = keyspace;
  checkStringLength(call, valueLength + added);
  overwrite(call, valueLength + added, valueLength, 2);
  call.reply.integer(valueLength + added);
}

function strlen(call: Call): void {
  const ref = useString(call, 1);
  if (ref !== 0) call.keyspace.readValue(ref);
  call.reply.integer(ref === 0 ? 0 : call.keyspace.valueLength);
}

function getrange(call: Call): void {
  const { keyspace, reply } = call;
  const first = call.integer(2);
  const last = call.integer(3);
  const ref = useString(call, 1);
  if (ref === 0) {
    reply.emptyBulk();
    return;
  }
  keyspace.readValue(ref);
  const { valueLength } = keyspace;
  const start = Math.max(0, first < 0 ? first + valueLength : first);
  const end = Math.min(valueLength - 1, Math.max(0, last < 0 ? last + valueLength : last));
  // Both before the beginning, and the wrong way round: clamping would make a range of one byte of it.
  if (start > end || (first < 0 && last < 0 && first > last)) reply.emptyBulk();
  else reply.bulk(keyspace.valueBuffer, keyspace.valueStart + start, end - start + 1);
}

function setrange(call: Call): void {
  const { keyspace, reply } = call;
  const offset = call.integer(2);
  if (offset < 0) throw new CommandError('ERR offset is out of range');
  const ref = useStringToWrite(call, 1);
  let oldLength = 0;
  if (ref !== 0) {
    keyspace.readValue(ref);
    oldLength = keyspace.valueLength;
  }
  const written = call.lengths[3];
  if (written === 0) {
    reply.integer(oldLength);
    return;
  }
  checkStringLength(call, offset + written);
  const newLength = Math.max(oldLength, offset + written);
  overwrite(call, newLength, offset, 3);
  reply.integer(newLength);
}

const WHOLE_VALUE = 'The resulting value is written as a whole: of two that were made at once, the later one counts.';

const getrangeDefinition: CommandDefinition = {
  name: 'getrange',
  summary: 'Returns the bytes of a string between two offsets, both included; negative ones count from its end.',
  since: '2.4.0',
  group: 'string',
  complexity: 'O(N) where N is the number of bytes returned',
  arity: 4,
  flags: ['readonly'],
  keys: [keyRange(1, 1, 1, 'RO', 'access')],
  syntax: 'key start end',
  run: getrange,
};

export const stringRangeCommands: readonly CommandDefinition[] = [
  command({
    name: 'append',
    summary: 'Adds bytes to the end of a string, which is made when the key is missing.',
    since: '2.0.0',
    group: 'string',
    complexity: 'O(N) where N is the number of bytes added, amortized; up to 4096 bytes the string is copied',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: [keyRange(1, 1, 1, 'RW', 'insert')],
    syntax: 'key value',
    merge: WHOLE_VALUE,
    run: append,
  }),
  command({
    name: 'strlen',
    summary: 'Returns how many bytes long a string is.',
    since: '2.2.0',
    group: 'string',
    complexity: 'O(1)',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: [keyRange(1, 1, 1, 'RO')],
    syntax: 'key',
    run: strlen,
  }),
  command(getrangeDefinition),
  command({
    ...getrangeDefinition,
    name: 'substr',
    summary: 'Returns the bytes of a string between two offsets; the old name of GETRANGE.',
    since: '1.0.0',
  }),
  command({
    name: 'setrange',
    summary: 'Overwrites the bytes of a string from an offset on, with zeros in between when it was shorter.',
    since: '2.2.0',
    group: 'string',
    complexity: 'O(N) where N is the number of bytes written and of zeros put before them',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: [keyRange(1, 1, 1, 'RW', 'update')],
    syntax: 'key offset value',
    merge: WHOLE_VALUE,
    run: setrange,
  }),
];
