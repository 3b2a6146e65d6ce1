import { describe, expect, it } from '@jest/globals';
import { type AccessEvent, AccessLog } from '../../../server/acl/access-log.ts';

function event(object: string, rest: Partial<AccessEvent> = {}): AccessEvent {
  return { reason: 'key', context: 'toplevel', object, userName: 'eve', clientLine: 'id=1', ...rest };
}

describe('the log of denials', () => {
  it('counts like ones together while they come within a minute, the newest client and time first', () => {
    const log = new AccessLog();
    log.add(event('a'), 1000, 10);
    log.add(event('b'), 2000, 10);
    log.add(event('a', { clientLine: 'id=2' }), 60_000, 10);
    log.add(event('a', { context: 'multi' }), 60_000, 10);
    log.add(event('a', { userName: 'mallory' }), 60_000, 10);
    log.add(event('b'), 62_001, 10);
    log.add(event('a'), 119_999, 10);
    expect(
      log.entries.map(({ object, userName, context, count, id }) => [object, userName, context, count, id]),
    ).toEqual([
      ['a', 'eve', 'toplevel', 3, 0],
      ['b', 'eve', 'toplevel', 1, 4],
      ['a', 'mallory', 'toplevel', 1, 3],
      ['a', 'eve', 'multi', 1, 2],
      ['b', 'eve', 'toplevel', 1, 1],
    ]);
    expect(log.entries[0]).toMatchObject({ createdAtMs: 1000, updatedAtMs: 119_999, clientLine: 'id=1' });
  });

  it('looks for like ones among the latest ten', () => {
    const log = new AccessLog();
    log.add(event('first'), 0, 100);
    for (let key = 0; key < 9; key++) log.add(event(`key${key}`), 0, 100);
    log.add(event('first'), 0, 100);
    expect(log.entries).toHaveLength(10);
    for (let key = 0; key < 10; key++) log.add(event(`more${key}`), 0, 100);
    log.add(event('first'), 0, 100);
    expect(log.entries).toHaveLength(21);
  });

  it('keeps no more than it is told to, and what it has until something comes', () => {
    const log = new AccessLog();
    for (let key = 0; key < 5; key++) log.add(event(`key${key}`), 0, 3);
    expect(log.entries.map(({ object }) => object)).toEqual(['key4', 'key3', 'key2']);
    log.add(event('x'.repeat(5000), { userName: 'y'.repeat(5000), clientLine: 'z'.repeat(5000) }), 0, 1);
    expect(
      log.entries.map(({ object, userName, clientLine }) => [object.length, userName.length, clientLine.length]),
    ).toEqual([[1024, 1024, 4096]]);
    log.add(event('a'), 0, 0);
    expect(log.entries).toEqual([]);
  });
});
