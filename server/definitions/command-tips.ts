/**
 * Tips of commands, as Redis gives them: whether two calls may answer differently, and what a client of a cluster does
 * with a command that concerns more than one node of it. node-redis and redis-py route by them.
 * Words and their meaning: https://redis.io/docs/latest/develop/reference/command-tips/
 */

/** Names apart by spaces, as COMMAND INFO tells them; subcommands behind their container's name. */
const COMMANDS_OF_TIP: readonly (readonly [tip: string, names: string])[] = [
  [
    'nondeterministic_output',
    `client|info client|list cluster|bumpepoch cluster|count-failure-reports cluster|getkeysinslot cluster|info
    cluster|links cluster|nodes cluster|replicas cluster|shards cluster|slaves cluster|slots dump function|stats hpttl
    hrandfield hscan httl info lastsave latency|doctor latency|graph latency|histogram latency|history latency|latest
    memory|doctor memory|malloc-stats memory|stats migrate object|encoding object|freq object|idletime object|refcount pttl
    randomkey scan slowlog|get slowlog|len spop srandmember sscan time ttl xadd xautoclaim xclaim xinfo|consumers
    xpending xtrim zrandmember zscan`,
  ],
  [
    'nondeterministic_output_order',
    `command command|docs command|info command|list function|list hgetall hkeys hvals keys module|list sdiff sinter
    smembers sunion`,
  ],
  [
    'request_policy:all_nodes',
    `config|set latency|doctor latency|graph latency|histogram latency|history latency|latest latency|reset
    script|flush script|load slowlog|get slowlog|len slowlog|reset`,
  ],
  [
    'request_policy:all_shards',
    `dbsize flushall flushdb function|delete function|flush function|kill function|load function|restore
    function|stats info keys memory|doctor memory|malloc-stats memory|purge memory|stats ping randomkey script|exists
    script|kill wait waitaof`,
  ],
  ['request_policy:multi_shard', 'del exists mget mset msetnx touch unlink'],
  ['request_policy:special', 'scan'],
  ['response_policy:agg_logical_and', 'script|exists'],
  ['response_policy:agg_min', 'msetnx wait waitaof'],
  ['response_policy:agg_sum', 'dbsize del exists slowlog|len touch unlink'],
  [
    'response_policy:all_succeeded',
    `config|set flushall flushdb function|delete function|flush function|load function|restore latency|reset
    memory|purge mset ping script|flush script|load slowlog|reset`,
  ],
  ['response_policy:one_succeeded', 'function|kill script|kill'],
  [
    'response_policy:special',
    `function|stats info latency|doctor latency|graph latency|histogram latency|history latency|latest memory|doctor
    memory|malloc-stats memory|stats`,
  ],
];

const TIPS_OF_COMMAND = new Map<string, string[]>();
for (const [tip, names] of COMMANDS_OF_TIP) {
  for (const name of names.split(/\s+/)) {
    const tips = TIPS_OF_COMMAND.get(name);
    if (tips === undefined) TIPS_OF_COMMAND.set(name, [tip]);
    else tips.push(tip);
  }
}

/** The tips of a command, named as in COMMAND INFO (`get`, `config|set`). */
export function tipsOf(fullName: string): readonly string[] {
  return TIPS_OF_COMMAND.get(fullName) ?? [];
}
