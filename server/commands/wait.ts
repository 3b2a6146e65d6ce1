/** WAIT and WAITAOF: until peers, or the durable stores, have what this client last wrote. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, command } from '../definitions/command.ts';
import type { Node } from '../node.ts';
import type { Session } from '../clients/session.ts';
import { timeoutMsArgument } from '../arguments/timeout-argument.ts';

/** A wait asks for acknowledgements in steps of this length, so that one whose client is gone does not outlive it by more. */
const STEP_MS = 1000;

interface Stamp {
  readonly hi: number;
  readonly lo: number;
}

function acknowledged(node: Node, stamp: Stamp): number {
  return node.replicator?.acknowledgedCount(stamp) ?? 0;
}

/** Makes the session wait; `finish` ends that wait and no other one. */
function beginWait(
  call: Call,
  timeoutMs: number,
  write: (reply: ReplyWriter) => void,
): { isOver: () => boolean; finish: () => void } {
  const { node, session } = call;
  node.blocking.block(session, timeoutMs, { commandName: call.command.name, onTimeout: write, onCancel: () => {} });
  const waiting = session.blocked;
  const isOver = (): boolean => session.blocked !== waiting;
  const finish = (): void => {
    if (!isOver()) node.blocking.wake(session, write);
  };
  return { isOver, finish };
}

async function untilAcknowledged(node: Node, stamp: Stamp, count: number, isOver: () => boolean): Promise<void> {
  while (!isOver() && node.replicator !== null && acknowledged(node, stamp) < count) {
    await node.replicator.waitForAcks(stamp, count, STEP_MS);
  }
}

function lastWrite(session: Session): Stamp {
  return { hi: session.lastWriteHi, lo: session.lastWriteLo };
}

function wait(call: Call): void {
  const { node, reply } = call;
  const count = call.integer(1);
  const timeoutMs = timeoutMsArgument(call, 2);
  const stamp = lastWrite(call.session);
  const already = acknowledged(node, stamp);
  if (already >= count || call.inTransaction) {
    reply.integer(already);
    return;
  }
  const { isOver, finish } = beginWait(call, timeoutMs, (late) => late.integer(acknowledged(node, stamp)));
  // Without a peer port nobody will ever acknowledge: the timeout ends the wait.
  if (node.replicator !== null) void untilAcknowledged(node, stamp, count, isOver).then(finish);
}

function replyCounts(reply: ReplyWriter, local: number, peers: number): void {
  reply.array(2);
  reply.integer(local);
  reply.integer(peers);
}

function waitAppendOnlyFile(call: Call): void {
  const { node } = call;
  const localCount = call.integer(1);
  if (localCount < 0 || localCount > 1) call.fail('ERR value is out of range, value must between 0 and 1');
  const peerCount = call.integer(2);
  if (peerCount < 0) call.fail('ERR value is out of range, must be positive');
  const timeoutMs = timeoutMsArgument(call, 3);
  if (localCount > 0 && node.flusher === null) {
    call.fail('ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.');
  }
  if ((localCount === 0 && peerCount === 0) || call.inTransaction) {
    replyCounts(call.reply, 0, 0);
    return;
  }
  let local = 0;
  const { finish } = beginWait(call, timeoutMs, (late) => replyCounts(late, local, 0));
  if (localCount === 0) return;
  node.saveNow().then(
    () => {
      local = 1;
      // What peers have made durable is not known here: the timeout ends a wait for that.
      if (peerCount === 0) finish();
    },
    (error: unknown) => node.log.error({ err: error }, 'saving for WAITAOF failed'),
  );
}

/** MANTIS WAITDB: until the database beside the embedded store has what was written, 1, or the time is over, 0. */
export function waitForDatabase(call: Call): void {
  const { node, reply } = call;
  const timeoutMs = timeoutMsArgument(call, 2);
  if (node.flusher?.hasDatabase !== true) {
    call.fail("ERR MANTIS WAITDB waits for a database: name one with the option 'mysql'");
  }
  if (call.inTransaction) {
    reply.integer(0);
    return;
  }
  let isThere = false;
  const { finish } = beginWait(call, timeoutMs, (late) => late.integer(isThere ? 1 : 0));
  node.flusher.flushMysqlNow().then(
    () => {
      isThere = true;
      finish();
    },
    (error: unknown) => node.log.error({ err: error }, 'flushing for MANTIS WAITDB failed'),
  );
}

export const waitCommands: readonly CommandDefinition[] = [
  command({
    name: 'wait',
    summary: "Waits until so many peers have this connection's last write, and tells how many have.",
    since: '3.0.0',
    group: 'generic',
    complexity: 'O(1)',
    arity: 3,
    flags: ['noscript'],
    categories: ['connection'],
    syntax: 'numreplicas timeout',
    run: wait,
  }),
  command({
    name: 'waitaof',
    summary: "Waits until this connection's last write is in the local durable stores.",
    since: '7.2.0',
    group: 'generic',
    complexity: 'O(1)',
    arity: 4,
    flags: ['noscript'],
    categories: ['connection'],
    syntax: 'numlocal numreplicas timeout',
    run: waitAppendOnlyFile,
  }),
];
