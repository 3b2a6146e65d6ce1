/** What a flusher holds of what is on its way, however much there is of it. */
import { expect, it } from '@jest/globals';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { OnRecords } from '../../../storage/backends/backend.ts';
import { FlushEngine } from '../../../storage/flush/flush-engine.ts';
import type { EngineEvents, EngineOptions } from '../../../storage/flush/flush-types.ts';
import type { StoreEnvironment } from '../../../storage/environment.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openNode, startNode } from '../flushed-node.ts';
import { pack } from '../registers.ts';

/** Writes nothing before it is let go. */
class StandingEngine extends FlushEngine {
  bytesUnderWay = 0;
  letGo: () => void = () => undefined;
  readonly #gate = new Promise<void>((resolve) => (this.letGo = resolve));

  override async write(...[records, ...rest]: Parameters<FlushEngine['write']>): Promise<void> {
    this.bytesUnderWay += records.length;
    await this.#gate;
    await super.write(records, ...rest);
  }
}

it('a flush whose store stands still has a few MB under way, and all the rest stays where it is', async () => {
  let engine: StandingEngine | null = null;
  const makeEngine = (options: EngineOptions, events: EngineEvents, environment: StoreEnvironment): FlushEngine =>
    (engine = new StandingEngine(options, null, null, events, environment));
  const { model, flusher } = await startNode({
    dataDir: temporaryFolder('flush'),
    flushIntervalMs: 3_600_000,
    makeEngine,
  });
  for (let index = 0; index < 20; index++)
    model.merge(pack({ key: `key:${index}`, value: Buffer.alloc(1 << 20, index) }));
  const flushing = flusher.flushNow();
  await waitFor('the flush to wait', () => engine!.bytesUnderWay >= 3 << 20);
  // More would come in the next turns.
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(engine!.bytesUnderWay).toBeLessThan(5 << 20);
  expect(model.dirtyCount).toBeGreaterThan(10);
  engine!.letGo();
  await flushing;
  expect(model.dirtyCount).toBe(0);
  expect(engine!.bytesUnderWay).toBeGreaterThan(20 << 20);
  await flusher.close(2000);
});

/** Has a table of some rows, and an embedded store that had part of each. */
class LoadingEngine extends FlushEngine {
  readonly given: WeakRef<Buffer>[] = [];

  override async load(_store: 'level' | 'mysql', _stampMsMax: number, onRecords: OnRecords): Promise<void> {
    for (let index = 0; index < 5; index++) await onRecords(pack({ key: `row:${index}` }), index, 5);
  }

  override merge(records: Buffer): Promise<Buffer> {
    const newer = Buffer.from(records);
    this.given.push(new WeakRef(newer));
    return Promise.resolve(newer);
  }
}

it('a load from MySQL holds nothing of what the embedded store has taken', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  let engine: LoadingEngine | null = null;
  const { flusher } = await openNode({
    dataDir: temporaryFolder('flush'),
    mysql: 'mysql://nobody@127.0.0.1:1/nothing',
    makeEngine: (options, events, environment) =>
      (engine = new LoadingEngine({ ...options, mysqlUrl: null }, null, null, events, environment)),
  });
  const heldCounts: number[] = [];
  const nothing = (): void => undefined;
  await flusher.hydrate(nothing, nothing, async (records, keep) => {
    await keep(records);
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    heldCounts.push(engine!.given.filter((reference) => reference.deref() !== undefined).length);
  });
  expect(Math.max(...heldCounts)).toBeLessThanOrEqual(1);
  await flusher.close(2000);
});
