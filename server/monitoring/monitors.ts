/** Sessions that watch all commands go by: MONITOR. */
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import type { Call } from '../dispatch/call.ts';
import type { Node } from '../node.ts';
import type { Session } from '../clients/session.ts';
import { Microseconds } from './microseconds.ts';
import { secretsIn } from './slow-commands.ts';

/** A watcher that has not taken so much is closed: what it watches is more than it reads. */
const PENDING_BYTES_MAX = 64 << 20;
/** Longer arguments are cut, so that one line is never a copy of a large value for every watcher. */
const ARGUMENT_BYTES_MAX = 64 << 10;

const watchers = new WeakMap<Node, Set<Session>>();
const microseconds = new Microseconds();

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [34, '\\"'],
  [92, '\\\\'],
  [10, '\\n'],
  [13, '\\r'],
  [9, '\\t'],
  [7, '\\a'],
  [8, '\\b'],
]);

/** Bytes in double quotes, with everything unprintable escaped as Redis does. */
function quoted(bytes: Uint8Array): string {
  let text = '"';
  for (const byte of bytes) {
    const escape = ESCAPES.get(byte);
    if (escape !== undefined) text += escape;
    else if (byte >= 32 && byte < 127) text += String.fromCharCode(byte);
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `${text}"`;
}

export function isMonitor(node: Node, session: Session): boolean {
  return watchers.get(node)?.has(session) ?? false;
}

/** Shows the session every command from now on. */
export function startMonitoring(node: Node, session: Session): void {
  let watching = watchers.get(node);
  if (watching === undefined) watchers.set(node, (watching = new Set()));
  watching.add(session);
  node.dispatcher.monitor = (from, call) => show(node, from, call);
}

export function stopMonitoring(node: Node, session: Session): void {
  const watching = watchers.get(node);
  if (watching === undefined) return;
  watching.delete(session);
  if (watching.size === 0) node.dispatcher.monitor = null;
}

function lineOf(node: Node, from: Session, call: Call): string {
  const { nowMs } = node.keyspace.clock;
  const fraction = String(microseconds.of(nowMs, node.monotonicMs())).padStart(6, '0');
  const seconds = `${Math.floor(nowMs / 1000)}.${fraction}`;
  const secrets = secretsIn(call, call.command);
  const words: string[] = [];
  for (let index = 0; index < call.argc; index++) {
    const start = call.starts[index];
    const length = Math.min(call.lengths[index], ARGUMENT_BYTES_MAX);
    words.push(secrets.has(index) ? '"(redacted)"' : quoted(call.buffer.subarray(start, start + length)));
  }
  const { remoteAddress } = from.transport;
  // Redis names the socket, and no port.
  const address = remoteAddress.startsWith('/') ? `unix:${remoteAddress.replace(/:0$/, '')}` : remoteAddress;
  return `${seconds} [${from.database} ${address}] ${words.join(' ')}`;
}

/** The dispatcher shows the call that it is about to run. */
function isCall(args: ArgumentSource): args is Call {
  return 'command' in args;
}

function show(node: Node, from: Session, args: ArgumentSource): void {
  if (!isCall(args)) return;
  const { flags, group } = args.command;
  // Redis shows scripts too, by other means, before what they call.
  if (flags.includes('admin') || (flags.includes('skip_monitor') && group !== 'scripting')) return;
  showLine(node, from, lineOf(node, from, args));
}

/** Shows a call when the function that is returned is called: by then the call may be another one. */
export function showLater(node: Node, from: Session, call: Call): () => void {
  if (node.dispatcher.monitor === null) return () => undefined;
  const line = lineOf(node, from, call);
  return () => showLine(node, from, line);
}

function showLine(node: Node, from: Session, line: string): void {
  for (const session of watchers.get(node) ?? []) {
    // Its own commands would come before replies that it is still owed.
    if (session === from) continue;
    if (!node.sessions.has(session.id)) {
      stopMonitoring(node, session);
    } else if (session.transport.pendingBytes > PENDING_BYTES_MAX) {
      node.log.warn({ client: session.transport.remoteAddress }, 'closed: MONITOR shows it more than it reads');
      stopMonitoring(node, session);
      session.transport.destroy();
    } else {
      node.dispatcher.sendTo(session, (reply) => reply.simple(line));
    }
  }
}
