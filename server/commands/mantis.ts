/** MANTIS: what there is beside Redis: the node, its peers, its digest. */
import { formatNodeId, parseNodeId } from '../../protocol/stamp.ts';
import type { PeerStatus } from '../../replication/status.ts';
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import { mantisFields } from '../info/mantis.ts';
import { container, helpSubcommand } from '../definitions/subcommand-help.ts';
import { backUp, showDigest, verify } from './maintenance.ts';
import { mayDebug } from './debug.ts';
import { conflictSubcommands } from './mantis-conflicts.ts';
import { tokenSubcommands } from './mantis-tokens.ts';
import { waitForDatabase } from './wait.ts';

/** 30 days. */
const CLOCK_OFFSET_MS_MAX = 2_592_000_000;

const FLAGS: readonly CommandFlag[] = ['admin', 'noscript', 'loading', 'stale'];

function status(call: Call): void {
  const lines = mantisFields(call.node).map(([name, value]) => `${name}: ${value}`);
  call.reply.verbatim(`${lines.join('\n')}\n`);
}

function peerFields(peer: PeerStatus): [string, string | number | null][] {
  return [
    ['id', peer.id],
    ['address', peer.address],
    ['state', peer.state],
    ['direction', peer.direction],
    ['acknowledged', peer.acknowledged],
    ['applied', peer.applied],
    ['gap', peer.hasGap ? 1 : 0],
    ['lag-bytes', peer.lagBytes],
    ['peer-lag-bytes', peer.peerLagBytes],
    ['heard-ago-ms', peer.heardAgoMs],
    ['round-trip-ms', peer.roundTripMs === null ? null : Math.round(peer.roundTripMs)],
    ['clock-offset-ms', peer.clockOffsetMs === null ? null : Math.round(peer.clockOffsetMs)],
    ['bytes-in', peer.bytesIn],
    ['bytes-out', peer.bytesOut],
    ['repairs', peer.repairs],
    ['links', peer.links],
    ['last-error', peer.lastError],
    ['tombstones-wait', peer.isWaitedFor ? 1 : 0],
  ];
}

function peers({ node, reply }: Call): void {
  const known = node.replicator?.status().peers ?? [];
  reply.array(known.length);
  for (const peer of known) {
    const fields = peerFields(peer);
    reply.map(fields.length);
    for (const [name, value] of fields) {
      reply.bulkString(name);
      if (value === null) reply.nil();
      else if (typeof value === 'number') reply.integer(value);
      else reply.bulkString(value);
    }
  }
}

function forget(call: Call): void {
  const { node } = call;
  const id = parseNodeId(call.text(2));
  if (id === null) return call.fail('ERR a node id has 16 hexadecimal digits; MANTIS PEERS shows them');
  if (id.hi === node.nodeHi && id.lo === node.nodeLo) call.fail('ERR a node cannot forget itself');
  if (node.replicator === null) return call.fail("ERR this node has no peers: the option 'peer-port' is none");
  if (!node.replicator.forget(formatNodeId(id.hi, id.lo))) {
    call.fail('ERR no such node is known here; MANTIS PEERS shows those that are');
  }
  call.reply.ok();
}

/** Cuts this node off its peers and lets it back, for tests of what follows. */
function links(call: Call): void {
  const { node } = call;
  if (!mayDebug(call))
    call.fail('ERR MANTIS LINKS is for tests: start the node with --enable-debug-command local to allow it');
  const isDown = call.is(2, 'DOWN');
  if (!isDown && !call.is(2, 'UP')) call.syntaxError();
  if (node.replicator === null) return call.fail("ERR this node has no peers: the option 'peer-port' is none");
  if (isDown) node.replicator.pauseLinks();
  else node.replicator.resumeLinks();
  call.reply.ok();
}

/** Lets this node's clock be wrong, for tests of what follows. */
function clock(call: Call): void {
  if (!mayDebug(call))
    call.fail('ERR MANTIS CLOCK is for tests: start the node with --enable-debug-command local to allow it');
  if (!call.is(2, 'OFFSET')) call.syntaxError();
  const { keyspace } = call;
  keyspace.clock.offsetMs = call.integerIn(3, -CLOCK_OFFSET_MS_MAX, CLOCK_OFFSET_MS_MAX);
  keyspace.clock.refresh();
  call.reply.ok();
}

interface MantisSubcommand {
  name: string;
  summary: string;
  complexity: string;
  arity: number;
  syntax: string;
  run: (call: Call) => void;
}

function subcommand(definition: MantisSubcommand): CommandDefinition {
  return command({ since: '0.1.0', group: 'mantis', flags: FLAGS, ...definition });
}

export const mantisCommands: readonly CommandDefinition[] = [
  container({
    name: 'mantis',
    summary: 'Commands about this node and its peers.',
    since: '0.1.0',
    group: 'mantis',
    subcommands: [
      subcommand({
        name: 'status',
        summary: 'Shows the state of this node, a field a line.',
        complexity: 'O(N) for N peers',
        arity: 2,
        syntax: '',
        run: status,
      }),
      subcommand({
        name: 'peers',
        summary: 'Lists the other nodes that are known, with the state of the link to each.',
        complexity: 'O(N) for N peers',
        arity: 2,
        syntax: '',
        run: peers,
      }),
      subcommand({
        name: 'digest',
        summary: 'Shows a digest of all keys: the same on all nodes when nothing is under way.',
        complexity: 'O(1) on a node with peers, O(N) for N keys on one without',
        arity: 2,
        syntax: '',
        run: showDigest,
      }),
      subcommand({
        name: 'forget',
        summary: 'Removes a node from the members, here and everywhere; should it come back, it has to resynchronise.',
        complexity: 'O(1)',
        arity: 3,
        syntax: 'node-id',
        run: forget,
      }),
      subcommand({
        name: 'backup',
        summary: 'Copies the embedded store into a new folder of this machine, which a node can be started on.',
        complexity: 'O(N) for N keys, in another thread',
        arity: 3,
        syntax: 'directory',
        run: backUp,
      }),
      subcommand({
        name: 'verify',
        summary:
          'Compares memory with the durable stores, register by register, and with REPAIR gives each what it lacks.',
        complexity: 'O(N) for N registers',
        arity: -2,
        syntax: '[REPAIR]',
        run: verify,
      }),
      subcommand({
        name: 'links',
        summary: 'Cuts all links to peers, or lets them be made again; refused unless enable-debug-command allows it.',
        complexity: 'O(N) for N peers',
        arity: 3,
        syntax: 'DOWN|UP',
        run: links,
      }),
      subcommand({
        name: 'waitdb',
        summary: 'Waits until the database has everything written before, and answers 1; 0 when the time is over.',
        complexity: 'O(1)',
        arity: 3,
        syntax: 'timeout',
        run: waitForDatabase,
      }),
      subcommand({
        name: 'clock',
        summary: "Adds to this node's clock, or takes from it; refused unless enable-debug-command allows it.",
        complexity: 'O(1)',
        arity: 4,
        syntax: 'OFFSET milliseconds',
        run: clock,
      }),
      ...tokenSubcommands,
      ...conflictSubcommands,
      helpSubcommand('mantis', '0.1.0'),
    ],
  }),
];
