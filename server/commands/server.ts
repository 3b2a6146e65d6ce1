/** The server as a whole: time, saving, stopping. */
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import type { Node } from '../node.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

const SAVE_FLAGS: readonly CommandFlag[] = ['admin', 'noscript', 'no_async_loading'];

function time({ keyspace, reply }: Call): void {
  const { nowMs } = keyspace.clock;
  reply.array(2);
  reply.bulkInteger(Math.floor(nowMs / 1000));
  reply.bulkInteger((nowMs % 1000) * 1000);
}

function logSaveError(node: Node, error: unknown): void {
  node.log.error({ err: error }, 'saving failed');
}

/** Answers when everything is durable; other clients are served meanwhile. */
function save(call: Call): void {
  const { node, session } = call;
  if (node.save.saving) call.fail('ERR Background save already in progress');
  node.blocking.block(session, 0, { commandName: 'save', onTimeout: (reply) => reply.ok(), onCancel: () => {} });
  const waiting = session.blocked;
  const finish = (message: string | null): void => {
    if (session.blocked !== waiting) return;
    node.blocking.wake(session, (reply) => (message === null ? reply.ok() : reply.error(message)));
  };
  node.saveNow().then(
    () => finish(null),
    (error: unknown) => {
      logSaveError(node, error);
      finish(`ERR saving failed: ${reasonOf(error)}`);
    },
  );
}

function backgroundSave(call: Call): void {
  const scheduled = call.argc === 2 && call.is(1, 'SCHEDULE');
  if (call.argc > 1 && !scheduled) call.syntaxError();
  const { node, reply } = call;
  if (node.save.saving || call.inTransaction) {
    if (!scheduled && !call.inTransaction) call.fail('ERR Background save already in progress');
    reply.simple('Background saving scheduled');
    if (node.save.saving) return;
  } else {
    reply.simple('Background saving started');
  }
  node.saveCopy().catch((error: unknown) => logSaveError(node, error));
}

function rewriteAppendOnlyFile({ node, reply }: Call): void {
  node.saveNow().catch((error: unknown) => logSaveError(node, error));
  reply.simple('Background append only file rewriting started');
}

interface ShutdownWords {
  save: boolean | null;
  now: boolean;
  force: boolean;
  abort: boolean;
}

function readShutdown(call: Call): ShutdownWords {
  const words: ShutdownWords = { save: null, now: false, force: false, abort: false };
  for (let index = 1; index < call.argc; index++) {
    if (call.is(index, 'NOSAVE') && words.save === null) words.save = false;
    else if (call.is(index, 'SAVE') && words.save === null) words.save = true;
    else if (call.is(index, 'NOW')) words.now = true;
    else if (call.is(index, 'FORCE')) words.force = true;
    else if (call.is(index, 'ABORT')) words.abort = true;
    else call.syntaxError();
  }
  if (words.abort && call.argc > 2) call.syntaxError();
  return words;
}

/** There is no reply when it works: the connection closes. */
function shutdown(call: Call): void {
  const { save, now, force, abort } = readShutdown(call);
  // A stop cannot be called back: it is under way before another command is read.
  if (abort) call.fail('ERR No shutdown in progress.');
  const { node, session } = call;
  const { busy } = node.scripting;
  if (busy !== null && save !== false) call.fail(busy.refusal);
  const refuse = 'ERR Errors trying to SHUTDOWN. Check logs.';
  node.blocking.block(session, 0, {
    commandName: 'shutdown',
    onTimeout: (reply) => reply.error(refuse),
    onCancel: () => {},
  });
  node.log.warn({ client: session.transport.remoteAddress }, 'a client asked for a shutdown');
  node.shutdown({ save: save ?? true, now, force }).catch((error: unknown) => {
    node.log.error({ err: error }, 'the shutdown was given up: saving failed');
    node.blocking.wake(session, (reply) => reply.error(refuse));
  });
}

export const serverCommands: readonly CommandDefinition[] = [
  command({
    name: 'time',
    summary: 'Tells the time: seconds since 1970, and microseconds.',
    since: '2.6.0',
    group: 'server',
    complexity: 'O(1)',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    syntax: '',
    run: time,
  }),
  command({
    name: 'lastsave',
    summary: 'Tells when everything was last known to be durable, in seconds since 1970.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(1)',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    categories: ['admin', 'dangerous'],
    syntax: '',
    run: ({ node, reply }) => reply.integer(Math.floor(node.save.lastSaveAtMs / 1000)),
  }),
  command({
    name: 'save',
    summary: 'Answers when all changes so far are in the durable stores.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(N) for N keys changed since the last flush',
    arity: 1,
    flags: [...SAVE_FLAGS, 'no_multi'],
    syntax: '',
    run: save,
  }),
  command({
    name: 'bgsave',
    summary: 'Answers at once; flushes all changes so far and copies the embedded store to `backup-dir`.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(1); the copy takes O(N) for N keys in another thread',
    arity: -1,
    flags: SAVE_FLAGS,
    syntax: '[SCHEDULE]',
    run: backgroundSave,
  }),
  command({
    name: 'bgrewriteaof',
    summary: 'The same as BGSAVE: there is no append-only file to rewrite.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(1)',
    arity: 1,
    flags: SAVE_FLAGS,
    syntax: '',
    run: rewriteAppendOnlyFile,
  }),
  command({
    name: 'shutdown',
    summary: 'Flushes and stops the node.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(N) for N keys changed since the last flush',
    arity: -1,
    flags: ['admin', 'noscript', 'loading', 'stale', 'no_multi', 'allow_busy'],
    syntax: '[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]',
    run: shutdown,
  }),
];
