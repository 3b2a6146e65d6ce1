/** What the tests of sorted sets share. */
import { setCommands } from '../../../server/commands/sets.ts';
import { sortedSetAlgebraCommands } from '../../../server/commands/sorted-set-algebra.ts';
import { sortedSetPopCommands } from '../../../server/commands/sorted-set-pops.ts';
import { sortedSetRangeCommands } from '../../../server/commands/sorted-set-ranges.ts';
import { sortedSetScanCommands } from '../../../server/commands/sorted-set-scans.ts';
import { sortedSetCommands } from '../../../server/commands/sorted-sets.ts';
import { keyspaceCommands, type Step } from '../../support/sequences.ts';

export const commands = [
  ...keyspaceCommands,
  ...setCommands,
  ...sortedSetCommands,
  ...sortedSetRangeCommands,
  ...sortedSetPopCommands,
  ...sortedSetAlgebraCommands,
  ...sortedSetScanCommands,
];

export const FIVE: Step = 'ZADD z 1 a 2 b 2.5 c 3 d 4 e';
export const SHOW: Step = 'ZRANGE z 0 -1 WITHSCORES';
