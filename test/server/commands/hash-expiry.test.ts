/** Deadlines of fields, as Redis 7.4's documentation and source say they are; the Redis beside us does not have them. */
import { describe, expect, it } from '@jest/globals';
import { crc64 } from '../../../protocol/crc64.ts';
import { ListpackWriter } from '../../../protocol/listpack.ts';
import { hashExpiryCommands } from '../../../server/commands/hash-expiry.ts';
import { hashValueCommands } from '../../../server/commands/hash-values.ts';
import { hashCommands } from '../../../server/commands/hashes.ts';
import { HIDDEN } from '../../../storage/arena/block.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { keyspaceCommands, observeWatches } from '../../support/sequences.ts';

const commands = [...keyspaceCommands, ...hashCommands, ...hashExpiryCommands, ...hashValueCommands];
const START_MS = 1_700_000_000_000;

function withFooter(payload: Buffer, version: number): Buffer {
  const footer = Buffer.alloc(10);
  footer.writeUInt16LE(version, 0);
  const { hi, lo } = crc64(Buffer.concat([payload, footer.subarray(0, 2)]), 0, payload.length + 2);
  footer.writeUInt32LE(lo, 2);
  footer.writeUInt32LE(hi, 6);
  return Buffer.concat([payload, footer]);
}

interface Bench {
  harness: CommandHarness;
  /** The reply to a command, its words parted by spaces, on one line. */
  run: (line: string) => string;
  pass: (ms: number) => void;
}

function bench(settings: Record<string, string> = {}): Bench {
  let nowMs = START_MS;
  const harness = new CommandHarness(commands, { wallClockMs: () => nowMs, settings });
  return {
    harness,
    run: (line) =>
      harness
        .run(...line.split(' '))
        .toString('latin1')
        .replaceAll('\r\n', ' ')
        .trim(),
    pass: (ms) => {
      nowMs += ms;
    },
  };
}

const bulks = (...texts: string[]): string =>
  `*${texts.length}${texts.map((text) => ` $${text.length} ${text}`).join('')}`;

