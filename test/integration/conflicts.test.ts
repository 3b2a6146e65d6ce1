/** Conflicts between writes of several nodes can be seen: MANTIS WHY, MANTIS CONFLICTS, INFO replication. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RespError, type Reply } from '../support/resp3-parser.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';

const patienceMs = 20_000;

let nodes: ClusterNode[] = [];
let ids: string[] = [];

beforeAll(async () => {
  const options = { args: ['--outbox-bytes-max', '1mb'] };
  const seed = await startNode(null, options);
  nodes = [seed, await startNode(seed, options)];
  await untilMeshed(nodes);
  ids = (await statusOf('node_id')).map((field) => /[0-9a-f]{16}/.exec(field)![0]);
  // Until it has stored something a node takes over the state of one that it is linked with again, and no conflict is seen.
  await write(nodes[0], 'SET', 'first', 'value');
  await waitFor('both to have stored what was written', async () => {
    const [held, reaped] = [await statusOf('held'), await statusOf('reaped')];
    return held.every((stamp, index) => stamp > reaped[1 - index]);
  });
}, 60_000);

/** A field of MANTIS STATUS on both nodes; stamps compare as texts. */
async function statusOf(name: string): Promise<string[]> {
  const states = await Promise.all(nodes.map((node) => node.ask('MANTIS', 'STATUS')));
  return states.map((state) => new RegExp(`^${name}: *(.*)$`, 'm').exec(String(state))![1]);
}

afterAll(() => Promise.all(nodes.map((node) => node.close())));

type Shown = Record<string, unknown>;

/** A reply of names and values, and those in it, as objects. */
function shown(reply: Reply): Shown {
  const flat = reply as Reply[];
  const entries: [string, unknown][] = [];
  for (let index = 0; index < flat.length; index += 2) {
    const value = flat[index + 1]!;
    const isMap = Array.isArray(value) && typeof value[0] === 'string';
    const isList = Array.isArray(value) && !isMap;
    entries.push([String(flat[index]), isMap ? shown(value) : isList ? value.map(shown) : value]);
  }
  return Object.fromEntries(entries);
}

async function why(node: ClusterNode, ...name: string[]): Promise<Shown & { conflicts: Shown[] }> {
  return shown(await node.ask('MANTIS', 'WHY', ...name)) as Shown & { conflicts: Shown[] };
}

async function merges(node: ClusterNode): Promise<Record<string, number>> {
  const text = String(await node.ask('INFO', 'replication'));
  const found = [...text.matchAll(/^(merges|conflicts)_(\w+):(\d+)/gm)];
  return Object.fromEntries(found.map(([, what, name, count]) => [`${what}_${name}`, Number(count)]));
}

async function conflictCount(node: ClusterNode): Promise<number> {
  const { conflicts_won: won, conflicts_lost: lost } = await merges(node);
  return won + lost;
}

/** What each of the first two nodes does while they do not hear of each other, the first one's writes before the other's. */
async function apart(first: () => Promise<unknown>, second: () => Promise<unknown>): Promise<void> {
  expect(await nodes[1].ask('MANTIS', 'LINKS', 'DOWN')).toBe('OK');
  await waitFor('the links to be gone', async () => (await nodes[0].linkedPeers()) === 0);
  await first();
  const writtenAtMs = await timeOf(nodes[0]);
  await waitFor('a later millisecond', async () => (await timeOf(nodes[1])) > writtenAtMs + 1);
  await second();
  expect(await nodes[1].ask('MANTIS', 'LINKS', 'UP')).toBe('OK');
  await untilMeshed(nodes);
  await untilAgreed(nodes);
}

async function write(node: ClusterNode, ...words: string[]): Promise<void> {
  expect(await node.ask(...words)).not.toBeInstanceOf(RespError);
}

