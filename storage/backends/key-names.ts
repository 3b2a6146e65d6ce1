/**
 * Keys that a store is asked for, packed one after the other:
 *
 *   u16be database | u32be key length | key
 *
 * which is how all register keys of such a key begin (register-key.ts).
 */
export interface KeyName {
  database: number;
  key: Buffer;
}

const HEADER_BYTES = 6;

export function packKeyNames(names: readonly KeyName[]): Buffer {
  const packed = Buffer.allocUnsafe(names.reduce((bytes, { key }) => bytes + HEADER_BYTES + key.length, 0));
  let at = 0;
  for (const { database, key } of names) {
    at = packed.writeUInt16BE(database, at);
    at = packed.writeUInt32BE(key.length, at);
    at += key.copy(packed, at);
  }
  return packed;
}

export function keyNamesOf(packed: Buffer): KeyName[] {
  const names: KeyName[] = [];
  for (let at = 0; at < packed.length;) {
    const database = packed.readUInt16BE(at);
    const from = at + HEADER_BYTES;
    at = from + packed.readUInt32BE(at + 2);
    names.push({ database, key: packed.subarray(from, at) });
  }
  return names;
}

/** A key of a database as text, for maps. */
export function keyId(database: number, key: Buffer): string {
  return `${database}:${key.toString('latin1')}`;
}

export function keyIdsOf(packed: Buffer): Set<string> {
  return new Set(keyNamesOf(packed).map(({ database, key }) => keyId(database, key)));
}

/** As many as a statement of about so many bytes of hex text names. */
export function* nameSlices(names: readonly KeyName[], textBytes: number): Generator<KeyName[]> {
  for (let from = 0; from < names.length;) {
    const first = from;
    let bytes = 0;
    while (from < names.length && bytes < textBytes) bytes += 32 + 2 * names[from++].key.length;
    yield names.slice(first, from);
  }
}