describe('deadlines of fields', () => {
  it('answers with a code for each field', () => {
    const { run } = bench();
    run('HSET h f 1 g 2');
    expect(run('HEXPIRE h 100 FIELDS 3 f g no')).toBe('*3 :1 :1 :-2');
    expect(run('HEXPIRE h 100 NX FIELDS 1 f')).toBe('*1 :0');
    expect(run('HEXPIRE h 200 XX FIELDS 1 f')).toBe('*1 :1');
    expect(run('HEXPIRE h 100 GT FIELDS 1 f')).toBe('*1 :0');
    expect(run('HEXPIRE h 300 GT FIELDS 1 f')).toBe('*1 :1');
    expect(run('HEXPIRE h 400 LT FIELDS 1 f')).toBe('*1 :0');
    expect(run('HEXPIRE h 150 lt FIELDS 1 f')).toBe('*1 :1');
    expect(run('HTTL h FIELDS 3 f g no')).toBe('*3 :150 :100 :-2');
    expect(run('HPTTL h FIELDS 1 f')).toBe('*1 :150000');
    expect(run('HEXPIRETIME h FIELDS 1 f')).toBe('*1 :1700000150');
    expect(run('HPEXPIRETIME h FIELDS 1 f')).toBe('*1 :1700000150000');
    expect(run('HPERSIST h FIELDS 3 f no f')).toBe('*3 :1 :-2 :-1');
    expect(run('HTTL h FIELDS 1 f')).toBe('*1 :-1');
    expect(run('HPEXPIRE h 1500 FIELDS 1 f')).toBe('*1 :1');
    expect(run('HTTL h FIELDS 1 f')).toBe('*1 :2');
    expect(run('HEXPIREAT h 1700000100 FIELDS 1 f')).toBe('*1 :1');
    expect(run('HPEXPIREAT h 1700000100500 FIELDS 1 f')).toBe('*1 :1');
    expect(run('HPTTL h FIELDS 1 f')).toBe('*1 :100500');
    expect(run('HEXPIRETIME h FIELDS 1 f')).toBe('*1 :1700000101');
  });

  it('answers for keys that are not there, and of another type', () => {
    const { run } = bench();
    run('SET s 1');
    for (const name of ['HEXPIRE', 'HPEXPIRE', 'HEXPIREAT', 'HPEXPIREAT']) {
      expect(run(`${name} no 10 FIELDS 2 f g`)).toBe('*2 :-2 :-2');
      expect(run(`${name} s 10 FIELDS 1 f`)).toContain('WRONGTYPE');
    }
    for (const name of ['HTTL', 'HPTTL', 'HEXPIRETIME', 'HPEXPIRETIME', 'HPERSIST']) {
      expect(run(`${name} no FIELDS 2 f g`)).toBe('*2 :-2 :-2');
      expect(run(`${name} s FIELDS 1 f`)).toContain('WRONGTYPE');
    }
  });

  it('refuses what Redis refuses, in its words', () => {
    const { run } = bench();
    run('HSET h f 1');
    const missing = '-ERR Mandatory argument FIELDS is missing or not at the right position';
    const mismatch = '-ERR The `numfields` parameter must match the number of arguments';
    expect(run('HEXPIRE h 10 f f f')).toBe(missing);
    expect(run('HEXPIRE h 10 NX NX FIELDS 1 f')).toBe(missing);
    expect(run('HEXPIRE h 10 FIELDS 2 f')).toBe(mismatch);
    expect(run('HEXPIRE h 10 FIELDS 1 f g')).toBe(mismatch);
    expect(run('HEXPIRE h 10 FIELDS 0 f')).toBe('-ERR Parameter `numFields` should be greater than 0');
    expect(run('HEXPIRE h -1 FIELDS 1 f')).toBe('-ERR invalid expire time, must be >= 0');
    expect(run('HEXPIRE h x FIELDS 1 f')).toBe('-ERR value is not an integer or out of range');
    expect(run('HPEXPIREAT h 70368744177664 FIELDS 1 f')).toBe("-ERR invalid expire time in 'hpexpireat' command");
    expect(run('HEXPIRE h 281474976711 FIELDS 1 f')).toBe("-ERR invalid expire time in 'hexpire' command");
    expect(run('HPEXPIREAT h 70368744177663 FIELDS 1 f')).toBe('*1 :1');
    expect(run('HTTL h x 1 f')).toBe(missing);
    expect(run('HTTL h FIELDS 0 f')).toBe('-ERR Number of fields must be a positive integer');
    expect(run('HPERSIST h FIELDS 2 f')).toBe(mismatch);
    expect(run('HEXPIRE h 10 FIELDS 1')).toBe("-ERR wrong number of arguments for 'hexpire' command");
  });

  it('removes fields whose deadline is in the past, and the key with the last one', () => {
    const { run } = bench();
    run('HSET h f 1 g 2');
    expect(run('HEXPIREAT h 1 FIELDS 1 f')).toBe('*1 :2');
    expect(run('HGETALL h')).toBe(bulks('g', '2'));
    expect(run('HEXPIRE h 0 FIELDS 2 g no')).toBe('*2 :2 :-2');
    expect(run('EXISTS h')).toBe(':0');
  });

  const reads: readonly [line: string, before: string, after: string][] = [
    ['HGET h f', '$1 1', '$-1'],
    ['HMGET h f g', bulks('1', '2'), '*2 $-1 $1 2'],
    ['HGETALL h', bulks('f', '1', 'g', '2'), bulks('g', '2')],
    ['HKEYS h', bulks('f', 'g'), bulks('g')],
    ['HVALS h', bulks('1', '2'), bulks('2')],
    ['HLEN h', ':2', ':1'],
    ['HEXISTS h f', ':1', ':0'],
    ['HSTRLEN h f', ':1', ':0'],
    ['HSCAN h 0', `*2 $1 0 ${bulks('f', '1', 'g', '2')}`, `*2 $1 0 ${bulks('g', '2')}`],
    ['HRANDFIELD h -1', '', bulks('g')],
    ['HRANDFIELD h 5', bulks('f', 'g'), bulks('g')],
    ['HTTL h FIELDS 1 f', '*1 :0', '*1 :-2'],
    ['HINCRBY h f 5', ':6', ':5'],
    ['HSET h f 9', ':0', ':1'],
    ['HSETNX h f 9', ':0', ':1'],
    ['HDEL h f', ':1', ':0'],
  ];

  it.each(reads)('%s shows a field through its last millisecond and not after it', (line, before, after) => {
    for (const [ms, reply] of [
      [10, before],
      [11, after],
    ] as const) {
      const { run, pass } = bench();
      run('HSET h f 1 g 2');
      run('HPEXPIRE h 10 FIELDS 1 f');
      pass(ms);
      if (reply !== '') expect(run(line)).toBe(reply);
    }
  });

  it.each(reads)('%s does so too when more fields came due than a turn hides', (line, _before, after) => {
    const { run, pass, harness } = bench({ 'hash-max-listpack-entries': '1' });
    const others = Array.from({ length: 3000 }, (_, at) => `f${at}`);
    run(`HSET others ${others.map((name) => `${name} 1`).join(' ')}`);
    run(`HPEXPIRE others 5 FIELDS 3000 ${others.join(' ')}`);
    run('HSET h f 1 g 2');
    run('HPEXPIRE h 10 FIELDS 1 f');
    pass(11);
    expect(run(line)).toBe(after);
    expect(harness.keyspace.elementDeadlines.length > 1000).toBe(true);
  });

  it('HSET takes the deadline away, HINCRBY leaves it', () => {
    const { run, pass } = bench();
    run('HSET h f 1 g 2 i 3');
    run('HEXPIRE h 10 FIELDS 3 f g i');
    run('HSET h f 5');
    expect(run('HINCRBY h g 1')).toBe(':3');
    expect(run('HINCRBYFLOAT h i 0.5')).toBe('$3 3.5');
    expect(run('HTTL h FIELDS 3 f g i')).toBe('*3 :-1 :10 :10');
    pass(10_001);
    expect(run('HGETALL h')).toBe(bulks('f', '5'));
  });

  it('holds for a field that was only counted up', () => {
    const { run, pass } = bench();
    run('HINCRBY h f 5');
    expect(run('HEXPIRE h 10 FIELDS 1 f')).toBe('*1 :1');
    expect(run('HINCRBY h f 1')).toBe(':6');
    expect(run('HTTL h FIELDS 1 f')).toBe('*1 :10');
    pass(10_001);
    expect(run('EXISTS h')).toBe(':0');
    expect(run('HINCRBY h f 2')).toBe(':2');
    expect(run('HTTL h FIELDS 1 f')).toBe('*1 :-1');
  });

  it.each([true, false])('lets a hash go with its last field, stores %p', (storing) => {
    const { run, pass, harness } = bench();
    harness.keyspace.storing = storing;
    run('HSET h f 1 g 2');
    run('HPEXPIRE h 10 FIELDS 2 f g');
    run('HSET other f 1');
    pass(11);
    harness.keyspace.clock.refresh();
    expect(expireDue(harness.keyspace, 100)).toBe(false);
    expect(harness.keyspace.expiredElements).toBe(2);
    expect(run('DBSIZE')).toBe(':1');
    expect(run('KEYS *')).toBe(bulks('other'));
    expect(run('TYPE h')).toBe('+none');
    let hidden = 0;
    harness.keyspace.databases[0].index.visitRange(0, Infinity, (ref) => {
      if ((harness.keyspace.flagsOf(ref) & HIDDEN) !== 0) hidden++;
    });
    expect(hidden).toBe(storing ? 1 : 0);
    run('HSET h f 3');
    expect(run('HGETALL h')).toBe(bulks('f', '3'));
    expect(run('HTTL h FIELDS 1 f')).toBe('*1 :-1');
  });

  it('hides fields in bounded steps when nobody looks at them', () => {
    const { run, pass, harness } = bench();
    const names = Array.from({ length: 250 }, (_, at) => `f${at}`);
    run(`HSET h ${names.map((name) => `${name} 1`).join(' ')}`);
    run(`HPEXPIRE h 10 FIELDS 250 ${names.join(' ')}`);
    pass(11);
    harness.keyspace.clock.refresh();
    let steps = 1;
    while (expireDue(harness.keyspace, 100)) steps++;
    expect(steps).toBe(3);
    expect(harness.keyspace.databases[0].keyCount).toBe(0);
  });

  it('keeps the heap of deadlines short when they are set again and again', () => {
    const { run, harness } = bench();
    run('HSET h f 1 g 1');
    for (let at = 0; at < 5000; at++) run(`HPEXPIRE h ${20_000 - at} FIELDS 1 f`);
    expect(harness.keyspace.elementDeadlines.length < 2000).toBe(true);
    expect(run('HPTTL h FIELDS 1 f')).toBe('*1 :15001');
  });

  it('goes by the last deadline, put off or brought forward', () => {
    const { run, pass } = bench();
    run('HSET h f 1 g 1 i 1');
    run('HPEXPIRE h 10 FIELDS 2 f g');
    run('HPEXPIRE h 100 FIELDS 1 f');
    run('HPEXPIRE h 100 FIELDS 1 i');
    run('HPEXPIRE h 10 FIELDS 1 i');
    pass(11);
    expect(run('HKEYS h')).toBe(bulks('f'));
    pass(100);
    expect(run('HKEYS h')).toBe('*0');
  });

  it('goes along with COPY, RENAME and RESTORE', () => {
    const { run, pass, harness } = bench();
    run('HSET h f 1 g 2');
    run('HPEXPIRE h 500 FIELDS 1 f');
    run('COPY h copy');
    const dump = harness.run('DUMP', 'h');
    const payload = dump.subarray(dump.indexOf('\r\n') + 2, -2);
    harness.run('RESTORE', 'restored', '0', payload);
    run('RENAME h renamed');
    for (const key of ['copy', 'restored', 'renamed']) {
      expect(run(`HPTTL ${key} FIELDS 2 f g`)).toBe('*2 :500 :-1');
      expect(run(`HGETALL ${key}`)).toBe(bulks('f', '1', 'g', '2'));
    }
    pass(501);
    for (const key of ['copy', 'restored', 'renamed']) expect(run(`HGETALL ${key}`)).toBe(bulks('g', '2'));
    harness.run('RESTORE', 'late', '0', payload);
    expect(run('HGETALL late')).toBe(bulks('g', '2'));
  });

  it('reads the form that Redis 7.4 gives small hashes', () => {
    const { run, harness } = bench();
    const pack = new ListpackWriter();
    for (const text of ['f', '1', '1700000000500', 'g', '2', '0']) pack.append(Buffer.from(text), 0, text.length);
    const head = Buffer.alloc(10);
    head[0] = 25;
    head.writeBigInt64LE(1_700_000_000_500n, 1);
    const packed = pack.finish();
    head[9] = packed.length;
    const payload = Buffer.concat([head, packed]);
    const bytes = withFooter(payload, 12);
    expect(harness.run('RESTORE', 'h', '0', bytes).toString()).toBe('+OK\r\n');
    expect(run('HGETALL h')).toBe(bulks('f', '1', 'g', '2'));
    expect(run('HPEXPIRETIME h FIELDS 2 f g')).toBe('*2 :1700000000500 :-1');
  });

  it('breaks a WATCH', () => {
    const { run, pass, harness } = bench();
    observeWatches(harness);
    run('HSET h f 1 g 2');
    run('HPEXPIRE h 10 FIELDS 1 f');
    run('WATCH h');
    pass(11);
    run('MULTI');
    run('HGET h g');
    expect(run('EXEC')).toBe('*-1');
  });
});

