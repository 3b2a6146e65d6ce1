/** Keys of any type: whether they are there, deleting, copying, moving and renaming them. */
import { setAccess, touchAccess } from '../../storage/eviction/access.ts';
import type { Database } from '../../storage/database.ts';
import { freezeKey, thawKey } from '../../storage/changes/frozen-key.ts';
import { deleteKey, deleteRef } from '../../storage/types/string.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { databaseArgument } from '../arguments/database-argument.ts';
import { countUse, peekKey, useKey } from '../values/key-use.ts';
import { typeName } from '../values/type-name.ts';

const SAME_OBJECT = 'ERR source and destination objects are the same';

function del(call: Call): void {
  const { buffer, starts, lengths, argc } = call;
  let deleted = 0;
  for (let index = 1; index < argc; index++) {
    if (deleteKey(call.keyspace, call.database, buffer, starts[index], lengths[index])) deleted++;
  }
  call.reply.integer(deleted);
}

function exists(call: Call): void {
  const { argc } = call;
  let found = 0;
  for (let index = 1; index < argc; index++) if (peekKey(call, index) !== 0) found++;
  call.reply.integer(found);
}

function touch(call: Call): void {
  const { argc } = call;
  let found = 0;
  for (let index = 1; index < argc; index++) {
    const ref = peekKey(call, index);
    if (ref === 0) continue;
    // CLIENT NO-TOUCH does not keep TOUCH from doing what it is for.
    touchAccess(call.keyspace, ref);
    found++;
  }
  call.reply.integer(found);
}

function type(call: Call): void {
  const ref = peekKey(call, 1);
  call.reply.simple(ref === 0 ? 'none' : typeName(call.keyspace.typeOf(ref)));
}

/** Writes the key at `ref` to another place, over whatever is there, with its deadline. */
function writeCopy(call: Call, ref: number, database: Database, index: number): void {
  const { keyspace, buffer, starts, lengths } = call;
  thawKey(keyspace, database, buffer, starts[index], lengths[index], freezeKey(keyspace, ref));
}

/** The same, and deletes the key at argument 1; how long ago and how often it was used goes along. */
function transfer(call: Call, ref: number, database: Database, index: number): void {
  const { keyspace, buffer, starts, lengths } = call;
  const access = keyspace.accessOf(ref);
  writeCopy(call, ref, database, index);
  setAccess(keyspace, keyspace.find(database, buffer, starts[index], lengths[index]), access);
  const source = keyspace.find(call.database, buffer, starts[1], lengths[1]);
  deleteRef(keyspace, call.database, keyspace.hash, source, buffer, starts[1], lengths[1]);
}

/** Whether the database has a key of the name at argument `index`. */
function hasKey(call: Call, database: Database, index: number): boolean {
  return call.keyspace.lookup(database, call.buffer, call.starts[index], call.lengths[index]) !== 0;
}

function isSameKey(call: Call): boolean {
  const { buffer, starts, lengths } = call;
  return (
    lengths[1] === lengths[2] &&
    buffer.compare(buffer, starts[2], starts[2] + lengths[2], starts[1], starts[1] + lengths[1]) === 0
  );
}

/** Renames argument 1 to argument 2; false when that is there and `replace` is not set. */
function renameKey(call: Call, replace: boolean): boolean {
  if (call.lookup(1) === 0) throw new CommandError('ERR no such key');
  if (isSameKey(call)) return replace;
  if (hasKey(call, call.database, 2) && !replace) return false;
  // Looked up again: the destination may have been past its deadline and was taken away.
  const ref = call.lookup(1);
  countUse(call, ref);
  transfer(call, ref, call.database, 2);
  return true;
}

function rename(call: Call): void {
  renameKey(call, true);
  call.reply.ok();
}

function renamenx(call: Call): void {
  call.reply.integer(renameKey(call, false) ? 1 : 0);
}

function copy(call: Call): void {
  const { keyspace, reply } = call;
  let replace = false;
  let database = call.database;
  for (let index = 3; index < call.argc; index++) {
    if (call.is(index, 'REPLACE')) replace = true;
    else if (call.is(index, 'DB') && index + 1 < call.argc) database = databaseArgument(call, ++index);
    else call.syntaxError();
  }
  if (database === call.database && isSameKey(call)) throw new CommandError(SAME_OBJECT);
  if (useKey(call, 1) === 0 || (hasKey(call, database, 2) && !replace)) {
    reply.integer(0);
    return;
  }
  writeCopy(call, keyspace.find(call.database, call.buffer, call.starts[1], call.lengths[1]), database, 2);
  reply.integer(1);
}

