/** The form in which Redis would keep a list: one listpack while it is within `list-max-listpack-size`. */
import { ListpackWriter } from '../../protocol/listpack.ts';
import type { ListCollection } from '../../storage/collections/list-collection.ts';
import type { Keyspace } from '../../storage/keyspace.ts';

/** What −1, −2, … −5 stand for. */
const NODE_BYTES = [4096, 8192, 16384, 32768, 65536];
/** A positive number limits the elements; the bytes are limited to this then. */
const COUNTED_NODE_BYTES = 8192;

/** `sizeLimit` is the option's value: elements, or −1 to −5 for a number of bytes. */
export function listEncoding(keyspace: Keyspace, list: ListCollection, sizeLimit: number): 'listpack' | 'quicklist' {
  const bytesMax = sizeLimit < 0 ? NODE_BYTES[Math.min(-sizeLimit, NODE_BYTES.length) - 1] : COUNTED_NODE_BYTES;
  if (sizeLimit >= 0 && list.count > Math.max(1, sizeLimit)) return 'quicklist';
  // Two bytes are the least that an element takes.
  if (list.count * 2 > bytesMax) return 'quicklist';
  const { elements } = keyspace;
  const pack = new ListpackWriter();
  list.seek(0);
  for (let left = list.count; left > 0; left--) {
    list.readNext();
    if (pack.bytes + elements.valueLength > bytesMax + 16) return 'quicklist';
    pack.append(elements.valueBuffer, elements.valueStart, elements.valueLength);
  }
  return pack.bytes > bytesMax ? 'quicklist' : 'listpack';
}
