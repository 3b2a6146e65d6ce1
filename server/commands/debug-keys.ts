/** DEBUG's subcommands that look at keys or make some. */
import { idleSeconds } from '../../storage/eviction/access.ts';
import { setString } from '../../storage/types/string.ts';
import { payloadOf } from '../codecs/dump-payload.ts';
import type { Call } from '../dispatch/call.ts';
import { contentDigest } from '../peers/content-digest.ts';
import { valueDigest } from './debug-digest.ts';
import { keyEncoding } from './object.ts';

/** Digests are as long as Redis's. */
const DIGEST_DIGITS = 40;
/** What a payload of DUMP has besides the value: the type before it, version and checksum behind. */
const PAYLOAD_FRAME_BYTES = 1 + 2 + 8;
const NOTHING = '0'.repeat(DIGEST_DIGITS);
/** More keys than this in one command would stall the node for seconds. */
const POPULATE_MAX = 10_000_000;
const POPULATE_BYTES_MAX = 512 << 20;

export function showObject(call: Call): void {
  const ref = call.lookup(2);
  if (ref === 0) call.fail('ERR no such key');
  const { keyspace } = call;
  const encoding = keyEncoding(call, ref);
  const idle = keyspace.accessPolicy.countsUse ? 0 : idleSeconds(keyspace, ref);
  const length = payloadOf(keyspace, ref).length - PAYLOAD_FRAME_BYTES;
  call.reply.simple(
    `Value at:0x${ref.toString(16)} refcount:1 encoding:${encoding} serializedlength:${length} ` +
      `lru:${keyspace.accessOf(ref)} lru_seconds_idle:${idle}`,
  );
}

export function digest(call: Call): void {
  call.reply.simple(contentDigest(call.node).padStart(DIGEST_DIGITS, '0'));
}

export function digestValues(call: Call): void {
  const { keyspace, reply } = call;
  reply.array(call.argc - 2);
  for (let index = 2; index < call.argc; index++) {
    const ref = call.lookup(index);
    reply.simple(ref === 0 ? NOTHING : valueDigest(keyspace, ref));
  }
}

export function populate(call: Call): void {
  const count = call.integerIn(2, 0, POPULATE_MAX, 'ERR value is out of range, must be positive');
  const prefix = call.argc > 3 ? call.text(3) : 'key';
  const bytes =
    call.argc > 4 ? call.integerIn(4, 0, POPULATE_BYTES_MAX, 'ERR value is out of range, must be positive') : -1;
  const { keyspace, database } = call;
  for (let number = 0; number < count; number++) {
    const key = Buffer.from(`${prefix}:${number}`);
    if (keyspace.lookup(database, key, 0, key.length) !== 0) continue;
    const text = Buffer.from(`value:${number}`);
    const value = bytes < 0 ? text : Buffer.concat([text], bytes);
    setString(keyspace, database, key, 0, key.length, value, 0, value.length, 0);
  }
  call.reply.ok();
}

export function showIndex(call: Call): void {
  const { databases } = call.keyspace;
  const database = databases[call.integerIn(2, 0, databases.length - 1, 'ERR Out of range database')];
  const { index } = database;
  call.reply.verbatim(
    [
      '[Dictionary HT]',
      `number of elements: ${index.count}`,
      `bytes: ${index.bytes}`,
      '[Expires HT]',
      `number of elements: ${database.deadlineCount}`,
      '',
    ].join('\n'),
  );
}
