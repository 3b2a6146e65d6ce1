/** HSCAN NOVALUES and ZSCAN NOSCORES, which the Redis beside us does not have. */
import { describe, expect, it } from '@jest/globals';
import { bitfieldCommands } from '../../../server/commands/bitfields.ts';
import { commandCommands } from '../../../server/commands/command-command.ts';
import { hashCommands } from '../../../server/commands/hashes.ts';
import { setCommands } from '../../../server/commands/sets.ts';
import { sortedSetScanCommands } from '../../../server/commands/sorted-set-scans.ts';
import { sortedSetCommands } from '../../../server/commands/sorted-sets.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { keyspaceCommands } from '../../support/sequences.ts';

const commands = [...keyspaceCommands, ...hashCommands, ...setCommands, ...sortedSetCommands, ...sortedSetScanCommands];

function run(harness: CommandHarness, line: string): string {
  return harness
    .run(...line.split(' '))
    .toString('latin1')
    .replaceAll('\r\n', ' ')
    .trim();
}

const words = (reply: string): string[] => [...reply.matchAll(/\$\d+ (\S+)/g)].map(([, word]) => word).slice(1);

describe('scans without values', () => {
  it.each([
    ['HSET', 'NOVALUES', (at: number) => `f${at} v${at}`],
    ['ZADD', 'NOSCORES', (at: number) => `${at} f${at}`],
  ])('%s keys: %s', (add, option, pair) => {
    const harness = new CommandHarness(commands);
    const scan = add === 'HSET' ? 'HSCAN' : 'ZSCAN';
    for (const count of [3, 400]) {
      const key = `k${count}`;
      run(harness, `${add} ${key} ${Array.from({ length: count }, (_, at) => pair(at)).join(' ')}`);
      const seen: string[] = [];
      let cursor = '0';
      do {
        const reply = run(harness, `${scan} ${key} ${cursor} ${option} COUNT 50`);
        cursor = /^\*2 \$\d+ (\d+)/.exec(reply)![1];
        seen.push(...words(reply));
      } while (cursor !== '0');
      expect(seen.sort()).toEqual(Array.from({ length: count }, (_, at) => `f${at}`).sort());
    }
    expect(words(run(harness, `${scan} k3 0 MATCH f1 ${option}`))).toEqual(['f1']);
    expect(run(harness, `${scan} k3 0 ${option === 'NOSCORES' ? 'NOVALUES' : 'NOSCORES'}`)).toBe('-ERR syntax error');
    run(harness, 'SADD s a');
    expect(run(harness, `SSCAN s 0 ${option}`)).toBe('-ERR syntax error');
  });
});

describe('COMMAND GETKEYSANDFLAGS', () => {
  it('tells of keys what the other arguments make of them', () => {
    const names = new Set(keyspaceCommands.map(({ name }) => name));
    const own = [...commandCommands, ...bitfieldCommands].filter(({ name }) => !names.has(name));
    const harness = new CommandHarness([...keyspaceCommands, ...own]);
    const flags = (request: string): string[] =>
      run(harness, `COMMAND GETKEYSANDFLAGS ${request}`)
        .match(/\+\w+/g)
        ?.map((flag) => flag.slice(1)) ?? [];
    expect(flags('SET k v')).toEqual(['OW', 'update']);
    expect(flags('SET k v GET')).toEqual(['RW', 'access', 'update']);
    expect(flags('BITFIELD k GET u8 0')).toEqual(['RO', 'access']);
    expect(flags('BITFIELD k GET u8 0 INCRBY u8 0 1')).toEqual(['RW', 'access', 'update']);
  });
});
