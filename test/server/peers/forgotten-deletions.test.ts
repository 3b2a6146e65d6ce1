/**
 * Nodes forget deletions each for itself. Whatever is written where one has forgotten and another one has not, of every type and in
 * whatever order it arrives: all come to the same, which is what they come to when nobody ever forgets.
 */
import { expect, it } from '@jest/globals';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { type Command, ForgetfulNodes } from './forgetful-nodes.ts';

const testFile = 'test/server/peers/forgotten-deletions.test.ts';
const NODES = 3;
const SCHEDULES = 450;
/** Schedules for which the same nodes are used: what stays of them makes sweeps longer. */
const SCHEDULES_A_WORLD = 150;

type Maker = (random: SeededRandom, key: string, other: string, lifeMs: number) => Command;

const name = (random: SeededRandom): string => random.pick(['f', 'f', 'g']);
const number = (random: SeededRandom): string => String(1 + random.below(9));
const ms = (random: SeededRandom, lifeMs: number): string => String(lifeMs + random.below(8));

const families: Record<string, Maker[]> = {
  string: [
    (random, key) => ['SET', key, number(random)],
    (random, key, _other, lifeMs) => ['SET', key, number(random), 'PX', ms(random, lifeMs)],
    (random, key) => ['SET', key, number(random), 'KEEPTTL'],
    (random, key) => ['APPEND', key, number(random)],
    (random, key) => ['SETRANGE', key, '1', number(random)],
    (random, key) => ['SETBIT', key, number(random), '1'],
    (random, key, _other, lifeMs) => ['GETEX', key, 'PX', ms(random, lifeMs)],
    (_random, key) => ['GETEX', key, 'PERSIST'],
    (_random, key) => ['GETDEL', key],
  ],
  counter: [
    (random, key) => ['INCRBY', key, number(random)],
    (random, key) => ['INCRBY', key, number(random)],
    (random, key) => ['DECRBY', key, number(random)],
    (random, key) => ['INCRBYFLOAT', key, `${number(random)}.5`],
    (random, key) => ['SET', key, number(random)],
  ],
  hash: [
    (random, key) => ['HSET', key, name(random), number(random)],
    (random, key) => ['HINCRBY', key, name(random), number(random)],
    (random, key) => ['HINCRBY', key, name(random), number(random)],
    (random, key) => ['HINCRBYFLOAT', key, name(random), `${number(random)}.5`],
    (random, key) => ['HDEL', key, name(random)],
    (random, key, _other, lifeMs) => ['HPEXPIRE', key, ms(random, lifeMs), 'FIELDS', '1', name(random)],
    (random, key, _other, lifeMs) => ['HPEXPIRE', key, ms(random, lifeMs), 'FIELDS', '2', name(random), name(random)],
    (random, key) => ['HPERSIST', key, 'FIELDS', '1', name(random)],
  ],
  set: [
    (random, key) => ['SADD', key, name(random)],
    (random, key) => ['SREM', key, name(random)],
    (random, key, other) => ['SMOVE', key, other, name(random)],
  ],
  sortedSet: [
    (random, key) => ['ZADD', key, number(random), name(random)],
    (random, key) => ['ZINCRBY', key, number(random), name(random)],
    (random, key) => ['ZREM', key, name(random)],
    (_random, key) => ['ZPOPMIN', key],
  ],
  list: [
    (random, key) => ['LPUSH', key, number(random)],
    (random, key) => ['RPUSH', key, number(random), number(random)],
    (_random, key) => ['LPOP', key],
    (random, key) => ['LSET', key, '0', number(random)],
    (random, key) => ['LREM', key, '0', number(random)],
  ],
  stream: [
    (random, key) => ['XADD', key, '*', 'n', number(random)],
    (_random, key) => ['XGROUP', 'CREATE', key, 'group', '0', 'MKSTREAM'],
    (_random, key) => ['XTRIM', key, 'MAXLEN', '1'],
    (_random, key) => ['XREADGROUP', 'GROUP', 'group', 'reader', 'STREAMS', key, '>'],
  ],
  hyperLogLog: [
    (random, key) => ['PFADD', key, number(random), number(random)],
    (_random, key, other) => ['PFMERGE', key, other],
  ],
};

/** What is done to keys of any type. */
const anyKey: Maker[] = [
  (_random, key) => ['DEL', key],
  (_random, key) => ['DEL', key],
  (_random, key) => ['DEL', key],
  (random, key, _other, lifeMs) => ['PEXPIRE', key, ms(random, lifeMs)],
  (_random, key) => ['PERSIST', key],
  (_random, key, other) => ['RENAME', key, other],
  (_random, key, other) => ['COPY', key, other, 'REPLACE'],
];

const pairs = Array.from(
  { length: NODES * NODES },
  (_none, at) => [Math.floor(at / NODES), at % NODES] as const,
).filter(([from, to]) => from !== to);

/** Keys that are written, and how long what is given a deadline lives at least. */
interface Plan {
  readonly keys: readonly string[];
  readonly lifeMs: number;
}

interface Step {
  readonly text: string;
  readonly run: (world: ForgetfulNodes, isForgetful: boolean) => unknown;
}

