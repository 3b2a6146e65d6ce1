/** Keeps the data within `maxmemory`: evicts what the policy allows, and refuses what then still does not fit. */
import { Eviction } from '../storage/eviction.ts';
import type { Node } from './node.ts';

/** Keys evicted for one command at most; the next command goes on. */
const EVICTIONS_MAX = 500;

export class MemoryGuard {
  readonly #node: Node;
  readonly #eviction: Eviction;

  constructor(node: Node) {
    this.#node = node;
    this.#eviction = new Eviction(node.keyspace, () => node.random());
  }

  /** Whether a command that may need memory can run. */
  hasRoom(): boolean {
    const { config, keyspace, statistics } = this.#node;
    const bytesMax = Number(config.values.maxmemory);
    if (bytesMax === 0) return true;
    const policy = config.values['maxmemory-policy'];
    let evictions = 0;
    while (keyspace.usedBytes > bytesMax) {
      if (evictions === EVICTIONS_MAX || !this.#eviction.evictOne(policy, config.values['maxmemory-samples'])) break;
      evictions++;
    }
    statistics.evictedKeys += evictions;
    return keyspace.usedBytes <= bytesMax || evictions === EVICTIONS_MAX;
  }
}
