/** Flushers on real stores, with a register model in the place of the keyspace. */
import { RecordWriter } from '../../protocol/change-record.ts';
import { systemTime } from '../../replication/system.ts';
import { MysqlStore } from '../../storage/backends/mysql.ts';
import { Flusher } from '../../storage/flush/flusher.ts';
import type { FlusherOptions } from '../../storage/flush/flusher-options.ts';
import { SeededRandom } from '../support/seed.ts';
import { storeEnvironment } from '../support/store-environment.ts';
import { appendRecord, RegisterModel } from './registers.ts';

export interface FlushedNode {
  model: RegisterModel;
  flusher: Flusher;
  errors: Error[];
}

export async function openNode(options: Partial<FlusherOptions>): Promise<FlushedNode> {
  const model = new RegisterModel();
  const errors: Error[] = [];
  const defaults = {
    dataDir: null,
    mysql: null,
    environment: storeEnvironment,
    flushIntervalMs: 50,
    backoffMsMax: 100,
    connectTimeoutMs: 2000,
    queryTimeoutMs: 2000,
  };
  const flusher = new Flusher({ ...defaults, ...options }, model, systemTime);
  flusher.onError = (error) => errors.push(error);
  await flusher.open();
  return { model, flusher, errors };
}

export async function startNode(options: Partial<FlusherOptions>): Promise<FlushedNode> {
  const node = await openNode(options);
  await node.flusher.hydrate((records) => void node.model.merge(records, 'store'));
  node.flusher.start();
  return node;
}

export async function tableOf(url: string): Promise<string[]> {
  const store = new MysqlStore({ target: url, environment: storeEnvironment });
  const model = new RegisterModel();
  await store.load((records) => void model.merge(records, 'store'));
  await store.close();
  return model.contents();
}

/** What a node that starts over finds in a data directory. */
export async function storedIn(dataDir: string): Promise<string[]> {
  const node = await startNode({ dataDir });
  await node.flusher.close(2000);
  return node.model.contents();
}

export function fill(model: RegisterModel, count: number, random = new SeededRandom(1), valueBytes = 20): void {
  const writer = new RecordWriter();
  for (let index = 0; index < count; index++) {
    appendRecord(writer, {
      key: `key:${random.below(count * 2)}`,
      step: random.below(1000),
      value: random.bytes(8 + random.below(valueBytes)),
    });
  }
  model.merge(writer.take());
}
