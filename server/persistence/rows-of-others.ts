/** What a shared database has of keys that this node would forget. */
import { RecordError } from '../../protocol/change-record.ts';
import type { TurnTime } from '../../storage/merging/in-pieces.ts';
import { hydrateWithin } from '../../storage/eviction/read-through.ts';
import type { HorizonKeeper } from './horizon-keeper.ts';
import type { Node } from '../node.ts';

/** Merges rows as a start would: without what this node, and so everybody, has deleted and forgotten. */
export async function takeRowsOfOthers(
  node: Node,
  horizon: HorizonKeeper,
  records: Buffer,
  time: TurnTime,
  isStopping: () => boolean,
): Promise<void> {
  const { keyspace, keyspaceEvents, log } = node;
  try {
    const rows = await horizon.withoutForgotten(keyspace, records, time);
    if (isStopping() || rows.length === 0) return;
    node.replicator?.noteLoaded(rows);
    await hydrateWithin(keyspace, rows, Infinity, time);
    if (keyspaceEvents.isOn) keyspaceEvents.raiseMerged();
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    log.warn({ err: error }, 'MySQL has rows that cannot be merged; they stay there');
  }
}
