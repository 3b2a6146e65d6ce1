/** Publish and subscribe: channels, patterns, sharded channels, and what there is of them. */
import { GlobPattern } from '../../protocol/glob.ts';
import type { Call } from '../dispatch/call.ts';
import { command, type CommandDefinition, type CommandFlag, keyRange } from '../definitions/command.ts';
import type { Space } from '../pubsub/pubsub.ts';
import { container, helpSubcommand, wrongSubcommandArguments } from '../definitions/subcommand-help.ts';

/** The word of each reply. */
const WORDS: Record<Space, { subscribe: string; unsubscribe: string }> = {
  channels: { subscribe: 'subscribe', unsubscribe: 'unsubscribe' },
  patterns: { subscribe: 'psubscribe', unsubscribe: 'punsubscribe' },
  shards: { subscribe: 'ssubscribe', unsubscribe: 'sunsubscribe' },
};

/** One reply; `name` null when there was nothing to let go of. */
function replyChange(call: Call, space: Space, word: string, name: string | null): void {
  const { reply, session } = call;
  const own = session.subscriptions;
  reply.push(3);
  reply.bulkString(word);
  if (name === null) {
    reply.nil();
  } else {
    const bytes = Buffer.from(name, 'latin1');
    reply.bulk(bytes, 0, bytes.length);
  }
  reply.integer(own === null ? 0 : space === 'shards' ? own.shards.size : own.count);
}

