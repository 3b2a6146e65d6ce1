/** A turn that is merged in steps leaves what merging it at once does, whatever was there and whatever is written meanwhile. */
import { describe, expect, it } from '@jest/globals';
import { RecordError, RecordReader } from '../../../protocol/change-record.ts';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import type { MergeSource } from '../../../storage/merging/conflicts.ts';
import { TurnAside } from '../../../storage/merging/long-turn.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { editList, type ListEdit } from '../collections/list-edits.ts';
import { Replica } from '../collections/replicas.ts';
import { editStream } from '../collections/stream-edits.ts';

const thisFile = 'test/storage/merging/long-turn.test.ts';
const START_MS = 1_700_000_000_000;
const source: MergeSource = { mayHaveSeen: () => true, isKnown: () => true };
const keys = ['a', 'b'];
const listEdits: ListEdit['do'][] = ['rpush', 'lpush', 'insert', 'set', 'remove'];

interface Edit {
  kind: number;
  key: string;
  name: string;
  value: string;
  at: number;
}

function drawEdit(random: SeededRandom): Edit {
  return {
    kind: random.below(30),
    key: random.pick(keys),
    name: `e${random.below(12)}`,
    value: `v${random.below(50)}`,
    at: random.below(12),
  };
}

function edit(replica: Replica, { kind, key, name, value, at }: Edit, nowMs: number): void {
  if (kind < 7) replica.put(TYPE_HASH, key, name, value);
  else if (kind < 10) replica.put(TYPE_SET, key, name, '');
  else if (kind < 12) replica.remove(at % 2 === 0 ? TYPE_HASH : TYPE_SET, key, name);
  else if (kind < 14) replica.add(TYPE_HASH, key, name, 3);
  else if (kind < 20) editList(replica, { do: listEdits[at % listEdits.length], key, at, value });
  else if (kind < 23)
    editStream(replica, { do: at % 4 === 0 ? 'remove' : 'add', key, at, value, group: '', consumer: '' });
  else if (kind < 26) replica.delete(key);
  else if (kind === 26) replica.set(key, value);
  else if (kind === 27) replica.expireAt(key, nowMs + at * 20);
  else if (kind === 28 && at === 0) replica.flush();
  else replica.fieldExpireAt(key, name, nowMs + at * 20);
}

/** A key that is given many elements at once, sometimes over what it was. */
function makeAnew(replica: Replica, random: SeededRandom, nowMs: number): void {
  const key = random.pick(keys);
  if (random.chance(0.7)) replica.delete(key);
  const kind = random.pick([0, 7, 14, 20]);
  const first = random.below(5);
  for (let index = 0; index < 12; index++) {
    const one = {
      kind,
      key,
      name: `n${first + index}`,
      value: `v${random.below(50)}`,
      at: index % 4 === 0 ? 1 : index % 2,
    };
    edit(replica, one, nowMs);
  }
}

function sorted(records: Buffer): string[] {
  const reader = new RecordReader();
  const found: string[] = [];
  for (let at = 0; at < records.length;) {
    const next = reader.read(records, at);
    // The marks of a turn's first and last record say nothing of the register.
    const copy = Buffer.from(records.subarray(at, next));
    copy.writeUInt16LE(copy.readUInt16LE(6) & ~24, 6);
    found.push(copy.toString('latin1'));
    at = next;
  }
  return [...new Set(found)].sort();
}

/** The records in pieces of whole ones. */
function cut(records: Buffer, random: SeededRandom): Buffer[] {
  const pieces: Buffer[] = [];
  const reader = new RecordReader();
  let from = 0;
  for (let at = 0; at < records.length;) {
    at = reader.read(records, at);
    if (at < records.length && random.chance(0.9)) continue;
    pieces.push(records.subarray(from, at));
    from = at;
  }
  return pieces;
}

describe('a turn that is merged in steps', () => {
  it('leaves what merging it at once does (random)', async () => {
    await withSeed(thisFile, (random) => {
      let given = 0;
      for (let round = 0; round < 250; round++) {
        let nowMs = START_MS;
        const clock = (): number => nowMs;
        const writer = Replica.take(2, clock);
        const [plain, stepped] = [1, 1].map((node) => Replica.take(node, clock));
        const here = (work: (replica: Replica) => void): void => [plain, stepped].forEach(work);
        for (let turn = 0; turn < 3; turn++) {
          for (let count = random.below(6); count > 0; count--) edit(writer, drawEdit(random), nowMs);
          if (random.chance(0.8)) makeAnew(writer, random, nowMs);
          for (let count = random.below(3); count > 0; count--) edit(writer, drawEdit(random), nowMs);
          const records = writer.takeFeed();
          nowMs += random.below(3);
          const limits = { elementsMin: 4, elementsAStep: 1 + random.below(4), check: () => undefined };
          const aside = new TurnAside(stepped.keyspace, cut(records, random), limits);
          while (aside.step()) {
            if (!random.chance(0.05)) continue;
            const own = drawEdit(random);
            here((replica) => edit(replica, own, nowMs));
            stepped.pack();
          }
          const { elements } = stepped.keyspace;
          let written = 0;
          const allocate = elements.allocate.bind(elements);
          elements.allocate = (...args) => {
            written++;
            return allocate(...args);
          };
          aside.finish(source);
          elements.allocate = allocate;
          if (written === 0 && records.length > 0) given++;
          applyRecords(plain.keyspace, records, 0, records.length, source);
          const [merged, mergedAside] = [plain, stepped].map(({ keyspace: { merges } }) => [
            merges.merged,
            merges.lost,
          ]);
          expect(mergedAside).toEqual(merged);
          const state = Buffer.from(plain.takeState());
          expect(sorted(stepped.takeState())).toEqual(sorted(state));
          expect(stepped.view()).toEqual(plain.view());
          expect(stepped.digest()).toBe(plain.digest());
          if (random.chance(0.5)) expect(sorted(stepped.takeStore(300))).toEqual(sorted(plain.takeStore(300)));
          const own = drawEdit(random);
          here((replica) => edit(replica, own, nowMs));
          expect(sorted(stepped.takeFeed())).toEqual(sorted(plain.takeFeed()));
        }
        while (!stepped.keyspace.objects.freeSome(100));
        for (const replica of [writer, plain, stepped]) replica.release();
      }
      expect(given).toBeGreaterThan(60);
    });
  });

  it('is refused whole where a record is malformed, and leaves nothing', () => {
    const [writer, taker] = [2, 1].map((node) => new Replica(node, () => START_MS));
    for (let index = 0; index < 50; index++) writer.put(TYPE_HASH, 'a', `n${index}`, 'v');
    const records = Buffer.from(writer.takeFeed());
    const broken = Buffer.concat([records, records.subarray(0, 20)]);
    const aside = new TurnAside(taker.keyspace, [records, broken], {
      elementsMin: 4,
      elementsAStep: 4,
      check: () => undefined,
    });
    expect(() => {
      while (aside.step());
    }).toThrow(RecordError);
    aside.close();
    expect(taker.view()).toEqual([]);
    expect(taker.keyspace.arena.usedBytes).toBe(0);
  });
});