function move(call: Call): void {
  const { reply } = call;
  const database = databaseArgument(call, 2);
  if (database === call.database) throw new CommandError(SAME_OBJECT);
  if (call.lookup(1) === 0 || hasKey(call, database, 1)) {
    reply.integer(0);
    return;
  }
  const ref = call.lookup(1);
  countUse(call, ref);
  transfer(call, ref, database, 1);
  reply.integer(1);
}

const DELETE_MERGE =
  'Deletes the value that this node sees; of a write and a deletion on two nodes, the later one wins. What other nodes ' +
  'add meanwhile to a number that is deleted goes with it.';
const COPY_MERGE = 'The copy is a new write, later than what it replaces; a counter arrives as a plain number.';
const RENAME_MERGE =
  'A write of the new name and a deletion of the old one, which other nodes apply together. A later write to the old name ' +
  'on another node brings that name back. A counter arrives as a plain number, without what other nodes add meanwhile.';

export const keyCommands: readonly CommandDefinition[] = [
  command({
    name: 'del',
    summary: 'Deletes keys.',
    since: '1.0.0',
    group: 'generic',
    complexity: 'O(N) with N the number of keys named',
    arity: -2,
    flags: ['write'],
    categories: ['keyspace'],
    keys: [keyRange(1, -1, 1, 'RM', 'delete')],
    syntax: 'key [key ...]',
    merge: DELETE_MERGE,
    run: del,
  }),
  command({
    name: 'unlink',
    summary: 'Deletes keys, as DEL does.',
    since: '4.0.0',
    group: 'generic',
    complexity: 'O(N) with N the number of keys named',
    arity: -2,
    flags: ['write', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, -1, 1, 'RM', 'delete')],
    syntax: 'key [key ...]',
    merge: DELETE_MERGE,
    run: del,
  }),
  command({
    name: 'exists',
    summary: 'Counts which of the keys named are there; one named twice counts twice.',
    since: '1.0.0',
    group: 'generic',
    complexity: 'O(N) with N the number of keys named',
    arity: -2,
    flags: ['readonly', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, -1, 1, 'RO')],
    syntax: 'key [key ...]',
    run: exists,
  }),
  command({
    name: 'touch',
    summary: 'Counts which of the keys named are there, and counts them as used.',
    since: '3.2.1',
    group: 'generic',
    complexity: 'O(N) with N the number of keys named',
    arity: -2,
    flags: ['readonly', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, -1, 1, 'RO')],
    syntax: 'key [key ...]',
    run: touch,
  }),
  command({
    name: 'type',
    summary: 'Tells the type of a key.',
    since: '1.0.0',
    group: 'generic',
    complexity: 'O(1)',
    arity: 2,
    flags: ['readonly', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RO')],
    syntax: 'key',
    run: type,
  }),
  command({
    name: 'rename',
    summary: 'Renames a key, over whatever has the new name.',
    since: '1.0.0',
    group: 'generic',
    complexity: 'O(N) with N the size of the value',
    arity: 3,
    flags: ['write'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete'), keyRange(2, 2, 1, 'OW', 'update')],
    syntax: 'key newkey',
    merge: RENAME_MERGE,
    run: rename,
  }),
  command({
    name: 'renamenx',
    summary: 'Renames a key unless a key has the new name.',
    since: '1.0.0',
    group: 'generic',
    complexity: 'O(N) with N the size of the value',
    arity: 3,
    flags: ['write', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'delete'), keyRange(2, 2, 1, 'OW', 'insert')],
    syntax: 'key newkey',
    merge: `${RENAME_MERGE} Whether the new name is taken is judged on the node that was asked.`,
    run: renamenx,
  }),
  command({
    name: 'copy',
    summary: 'Copies a key, with its deadline, also to another database.',
    since: '6.2.0',
    group: 'generic',
    complexity: 'O(N) with N the size of the value',
    arity: -3,
    flags: ['write', 'denyoom'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RO', 'access'), keyRange(2, 2, 1, 'OW', 'update')],
    syntax: 'source destination [DB destination-db] [REPLACE]',
    merge: `${COPY_MERGE} Without REPLACE, whether the destination is taken is judged on the node that was asked.`,
    run: copy,
  }),
  command({
    name: 'move',
    summary: 'Moves a key to another database unless that has the key.',
    since: '1.0.0',
    group: 'generic',
    complexity: 'O(N) with N the size of the value',
    arity: 3,
    flags: ['write', 'fast'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RW', 'access', 'update')],
    syntax: 'key db',
    merge: 'A write in the other database and a deletion in this one, which other nodes apply together.',
    run: move,
  }),
];
