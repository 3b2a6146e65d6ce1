import { describe, expect, it } from '@jest/globals';
import { splitRecords } from '../../../storage/backends/record-tools.ts';
import { Verifier, type VerifiedStores } from '../../../storage/verification/verification.ts';
import { Replica } from '../collections/replicas.ts';

/** A store that holds these records. */
function storeOf(records: Buffer): VerifiedStores {
  return {
    names: ['mysql'],
    settle: () => Promise.resolve(),
    read: async (_name, onRecords) => {
      const count = splitRecords(records).length;
      await onRecords(records, count, count);
    },
  };
}

describe('a verification', () => {
  it('finds what others have written to a store since this node last heard of anything', async () => {
    let nowMs = 1_700_000_000_000;
    const [replica, other] = [1, 2].map((node) => new Replica(node, () => nowMs));
    replica.set('old', 'v');
    nowMs += 60_000;
    other.keyspace.clock.refresh();
    other.set('unheard', 'v');
    const rows = Buffer.concat([replica.takeState(), other.takeState()].map((records) => Buffer.from(records)));
    const run = (): Promise<unknown> => new Verifier(replica.keyspace, storeOf(rows), null, setImmediate).run();
    // What is being written meanwhile is on its way.
    nowMs -= 1;
    expect(await run()).toMatchObject({ stores: [{ newer: 0 }] });
    nowMs += 2;
    expect(await run()).toMatchObject({ stores: [{ newer: 1 }], samples: [expect.stringContaining('unheard')] });
  });

  it('tells of the removals that it takes from a store before memory has them, and of none unless it repairs', async () => {
    let nowMs = 1_700_000_000_000;
    const [replica, other] = [1, 2].map((node) => new Replica(node, () => nowMs));
    other.set('kept', 'v');
    other.set('deleted', 'v');
    replica.apply(Buffer.from(other.takeState()));
    other.delete('deleted');
    const rows = Buffer.from(other.takeState());
    nowMs += 10;
    replica.keyspace.clock.refresh();
    const views: string[][] = [];
    const taken: Buffer[] = [];
    const onTaken = (records: Buffer): void => {
      views.push(replica.view());
      taken.push(Buffer.from(records));
    };
    const run = (isRepairing: boolean): Promise<unknown> =>
      new Verifier(replica.keyspace, storeOf(rows), isRepairing ? onTaken : null, setImmediate).run();
    expect(await run(false)).toMatchObject({ stores: [{ newer: 1 }], isRepaired: false });
    expect(replica.view()).toHaveLength(2);
    expect(await run(true)).toMatchObject({ stores: [{ newer: 1 }], isRepaired: true });
    expect(views).toEqual([[expect.stringContaining('deleted'), expect.stringContaining('kept')]]);
    expect(replica.view()).toEqual([expect.stringContaining('kept')]);
    expect(splitRecords(Buffer.concat(taken)).map(({ id }) => id.slice(6, -1))).toEqual(['deleted']);
  });
});
