/** Large collections that differ in a few elements: what travels, and what both sides have then. */
import { describe, expect, it } from '@jest/globals';
import type { ReplicatorOptions } from '../../../replication/settings.ts';
import { Digests } from '../../../storage/digests/digests.ts';
import { CommandCluster, type CommandNode } from '../command-cluster.ts';

const A_COMMAND = 1000;
/** They take some seconds, and many times as long on a busy machine. */
const slowTestMs = 240_000;
const longValue = 'a-value-of-some-length-'.repeat(12);
const newAndGone = ['*3\r\n$3\r\nnew\r\n$-1\r\n$3\r\nnew\r\n'];

/** Fills a key in commands of 1,000 elements. */
function fill(node: CommandNode, count: number, command: string, element: (number: number) => string): void {
  for (let first = 0; first < count; first += A_COMMAND) {
    const elements = Array.from({ length: A_COMMAND }, (_none, at) => element(first + at));
    node.run(`${command} ${elements.join(' ')}`);
  }
}

interface Kind {
  name: string;
  /** Which node is written to. */
  writer: 'leader' | 'other side';
  fill: (node: CommandNode) => void;
  /** Written on it while the two do not see each other, and on the other one. */
  first: string[];
  second: string[];
  /** What both nodes answer then, and what is in it. */
  ask: string[];
  proof: string;
}

const hash: Omit<Kind, 'writer'> = {
  name: 'hash',
  fill: (node) => fill(node, 100_000, 'HSET h', (number) => `field:${number} a-value-of-some-length-${number}`),
  first: ['HSET h field:7 new', 'HDEL h field:1', 'HINCRBY h sum 5', 'HPEXPIREAT h 1800000000000 FIELDS 1 field:9'],
  second: ['HSET h other other', 'HINCRBY h sum 7', 'HDEL h field:2'],
  ask: ['HMGET h field:7 field:1 field:2 other sum', 'HLEN h', 'HPEXPIRETIME h FIELDS 1 field:9', 'HGET h field:99999'],
  proof: '$3\r\nnew\r\n$-1\r\n$-1\r\n$5\r\nother\r\n$2\r\n12\r\n:100000\r\n*1\r\n:1800000000000\r\n',
};

const kinds: Kind[] = [
  { ...hash, writer: 'leader' },
  { ...hash, writer: 'other side' },
  {
    name: 'set',
    writer: 'other side',
    fill: (node) => fill(node, 20_000, 'SADD s', (number) => `${longValue}${number}`),
    first: ['SADD s new', `SREM s ${longValue}7`],
    second: ['SADD s other', `SREM s ${longValue}8`],
    ask: [
      'SMISMEMBER s new other',
      `SMISMEMBER s ${longValue}7 ${longValue}8`,
      'SCARD s',
      'SSCAN s 0 MATCH new COUNT 30000',
    ],
    proof: '*2\r\n:1\r\n:1\r\n*2\r\n:0\r\n:0\r\n:20000\r\n',
  },
  {
    name: 'sorted set',
    writer: 'leader',
    fill: (node) => fill(node, 20_000, 'ZADD z', (number) => `${number} ${longValue}${number}`),
    first: ['ZADD z -1 new', `ZREM z ${longValue}7`, `ZINCRBY z 3 ${longValue}50`],
    second: [`ZADD z 55.5 ${longValue}8`, `ZINCRBY z 4 ${longValue}50`],
    ask: ['ZCARD z', `ZSCORE z ${longValue}50`, `ZSCORE z ${longValue}8`, `ZSCORE z ${longValue}7`, 'ZRANGE z 0 10'],
    proof: ':20000\r\n$2\r\n57\r\n$4\r\n55.5\r\n$-1\r\n',
  },
  {
    name: 'list',
    writer: 'other side',
    fill: (node) => fill(node, 20_000, 'RPUSH l', (number) => `${longValue}${number}`),
    first: ['LSET l 5000 new', 'LPOP l', `LINSERT l BEFORE ${longValue}77 between`],
    second: ['RPUSH l last', `LREM l 1 ${longValue}80`],
    ask: ['LLEN l', 'LINDEX l -1', 'LINDEX l 76', 'LRANGE l 4990 5001', 'LRANGE l 70 80'],
    proof: ':20000\r\n$4\r\nlast\r\n$7\r\nbetween\r\n',
  },
  {
    name: 'stream',
    writer: 'leader',
    fill: (node) => {
      for (let first = 1; first < 20_000; first += A_COMMAND) {
        node.run(...Array.from({ length: A_COMMAND }, (_none, at) => `XADD x ${first + at}-1 field ${longValue}`));
      }
      node.run('XGROUP CREATE x group 0');
    },
    first: ['XADD x 200000-1 field new', 'XDEL x 500-1', 'XREADGROUP GROUP group reader COUNT 2 STREAMS x >'],
    second: ['XADD x 200001-1 field other', 'XDEL x 501-1'],
    ask: ['XLEN x', 'XRANGE x 500-1 501-1', 'XREVRANGE x + - COUNT 2'],
    proof: ':20000\r\n*0\r\n*2\r\n*2\r\n$8\r\n200001-1',
  },
];

