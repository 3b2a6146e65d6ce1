/** The small parts that links are made of. */
import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { FRAME_FLAG_MORE, FRAME_PART_BYTES } from '../../../protocol/peer-frame.ts';
import { stampHiOf, stampLoOf } from '../../../protocol/stamp.ts';
import { checkProofs, prove } from '../../../replication/links/handshake.ts';
import { KeyTable } from '../../../replication/repair/key-table.ts';
import { Outbox } from '../../../replication/stream/outbox.ts';
import { StreamProgress } from '../../../replication/stream/progress.ts';
import { RepairRate } from '../../../replication/repair/repair.ts';
import { fillSettings } from '../../../replication/settings.ts';
import { StreamReceiver } from '../../../replication/stream/stream.ts';
import fc from '../../support/properties.ts';
import { ModelReplica } from '../model-replica.ts';

const at = (lo: number): { hi: number; lo: number } => ({ hi: 1, lo });

describe('Outbox', () => {
  it('holds what fits, and says what it no longer holds', () => {
    const outbox = new Outbox(3000);
    expect(outbox.sequenceAfter({ hi: 0, lo: 0 })).toBe(0);
    for (let turn = 1; turn <= 100; turn++) outbox.append(Buffer.alloc(50), at(turn));
    expect(outbox.bytes).toBeLessThanOrEqual(3000);
    const held = outbox.nextSequence - outbox.firstSequence;
    expect(outbox.droppedFrames).toBe(100 - held);
    expect(outbox.sequenceAfter(at(100))).toBe(100);
    expect(outbox.sequenceAfter(at(99))).toBe(99);
    expect(outbox.sequenceAfter(at(100 - held))).toBe(outbox.firstSequence);
    expect(outbox.sequenceAfter(at(100 - held - 1))).toBe(-1);
    expect(outbox.bytesFrom(99)).toBe(outbox.frameAt(99).length);
    outbox.trim(at(99));
    expect(outbox.firstSequence).toBe(99);
    expect(outbox.sequenceAfter(at(98))).toBe(-1);
    outbox.trim(at(100));
    expect([outbox.bytes, outbox.bytesFrom(outbox.nextSequence)]).toEqual([0, 0]);
  });

  it('uses the memory of frames again, and never that of one that is held', () => {
    const sizes = fc.array(fc.oneof(fc.nat(300), fc.nat(20_000), fc.nat(200_000)), { minLength: 50, maxLength: 120 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 20 }), (lengths, heldMax) => {
        const outbox = new Outbox(1 << 30);
        const expected: Buffer[] = [];
        const memories = new Set<ArrayBufferLike>();
        for (const [index, length] of lengths.entries()) {
          outbox.append(Buffer.alloc(length, index), at(index + 1));
          const frame = outbox.frameAt(index);
          expected.push(Buffer.from(frame));
          if (length < 20_000) memories.add(frame.buffer);
          if (index >= heldMax) outbox.trim(at(index + 1 - heldMax));
          for (let sequence = outbox.firstSequence; sequence < outbox.nextSequence; sequence++)
            expect(outbox.frameAt(sequence).equals(expected[sequence])).toBe(true);
        }
        // Twenty frames of at most 20,000 bytes, and as many between them, lie in two slabs or three.
        expect(memories.size).toBeLessThanOrEqual(10);
      }),
      { numRuns: 15 },
    );
  });

  it('grows its ring without losing the order', () => {
    const outbox = new Outbox(1 << 20);
    for (let turn = 1; turn <= 40; turn++) outbox.append(Buffer.alloc(1), at(turn));
    outbox.trim(at(30));
    for (let turn = 41; turn <= 300; turn++) outbox.append(Buffer.alloc(1), at(turn));
    for (let sequence = outbox.firstSequence; sequence < outbox.nextSequence; sequence++) {
      expect(outbox.stampAt(sequence)).toEqual(at(sequence + 1));
    }
  });

  it('splits a long turn, and keeps nothing that was skipped', () => {
    const outbox = new Outbox(1 << 26);
    outbox.skip(at(5));
    expect(outbox.sequenceAfter(at(4))).toBe(-1);
    expect(outbox.sequenceAfter(at(5))).toBe(0);
    outbox.append(Buffer.alloc(2 * FRAME_PART_BYTES + 1), at(6));
    expect([0, 1, 2].map((sequence) => outbox.frameAt(sequence)[10] & FRAME_FLAG_MORE)).toEqual([1, 1, 0]);
    expect(outbox.last).toEqual(at(6));
    expect(outbox.append(Buffer.alloc(1), at(6))).toEqual(at(7));
    expect(outbox.skip({ hi: 1, lo: 0xffffffff })).toEqual(at(0xffffffff));
    expect(outbox.skip(at(3))).toEqual({ hi: 2, lo: 0 });
  });

  it('drops even a single turn that is over its bound', () => {
    const outbox = new Outbox(1000);
    outbox.append(Buffer.alloc(5000), at(1));
    expect([outbox.bytes, outbox.sequenceAfter(at(0)), outbox.sequenceAfter(at(1))]).toEqual([0, -1, 1]);
  });
});

