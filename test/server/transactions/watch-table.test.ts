import { describe, expect, it } from '@jest/globals';
import { WatchTable, watchName } from '../../../server/transactions/watch-table.ts';
import { withSeed } from '../../support/seed.ts';
import { makeSession } from '../sessions.ts';

function watch(table: WatchTable, session: ReturnType<typeof makeSession>, key: string, database = 0): void {
  const bytes = Buffer.from(key, 'latin1');
  table.watch(session, watchName(database, bytes, 0, bytes.length));
}

function touch(table: WatchTable, key: string, database = 0): void {
  const bytes = Buffer.from(`..${key}..`, 'latin1');
  table.touch(database, bytes, 2, bytes.length - 4);
}

describe('watched keys', () => {
  it('break the watch of every session that watches them, and of no other', () => {
    const table = new WatchTable();
    const [first, second, third] = [makeSession(1), makeSession(2), makeSession(3)];
    watch(table, first, 'k');
    watch(table, first, 'k');
    watch(table, second, 'k');
    watch(table, third, 'k', 1);
    touch(table, 'other');
    expect([first, second, third].map(({ watchBroken }) => watchBroken)).toEqual([false, false, false]);
    touch(table, 'k');
    expect([first, second, third].map(({ watchBroken }) => watchBroken)).toEqual([true, true, false]);
    table.forget(first);
    expect([first.watchBroken, first.watched]).toEqual([false, null]);
    touch(table, 'k', 1);
    expect([first.watchBroken, third.watchBroken]).toEqual([false, true]);
  });

  it('may have any bytes', () => {
    const table = new WatchTable();
    for (const key of ['', '\0', '__proto__', '\xff\xfe', '1:k', 'k'.repeat(10_000)]) {
      const session = makeSession();
      watch(table, session, key);
      touch(table, `${key}x`);
      expect(session.watchBroken).toBe(false);
      touch(table, key);
      expect(session.watchBroken).toBe(true);
      table.forget(session);
    }
    expect(table.size).toBe(0);
  });

  it("of a database whose number begins like another's are not taken for each other", () => {
    const table = new WatchTable();
    const session = makeSession();
    watch(table, session, '1:k', 1);
    touch(table, '1:1:k', 1);
    touch(table, '1:k', 11);
    expect(session.watchBroken).toBe(false);
  });

  it('are observed from the first one to the last', async () => {
    await withSeed('test/server/transactions/watch-table.test.ts', (random) => {
      const table = new WatchTable();
      let active = false;
      table.onActive = (is) => {
        active = is;
      };
      const sessions = Array.from({ length: 5 }, (_, id) => makeSession(id));
      for (let step = 0; step < 500; step++) {
        const session = random.pick(sessions);
        if (random.chance(0.6)) watch(table, session, String(random.below(10)));
        else table.forget(session);
        const watched = new Set(sessions.flatMap((each) => [...(each.watched ?? [])]));
        expect([table.size, active]).toEqual([watched.size, watched.size > 0]);
      }
    });
  });
});
