/** A peer that returns is caught up in the pace of clients, and a node that stands still is not alone. Time is virtual; at one node, merging takes some. */
import { describe, expect, it } from '@jest/globals';
import type { Connection, Environment } from '../../../replication/environment.ts';
import { Replicator } from '../../../replication/replicator.ts';
import { ModelReplica } from '../model-replica.ts';
import { VirtualCluster, peerPort, type NodeOptions } from '../virtual-cluster.ts';
import { LogKeeper, SeededRandom, type VirtualWorld } from '../virtual-world.ts';

const MERGE_MS = 0.1;

/** A node that is busy with clients, and counts how often it lets a connection rest. */
class BusyNode {
  rests = 0;
  /** Rests only until the next turn of the event loop. */
  shortRests = 0;
  readonly replica: ModelReplica;
  readonly replicator: Replicator;
  #workedMs = 0;
  #commands = 0;

  constructor(world: VirtualWorld, changes: NodeOptions) {
    const nowMs = (): number => world.time.monotonicMs() + this.#workedMs;
    this.replica = new ModelReplica({ hi: 0xabc00000, lo: 9 }, () => Math.floor(1_700_000_000_000 + nowMs()));
    const apply = this.replica.applyRecords.bind(this.replica);
    this.replica.applyRecords = (records, start, end) => {
      this.#workedMs += MERGE_MS;
      apply(records, start, end);
    };
    const counted = (connection: Connection): Connection => {
      connection.rest = (durationMs) => {
        this.rests++;
        if (durationMs === 0) this.shortRests++;
      };
      return connection;
    };
    const network = world.networkOf('busy');
    const environment: Environment = {
      time: {
        monotonicMs: nowMs,
        setTimer: (delayMs, callback) => world.time.setTimer(delayMs, callback),
        defer: (callback) => world.time.defer(callback),
      },
      random: new SeededRandom(9),
      network: {
        ...network,
        listen: (host, port, accept) => network.listen(host, port, (connection) => accept(counted(connection))),
        connect: (address, port) => counted(network.connect(address, port)),
      },
      log: new LogKeeper(),
    };
    const options = {
      nodeId: { hi: 0xabc00000, lo: 9 },
      port: peerPort,
      secrets: ['a secret'],
      advertiseHost: 'busy',
      peers: [{ host: 'n1', port: peerPort }],
      repairIntervalMs: 3_600_000,
      commandCount: () => this.#commands++,
      ...changes,
    };
    this.replicator = new Replicator(options, this.replica, environment);
  }

  /** The process is not run for so long. */
  standStill(durationMs: number): void {
    this.#workedMs += durationMs;
  }
}

async function pairOf(options: NodeOptions): Promise<{ cluster: VirtualCluster; busy: BusyNode }> {
  const cluster = new VirtualCluster(1);
  cluster.world.pieceBytesMax = 4096;
  await cluster.add({ repairIntervalMs: 3_600_000, ...options });
  const busy = new BusyNode(cluster.world, options);
  await busy.replicator.start();
  cluster.nodes[0].write(['first', 'value']);
  expect(cluster.runUntil(() => busy.replica.get('first') === 'value')).toBe(true);
  cluster.run(5000);
  return { cluster, busy };
}

interface Rests {
  readonly away: number;
  /** Of those, rests only until the next turn of the event loop. */
  readonly short: number;
  readonly live: number;
  /** What the outbox held when the two saw each other again. */
  readonly outboxBytes: number;
}

/** Writes turns while the two do not see each other, and lets them. Gives how often the busy node rested until it had them. */
async function restsOfBacklog(turns: number, options: NodeOptions = {}): Promise<Rests> {
  const { cluster, busy } = await pairOf(options);
  const [node] = cluster.nodes;
  cluster.world.cutBoth(node.host, 'busy');
  for (let turn = 0; turn < turns; turn++) node.write([`away ${turn}`, 'x'.repeat(100)]);
  const { repairs } = busy.replicator.status().peers[0];
  const { outboxBytes } = node.replicator.status();
  cluster.run(1000);
  cluster.world.heal();
  busy.rests = 0;
  expect(cluster.runUntil(() => busy.replica.get(`away ${turns - 1}`) !== null)).toBe(true);
  const away = busy.rests;
  const short = busy.shortRests;
  cluster.run(1000);
  busy.rests = 0;
  for (let turn = 0; turn < turns; turn++) node.write([`live ${turn}`, 'x'.repeat(100)]);
  expect(cluster.runUntil(() => busy.replica.get(`live ${turns - 1}`) !== null)).toBe(true);
  expect(busy.replicator.status().peers[0].repairs).toBe(repairs);
  return { away, short, live: busy.rests, outboxBytes };
}

describe('a peer that returns', () => {
  it('rests between what was written while it was away, and not between what is written now', async () => {
    const { away, live } = await restsOfBacklog(500);
    expect(away).toBeGreaterThan(0);
    expect(live).toBe(0);
  });

  it('looks at its clients between any two pieces of that', async () => {
    const { away, short } = await restsOfBacklog(500);
    expect(short).toBeGreaterThan(0);
    expect(away).toBeGreaterThan(short);
  });

  it('does not rest where there are no clients', async () => {
    const { away } = await restsOfBacklog(500, { commandCount: () => 0 });
    expect(away).toBe(0);
  });

  it('rests also where they are most of what the other keeps, and not where it is about to lose the first of them', async () => {
    const { outboxBytes } = await restsOfBacklog(500);
    const ofMost = await restsOfBacklog(500, { outboxBytesMax: Math.ceil(outboxBytes / 0.8) });
    expect(ofMost.away).toBeGreaterThan(0);
    const ofNearlyAll = await restsOfBacklog(500, { outboxBytesMax: Math.ceil(outboxBytes / 0.95) });
    expect(ofNearlyAll.away).toBe(0);
  });
});

describe('a node that was not run for a while', () => {
  it('does not take that for the silence of its peers', async () => {
    const { cluster, busy } = await pairOf({});
    for (let time = 0; time < 3; time++) {
      busy.standStill(6000);
      cluster.run(3000);
    }
    expect(busy.replicator.status().peers[0]).toMatchObject({ links: 1, state: 'streaming' });
  });

  it('still hears that nobody speaks', async () => {
    const { cluster, busy } = await pairOf({});
    cluster.world.cut('n1', 'busy');
    busy.standStill(6000);
    cluster.run(4000);
    expect(busy.replicator.linkedPeers).toBe(1);
    cluster.run(2000);
    expect(busy.replicator.linkedPeers).toBe(0);
  });
});