describe('StreamProgress', () => {
  it('reaches the end of a chain in whatever order its turns come, if a repair covers what was lost', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 60 }),
        fc.integer({ min: 0, max: 20 }),
        (order, cover) => {
          const progress = new StreamProgress();
          const seen = new Set<number>();
          for (const turn of order) {
            progress.advance(at(turn - 1), at(turn));
            seen.add(turn);
            // Never beyond the first turn that is missing.
            let unbroken = 0;
            while (seen.has(unbroken + 1)) unbroken++;
            const { applied } = progress;
            if (unbroken > 0) expect(applied.hi === 0 ? 0 : applied.lo).toBeLessThanOrEqual(unbroken);
          }
          progress.cover(at(cover));
          const highest = Math.max(cover, ...order);
          expect(progress.has(at(cover))).toBe(true);
          if (progress.applied.lo !== highest) progress.cover(at(highest));
          expect([progress.applied, progress.hasGap]).toEqual([at(highest), false]);
        },
      ),
    );
  });

  it('joins the tail when the repair reaches its beginning', () => {
    const progress = new StreamProgress();
    progress.advance(at(0), at(1));
    expect(progress.hasGap).toBe(true);
    progress.cover(at(1));
    progress.advance(at(4), at(5));
    progress.advance(at(5), at(6));
    progress.cover(at(3));
    expect([progress.applied, progress.hasGap]).toEqual([at(3), true]);
    progress.cover(at(4));
    expect([progress.applied, progress.hasGap]).toEqual([at(6), false]);
    progress.startAt(at(9));
    expect([progress.applied, progress.hasGap]).toEqual([at(6), true]);
  });
});

describe('KeyTable', () => {
  it('agrees with a Map', () => {
    const hash = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 0xffffffff }));
    fc.assert(
      fc.property(fc.array(fc.tuple(hash, fc.nat(5)), { maxLength: 1500 }), fc.integer(), (entries, seed) => {
        const table = new KeyTable(seed, true, seed % 2 === 0 ? 0 : 2000);
        const map = new Map<string, number>();
        for (const [[hi, lo], digest] of entries) {
          table.set(hi, lo, 0, digest);
          map.set(`${hi} ${lo}`, digest);
        }
        expect(table.size).toBe(map.size);
        let unmatched = 0;
        for (const [key, digest] of map) {
          const [hi, lo] = key.split(' ').map(Number) as [number, number];
          expect(table.has(hi, lo)).toBe(true);
          expect(table.match(hi, lo, 1, digest)).toBe(false);
          if (digest === 0) expect(table.match(hi, lo, 0, digest)).toBe(true);
          else unmatched++;
        }
        const left = Array.from({ length: KeyTable.shardCount }, (_unused, shard) => table.unmatched(shard).length);
        expect(left.reduce((sum, count) => sum + count, 0)).toBe(unmatched * 2);
        expect(table.match(9, 9, 0, 0)).toBe(false);
      }),
      { numRuns: 20 },
    );
  });
});

