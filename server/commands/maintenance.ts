/** MANTIS BACKUP, VERIFY and DIGEST: what may take a while, while others are served. */
import { isAbsolute } from 'node:path';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { Verification } from '../../storage/verification/verification.ts';
import type { Call } from '../dispatch/call.ts';
import { isLocalClient } from '../clients/client-address.ts';
import { contentDigest, contentDigestSoon } from '../peers/content-digest.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

/** Makes the session wait for work, and answers with its result or why it failed. */
function answerLater<T>(call: Call, work: Promise<T>, write: (reply: ReplyWriter, result: T) => void): void {
  const { node, session } = call;
  const commandName = call.command.name;
  node.blocking.block(session, 0, { commandName, onTimeout: (reply) => reply.ok(), onCancel: () => {} });
  const waiting = session.blocked;
  const finish = (answer: (reply: ReplyWriter) => void): void => {
    if (session.blocked === waiting) node.blocking.wake(session, answer);
  };
  work.then(
    (result) => finish((reply) => write(reply, result)),
    (error: unknown) => {
      const message = reasonOf(error);
      node.log.error({ err: error }, `${commandName} failed`);
      finish((reply) => reply.error(`ERR ${message.replaceAll(/[\r\n]+/g, ' ')}`));
    },
  );
}

function writeVerification(reply: ReplyWriter, { registers, stores, samples, isRepaired }: Verification): void {
  reply.map(4);
  reply.bulkString('registers');
  reply.integer(registers);
  reply.bulkString('repaired');
  reply.integer(isRepaired ? 1 : 0);
  reply.bulkString('stores');
  reply.array(stores.length);
  for (const store of stores) {
    const figures = Object.entries(store);
    reply.map(figures.length);
    for (const [name, value] of figures) {
      reply.bulkString(name);
      if (typeof value === 'number') reply.integer(value);
      else reply.bulkString(String(value));
    }
  }
  reply.bulkString('differences');
  reply.array(samples.length);
  for (const sample of samples) reply.bulkString(sample);
}

export function verify(call: Call): void {
  const isRepairing = call.argc === 3 && call.is(2, 'REPAIR');
  if (call.argc > 3 || (call.argc === 3 && !isRepairing)) call.syntaxError();
  if (call.node.flusher === null) call.fail('ERR there are no durable stores: data-dir is none and mysql is empty');
  answerLater(call, call.node.verify(isRepairing), writeVerification);
}

/** A folder of this machine: only clients on it may name one. */
export function backUp(call: Call): void {
  const directory = call.text(2);
  if (!isLocalClient(call.session)) call.fail('ERR MANTIS BACKUP writes on this machine: ask from a client on it');
  if (!isAbsolute(directory)) call.fail('ERR name the folder for the backup by its absolute path');
  if (call.node.flusher === null) call.fail('ERR there is no embedded store to copy: data-dir is none');
  answerLater(call, call.node.backUp(directory), (reply, entries) => reply.integer(entries));
}

/** Digests that are being computed are waited for, but not within a transaction. */
export function showDigest(call: Call): void {
  const { node } = call;
  if (node.keyspace.digestStart === null || call.inTransaction) call.reply.bulkString(contentDigest(node));
  else answerLater(call, contentDigestSoon(node), (reply, digest) => reply.bulkString(digest));
}
