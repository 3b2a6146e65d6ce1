/** A client as CLIENT LIST and CLIENT INFO show it: one line of `name=value` pairs, in Redis's order. */
import { clientBytes } from './client-memory.ts';
import { isMonitor } from '../monitoring/monitors.ts';
import type { Node } from '../node.ts';
import type { Session } from './session.ts';

/** What Redis calls the kinds of clients. Peers have a port of their own, so there are no replicas among them. */
export type ClientType = 'normal' | 'master' | 'replica' | 'pubsub';

/** The kind that a name stands for, in any letter case, or undefined. */
export function clientTypeNamed(name: string): ClientType | undefined {
  const lower = name.toLowerCase();
  if (lower === 'slave') return 'replica';
  return lower === 'normal' || lower === 'master' || lower === 'replica' || lower === 'pubsub' ? lower : undefined;
}

export function clientTypeOf(session: Session): ClientType {
  return session.subscriptions === null ? 'normal' : 'pubsub';
}

function flagsOf(node: Node, session: Session): string {
  let flags = isMonitor(node, session) ? 'O' : '';
  if (session.subscriptions !== null) flags += 'P';
  if (session.queued !== null) flags += 'x';
  if (session.blocked !== null) flags += 'b';
  if (session.tracking !== null) flags += 't';
  if (session.tracking?.isRedirectBroken === true) flags += 'R';
  if (session.tracking?.settings.broadcasts === true) flags += 'B';
  if (session.watchBroken) flags += 'd';
  if (session.closing) flags += 'c';
  if (session.noEvict) flags += 'e';
  if (session.noTouch) flags += 'T';
  if (session.transport.remoteAddress.startsWith('/')) flags += 'U';
  return flags === '' ? 'N' : flags;
}

/** Those of its scripts included; not one that is being run, or that waits. */
function completedCommands(node: Node, session: Session): number {
  const isUnderWay =
    session.blocked !== null || session.deferred !== null || session === node.dispatcher.currentSession;
  return session.commandCount + session.scriptCommandCount - (isUnderWay ? 1 : 0);
}

/** The line, without its newline. */
export function clientLine(node: Node, session: Session): string {
  const { clock } = node.keyspace;
  const { transport } = session;
  const seconds = (sinceMs: number): number => Math.max(0, Math.floor((clock.nowMs - sinceMs) / 1000));
  const queryBytes = session.decoder.pendingBytes;
  const outputBytes = transport.pendingBytes;
  const multiBytes = session.queued?.bytes ?? 0;
  const fields: [string, string | number][] = [
    ['id', session.id],
    ['addr', transport.remoteAddress],
    ['laddr', transport.localAddress],
    ['fd', transport.fileDescriptor],
    ['name', session.name],
    ['age', seconds(session.connectedAtMs)],
    ['idle', seconds(session.activeAtMs)],
    ['flags', flagsOf(node, session)],
    ['db', session.database],
    ['sub', session.subscriptions?.channels.size ?? 0],
    ['psub', session.subscriptions?.patterns.size ?? 0],
    ['ssub', session.subscriptions?.shards.size ?? 0],
    ['multi', session.queued === null ? -1 : session.queued.commands.length],
    ['watch', session.watched?.size ?? 0],
    ['qbuf', queryBytes],
    ['qbuf-free', 0],
    ['argv-mem', 0],
    ['multi-mem', multiBytes],
    ['rbs', 0],
    ['rbp', 0],
    ['obl', 0],
    ['oll', outputBytes === 0 ? 0 : 1],
    ['omem', outputBytes],
    ['tot-mem', clientBytes(session)],
    ['events', outputBytes === 0 ? 'r' : 'rw'],
    ['cmd', session.lastCommand === '' ? 'NULL' : session.lastCommand],
    ['user', Buffer.from(session.user.name, 'latin1').toString()],
    ['redir', session.tracking?.settings.redirect ?? -1],
    ['resp', session.protocol],
    ['lib-name', session.libraryName],
    ['lib-ver', session.libraryVersion],
    ['tot-net-in', session.bytesIn],
    ['tot-net-out', session.bytesOut],
    ['tot-cmds', completedCommands(node, session)],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(' ');
}
