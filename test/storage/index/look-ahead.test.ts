import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { RequestDecoder } from '../../../protocol/resp-request.ts';
import { Clock } from '../../../storage/clock.ts';
import { finishDigesting, startDigesting } from '../../../storage/digests/digest-start.ts';
import { KeyHasher } from '../../../storage/index/key-hash.ts';
import { Keyspace } from '../../../storage/keyspace.ts';
import { LookAhead } from '../../../storage/index/look-ahead.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { drainFeed } from '../../../storage/changes/outflow.ts';
import { deleteKey, setString } from '../../../storage/types/string.ts';
import { withSeed } from '../../support/seed.ts';

const LIMITS = { bulkLengthMax: 4096, inlineLengthMax: 1024, argumentsMax: 16 };

function makeKeyspace(): Keyspace {
  const clock = new Clock(() => 1_000_000);
  return new Keyspace({ databases: 2, clock, nodeHi: 1, nodeLo: 2, hashKey0: 3, hashKey1: 4 });
}

describe('looking ahead', () => {
  it('knows the hash of the key of the request that was entered, and of nothing else', () => {
    const keyspace = makeKeyspace();
    const { hasher } = keyspace;
    const [database] = keyspace.databases;
    const names = ['present', 'absent', 'present', 'present', 'presens', 'k'.repeat(300), '', '', 'present'];
    const ping = '*1\r\n$4\r\nPING\r\n';
    const bytes = Buffer.from(names.map((key) => `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`).join('') + ping);
    setString(keyspace, database, Buffer.from('present'), 0, 7, Buffer.from('v'), 0, 1, 0);
    const lookAhead = new LookAhead();
    const ahead = lookAhead.requests;
    const owner = { buffer: bytes, argc: 0, starts: new Int32Array(0), lengths: new Int32Array(0) };
    const plain = new KeyHasher(3, 4);
    for (let index = 0; index <= names.length; index++) {
      const position = index === 0 ? 0 : ahead.position;
      expect(ahead.hasNext(owner, bytes, position, bytes.length)).toBe(true);
      expect(ahead.take()).toBe(index);
      lookAhead.prepare(keyspace, database, owner);
      // Every stretch of the bytes has the hash that it has.
      for (let start = 0; start < bytes.length; start += 3) {
        for (const length of [0, 6, 7, 300]) {
          if (start + length <= bytes.length)
            expect(hasher.hash(bytes, start, length)).toBe(plain.hash(bytes, start, length));
        }
      }
      const start = ahead.starts[index][1];
      const length = ahead.lengths[index][1];
      if (index < names.length) expect(hasher.hash(bytes, start, length)).toBe(plain.hash(bytes, start, length));
    }
    hasher.forget();
    bytes.fill(0x61);
    expect(hasher.hash(bytes, ahead.starts[8][1], 7)).toBe(plain.hash(bytes, 0, 7));
  });

  it('takes no request without a key for one with the key of the last run', () => {
    const keyspace = makeKeyspace();
    const lookAhead = new LookAhead();
    const ahead = lookAhead.requests;
    const plain = new KeyHasher(3, 4);
    const get = '*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n';
    const ping = '*1\r\n$4\r\nPING\r\n';
    for (const text of [get + get + get, get + ping + get, ping + ping + get]) {
      const bytes = Buffer.from(text);
      const owner = { buffer: bytes, argc: 0, starts: new Int32Array(0), lengths: new Int32Array(0) };
      for (let index = 0; index < 3; index++) {
        expect(ahead.hasNext(owner, bytes, index === 0 ? 0 : ahead.position, bytes.length)).toBe(true);
        ahead.take();
        lookAhead.prepare(keyspace, keyspace.databases[0], owner);
        const [start, length] = [ahead.starts[index][1], ahead.lengths[index][1]];
        if (ahead.argc[index] > 1) {
          expect(keyspace.hasher.hash(bytes, start, length)).toBe(plain.hash(Buffer.from('key'), 0, 3));
        }
      }
      keyspace.hasher.forget();
      ahead.forget(owner);
    }
  });

  it('reads blocks at the very end of a segment of memory', () => {
    const keyspace = makeKeyspace();
    const [database] = keyspace.databases;
    const value = Buffer.alloc(4000, 1);
    const lookAhead = new LookAhead();
    const ahead = lookAhead.requests;
    // More than one segment, full to the end.
    for (let number = 0; number < 4500; number++) {
      const key = Buffer.from(`key:${number}`);
      setString(keyspace, database, key, 0, key.length, value, 0, number % 2 === 0 ? 4000 : 0, 0);
      if (number % 9 === 0) deleteKey(keyspace, database, key, 0, key.length);
    }
    for (let number = 0; number < 4500; number += 30) {
      const requests = Array.from(
        { length: 30 },
        (_, at) => `*2\r\n$3\r\nGET\r\n$8\r\n${`key:${number + at}`.padEnd(8)}\r\n`,
      );
      const bytes = Buffer.from(requests.join(''));
      const owner = { buffer: bytes, argc: 0, starts: new Int32Array(0), lengths: new Int32Array(0) };
      expect(ahead.hasNext(owner, bytes, 0, bytes.length)).toBe(true);
      ahead.take();
      lookAhead.prepare(keyspace, database, owner);
      expect(Number.isInteger(lookAhead.sum)).toBe(true);
      ahead.forget(owner);
    }
  });

  it('keeps the digests as they are without it, in any database, for the wrong guess and for keys of any length', async () => {
    await withSeed('test/storage/index/look-ahead.test.ts', (random) => {
      const plain = makeKeyspace();
      const ahead = makeKeyspace();
      for (const keyspace of [plain, ahead]) keyspace.digesting = keyspace.feeding = true;
      const lookAhead = new LookAhead();
      const decoder = new RequestDecoder(LIMITS, lookAhead.requests);
      decoder.authenticated = true;
      const keys = Array.from(
        { length: 12 },
        (_, at) => 'k'.repeat(1 + random.below(at < 10 ? 20 : 2500)) + String(at),
      );
      for (let round = 0; round < 300; round++) {
        const runs = Array.from({ length: 1 + random.below(40) }, () => {
          const key = keys[random.below(keys.length)];
          return [random.chance(0.7) ? 'SET' : random.chance(0.5) ? 'DEL' : 'GET', key, String(random.below(2))];
        });
        const text = runs.map((words) => `*3\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`);
        const bytes = Buffer.from(text.join(''));
        decoder.feed(bytes, 0, bytes.length);
        for (let at = 0; decoder.next() === 1; at++) {
          const { buffer, starts, lengths } = decoder;
          // As a SELECT in the middle of the run does.
          const number = at % 7 === 6 ? 1 : 0;
          lookAhead.prepare(ahead, ahead.databases[number], decoder);
          for (const keyspace of [plain, ahead]) {
            const database = keyspace.databases[number];
            const [command] = runs[at];
            if (command === 'DEL') deleteKey(keyspace, database, buffer, starts[1], lengths[1]);
            else if (command === 'SET')
              setString(keyspace, database, buffer, starts[1], lengths[1], buffer, starts[2], lengths[2], 0);
          }
        }
        lookAhead.forget(ahead);
        bytes.fill(0x6b);
        expect(ahead.digests.total()).toBe(plain.digests.total());
      }
      // Sent to a node that merges in runs, and computed afresh there.
      const writer = new RecordWriter();
      drainFeed(ahead, writer);
      const peer = makeKeyspace();
      peer.digesting = true;
      applyRecords(peer, writer.buffer, 0, writer.length);
      expect(peer.digests.total()).toBe(plain.digests.total());
      const late = makeKeyspace();
      applyRecords(late, writer.buffer, 0, writer.length);
      startDigesting(late);
      finishDigesting(late);
      expect(late.digests.total()).toBe(plain.digests.total());
    });
  });
});
