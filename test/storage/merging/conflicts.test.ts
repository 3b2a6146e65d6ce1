import { describe, expect, it } from '@jest/globals';
import { type Conflict, ConflictLog } from '../../../storage/merging/conflicts.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { drainFeed } from '../../../storage/changes/outflow.ts';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { Replica } from '../replica.ts';

function conflict(number: number, key = 'key', element: string | null = null): Conflict {
  const side = { stampHi: 1, stampLo: number, writerHi: 1, writerLo: 1, isRemoval: false };
  const name = Buffer.from(key);
  return {
    atMs: number,
    kind: 'value',
    database: 0,
    key: name.subarray(0, 1024),
    keyLength: name.length,
    element: element === null ? null : Buffer.from(element),
    elementLength: element === null ? 0 : Buffer.byteLength(element),
    winner: side,
    loser: { ...side, writerLo: 2 },
  };
}

function numbers(log: ConflictLog, count = Infinity): number[] {
  return log.newest(count).map(({ atMs }) => atMs);
}

describe('the log of conflicts', () => {
  it('keeps the newest, as many as it is told to', () => {
    const log = new ConflictLog(3);
    for (let number = 1; number <= 7; number++) log.push(conflict(number));
    expect(numbers(log)).toEqual([7, 6, 5]);
    expect(numbers(log, 2)).toEqual([7, 6]);
    log.lengthMax = 2;
    log.push(conflict(8));
    expect(numbers(log)).toEqual([8, 7]);
    log.lengthMax = 4;
    for (let number = 9; number <= 11; number++) log.push(conflict(number));
    expect(numbers(log)).toEqual([11, 10, 9, 8]);
    log.lengthMax = 0;
    log.push(conflict(12));
    expect(numbers(log)).toEqual([]);
  });

  it('knows one that comes again', () => {
    const log = new ConflictLog(4);
    for (let number = 1; number <= 6; number++) log.push(conflict(number));
    const [newest] = log.newest(1);
    expect(log.has(newest.winner, newest.loser)).toBe(true);
    expect(log.has(newest.loser, newest.winner)).toBe(false);
    const gone = conflict(1);
    expect(log.has(gone.winner, gone.loser)).toBe(false);
  });

  it('finds by key and element, also a key longer than what is kept of it', () => {
    const log = new ConflictLog(10);
    const long = 'k'.repeat(2000);
    log.push(conflict(1, 'hash', 'field'));
    log.push(conflict(2, 'hash'));
    log.push(conflict(3, long));
    const found = (key: string, element: string | null = null): number[] =>
      log.of(0, Buffer.from(key), element === null ? null : Buffer.from(element)).map(({ atMs }) => atMs);
    expect(found('hash')).toEqual([2, 1]);
    expect(found('hash', 'field')).toEqual([1]);
    expect(found(long)).toEqual([3]);
    expect(found(`${long}k`)).toEqual([]);
    expect(log.of(1, Buffer.from('hash'), null)).toEqual([]);
  });
});

describe('merging', () => {
  const source = { mayHaveSeen: () => false, isKnown: () => false };

  /** What the replica wrote since the last call. */
  function turnOf(replica: Replica): Buffer {
    const writer = new RecordWriter(1024);
    drainFeed(replica.keyspace, writer);
    return writer.take();
  }

  it('counts what won, what lost and what was the same, of peers only', () => {
    const [here, there] = [new Replica({ node: 1 }), new Replica({ node: 2 })];
    const { merges } = here.keyspace;
    there.set('a', '1');
    const first = turnOf(there);
    applyRecords(here.keyspace, first, 0, first.length);
    expect([merges.won, merges.lost, merges.equal]).toEqual([0, 0, 0]);
    applyRecords(here.keyspace, first, 0, first.length, source);
    expect([merges.won, merges.lost, merges.equal]).toEqual([0, 0, 1]);
    there.pass(5);
    there.set('a', '2');
    const second = turnOf(there);
    applyRecords(here.keyspace, second, 0, second.length, source);
    applyRecords(here.keyspace, first, 0, first.length, source);
    expect([merges.won, merges.lost, merges.equal]).toEqual([1, 1, 1]);
    expect([merges.conflictsWon, merges.conflictsLost]).toEqual([0, 0]);
  });

  it('sees a conflict where a write of this node is involved, once', () => {
    const [here, there] = [new Replica({ node: 1 }), new Replica({ node: 2 })];
    const { merges } = here.keyspace;
    here.set('a', 'mine');
    there.pass(5);
    there.set('a', 'later');
    const later = turnOf(there);
    applyRecords(here.keyspace, later, 0, later.length, source);
    applyRecords(here.keyspace, later, 0, later.length, source);
    expect([merges.conflictsWon, merges.conflictsLost]).toEqual([0, 1]);
    here.pass(10);
    here.set('a', 'mine again');
    here.set('b', 'mine');
    applyRecords(here.keyspace, later, 0, later.length, { ...source, isKnown: () => true });
    expect([merges.conflictsWon, merges.conflictsLost]).toEqual([0, 1]);
    applyRecords(here.keyspace, later, 0, later.length, source);
    applyRecords(here.keyspace, later, 0, later.length, source);
    expect([merges.conflictsWon, merges.conflictsLost]).toEqual([1, 1]);
    there.pass(20);
    there.set('b', 'with knowledge');
    const informed = turnOf(there);
    applyRecords(here.keyspace, informed, 0, informed.length, { ...source, mayHaveSeen: () => true });
    expect([merges.conflictsWon, merges.conflictsLost]).toEqual([1, 1]);
    expect(merges.log.newest(9).map(({ key }) => key.toString())).toEqual(['a', 'a']);
  });
});