describe('the proofs of the secret', () => {
  const transcript = { dialed: Buffer.from('one'), accepted: Buffer.from('two') };

  it('are accepted for either of two secrets, and only in the role and over the words they were made for', () => {
    expect(checkProofs(['new', 'old'], 'dial', transcript, prove(['old'], 'dial', transcript))).toBeNull();
    expect(checkProofs(['old'], 'dial', transcript, prove(['new', 'old'], 'dial', transcript))).toBeNull();
    expect(checkProofs(['old'], 'accept', transcript, prove(['old'], 'dial', transcript))).toContain('not the same');
    const other = { dialed: Buffer.from('onet'), accepted: Buffer.from('wo') };
    expect(checkProofs(['old'], 'dial', other, prove(['old'], 'dial', transcript))).toContain('not the same');
    expect(checkProofs([], 'dial', transcript, [])).toBeNull();
    expect(checkProofs([], 'dial', transcript, prove(['old'], 'dial', transcript))).toContain('the other has none');
  });

  it('are those that every release must make', () => {
    expect(prove(['secret'], 'dial', transcript)[0].toString('hex')).toBe(
      'f6697981ce1bec20e5246835ab36e4bde32778bbfa96fdcd5481855578edfeb7',
    );
  });
});

describe('RepairRate', () => {
  it('lets through what the rate allows, with a tenth of a second in stock', () => {
    const rate = new RepairRate(1000, 0);
    let sent = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 5) {
      if (!rate.isReady(nowMs)) continue;
      rate.spend(50);
      sent += 50;
    }
    expect(sent).toBeGreaterThan(9_900);
    expect(sent).toBeLessThan(10_250);
    expect(new RepairRate(0, 0).isReady(0)).toBe(true);
  });
});

describe('fillSettings', () => {
  it('refuses a frame bound below what nodes send', () => {
    expect(() => fillSettings({ nodeId: at(1), port: 0, frameBytesMax: 1000 }, at(2))).toThrow(
      'at least 2097152 bytes',
    );
  });
});

describe('StreamReceiver', () => {
  it('has the clock at the stamp of a turn before it merges the records, which may carry earlier ones', () => {
    const nowMs = 1_700_000_000_000;
    const stampAt = (ms: number): { hi: number; lo: number } => ({ hi: stampHiOf(ms), lo: stampLoOf(ms, 0) });
    const removed = stampAt(nowMs - 5000);
    const turn = stampAt(nowMs + 1000);
    const replica = new ModelReplica({ hi: 0, lo: 1 }, () => nowMs);
    const clocks: { hi: number; lo: number }[] = [];
    const merge = replica.applyRecords.bind(replica);
    replica.applyRecords = (records, start, end) => {
      clocks.push(replica.currentStamp());
      merge(records, start, end);
    };
    const settings = {
      maxClockDriftMs: 60_000,
      turnBytesMax: 1 << 20,
      longTurns: { elementsMin: 100, elementsAStep: 100 },
    };
    const source = { mayHaveSeen: () => false, isKnown: () => false };
    const none = { hi: 0, lo: 0 };
    const receiver = new StreamReceiver(replica, new StreamProgress(), settings, { hi: 0, lo: 2 }, none, source, none);
    receiver.start({ ...removed, flag: false });
    const writer = new RecordWriter();
    const key = Buffer.from('key');
    writer.begin(1, 1, removed.hi, removed.lo, 0, 2, 0, key, 0, key.length);
    writer.end();
    const frame = Buffer.concat([Buffer.alloc(16), writer.take()]);
    [turn.hi, turn.lo, removed.hi, removed.lo].forEach((word, at) => frame.writeUInt32BE(word, at * 4));
    expect(receiver.records(0, frame, 0, frame.length)).toBe(true);
    expect(clocks).toEqual([turn]);
  });
});
