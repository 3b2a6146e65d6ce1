import { describe, expect, it } from '@jest/globals';
import { KIND_STRING, RecordError, RecordWriter } from '../../../protocol/change-record.ts';
import { stampHiOf } from '../../../protocol/stamp.ts';
import { flushDatabase } from '../../../storage/tombstones/floor.ts';
import { START_MS, Replica } from '../replica.ts';

/** A batch of SETs, each by a writer of its own. */
function batch(firstWriter: number, count: number): Buffer {
  const writer = new RecordWriter();
  for (let number = firstWriter; number < firstWriter + count; number++) {
    const key = Buffer.from(`key ${number}`);
    writer.begin(KIND_STRING, 0, stampHiOf(START_MS), number, 7, number, 0, key, 0, key.length);
    writer.end();
  }
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

describe('more writers than blocks can name', () => {
  it('are refused with their batch, before any of it is merged, and the node goes on', () => {
    const replica = new Replica();
    const { keyspace } = replica;
    for (let first = 0; first < 65_000; first += 5000) {
      const records = batch(first, 5000);
      replica.apply(records);
    }
    const count = keyspace.databases[0].index.count;
    const { room } = keyspace.nodes;
    expect(room).toBe(0x10000 - 2 - 65_000);
    const over = batch(65_000, room + 1);
    expect(() => replica.apply(over)).toThrow(RecordError);
    expect(() => replica.apply(over)).toThrow(/65,535 writers.*restart this node/);
    expect([keyspace.databases[0].index.count, keyspace.nodes.room]).toEqual([count, room]);
    // What fits is taken, and those that are known go on.
    replica.apply(batch(65_000, room));
    expect(keyspace.nodes.room).toBe(0);
    replica.apply(batch(0, 100));
    replica.set('own', 'value');
    keyspace.clock.refresh();
    flushDatabase(keyspace, keyspace.databases[0]);
    expect(keyspace.databases[0].keyCount).toBe(0);
  });
});
