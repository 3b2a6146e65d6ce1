/** Every command, by topic. A new file of commands is added here and nowhere else. */
import type { CommandDefinition } from '../definitions/command.ts';
import { aclCommands } from './acl.ts';
import { bitfieldCommands } from './bitfields.ts';
import { bitmapCommands } from './bitmaps.ts';
import { clientCommands } from './client.ts';
import { commandCommands } from './command-command.ts';
import { configCommands } from './config-command.ts';
import { connectionCommands } from './connection.ts';
import { counterCommands } from './counters.ts';
import { databaseCommands } from './databases.ts';
import { debugCommands } from './debug.ts';
import { dumpCommands } from './dump.ts';
import { expiryCommands } from './expiry.ts';
import { functionCommands } from './functions.ts';
import { geoCommands } from './geo.ts';
import { hashExpiryCommands } from './hash-expiry.ts';
import { hashValueCommands } from './hash-values.ts';
import { hashCommands } from './hashes.ts';
import { hyperLogLogCommands } from './hyperloglog.ts';
import { infoCommands } from './info.ts';
import { keyCommands } from './keys.ts';
import { latencyCommands } from './latency.ts';
import { listMoveCommands } from './list-moves.ts';
import { blockingListCommands } from './lists-blocking.ts';
import { listCommands } from './lists.ts';
import { lolwutCommands } from './lolwut.ts';
import { longestCommonSubsequenceCommands } from './longest-common-subsequence.ts';
import { mantisCommands } from './mantis.ts';
import { memoryCommands } from './memory.ts';
import { migrateCommands } from './migrate.ts';
import { moduleCommands } from './modules.ts';
import { monitorCommands } from './monitor.ts';
import { objectCommands } from './object.ts';
import { pubsubCommands } from './pubsub.ts';
import { roleCommands } from './roles.ts';
import { scanCommands } from './scan.ts';
import { scriptCommands } from './scripts.ts';
import { serverCommands } from './server.ts';
import { setAlgebraCommands } from './set-algebra.ts';
import { setCommands } from './sets.ts';
import { slowLogCommands } from './slowlog.ts';
import { sortCommands } from './sort.ts';
import { sortedSetAlgebraCommands } from './sorted-set-algebra.ts';
import { sortedSetPopCommands } from './sorted-set-pops.ts';
import { sortedSetRangeCommands } from './sorted-set-ranges.ts';
import { sortedSetScanCommands } from './sorted-set-scans.ts';
import { sortedSetCommands } from './sorted-sets.ts';
import { streamClaimCommands } from './stream-claims.ts';
import { streamGroupCommands } from './stream-groups.ts';
import { streamInfoCommands } from './stream-info.ts';
import { streamReadCommands } from './stream-reads.ts';
import { streamCommands } from './streams.ts';
import { stringRangeCommands } from './string-ranges.ts';
import { stringCommands } from './strings.ts';
import { transactionCommands } from './transactions.ts';
import { waitCommands } from './wait.ts';

export const allCommands: readonly CommandDefinition[] = [
  ...aclCommands,
  ...bitfieldCommands,
  ...bitmapCommands,
  ...clientCommands,
  ...commandCommands,
  ...configCommands,
  ...connectionCommands,
  ...counterCommands,
  ...databaseCommands,
  ...debugCommands,
  ...dumpCommands,
  ...expiryCommands,
  ...functionCommands,
  ...geoCommands,
  ...hashCommands,
  ...hashExpiryCommands,
  ...hashValueCommands,
  ...hyperLogLogCommands,
  ...infoCommands,
  ...keyCommands,
  ...latencyCommands,
  ...listMoveCommands,
  ...blockingListCommands,
  ...listCommands,
  ...lolwutCommands,
  ...longestCommonSubsequenceCommands,
  ...mantisCommands,
  ...memoryCommands,
  ...migrateCommands,
  ...moduleCommands,
  ...monitorCommands,
  ...pubsubCommands,
  ...objectCommands,
  ...roleCommands,
  ...scanCommands,
  ...scriptCommands,
  ...serverCommands,
  ...setAlgebraCommands,
  ...setCommands,
  ...slowLogCommands,
  ...sortCommands,
  ...sortedSetAlgebraCommands,
  ...sortedSetPopCommands,
  ...sortedSetRangeCommands,
  ...sortedSetScanCommands,
  ...sortedSetCommands,
  ...streamClaimCommands,
  ...streamGroupCommands,
  ...streamInfoCommands,
  ...streamReadCommands,
  ...streamCommands,
  ...stringRangeCommands,
  ...stringCommands,
  ...transactionCommands,
  ...waitCommands,
];
