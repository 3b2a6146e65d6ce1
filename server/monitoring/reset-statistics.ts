import type { Node } from '../node.ts';

/** CONFIG RESETSTAT: counters begin again, those of each command included. */
export function resetStatistics(node: Node): void {
  node.statistics.reset();
  node.keyspace.expiredKeys = 0;
  node.keyspace.objects.lazilyFreed = 0;
  node.keyspace.expiredElements = 0;
  node.keyspace.merges.reset();
  for (const command of node.commands.byName.values()) {
    for (const each of [command, ...command.subcommandTable.values()]) {
      each.calls = 0;
      each.untimedCalls = 0;
      each.microseconds = 0;
      each.times = null;
      each.rejected = 0;
      each.failed = 0;
    }
  }
}