/** Writes so much of another key that the outbox no longer reaches back. */
function overflow(node: CommandNode): void {
  for (let time = 0; time < 20; time++) node.run(`SET filler ${'x'.repeat(400)}`);
}

/** Lets both write what the other does not hear of, and gives the bytes that go between them until they are equal. */
function repairedBytes(cluster: CommandCluster, first: readonly string[], second: readonly string[]): number {
  cluster.apart(() => {
    for (const [at, commands] of [first, second].entries()) {
      overflow(cluster.nodes[at]);
      cluster.nodes[at].run(...commands);
    }
  });
  cluster.bytes = 0;
  cluster.meet();
  cluster.settle();
  return cluster.bytes;
}

describe('a large collection of which both sides have most', () => {
  it.each(kinds)(
    'sends only the groups of elements that differ: $name, $writer',
    async (kind) => {
      const cluster = await CommandCluster.of(2, { outboxBytesMax: 4096 });
      const [node, other] = kind.writer === 'leader' ? cluster.nodes : [...cluster.nodes].reverse();
      kind.fill(node);
      cluster.settle();
      const wholeBytes = node.contentBytes();
      const inOrder = (ours: string[], theirs: string[]): [string[], string[]] =>
        kind.writer === 'leader' ? [ours, theirs] : [theirs, ours];
      const bytes = repairedBytes(cluster, ...inOrder(kind.first.slice(0, 1), []));
      expect(other.run(...kind.ask)).toEqual(node.run(...kind.ask));
      expect(bytes / wholeBytes).toBeLessThan(0.01);
      // Both sides, removals among it.
      const more = repairedBytes(cluster, ...inOrder(kind.first.slice(1), kind.second));
      const replies = node.run(...kind.ask);
      expect(other.run(...kind.ask)).toEqual(replies);
      expect(replies.join('')).toContain('new');
      expect(replies.join('')).toContain(kind.proof);
      expect(more / wholeBytes).toBeLessThan(0.03);
    },
    slowTestMs,
  );
});

/** A hash of so many fields on both nodes, and how many bytes it is. */
async function hashOn(
  count: number,
  options: Partial<ReplicatorOptions> = {},
  special: Record<number, Partial<ReplicatorOptions>> = {},
): Promise<{ cluster: CommandCluster; wholeBytes: number }> {
  const cluster = await CommandCluster.of(2, { outboxBytesMax: 4096, ...options }, special);
  fill(cluster.nodes[0], count, 'HSET h', (number) => `field:${number} ${longValue}${number}`);
  cluster.settle();
  return { cluster, wholeBytes: cluster.nodes[0].contentBytes() };
}