function subscribe(call: Call, space: Space): void {
  const { session, node, argc } = call;
  // Messages of shards would come in between the transaction's replies: so Redis, of these alone.
  if (space === 'shards' && call.inTransaction) {
    call.fail("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
  }
  for (let index = 1; index < argc; index++) {
    const name = call.latin1(index);
    node.pubsub.subscribe(session, space, name);
    replyChange(call, space, WORDS[space].subscribe, name);
  }
}

function unsubscribe(call: Call, space: Space): void {
  const { session, node, argc } = call;
  const word = WORDS[space].unsubscribe;
  const names = argc > 1 ? Array.from({ length: argc - 1 }, (_, at) => call.latin1(at + 1)) : namesOf(call, space);
  for (const name of names) {
    node.pubsub.unsubscribe(session, space, name);
    replyChange(call, space, word, name);
  }
  if (names.length === 0) replyChange(call, space, word, null);
}

function namesOf({ session }: Call, space: Space): string[] {
  return session.subscriptions === null ? [] : [...session.subscriptions[space]];
}

function publish(call: Call, isSharded: boolean): void {
  call.reply.integer(call.node.pubsub.publish(call.bytes(1), call.bytes(2), isSharded));
}

function replyNames(call: Call, space: Space): void {
  const pattern = call.argc > 2 ? new GlobPattern(call.buffer, call.starts[2], call.lengths[2]) : null;
  const names = [...call.node.pubsub[space].keys()]
    .map((name) => Buffer.from(name, 'latin1'))
    .filter((name) => pattern === null || pattern.matches(name, 0, name.length));
  call.reply.array(names.length);
  for (const name of names) call.reply.bulk(name, 0, name.length);
}

function replyCounts(call: Call, space: Space): void {
  const { reply, argc, buffer, starts, lengths } = call;
  reply.array((argc - 2) * 2);
  for (let index = 2; index < argc; index++) {
    reply.bulk(buffer, starts[index], lengths[index]);
    reply.integer(call.node.pubsub[space].get(call.latin1(index))?.sessions.size ?? 0);
  }
}

const LISTENING: readonly CommandFlag[] = ['pubsub', 'noscript', 'loading', 'stale'];
const PUBLISHING: readonly CommandFlag[] = ['pubsub', 'loading', 'stale', 'fast', 'may_replicate'];
const LOOKING: readonly CommandFlag[] = ['pubsub', 'loading', 'stale'];

/** What a user has to be allowed; to stop listening needs nothing. */
const LISTENS_TO: Readonly<Record<string, CommandDefinition['channels']>> = {
  subscribe: 'names',
  ssubscribe: 'names',
  psubscribe: 'patterns',
};

const EVERYWHERE =
  'Reaches the subscribers of every node that is linked to this one, each at most once; a node that cannot be reached at that ' +
  'moment does not get it later. The reply counts the subscribers of this node.';

function listening(
  name: string,
  since: string,
  summary: string,
  arity: number,
  syntax: string,
  run: (call: Call) => void,
): CommandDefinition {
  const complexity = 'O(N) with N the number of channels named';
  const keys = syntax.includes('shardchannel') ? { keys: [keyRange(1, -1, 1, 'not_key')] } : {};
  const channels = LISTENS_TO[name];
  const flags = LISTENING;
  return command({ name, summary, since, group: 'pubsub', complexity, arity, flags, ...keys, channels, syntax, run });
}

function looking(
  name: string,
  since: string,
  summary: string,
  arity: number,
  syntax: string,
  run: (call: Call) => void,
) {
  const complexity = 'O(N) with N the number of channels';
  return command({ name, summary, since, group: 'pubsub', complexity, arity, flags: LOOKING, syntax, run });
}

export const pubsubCommands: readonly CommandDefinition[] = [
  listening('subscribe', '2.0.0', 'Listens to channels.', -2, 'channel [channel ...]', (call) =>
    subscribe(call, 'channels'),
  ),
  listening(
    'unsubscribe',
    '2.0.0',
    'Stops listening to channels: to all when none is named.',
    -1,
    '[channel [channel ...]]',
    (call) => unsubscribe(call, 'channels'),
  ),
  listening('psubscribe', '2.0.0', 'Listens to all channels whose names match.', -2, 'pattern [pattern ...]', (call) =>
    subscribe(call, 'patterns'),
  ),
  listening(
    'punsubscribe',
    '2.0.0',
    'Stops listening to patterns: to all when none is named.',
    -1,
    '[pattern [pattern ...]]',
    (call) => unsubscribe(call, 'patterns'),
  ),
  listening('ssubscribe', '7.0.0', 'Listens to sharded channels.', -2, 'shardchannel [shardchannel ...]', (call) =>
    subscribe(call, 'shards'),
  ),
  listening(
    'sunsubscribe',
    '7.0.0',
    'Stops listening to sharded channels: to all when none is named.',
    -1,
    '[shardchannel [shardchannel ...]]',
    (call) => unsubscribe(call, 'shards'),
  ),
  command({
    name: 'publish',
    summary: 'Gives a message to all that listen to a channel.',
    since: '2.0.0',
    group: 'pubsub',
    complexity: 'O(N+M) with N the subscribers of the channel and M the patterns',
    arity: 3,
    flags: PUBLISHING,
    channels: 'first',
    syntax: 'channel message',
    merge: EVERYWHERE,
    run: (call) => publish(call, false),
  }),
  command({
    name: 'spublish',
    summary: 'Gives a message to all that listen to a sharded channel.',
    since: '7.0.0',
    group: 'pubsub',
    complexity: 'O(N) with N the subscribers of the channel',
    arity: 3,
    flags: PUBLISHING,
    keys: [keyRange(1, 1, 1, 'not_key')],
    channels: 'first',
    syntax: 'shardchannel message',
    merge: EVERYWHERE,
    run: (call) => publish(call, true),
  }),
  container({
    name: 'pubsub',
    summary: 'Tells which channels and patterns are listened to on this node.',
    since: '2.8.0',
    group: 'pubsub',
    subcommands: [
      looking('channels', '2.8.0', 'Gives the channels that are listened to.', -2, '[pattern]', (call) => {
        if (call.argc > 3) wrongSubcommandArguments(call, 'pubsub');
        replyNames(call, 'channels');
      }),
      looking('numsub', '2.8.0', 'Counts the subscribers of channels.', -2, '[channel [channel ...]]', (call) =>
        replyCounts(call, 'channels'),
      ),
      looking('numpat', '2.8.0', 'Counts the patterns that are listened to.', 2, '', (call) =>
        call.reply.integer(call.node.pubsub.patterns.size),
      ),
      looking('shardchannels', '7.0.0', 'Gives the sharded channels that are listened to.', -2, '[pattern]', (call) => {
        if (call.argc > 3) wrongSubcommandArguments(call, 'pubsub');
        replyNames(call, 'shards');
      }),
      looking(
        'shardnumsub',
        '7.0.0',
        'Counts the subscribers of sharded channels.',
        -2,
        '[shardchannel [shardchannel ...]]',
        (call) => replyCounts(call, 'shards'),
      ),
      helpSubcommand('pubsub', '6.2.0'),
    ],
  }),
];
