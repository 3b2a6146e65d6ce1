/** LATENCY: events that took longer than `latency-monitor-threshold`. */
import type { Call } from '../dispatch/call.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import { container, helpSubcommand } from '../definitions/subcommand-help.ts';

const FLAGS: readonly CommandFlag[] = ['admin', 'noscript', 'loading', 'stale'];
const GRAPH_COLUMNS = 80;
const GRAPH_ROWS = 5;

function latest({ node, reply }: Call): void {
  const { latency } = node.statistics;
  const { events } = latency;
  reply.array(events.length);
  for (const event of events) {
    const last = latency.history(event).at(-1)!;
    reply.array(4);
    reply.bulkString(event);
    reply.integer(last.atSeconds);
    reply.integer(last.milliseconds);
    reply.integer(latency.worst(event));
  }
}

function history(call: Call): void {
  const { reply } = call;
  const samples = call.node.statistics.latency.history(call.text(2));
  reply.array(samples.length);
  for (const { atSeconds, milliseconds } of samples) {
    reply.array(2);
    reply.integer(atSeconds);
    reply.integer(milliseconds);
  }
}

function reset(call: Call): void {
  const { latency } = call.node.statistics;
  let events = latency.events;
  if (call.argc > 2) {
    events = [];
    for (let index = 2; index < call.argc; index++) events.push(call.text(index));
  }
  call.reply.integer(events.filter((event) => latency.reset(event)).length);
}

/** Columns of `#`, the latest sample at the right. */
function graph(call: Call): void {
  const event = call.text(2);
  const { latency } = call.node.statistics;
  const samples = latency.history(event).slice(-GRAPH_COLUMNS);
  if (samples.length === 0) call.fail(`ERR No samples available for event '${event}'`);
  const values = samples.map(({ milliseconds }) => milliseconds);
  const high = Math.max(...values);
  const low = Math.min(...values);
  const lines = [
    `${event} - high ${high} ms, low ${low} ms (all time high ${latency.worst(event)} ms)`,
    '-'.repeat(GRAPH_COLUMNS),
  ];
  for (let row = GRAPH_ROWS; row > 0; row--) {
    const floor = low + ((high - low) * (row - 1)) / GRAPH_ROWS;
    lines.push(
      values
        .map((value) => (value >= floor && (row === 1 || value > floor) ? '#' : ' '))
        .join('')
        .trimEnd(),
    );
  }
  call.reply.verbatim(`${lines.join('\n')}\n`);
}

function doctorText(call: Call): string {
  const { config, statistics } = call.node;
  const thresholdMs = Number(config.values['latency-monitor-threshold']);
  if (thresholdMs === 0) {
    return 'Latency is not watched: CONFIG SET latency-monitor-threshold <milliseconds> turns it on.';
  }
  const { latency } = statistics;
  if (latency.events.length === 0) return `Nothing has taken ${thresholdMs} ms or longer so far.`;
  const lines = latency.events.map((event) => {
    const samples = latency.history(event);
    const meanMs = samples.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / samples.length;
    return `- ${event}: ${samples.length} times, ${Math.round(meanMs)} ms on average, ${latency.worst(event)} ms at worst.`;
  });
  return ['Events that took long:', ...lines, 'SLOWLOG GET shows which commands they were.'].join('\n');
}

/** The named commands with their subcommands, or all; none for a name that there is not. */
function commandsNamed(call: Call): readonly CommandOf<never>[] {
  const { commands } = call.node;
  if (call.argc === 2) return commands.all;
  const found = new Set<CommandOf<never>>();
  for (let index = 2; index < call.argc; index++) {
    const named = commands.named(call.latin1(index).toLowerCase());
    if (named !== undefined) for (const each of [named, ...named.subcommandTable.values()]) found.add(each);
  }
  return [...found];
}

function histogram(call: Call): void {
  const { reply } = call;
  const timed = commandsNamed(call).filter(({ times }) => times !== null);
  reply.map(timed.length);
  for (const { fullName, times } of timed) {
    const buckets = times!.cumulative();
    reply.bulkString(fullName);
    reply.map(2);
    reply.bulkString('calls');
    reply.integer(times!.calls);
    reply.bulkString('histogram_usec');
    reply.map(buckets.length);
    for (const { upTo, calls } of buckets) {
      reply.integer(upTo);
      reply.integer(calls);
    }
  }
}

const subcommands: readonly CommandDefinition[] = [
  command({
    name: 'latest',
    summary: 'Shows the latest sample of each event.',
    since: '2.8.13',
    group: 'server',
    complexity: 'O(1)',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: latest,
  }),
  command({
    name: 'history',
    summary: 'Shows when an event took long, and how long.',
    since: '2.8.13',
    group: 'server',
    complexity: 'O(1)',
    arity: 3,
    flags: FLAGS,
    syntax: 'event',
    run: history,
  }),
  command({
    name: 'reset',
    summary: 'Forgets the samples of events, or of all.',
    since: '2.8.13',
    group: 'server',
    complexity: 'O(1)',
    arity: -2,
    flags: FLAGS,
    syntax: '[event [event ...]]',
    run: reset,
  }),
  command({
    name: 'graph',
    summary: "Draws an event's samples.",
    since: '2.8.13',
    group: 'server',
    complexity: 'O(1)',
    arity: 3,
    flags: FLAGS,
    syntax: 'event',
    run: graph,
  }),
  command({
    name: 'histogram',
    summary: 'Shows how long the calls of commands took.',
    since: '7.0.0',
    group: 'server',
    complexity: 'O(N) with N the number of commands',
    arity: -2,
    flags: FLAGS,
    syntax: '[command [command ...]]',
    run: histogram,
  }),
  command({
    name: 'doctor',
    summary: 'Says in words what took long.',
    since: '2.8.13',
    group: 'server',
    complexity: 'O(1)',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: (call) => call.reply.verbatim(`${doctorText(call)}\n`),
  }),
  helpSubcommand('server', '2.8.13'),
];

export const latencyCommands: readonly CommandDefinition[] = [
  container({
    name: 'latency',
    summary: 'Commands about what takes long.',
    since: '2.8.13',
    group: 'server',
    subcommands,
  }),
];