describe('comparing the elements of a key', () => {
  const twoOfThem = ['HSET h field:7 new', 'HDEL h field:8'];

  it('sends nothing of them when only the key itself differs', async () => {
    const { cluster } = await hashOn(2000);
    const plain = repairedBytes(cluster, [], []);
    const bytes = repairedBytes(cluster, ['PEXPIREAT h 1800000000000'], []);
    expect(cluster.nodes[1].run('PEXPIRETIME h')).toEqual([':1800000000000\r\n']);
    expect(bytes - plain).toBeLessThan(30_000);
  });

  it.each([
    ['leads', 1],
    ['follows', 2],
  ])('sends whole keys where the node that %s is of an earlier release', async (_name, old) => {
    const { cluster, wholeBytes } = await hashOn(2000, {}, { [old]: { peerVersionHighest: 3 } });
    const bytes = repairedBytes(cluster, twoOfThem, ['HSET h field:9 new']);
    for (const node of cluster.nodes) expect(node.run('HMGET h field:7 field:8 field:9')).toEqual(newAndGone);
    expect(bytes).toBeGreaterThan(2 * wholeBytes);
  });

  it.each([
    ['is not there', ['DEL h']],
    ['is of another type', ['DEL h', 'SADD h member']],
    ['is a string', ['SET h text']],
    ['was made anew', ['DEL h', 'HSET h field:1 new']],
    ['has few elements', ['DEL h', 'HSET h field:1 new', 'HSET h field:2 new']],
  ])('leaves both with the same when the key of one side %s', async (_name, commands) => {
    for (const isFirst of [true, false]) {
      const { cluster } = await hashOn(2000);
      const other = ['HSET h field:9 new', 'HDEL h field:10'];
      repairedBytes(cluster, isFirst ? commands : other, isFirst ? other : commands);
      const asked = ['TYPE h', 'HLEN h', 'HMGET h field:9 field:10 field:11'];
      expect(cluster.nodes[0].run(...asked)).toEqual(cluster.nodes[1].run(...asked));
    }
  });

  it('goes on in small steps, and takes in what is written meanwhile', async () => {
    const { cluster } = await hashOn(3000, { repairElementsMin: 16 });
    const [first, second] = cluster.nodes;
    cluster.apart(() => {
      overflow(first);
      for (let number = 0; number < 3000; number += 5) first.run(`HSET h field:${number} first`);
      for (let number = 0; number < 3000; number += 7) second.run(`HDEL h field:${number}`);
    });
    for (const node of cluster.nodes) node.isSlow = true;
    cluster.meet();
    for (let step = 0; step < 400; step++) {
      cluster.world.time.run(0.5);
      first.run(`HSET h field:${(step * 37) % 3000} again-${step}`);
      second.run(`HDEL h field:${(step * 31) % 3000}`, `HSET h other:${step} value`);
    }
    cluster.settle();
    expect(second.run('HLEN h')).toEqual(first.run('HLEN h'));
  });

  it.each([
    ['deleted', 'DEL h'],
    ['replaced', 'SET h text'],
    ['made anew', 'DEL h;HSET h field:1 anew'],
  ])(
    'bears that the key is %s while it is compared, on either side',
    async (_name, commands) => {
      for (const at of [0, 1]) {
        for (const slice of [1, 3, 5, 6, 7]) {
          const { cluster } = await hashOn(3000, { repairElementsMin: 16 });
          const node = cluster.nodes[at];
          cluster.apart(() => {
            overflow(cluster.nodes[0]);
            cluster.nodes[0].run(...twoOfThem);
            cluster.nodes[1].run('HSET h field:9 new');
          });
          for (const one of cluster.nodes) one.isSlow = true;
          let slices = 0;
          node.onSlice = () => {
            // Before the next slice.
            if (++slices === slice) cluster.world.time.setTimer(0.001, () => node.run(...commands.split(';')));
          };
          cluster.meet();
          cluster.settle();
          expect(slices).toBeGreaterThanOrEqual(slice);
          expect(cluster.nodes[0].run('TYPE h', 'HLEN h')).toEqual(cluster.nodes[1].run('TYPE h', 'HLEN h'));
        }
      }
    },
    slowTestMs,
  );

  it('finds elements of one command whose names have the same hash, though the digest of the key counts neither', async () => {
    const names = ['member:4483', 'member:12873'];
    const hashes = names.map((name) => new Digests().hashElement(32, Buffer.from(name), 0, name.length));
    expect(hashes[0]).toBe(hashes[1]);
    const { cluster, wholeBytes } = await hashOn(2000);
    const bytes = repairedBytes(cluster, [`HSET h ${names[0]} one ${names[1]} two another three`], []);
    expect(cluster.nodes[1].run(`HMGET h ${names.join(' ')} another`)).toEqual([
      '*3\r\n$3\r\none\r\n$3\r\ntwo\r\n$5\r\nthree\r\n',
    ]);
    expect(bytes).toBeLessThan(wholeBytes / 5);
  });

  it('takes many keys in turns', async () => {
    const cluster = await CommandCluster.of(2, { outboxBytesMax: 4096, repairElementsMin: 8 });
    const [first, second] = cluster.nodes;
    for (let key = 0; key < 600; key++) {
      const members = Array.from({ length: 20 }, (_none, number) => `member-${number}`);
      first.run(`SADD set:${key} ${members.join(' ')}`);
    }
    cluster.settle();
    repairedBytes(
      cluster,
      Array.from({ length: 600 }, (_none, key) => `SADD set:${key} new`),
      Array.from({ length: 600 }, (_none, key) => `SREM set:${key} member-3`),
    );
    for (let key = 0; key < 600; key++) {
      expect(second.run(`SMISMEMBER set:${key} new member-3`)).toEqual(['*2\r\n:1\r\n:0\r\n']);
      expect(first.run(`SCARD set:${key}`)).toEqual([':20\r\n']);
    }
  });
});
