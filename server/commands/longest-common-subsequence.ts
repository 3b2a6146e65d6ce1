/** LCS. */
import { TYPE_STRING } from '../../storage/arena/block.ts';
import {
  type CommonRun,
  commonSubsequence,
  commonSubsequenceLength,
} from '../../storage/types/longest-common-subsequence.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { useKey } from '../values/key-use.ts';

/** Pairs of bytes that the algorithm can tell apart. */
const PAIRS_MAX = 2 ** 31;

/** A copy of the string at a key; empty when there is none. */
function stringAt(call: Call, index: number): Buffer {
  const { keyspace } = call;
  const ref = useKey(call, index);
  if (ref === 0) return Buffer.alloc(0);
  if (keyspace.typeOf(ref) !== TYPE_STRING) throw new CommandError('ERR The specified keys must contain string values');
  keyspace.readValue(ref);
  return Buffer.from(keyspace.valueBuffer.subarray(keyspace.valueStart, keyspace.valueStart + keyspace.valueLength));
}

interface LcsOptions {
  length: boolean;
  indexes: boolean;
  withMatchLength: boolean;
  minMatchLength: number;
}

function parseOptions(call: Call): LcsOptions {
  const options = { length: false, indexes: false, withMatchLength: false, minMatchLength: 0 };
  for (let index = 3; index < call.argc; index++) {
    if (call.is(index, 'LEN')) options.length = true;
    else if (call.is(index, 'IDX')) options.indexes = true;
    else if (call.is(index, 'WITHMATCHLEN')) options.withMatchLength = true;
    else if (call.is(index, 'MINMATCHLEN') && index + 1 < call.argc) options.minMatchLength = call.integer(++index);
    else call.syntaxError();
  }
  if (options.length && options.indexes) {
    throw new CommandError('ERR If you want both the length and indexes, please just use IDX.');
  }
  return options;
}

/** Redis's bound on the table, although ours is smaller than its: what one refuses, the other does. */
function checkSizes(call: Call, a: Buffer, b: Buffer): void {
  if ((a.length + 1) * (b.length + 1) * 4 > call.node.config.values['proto-max-bulk-len']) {
    throw new CommandError('ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len');
  }
  if (a.length * b.length > PAIRS_MAX) {
    throw new CommandError('ERR Insufficient memory, failed allocating transient memory for LCS');
  }
}

function replyRange(call: Call, start: number, end: number): void {
  call.reply.array(2);
  call.reply.integer(start);
  call.reply.integer(end);
}

function replyRuns(call: Call, runs: readonly CommonRun[], length: number, options: LcsOptions): void {
  const { reply } = call;
  const shown = runs.filter((run) => run.aEnd - run.aStart + 1 >= options.minMatchLength);
  reply.map(2);
  reply.bulkString('matches');
  reply.array(shown.length);
  for (const { aStart, aEnd, bStart, bEnd } of shown) {
    reply.array(options.withMatchLength ? 3 : 2);
    replyRange(call, aStart, aEnd);
    replyRange(call, bStart, bEnd);
    if (options.withMatchLength) reply.integer(aEnd - aStart + 1);
  }
  reply.bulkString('len');
  reply.integer(length);
}

function lcs(call: Call): void {
  const a = stringAt(call, 1);
  const b = stringAt(call, 2);
  const options = parseOptions(call);
  checkSizes(call, a, b);
  if (options.length) {
    call.reply.integer(commonSubsequenceLength(a, b));
    return;
  }
  const { bytes, runs } = commonSubsequence(a, b);
  if (options.indexes) replyRuns(call, runs, bytes.length, options);
  else call.reply.bulk(bytes, 0, bytes.length);
}

export const longestCommonSubsequenceCommands: readonly CommandDefinition[] = [
  command({
    name: 'lcs',
    summary: 'Finds the longest sequence of bytes that two strings have in common, in order and with gaps.',
    since: '7.0.0',
    group: 'string',
    complexity: 'O(N*M) where N and M are the lengths of the strings',
    arity: -3,
    flags: ['readonly'],
    keys: [keyRange(1, 2, 1, 'RO', 'access')],
    syntax: 'key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]',
    run: lcs,
  }),
];
