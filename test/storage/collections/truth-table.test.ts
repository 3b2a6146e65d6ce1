/** Runs the truth table of docs/crdt.md. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { TYPE_HASH, TYPE_LIST, TYPE_SET } from '../../../storage/arena/block.ts';
import { editList, valuesOfList } from './list-edits.ts';
import { Replica } from './replicas.ts';

const FAR_MS = 2_000_000_000_000;
const page = readFileSync(new URL('../../../docs/crdt.md', import.meta.url), 'utf8');
const rows = page
  .slice(page.indexOf('## Truth table'))
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .slice(2)
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

function run(replica: Replica, commands: string): void {
  for (const text of commands.split(';')) {
    const [name, key = '', first = '', second = ''] = text.trim().split(' ');
    replica.keyspace.clock.refresh();
    switch (name) {
      case '':
        break;
      case 'SET':
        replica.set(key, first);
        break;
      case 'DEL':
        replica.delete(key);
        break;
      case 'INCRBY':
        replica.increment(key, Number(first));
        break;
      case 'HSET':
        replica.put(TYPE_HASH, key, first, second);
        break;
      case 'HDEL':
        replica.remove(TYPE_HASH, key, first);
        break;
      case 'HINCRBY':
        replica.add(TYPE_HASH, key, first, Number(second));
        break;
      case 'SADD':
        replica.put(TYPE_SET, key, first, '');
        break;
      case 'SREM':
        replica.remove(TYPE_SET, key, first);
        break;
      case 'RPUSH':
        editList(replica, { do: 'rpush', key, at: 0, value: first });
        break;
      case 'LPUSH':
        editList(replica, { do: 'lpush', key, at: 0, value: first });
        break;
      case 'LPOP':
        editList(replica, { do: 'remove', key, at: 0, value: '' });
        break;
      case 'LSET':
        editList(replica, { do: 'set', key, at: Number(first), value: second });
        break;
      case 'EXPIREAT':
        replica.expireAt(key, FAR_MS);
        break;
      case 'PERSIST':
        replica.expireAt(key, 0);
        break;
      case 'HEXPIREAT':
        replica.fieldExpireAt(key, first, FAR_MS);
        break;
      case 'HPERSIST':
        replica.fieldExpireAt(key, first, 0);
        break;
      case 'FLUSHDB':
        replica.flush();
        break;
      default:
        throw new Error(`docs/crdt.md has a command that this test does not know: ${name}`);
    }
  }
}

/** The content as the table writes it. */
function shown(replica: Replica): string {
  const keys = replica.view().map((line) => {
    const match = /^(\S+) type (\d+)( until \d+)?: ([^]*)$/.exec(line)!;
    const [, key, type, until, content] = match;
    const elements = content.split(' ').map((element) => element.split('='));
    let value = content;
    if (Number(type) === TYPE_HASH)
      value = `{${elements.map(([field, text]) => `${field}: ${text.replace(/@\d+$/, ' until P')}`).join(', ')}}`;
    if (Number(type) === TYPE_SET) value = `{${elements.map(([member]) => member).join(', ')}}`;
    if (Number(type) === TYPE_LIST) value = `[${valuesOfList(replica, key).join(', ')}]`;
    return `${key} = ${value}${until === undefined ? '' : ' until P'}`;
  });
  return keys.length === 0 ? 'nothing' : keys.join('; ');
}

describe('the truth table of docs/crdt.md', () => {
  it.each(rows)('%s | A: %s | B: %s → %s', (before, atA, atB, after) => {
    let nowMs = 1_700_000_000_000;
    // Once with B's id the greater, once the lower: the clock decides, not the ids.
    for (const [idA, idB] of [
      [1, 2],
      [2, 1],
    ]) {
      const a = new Replica(idA, () => nowMs);
      const b = new Replica(idB, () => nowMs);
      for (const command of before.split(';')) {
        nowMs += 5;
        run(a, command);
        b.apply(Buffer.from(a.takeFeed()));
      }
      const sentA: Buffer[] = [];
      const sentB: Buffer[] = [];
      for (const [replica, commands, sent] of [
        [a, atA, sentA],
        [b, atB, sentB],
      ] as const) {
        for (const command of commands.split(';')) {
          nowMs += 5;
          run(replica, command);
          sent.push(Buffer.from(replica.takeFeed()));
        }
      }
      for (const records of sentB) a.apply(records);
      for (const records of sentA) b.apply(records);
      expect(shown(a)).toBe(after);
      expect(shown(b)).toBe(after);
      expect(a.digest()).toBe(b.digest());
    }
  });
});
