/**
 * How far writers have been followed: for each of some writers, the stamp up to which everything that it wrote is meant.
 * Travels between nodes in SEEN frames, is kept over a restart, and is handed to clients as a token.
 *
 *   SEEN    u16 number of entries, each: u64 writer, u64 stamp; the first entry is the sender's own
 *   token   `m1.` and base64url of: u32 CRC-32C of the cluster id, the entries, u32 CRC-32C of all before it
 *
 * 64-bit numbers big-endian, others little-endian. A token of cluster `` for writer 1111111122222222 up to stamp
 * 1700000000000-7:
 *
 *   m1.AAAAABEREREiIiIiAYvP5WgAAAe42Ole
 */
import { crc32c } from './crc32c.ts';
import {
  FRAME_HEADER_BYTES,
  FRAME_SEEN,
  PeerProtocolError,
  REFUSE_MALFORMED,
  allocateFrame,
  sealFrame,
} from './peer-frame.ts';

/** No list of writers is longer than this. */
export const WRITERS_MAX = 256;

const ENTRY_BYTES = 16;
const TOKEN_PREFIX = 'm1.';
const TOKEN_BYTES_MAX = 8 + WRITERS_MAX * ENTRY_BYTES;

/** Everything that the writer wrote up to the stamp. */
export interface Written {
  readonly writerHi: number;
  readonly writerLo: number;
  readonly stampHi: number;
  readonly stampLo: number;
}

function writeEntries(bytes: Buffer, at: number, entries: readonly Written[]): void {
  for (const { writerHi, writerLo, stampHi, stampLo } of entries) {
    at = bytes.writeUInt32BE(writerHi, at);
    at = bytes.writeUInt32BE(writerLo, at);
    at = bytes.writeUInt32BE(stampHi, at);
    at = bytes.writeUInt32BE(stampLo, at);
  }
}

function readEntries(bytes: Buffer, at: number, count: number): Written[] {
  return Array.from({ length: count }, (_, index) => {
    const start = at + index * ENTRY_BYTES;
    return {
      writerHi: bytes.readUInt32BE(start),
      writerLo: bytes.readUInt32BE(start + 4),
      stampHi: bytes.readUInt32BE(start + 8),
      stampLo: bytes.readUInt32BE(start + 12),
    };
  });
}

/** The bytes in which a list is kept over a restart. */
export function packWritten(entries: readonly Written[]): Buffer {
  const bytes = Buffer.alloc(entries.length * ENTRY_BYTES);
  writeEntries(bytes, 0, entries);
  return bytes;
}

/** Reads what packWritten wrote; an incomplete entry at the end is left out. */
export function unpackWritten(bytes: Buffer): Written[] {
  return readEntries(bytes, 0, Math.min(WRITERS_MAX, Math.floor(bytes.length / ENTRY_BYTES)));
}

export function encodeSeen(entries: readonly Written[]): Buffer {
  const frame = allocateFrame(FRAME_SEEN, 0, 2 + entries.length * ENTRY_BYTES);
  frame.writeUInt16LE(entries.length, FRAME_HEADER_BYTES);
  writeEntries(frame, FRAME_HEADER_BYTES + 2, entries);
  return sealFrame(frame);
}

/** @throws PeerProtocolError when it is malformed or names no writer */
export function decodeSeen(buffer: Buffer, start: number, end: number): Written[] {
  const count = end - start < 2 ? 0 : buffer.readUInt16LE(start);
  if (count === 0 || count > WRITERS_MAX || end - start !== 2 + count * ENTRY_BYTES) {
    throw new PeerProtocolError(REFUSE_MALFORMED, 'a malformed SEEN frame');
  }
  return readEntries(buffer, start + 2, count);
}

function clusterSum(clusterId: string): number {
  const bytes = Buffer.from(clusterId, 'utf8');
  return crc32c(bytes, 0, bytes.length);
}

export function encodeToken(clusterId: string, entries: readonly Written[]): string {
  const bytes = Buffer.alloc(8 + entries.length * ENTRY_BYTES);
  bytes.writeUInt32LE(clusterSum(clusterId), 0);
  writeEntries(bytes, 4, entries);
  bytes.writeUInt32LE(crc32c(bytes, 0, bytes.length - 4), bytes.length - 4);
  return TOKEN_PREFIX + bytes.toString('base64url');
}

/** The token's entries; `malformed` for what is no token, `foreign` for one of another cluster. */
export function decodeToken(clusterId: string, token: string): Written[] | 'malformed' | 'foreign' {
  const text = token.slice(TOKEN_PREFIX.length);
  if (!token.startsWith(TOKEN_PREFIX) || text.length > (TOKEN_BYTES_MAX * 4) / 3 + 4) return 'malformed';
  const bytes = Buffer.from(text, 'base64url');
  const isWhole = bytes.length >= 8 && (bytes.length - 8) % ENTRY_BYTES === 0;
  // Buffer.from is lenient: only the one spelling of the bytes is taken.
  if (!isWhole || bytes.toString('base64url') !== text) return 'malformed';
  if (crc32c(bytes, 0, bytes.length - 4) !== bytes.readUInt32LE(bytes.length - 4)) return 'malformed';
  if (bytes.readUInt32LE(0) !== clusterSum(clusterId)) return 'foreign';
  return readEntries(bytes, 4, (bytes.length - 8) / ENTRY_BYTES);
}
