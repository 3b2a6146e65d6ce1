import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { editList, type ListEdit } from '../collections/list-edits.ts';
import { Replica } from '../collections/replicas.ts';
import { editStream } from '../collections/stream-edits.ts';

const SETTLED_MS = 1_700_000_000_000;
/** Several steps of the walk through a collection. */
const LARGE = 2500;
const EDITS_A_TURN = 20;

/** A pacer whose turns are run by hand, one step in each. */
class Turns {
  readonly #due: (() => void)[] = [];
  #nowMs = 0;

  monotonicMs(): number {
    this.#nowMs += 0.2;
    return this.#nowMs;
  }

  defer(work: () => void): void {
    this.#due.push(work);
  }

  run(): boolean {
    this.#due.shift()?.();
    return this.#due.length > 0;
  }
}

type Edit = (replica: Replica, random: SeededRandom) => void;

function member(random: SeededRandom): string {
  return `m${random.below(LARGE * 2)}`;
}

function listEdit(random: SeededRandom, choices: readonly ListEdit['do'][]): ListEdit {
  return { do: random.pick(choices), key: 'list', at: random.below(LARGE * 2), value: `v${random.below(1000)}` };
}

const edits: Record<string, Edit> = {
  hash: (replica, random) => {
    const kind = random.below(3);
    if (kind === 0) replica.remove(TYPE_HASH, 'hash', member(random));
    else if (kind === 1) replica.add(TYPE_HASH, 'hash', member(random), 1 + random.below(5));
    else replica.put(TYPE_HASH, 'hash', member(random), `v${random.below(100)}`);
  },
  set: (replica, random) => {
    if (random.chance(0.5)) replica.remove(TYPE_SET, 'set', member(random));
    else replica.put(TYPE_SET, 'set', member(random), '');
  },
  list: (replica, random) =>
    editList(replica, listEdit(random, ['rpush', 'lpush', 'insert', 'set', 'remove', 'remove'])),
  stream: (replica, random) => {
    const choices = ['add', 'add', 'remove', 'group', 'consumer', 'deliver', 'acknowledge'] as const;
    const edit = { do: random.pick(choices), key: 'stream', at: random.below(LARGE), value: 'v' };
    editStream(replica, { ...edit, group: `g${random.below(2)}`, consumer: `c${random.below(3)}` });
  },
  strings: (replica, random) => replica.set(`s${random.below(500)}`, `v${random.below(100)}`),
};

/** A replica without digests that has a large collection of each type, and strings. */
function filled(): Replica {
  const replica = Replica.take(1, () => SETTLED_MS);
  const { keyspace } = replica;
  keyspace.digesting = false;
  for (let count = 0; count < LARGE; count++) {
    replica.put(TYPE_HASH, 'hash', `m${count}`, 'v');
    replica.put(TYPE_SET, 'set', `m${count}`, '');
    editList(replica, { do: 'rpush', key: 'list', at: 0, value: `v${count}` });
    const entry = { do: 'add', key: 'stream', at: 0, value: 'v', group: '', consumer: '' } as const;
    editStream(replica, entry);
    if (count % 5 === 0) replica.set(`s${count / 5}`, 'v');
  }
  return replica;
}

/** Starts digesting and calls `meanwhile` between the steps; the digest is then compared with one that is computed afresh. */
function digestedWith(replica: Replica, meanwhile: (turn: number) => void): number {
  const turns = new Turns();
  startDigesting(replica.keyspace, turns);
  let turn = 0;
  for (; turns.run(); turn++) meanwhile(turn);
  expect(replica.keyspace.digestStart).toBeNull();
  expect(replica.digest() === '').toBe(replica.view().length === 0);
  return turn;
}

describe('digests that are computed while the node works', () => {
  it('are those of what is there in the end, whatever was written to large collections meanwhile', () => {
    return withSeed('test/storage/digests/digest-start.test.ts', (random) => {
      for (let round = 0; round < 6; round++) {
        const replica = filled();
        const kinds = Object.keys(edits);
        const turns = digestedWith(replica, () => {
          for (let count = 0; count < EDITS_A_TURN; count++) edits[random.pick(kinds)](replica, random);
          replica.pack();
        });
        expect(turns).toBeGreaterThan(LARGE / 100);
        replica.release();
      }
    });
  });

  it.each(['delete', 'replace', 'empty', 'evict', 'flush'])(
    'leave out large collections that go meanwhile: %s',
    (what) => {
      const keys = ['hash', 'set', 'list', 'stream'];
      for (let when = 0; when < 20; when += 3) {
        const replica = filled();
        const { keyspace, database } = replica;
        keyspace.storing = false;
        keyspace.feeding = false;
        digestedWith(replica, (turn) => {
          if (turn !== when) return;
          if (what === 'flush') replica.flush();
          for (const name of keys) {
            const key = Buffer.from(name);
            const ref = keyspace.lookup(database, key, 0, key.length);
            if (what === 'delete') replica.delete(name);
            else if (what === 'replace') replica.set(name, 'text');
            else if (what === 'evict') keyspace.evict(database, keyspace.hash, ref);
            else if (what === 'empty' && name === 'hash')
              for (let count = 0; count < LARGE; count++) replica.remove(TYPE_HASH, name, `m${count}`);
          }
        });
        replica.release();
      }
    },
  );
});
