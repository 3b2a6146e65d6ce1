/** Keys are evicted and blocks are moved while values of other and other sizes are written: what is left is what was written. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { freeBuffersAtOnce } from '../../../protocol/free-buffer.ts';
import { allCommands } from '../../../server/commands/all.ts';
import { MemoryGuard } from '../../../server/memory/memory-guard.ts';
import type { ProcessMemory } from '../../../server/memory/process-memory.ts';
import { installPacking } from '../../../storage/collections/packing.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const FILE = 'test/server/memory/evicted-values.test.ts';
const START_MS = 1_700_000_000_000;
const MEBIBYTE = 1 << 20;
const KEYS = 40_000;
const TURNS = 200;
const COMMANDS_A_TURN = 250;
/** What passes between two looks at the clock. */
const LOOK_MS = 0.05;

/** So many bytes that only this version of this key has. */
function valueOf(key: string, version: number, bytes: number): string {
  const mark = `${key}/${version};`;
  return mark.repeat(Math.ceil(bytes / mark.length)).slice(0, bytes);
}

interface Written {
  command: string[];
  /** How the key is read, and the reply to that. */
  reader: string[];
  reply: string;
}

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
const list = (items: string[]): string => `*${items.length}\r\n${items.map(bulk).join('')}`;

/** Of every ten keys one is a hash and one a sorted set; one in a hundred strings is too long for a block. */
function write(random: SeededRandom, index: number, version: number, bytes: number): Written {
  const key = `key:${index}`;
  if (index % 10 === 3) {
    const items = ['a', valueOf(key, version, bytes >> 3), 'b', valueOf(key, version, 9)];
    return { command: ['HSET', key, ...items], reader: ['HMGET', key, 'a', 'b'], reply: list([items[1], items[3]]) };
  }
  if (index % 10 === 6) {
    const score = String(version);
    return {
      command: ['ZADD', key, score, `${key}.`],
      reader: ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
      reply: list([`${key}.`, score]),
    };
  }
  const value = valueOf(key, version, random.chance(0.01) ? 33_000 + random.below(60_000) : bytes);
  return { command: ['SET', key, value], reader: ['GET', key], reply: bulk(value) };
}

describe('what is left under maxmemory', () => {
  afterEach(() => freeBuffersAtOnce(false));

  it('has the values that were written last, whatever was evicted and moved meanwhile', async () => {
    await withSeed(FILE, (random) => {
      let monotonicMs = 0;
      let nowMs = START_MS;
      const settings = { maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lru' };
      const { client, dispatcher, keyspace, node } = new CommandHarness(allCommands, {
        settings,
        wallClockMs: () => nowMs,
        monotonicMs: () => (monotonicMs += LOOK_MS),
      });
      node.random = () => random.fraction();
      installPacking(keyspace);
      let grown = (): number => 0;
      const process: ProcessMemory = {
        growthBytes: () => grown(),
        noteEmpty: () => {},
        collect: () => {},
        limitNewSpace: () => {},
      };
      let deferred: (() => void)[] = [];
      const guard = new MemoryGuard(node, (work) => void deferred.push(work), process);
      dispatcher.memory = guard;
      // Garbage comes and goes.
      grown = () => guard.bound.residentBytes + random.below(2 * MEBIBYTE);
      const written = new Map<string, Written>();
      let segmentsMost = 0;
      for (let turn = 0; turn < TURNS; turn++) {
        if (turn % 40 === 20) client.run('CONFIG', 'SET', 'maxmemory', turn % 80 === 20 ? '34mb' : '64mb');
        for (let index = 0; index < COMMANDS_A_TURN; index++) {
          const at = random.below(KEYS);
          if (random.chance(0.02)) {
            client.run('DEL', `key:${at}`);
            written.delete(`key:${at}`);
            continue;
          }
          const version = turn * COMMANDS_A_TURN + index;
          const one = write(random, at, version, 1000 + random.below(500) + Math.floor((2000 * turn) / TURNS));
          expect(client.run(...one.command).toString('latin1')).not.toContain('-');
          written.set(one.command[1], one);
        }
        const work = deferred;
        deferred = [];
        for (const one of work) one();
        guard.relieveSoon();
        if (turn % 10 === 0) keyspace.objects.packSome(500);
        nowMs += 20;
        monotonicMs += 20;
        keyspace.clock.refresh();
        keyspace.updateAccessClock(false);
        segmentsMost = Math.max(segmentsMost, keyspace.arena.bytes.filter(({ length }) => length > 0).length);
      }
      // Nothing is evicted while what is left is looked at.
      dispatcher.memory = null;
      let left = 0;
      for (const [key, { reader, reply }] of written) {
        if (client.run('EXISTS', key).toString() === ':0\r\n') continue;
        left++;
        expect(client.run(...reader).toString('latin1')).toBe(reply);
      }
      expect(Number(client.run('DBSIZE').toString().slice(1))).toBe(left);
      expect(left).toBeGreaterThan(2000);
      // It has happened, all of it.
      expect(keyspace.evictedKeys).toBeGreaterThan(5000);
      expect(guard.bound.compaction.moved).toBeGreaterThan(5000);
      expect(keyspace.arena.droppedBytes).toBeGreaterThan(0);
      expect(segmentsMost).toBeLessThan(9);
    });
  }, 120_000);
});
