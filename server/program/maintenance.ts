/** The commands of the command line that look after the stores: asked of the running node, or done on its folder when it is stopped. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { backUp } from '../../storage/backends/level-backup.ts';
import { LevelStore } from '../../storage/backends/level.ts';
import { LEVEL_FOLDER } from '../../storage/flush/flusher.ts';
import { JOURNAL_FOLDER } from '../../storage/journal/journal-folder.ts';
import { type Answer, askNode, NotRunningError } from './admin-client.ts';
import type { Config } from '../config/config.ts';
import { FACTS_OF_A_CLEAN_STOP } from '../persistence/identity.ts';

/** `mantis backup`: copies the embedded store into a new data directory. @throws Error that says what to do */
export async function backUpNode(config: Config, given: string): Promise<void> {
  const directory = resolve(given);
  process.chdir(config.values.dir);
  let entries: number;
  try {
    entries = Number(await askNode(config, ['MANTIS', 'BACKUP', directory]));
  } catch (error) {
    if (!(error instanceof NotRunningError)) throw error;
    entries = await backUpStopped(config, directory);
  }
  process.stdout.write(
    `Copied ${entries} entries to ${directory}.\nStart a node on the copy: mantis start --data-dir ${directory}\n`,
  );
}

const TELLING_AFTER_MS = 3000;
const STILL_COMPARING =
  'Waiting until the stores have what was written, and comparing. If it takes long: store_mysql_waiting_since_ms in INFO mantis says since when MySQL has not answered.\n';

/**
 * `mantis verify`: compares a running node's memory with its stores, and says where they differ.
 * @returns whether they are alike
 * @throws Error that says what to do
 */
export async function verifyNode(config: Config, isRepairing: boolean): Promise<boolean> {
  let answer: Answer;
  const told = setTimeout(() => process.stderr.write(STILL_COMPARING), TELLING_AFTER_MS);
  try {
    answer = await askNode(config, ['MANTIS', 'VERIFY', ...(isRepairing ? ['REPAIR'] : [])]);
  } catch (error) {
    if (!(error instanceof NotRunningError)) throw error;
    throw new Error(`${error.message}: the stores are compared with a running node, so start it first`, {
      cause: error,
    });
  } finally {
    clearTimeout(told);
  }
  const report = fieldsOf(answer);
  const stores = (report.get('stores') as Answer[]).map(fieldsOf);
  const lines = stores.map((store) => [...store].map(([name, value]) => `${name} ${String(value)}`).join(', '));
  const isAlike = stores.every((store) => ['missing', 'other', 'newer'].every((name) => store.get(name) === 0));
  const verdict = isAlike ? 'alike' : report.get('repaired') === 1 ? 'different, and repaired' : 'different';
  const samples = report.get('differences') as string[];
  process.stdout.write(
    `${[`memory: registers ${String(report.get('registers'))}`, ...lines, ...samples, `The stores and memory are ${verdict}.`].join('\n')}\n`,
  );
  return isAlike;
}

/** A map's reply as RESP2 has it. */
function fieldsOf(answer: Answer): Map<string, Answer> {
  const fields = new Map<string, Answer>();
  if (!Array.isArray(answer)) return fields;
  for (let at = 0; at + 1 < answer.length; at += 2) fields.set(String(answer[at]), answer[at + 1]);
  return fields;
}

async function backUpStopped(config: Config, directory: string): Promise<number> {
  const dataDir = config.values['data-dir'];
  if (dataDir === null) throw new Error('there is no embedded store to copy: data-dir is none');
  const folder = join(dataDir, LEVEL_FOLDER);
  if (!existsSync(join(folder, 'CURRENT')))
    throw new Error(`there is no store in ${folder}: name the --data-dir of the node`);
  const store = new LevelStore({ directory: folder });
  await store.open();
  for (const { path, bytes } of store.tornTails)
    process.stderr.write(`The last ${bytes} bytes of ${path} are not whole, and not in the copy.\n`);
  try {
    return await backUp(store.database, {
      directory,
      dataDir,
      storeFolder: LEVEL_FOLDER,
      isReplacing: false,
      withoutMeta: FACTS_OF_A_CLEAN_STOP,
      journal: { from: join(dataDir, JOURNAL_FOLDER), folder: JOURNAL_FOLDER },
    });
  } finally {
    await store.close();
  }
}
