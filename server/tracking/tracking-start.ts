import type { Dispatcher } from '../dispatch/dispatcher.ts';
import type { Node } from '../node.ts';
import { Tracking } from './tracking.ts';

/** Client-side caching as a node has it. */
export function trackingFor(
  node: Pick<Node, 'config' | 'sessions' | 'random' | 'log'>,
  dispatcher: Dispatcher,
  defer: (work: () => void) => void,
): Tracking {
  const { config } = node;
  const tracking = new Tracking({
    sessions: node.sessions,
    currentSession: () => dispatcher.currentSession,
    afterCommand: (write) => dispatcher.afterCommand(write),
    send: (session, write) => dispatcher.sendMessage(session, write),
    defer,
    random: () => node.random(),
    keysMax: () => config.values['tracking-table-max-keys'],
    onSlow: ({ transport }) =>
      node.log.warn({ client: transport.remoteAddress }, 'closed: it tracks more changes than it reads'),
  });
  config.onChange('tracking-table-max-keys', () => tracking.shrink());
  return tracking;
}
