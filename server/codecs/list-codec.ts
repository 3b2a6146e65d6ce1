/**
 * Lists as RDB payloads: a number of nodes, each an element of its own or a listpack of several.
 *
 *   type 18   | length nodes | node: length container, string | … |   container 1: the element, 2: a listpack
 *   type 14   | length nodes | string: a ziplist | … |
 *   type 10   | string: a ziplist |
 *   type 1    | length elements | string | … |
 */
import { ListpackWriter, readListpack, readZiplist } from '../../protocol/listpack.ts';
import { PayloadError, type PayloadReader, PayloadWriter } from '../../protocol/rdb-payload.ts';
import { TYPE_LIST } from '../../storage/arena/block.ts';
import type { ListCollection } from '../../storage/collections/list-collection.ts';
import { pushRight } from '../../storage/types/list.ts';
import type { ValueCodec } from './value-codec.ts';

const RDB_LIST = 1;
const RDB_LIST_ZIPLIST = 10;
const RDB_LIST_QUICKLIST = 14;
const RDB_LIST_QUICKLIST_2 = 18;
const CONTAINER_PLAIN = 1;
const CONTAINER_PACKED = 2;
/** What Redis puts into one node, with the default `list-max-listpack-size`. */
const NODE_BYTES_MAX = 8192;
const ENTRY_OVERHEAD_BYTES = 11;

interface ListNode {
  container: number;
  bytes: Buffer;
}

function nodesOf(keyspace: Parameters<ValueCodec['dump']>[0], list: ListCollection): ListNode[] {
  const nodes: ListNode[] = [];
  const pack = new ListpackWriter();
  const closePack = (): void => {
    if (pack.count > 0) nodes.push({ container: CONTAINER_PACKED, bytes: pack.finish() });
  };
  const { elements } = keyspace;
  list.seek(0);
  for (let left = list.count; left > 0; left--) {
    list.readNext();
    const { valueBuffer, valueStart, valueLength } = elements;
    if (pack.bytes + valueLength + ENTRY_OVERHEAD_BYTES > NODE_BYTES_MAX) closePack();
    if (valueLength + ENTRY_OVERHEAD_BYTES > NODE_BYTES_MAX) {
      nodes.push({ container: CONTAINER_PLAIN, bytes: valueBuffer.subarray(valueStart, valueStart + valueLength) });
    } else {
      pack.append(valueBuffer, valueStart, valueLength);
    }
  }
  closePack();
  return nodes;
}

function valuesOf(reader: PayloadReader): Buffer[] {
  const { type } = reader;
  if (type === RDB_LIST_ZIPLIST) return readZiplist(reader.string());
  const values: Buffer[] = [];
  for (let left = reader.length(); left > 0; left--) {
    if (type === RDB_LIST) values.push(reader.string());
    else if (type === RDB_LIST_QUICKLIST) append(values, readZiplist(reader.string()));
    else append(values, readNode(reader));
  }
  return values;
}

function append(values: Buffer[], more: readonly Buffer[]): void {
  for (const value of more) values.push(value);
}

function readNode(reader: PayloadReader): Buffer[] {
  const container = reader.length();
  if (container === CONTAINER_PLAIN) return [reader.string()];
  if (container !== CONTAINER_PACKED) throw new PayloadError('a node of a list in an unknown form');
  return readListpack(reader.string());
}

export const listCodec: ValueCodec = {
  type: TYPE_LIST,
  rdbTypes: [RDB_LIST, RDB_LIST_ZIPLIST, RDB_LIST_QUICKLIST, RDB_LIST_QUICKLIST_2],

  dump(keyspace, collection) {
    const nodes = nodesOf(keyspace, collection as ListCollection);
    const writer = new PayloadWriter(RDB_LIST_QUICKLIST_2);
    writer.length(nodes.length);
    for (const { container, bytes } of nodes) {
      writer.length(container);
      writer.string(bytes, 0, bytes.length);
    }
    return writer.finish();
  },

  parse(reader) {
    const values = valuesOf(reader);
    if (values.length === 0) throw new PayloadError('a list without elements');
    return (keyspace, collection) => {
      for (const value of values) pushRight(keyspace, collection as ListCollection, value, 0, value.length);
    };
  },
};