/** The node's clock in milliseconds. */
async function timeOf(node: ClusterNode): Promise<number> {
  const [seconds, micros] = (await node.ask('TIME')) as string[];
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

describe('conflicts', () => {
  it('none are seen where each write knows of the one before', async () => {
    const before = await Promise.all(nodes.map(conflictCount));
    for (let round = 0; round < 20; round++) {
      const node = nodes[round % 2];
      await write(node, 'SET', 'passed on', String(round));
      await write(node, 'HSET', 'passed on too', 'field', String(round));
      await write(node, 'SADD', 'passed on as well', 'member');
      expect(await node.ask('WAIT', 1, patienceMs)).toBe(1);
    }
    expect(await Promise.all(nodes.map(conflictCount))).toEqual(before);
    const { state, node, conflicts } = await why(nodes[0], 'passed on');
    expect({ state, node, conflicts }).toEqual({ state: 'string', node: ids[1], conflicts: [] });
  });

  it('of two values set at once both nodes show which lost', async () => {
    const before = await Promise.all(nodes.map(merges));
    await apart(
      () => write(nodes[0], 'SET', 'contested', 'earlier'),
      () => write(nodes[1], 'SET', 'contested', 'later'),
    );
    for (const asked of nodes) {
      expect(await asked.ask('GET', 'contested')).toBe('later');
      const { state, node, time, conflicts } = await why(asked, 'contested');
      expect({ state, node }).toEqual({ state: 'string', node: ids[1] });
      expect(Math.abs(Date.parse(String(time)) - Date.now())).toBeLessThan(60_000);
      expect(conflicts).toHaveLength(1);
      expect(conflicts[0]).toMatchObject({
        kind: 'value',
        key: 'contested',
        winner: { node: ids[1], removal: 0 },
        loser: { node: ids[0], removal: 0 },
      });
    }
    const after = await Promise.all(nodes.map(merges));
    const grown = after.map((counts, index) =>
      Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count - before[index][name]])),
    );
    expect(grown[0]).toMatchObject({ conflicts_lost: 1, conflicts_won: 0, merges_won: 1 });
    expect(grown[1]).toMatchObject({ conflicts_lost: 0, conflicts_won: 1 });
    expect(grown[1]['merges_lost']).toBeGreaterThan(0);
  });

  it('are shown for elements, for increments that a SET has ended, and for types', async () => {
    await write(nodes[0], 'HSET', 'hash', 'field', 'old');
    await write(nodes[0], 'SET', 'count', '10');
    expect(await nodes[0].ask('WAIT', 1, patienceMs)).toBe(1);
    await apart(
      async () => {
        await write(nodes[0], 'HSET', 'hash', 'field', 'earlier', 'other', 'alone');
        await write(nodes[0], 'INCRBY', 'count', '5');
        await write(nodes[0], 'SADD', 'typed', 'member');
        await write(nodes[0], 'INCR', 'added');
      },
      async () => {
        await write(nodes[1], 'HSET', 'hash', 'field', 'later');
        await write(nodes[1], 'SET', 'count', '20');
        await write(nodes[1], 'SET', 'typed', 'text');
        await write(nodes[1], 'INCR', 'added');
      },
    );
    for (const node of nodes) {
      const field = await why(node, 'hash', 'field');
      expect(field).toMatchObject({ state: 'hash', node: ids[1] });
      expect(field.conflicts).toMatchObject([
        { kind: 'element', key: 'hash', element: 'field', loser: { node: ids[0] } },
      ]);
      expect((await why(node, 'hash', 'other')).conflicts).toEqual([]);
      expect((await why(node, 'hash')).conflicts).toHaveLength(1);
      const [increment] = (await why(node, 'count')).conflicts;
      expect(increment).toMatchObject({ kind: 'increment', winner: { node: ids[1] }, loser: { node: ids[0] } });
      const [type] = (await why(node, 'typed')).conflicts;
      expect(type).toMatchObject({ kind: 'type', winner: { node: ids[1] }, loser: { node: ids[0] } });
      const added = await why(node, 'added');
      expect(added.conflicts).toEqual([]);
      const increments = added['increments'] as Shown[];
      expect(increments.map(({ node: by, sum }) => [by, sum]).sort()).toEqual(
        [ids[0], ids[1]].map((id) => [id, '1']).sort(),
      );
    }
  });

  it('of a removal and a write are shown, of two removals not', async () => {
    await write(nodes[0], 'MSET', 'removed', '1', 'removed twice', '1');
    expect(await nodes[0].ask('WAIT', 1, patienceMs)).toBe(1);
    await apart(
      () => write(nodes[0], 'SET', 'removed', 'again'),
      async () => {
        await write(nodes[1], 'DEL', 'removed', 'removed twice');
      },
    );
    const { state, node, conflicts } = await why(nodes[0], 'removed');
    expect({ state, node }).toEqual({ state: 'removed', node: ids[1] });
    expect(conflicts).toMatchObject([{ winner: { removal: 1 }, loser: { removal: 0, node: ids[0] } }]);
    expect((await why(nodes[0], 'removed twice')).conflicts).toEqual([]);
  });

  it('are listed, the newest first, as many as conflict-log-max-len says', async () => {
    const all = (await nodes[0].ask('MANTIS', 'CONFLICTS', 100)) as Reply[];
    expect(all.length).toBeGreaterThan(3);
    expect(shown(all[0])).toMatchObject({ key: 'removed' });
    expect((await nodes[0].ask('MANTIS', 'CONFLICTS', 2)) as Reply[]).toEqual(all.slice(0, 2));
    await nodes[0].ask('CONFIG', 'SET', 'conflict-log-max-len', '3');
    expect((await nodes[0].ask('MANTIS', 'CONFLICTS')) as Reply[]).toEqual(all.slice(0, 3));
    expect((await why(nodes[0], 'contested')).conflicts).toEqual([]);
    await nodes[0].ask('CONFIG', 'RESETSTAT');
    expect(await conflictCount(nodes[0])).toBe(0);
  });

  it('are found by a repair too, when a partition was longer than the outbox remembers', async () => {
    await nodes[0].ask('CONFIG', 'SET', 'conflict-log-max-len', '128');
    // More than the outbox holds, in turns of their own.
    const fill = async (node: ClusterNode, name: string): Promise<void> => {
      await write(node, 'SET', 'both', name);
      for (let round = 0; round < 4; round++) await write(node, 'SET', `${name} ${round}`, 'x'.repeat(500_000));
    };
    await apart(
      () => fill(nodes[0], 'earlier'),
      () => fill(nodes[1], 'later'),
    );
    for (const node of nodes) expect(await node.ask('GET', 'both')).toBe('later');
    // The other node never hears of a write that was gone when the repair came to it.
    const both = [{ winner: { node: ids[1] }, loser: { node: ids[0] } }];
    expect((await why(nodes[0], 'both')).conflicts).toMatchObject(both);
  });
});