describe('fields with their deadlines at once', () => {
  it('HSETEX sets fields, their deadline, and asks whether they are there', () => {
    const { run } = bench();
    expect(run('HSETEX h EX 10 FIELDS 2 f 1 g 2')).toBe(':1');
    expect(run('HTTL h FIELDS 2 f g')).toBe('*2 :10 :10');
    expect(run('HSETEX h FNX FIELDS 2 f 3 i 3')).toBe(':0');
    expect(run('HSETEX h FXX FIELDS 2 f 3 i 3')).toBe(':0');
    expect(run('HSETEX h FXX KEEPTTL FIELDS 2 f 3 g 4')).toBe(':1');
    expect(run('HTTL h FIELDS 2 f g')).toBe('*2 :10 :10');
    expect(run('HSETEX h FIELDS 1 f 5')).toBe(':1');
    expect(run('HTTL h FIELDS 2 f g')).toBe('*2 :-1 :10');
    expect(run('HSETEX h PXAT 1 FIELDS 2 f 6 g 6')).toBe(':1');
    expect(run('EXISTS h')).toBe(':0');
    expect(run('HSETEX new PXAT 1 FIELDS 1 f 6')).toBe(':1');
    expect(run('EXISTS new')).toBe(':0');
    expect(run('HSETEX h EX 10 PX 10 FIELDS 1 f 1')).toBe('-ERR syntax error');
    expect(run('HSETEX h FIELDS 2 f 1')).toBe('-ERR The `numfields` parameter must match the number of arguments');
  });

  it('HGETEX gives values and changes deadlines', () => {
    const { run } = bench();
    run('HSET h f 1 g 2');
    expect(run('HGETEX h FIELDS 2 f no')).toBe('*2 $1 1 $-1');
    expect(run('HGETEX h PX 1500 FIELDS 1 f')).toBe(bulks('1'));
    expect(run('HPTTL h FIELDS 2 f g')).toBe('*2 :1500 :-1');
    expect(run('HGETEX h PERSIST FIELDS 2 f g')).toBe(bulks('1', '2'));
    expect(run('HPTTL h FIELDS 2 f g')).toBe('*2 :-1 :-1');
    expect(run('HGETEX h EXAT 1 FIELDS 2 f g')).toBe(bulks('1', '2'));
    expect(run('EXISTS h')).toBe(':0');
    expect(run('HGETEX h EX 5 FIELDS 1 f')).toBe('*1 $-1');
    expect(run('HGETEX h PERSIST EX 5 FIELDS 1 f')).toBe('-ERR syntax error');
  });

  it('HGETDEL gives values and removes them', () => {
    const { run } = bench();
    run('HSET h f 1 g 2');
    expect(run('HGETDEL h FIELDS 2 f no')).toBe('*2 $1 1 $-1');
    expect(run('HGETALL h')).toBe(bulks('g', '2'));
    expect(run('HGETDEL h FIELDS 1 g')).toBe(bulks('2'));
    expect(run('EXISTS h')).toBe(':0');
    expect(run('HGETDEL h FIELDS 1 g')).toBe('*1 $-1');
  });
});
