/** Where registers lie among LevelDB's keys. */
import { type Outlived, sumsPrefix } from './outlived.ts';

export const REGISTER_TAG = 0x72; // 'r'
export const REGISTERS_FROM = Buffer.from('r');
export const REGISTERS_TO = Buffer.from('s');

type Range = Pick<Outlived, 'database' | 'key'> & Partial<Pick<Outlived, 'element' | 'counterKind'>>;

/** Where the registers of a database, of a key, or the sums of one of its elements, lie. */
export function rangeOf({ database, key, element = null, counterKind = 0 }: Range): { from: Buffer; to: Buffer } {
  const from = Buffer.allocUnsafe(3 + (key === null ? 0 : 4 + key.length));
  from[0] = REGISTER_TAG;
  from.writeUInt16BE(database, 1);
  if (key === null) {
    const to = database === 0xffff ? REGISTERS_TO : Buffer.from(from);
    if (database < 0xffff) to.writeUInt16BE(database + 1, 1);
    return { from, to };
  }
  from.writeUInt32BE(key.length, 3);
  key.copy(from, 7);
  if (element !== null) {
    const first = Buffer.concat([from, Buffer.from([counterKind]), sumsPrefix(element)]);
    // Behind it comes the id of a node, which is shorter.
    return { from: first, to: Buffer.concat([first, Buffer.alloc(9, 0xff)]) };
  }
  // No kind is 255, so that this is beyond them all.
  return { from, to: Buffer.concat([from, Buffer.from([0xff])]) };
}