describe('MANTIS WHY', () => {
  it('tells of deadlines, of keys that never were, and of what it cannot tell', async () => {
    await write(nodes[0], 'SET', 'short', 'lived', 'PX', '100000');
    expect(await why(nodes[0], 'short')).toMatchObject({ state: 'string', deadline: { node: ids[0] } });
    // Later than any date that has a name.
    await write(nodes[0], 'SET', 'for ever', 'kept', 'PXAT', '9000000000000000');
    expect(await why(nodes[0], 'for ever')).toMatchObject({ deadline: { until: '9000000000000000', node: ids[0] } });
    expect(await why(nodes[0], 'never', 'was')).toEqual({ state: 'none', conflicts: [] });
    await write(nodes[0], 'SADD', 'set', 'member');
    expect(await why(nodes[0], 'set', 'absent')).toEqual({ state: 'none', conflicts: [] });
    await write(nodes[0], 'SREM', 'set', 'member');
    expect(await why(nodes[0], 'set', 'member')).toMatchObject({ state: 'removed' });
    await write(nodes[0], 'RPUSH', 'list', 'a');
    expect(await nodes[0].ask('MANTIS', 'WHY', 'list', 'a')).toBeInstanceOf(RespError);
    expect(await nodes[0].ask('MANTIS', 'WHY', 'a', 'b', 'c')).toBeInstanceOf(RespError);
    await write(nodes[0], 'SET', 'gone', 'soon', 'PX', '1');
    await waitFor('it to expire', async () => (await nodes[0].ask('GET', 'gone')) === null);
    expect(await why(nodes[0], 'gone')).toMatchObject({ state: 'expired' });
    await write(nodes[0], 'HINCRBY', 'counts', 'field', '3');
    const { increments } = (await why(nodes[0], 'counts', 'field')) as unknown as { increments: Shown[] };
    expect(increments).toMatchObject([{ sum: '3', node: ids[0] }]);
  });
});
