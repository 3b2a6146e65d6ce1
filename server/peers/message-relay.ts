/** Messages on channels between nodes: what clients publish here goes to the peers, what they send to the subscribers here. */
import type { Published } from '../../protocol/peer-publish.ts';
import type { Time } from '../../replication/environment.ts';
import type { Replicator } from '../../replication/replicator.ts';
import type { PubSub } from '../pubsub/pubsub.ts';

interface Publisher {
  readonly pubsub: PubSub;
  readonly replicator: Replicator | null;
}

/** Sends what clients publish to the peers at the end of the turn, behind the changes of it: `publishChanges` sends those. */
export function relayMessages(node: Publisher, time: Time, publishChanges: () => void): void {
  let waiting: Published[] = [];
  node.pubsub.onPublish = (channel, message, isSharded) => {
    if (node.replicator === null || node.replicator.linkedPeers === 0) return;
    if (waiting.push({ channel, message, isSharded }) > 1) return;
    time.defer(() => {
      publishChanges();
      const messages = waiting;
      waiting = [];
      node.replicator?.publishMessages(messages);
    });
  };
}

/** What clients of another node have published. */
export function deliverMessages(pubsub: PubSub, messages: readonly Published[]): void {
  pubsub.received += messages.length;
  for (const { channel, message, isSharded } of messages) pubsub.deliver(channel, message, isSharded);
}