/** Of a key, or of something in it. */
const removals: Maker[] = [
  (_random, key) => ['DEL', key],
  (_random, key) => ['DEL', key],
  (_random, key, other) => ['DEL', key, other],
  (random, key) => ['HDEL', key, name(random)],
  (random, key) => ['SREM', key, name(random)],
  (random, key) => ['ZREM', key, name(random)],
  (_random, key) => ['LPOP', key],
  (_random, key) => ['XTRIM', key, 'MAXLEN', '0'],
];

function write(random: SeededRandom, makers: readonly Maker[], { keys, lifeMs }: Plan): Step {
  const [key, other] = random.chance(0.8) ? keys : [...keys].reverse();
  const command = random.pick(random.chance(0.2) ? anyKey : makers)(random, key, other, lifeMs);
  const node = random.below(NODES);
  return { text: `n${node} ${command.join(' ')}`, run: ({ nodes }) => nodes[node].run(command) };
}

function meet(random: SeededRandom, { keys }: Plan): Step {
  const order = random.shuffle(pairs);
  return { text: 'all meet', run: (world) => world.meet(order, keys) };
}

function deliver(random: SeededRandom): Step {
  const [from, to] = random.pick(pairs);
  return { text: `n${to} hears n${from}`, run: (world) => world.deliver(from, to) };
}

function pass(random: SeededRandom): Step {
  const passedMs = random.pick([1, 3, 10]);
  return { text: `${passedMs} ms pass`, run: (world) => void (world.nowMs += passedMs) };
}

/** Some of the nodes forget, and not all. */
function forget(random: SeededRandom): Step[] {
  const first = random.below(NODES);
  const who = random.chance(0.5) ? [first] : [first, (first + 1) % NODES];
  return who.map((node) => ({
    text: `n${node} forgets`,
    run: (world, isForgetful) => {
      if (isForgetful) world.forget(node);
      else world.nowMs += 3;
    },
  }));
}

function scheduleOf(random: SeededRandom, plan: Plan): Step[] {
  const family = (): Maker[] => random.pick(Object.values(families));
  const first = family();
  const steps: Step[] = [];
  for (let round = 1 + random.below(3); round > 0; round--) {
    const makers = random.chance(0.7) ? first : family();
    for (let left = 1 + random.below(4); left > 0; left--) {
      steps.push(write(random, makers, plan));
      steps.push(random.pick([deliver, deliver, pass, (given: SeededRandom) => meet(given, plan)])(random));
    }
    steps.push(meet(random, plan));
    if (random.chance(0.7)) steps.push(write(random, removals, plan), meet(random, plan));
    steps.push(...forget(random));
    for (let left = 1 + random.below(4); left > 0; left--) {
      steps.push(write(random, random.chance(0.8) ? makers : family(), plan));
      if (random.chance(0.4)) steps.push(random.chance(0.5) ? deliver(random) : pass(random));
    }
    steps.push(meet(random, plan));
  }
  return steps;
}

function shownBy({ nodes }: ForgetfulNodes, keys: readonly string[]): string[][] {
  return nodes.map((node) => keys.map((key) => node.shown(key)));
}

/** What several nodes push at once to a list is in the order of nodes, which is not said. */
function inAnyOrder(shown: string): string {
  return shown.startsWith('list') ? [...shown].sort().join('') : shown;
}

/** Runs a schedule on nodes that forget, and on some that do not. */
function compare(random: SeededRandom, forgetful: ForgetfulNodes, remembering: ForgetfulNodes, plan: Plan): void {
  const { keys } = plan;
  const trace: string[] = [];
  for (const { text, run } of scheduleOf(random, plan)) {
    const replies = [run(forgetful, true), run(remembering, false)].map((reply) => JSON.stringify(reply));
    trace.push(`${text}  → ${replies.join(' / ')}`);
    if (text !== 'all meet') continue;
    const [expected] = shownBy(remembering, keys);
    const shown = shownBy(forgetful, keys);
    const isAlike = [forgetful, remembering].every((world) => keys.every((key) => world.isAlike(key)));
    if (isAlike && shown.every((each) => each.join() === expected.join())) continue;
    const [first] = shown;
    const isReordered = expected.map(inAnyOrder).join() === first.map(inAnyOrder).join();
    // From here on the two pop different elements.
    if (isAlike && isReordered && shown.every((each) => each.join() === first.join())) return;
    const what = isAlike ? 'nodes that forget (+) show something else' : 'nodes show different things';
    throw new Error(
      [what, ...trace, `- ${expected.join('; ')}`, ...shown.map((each) => `+ ${each.join('; ')}`)].join('\n'),
    );
  }
}

it.each([
  ['a deletion was forgotten', 1_000_000_000],
  ['a deletion, or what had lapsed, was forgotten', 1],
])('what is written where %s comes to what it would if nothing was', (_what, lifeMs) =>
  withSeed(testFile, (random) => {
    for (let done = 0; done < SCHEDULES; done += SCHEDULES_A_WORLD) {
      const forgetful = new ForgetfulNodes(NODES);
      const remembering = new ForgetfulNodes(NODES);
      for (let index = 0; index < SCHEDULES_A_WORLD; index++) {
        compare(random, forgetful, remembering, { keys: [`a${index}`, `b${index}`], lifeMs });
      }
      // Changes alone bring all to the same: no comparison has to find what they left.
      if (lifeMs > 1) expect([forgetful.repairs, remembering.repairs]).toEqual([0, 0]);
    }
  }),
);
