import { describe, expect, it } from '@jest/globals';
import { mantisCommands } from '../../../server/commands/mantis.ts';
import { setCommands } from '../../../server/commands/sets.ts';
import { transactionCommands } from '../../../server/commands/transactions.ts';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { CommandHarness } from '../../support/command-harness.ts';

const MEMBERS = 5000;

/** A node with a large set whose digests are being computed, and the rest of that work. */
function beginDigesting(): { harness: CommandHarness; turns: (() => void)[] } {
  const harness = new CommandHarness([...mantisCommands, ...setCommands, ...transactionCommands]);
  harness.run('SADD', 'large', ...Array.from({ length: MEMBERS }, (_, index) => `m${index}`));
  const turns: (() => void)[] = [];
  let nowMs = 0;
  startDigesting(harness.keyspace, { monotonicMs: () => (nowMs += 0.2), defer: (work) => turns.push(work) });
  return { harness, turns };
}

describe('MANTIS DIGEST while digests are being computed', () => {
  it('waits for the work that others do between, and does none', async () => {
    const { harness, turns } = beginDigesting();
    const asking = harness.connect();
    expect(asking.run('MANTIS', 'DIGEST')).toHaveLength(0);
    expect(harness.keyspace.digestStart).not.toBeNull();
    let count = 0;
    for (let work = turns.shift(); work !== undefined; work = turns.shift(), count++) {
      expect(asking.transport.take()).toHaveLength(0);
      work();
    }
    expect(count).toBeGreaterThan(MEMBERS / 1000);
    await new Promise(setImmediate);
    const answered = asking.transport.take().toString();
    expect(answered).toMatch(/^\$16\r\n[0-9a-f]{16}\r\n$/);
    expect(asking.run('MANTIS', 'DIGEST').toString()).toBe(answered);
  });

  it('answers at once within a transaction', () => {
    const { harness } = beginDigesting();
    harness.run('MULTI');
    harness.run('MANTIS', 'DIGEST');
    const answered = harness.run('EXEC').toString();
    expect(answered).toMatch(/^\*1\r\n\$16\r\n[0-9a-f]{16}\r\n$/);
    expect(harness.keyspace.digestStart).toBeNull();
    expect(harness.run('MANTIS', 'DIGEST').toString()).toBe(answered.slice('*1\r\n'.length));
  });
});
