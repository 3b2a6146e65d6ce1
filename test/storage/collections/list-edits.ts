/** Lists of a replica, edited and read by text. */
import { TYPE_LIST } from '../../../storage/arena/block.ts';
import type { ListCollection } from '../../../storage/collections/list-collection.ts';
import { endChange, openCollection, removeElement } from '../../../storage/collections/local.ts';
import { insertAt, pushLeft, pushRight, removeEnd, setElement } from '../../../storage/types/list.ts';
import type { Replica } from './replicas.ts';

export interface ListEdit {
  do: 'rpush' | 'lpush' | 'insert' | 'set' | 'remove';
  key: string;
  /** An index, taken within the list's length. */
  at: number;
  value: string;
}

/** Nothing when the key is of another type, or has nothing to edit. */
export function editList(replica: Replica, step: ListEdit): void {
  const { keyspace, database } = replica;
  const name = Buffer.from(step.key);
  const ref = keyspace.lookup(database, name, 0, name.length);
  if (ref !== 0 && keyspace.typeOf(ref) !== TYPE_LIST) return;
  const count = ref === 0 ? 0 : keyspace.collectionAt(ref).count;
  const isPush = step.do === 'rpush' || step.do === 'lpush';
  if (count === 0 && !isPush) return;
  const text = Buffer.from(step.value);
  const list = openCollection(keyspace, database, ref, TYPE_LIST, name, 0, name.length) as ListCollection;
  if (step.do === 'rpush') pushRight(keyspace, list, text, 0, text.length);
  else if (step.do === 'lpush') pushLeft(keyspace, list, text, 0, text.length);
  else if (step.do === 'insert') insertAt(keyspace, list, step.at % (count + 1), text, 0, text.length);
  else if (step.do === 'set') setElement(keyspace, list, list.at(step.at % count), text, 0, text.length);
  else if (step.at % count === 0) removeEnd(keyspace, list, -1);
  else if (step.at % count === count - 1) removeEnd(keyspace, list, 1);
  else removeElement(keyspace, list, list.at(step.at % count));
  endChange(keyspace, list, true);
}

/** The values of a list in its order. */
export function valuesOfList({ keyspace, database }: Replica, key: string): string[] {
  const name = Buffer.from(key);
  const ref = keyspace.lookup(database, name, 0, name.length);
  if (ref === 0 || keyspace.typeOf(ref) !== TYPE_LIST) return [];
  const { elements } = keyspace;
  const values: string[] = [];
  const list = keyspace.collectionAt(ref) as ListCollection;
  if (list.count > 0) list.seek(0);
  while (values.length < list.count && list.readNext()) {
    values.push(
      elements.valueBuffer.toString('latin1', elements.valueStart, elements.valueStart + elements.valueLength),
    );
  }
  return values;
}
