/**
 * The journal of `durability always`: each turn's changes as peers get them, appended and synced before anything is answered. What
 * it holds is in memory as well, and dirty there: once a flush has brought that to the embedded store, the journal's files
 * from before the flush are removed. So it is only read after a crash, and by whichever mode the node is started in.
 *
 * A file `<16 hex digits>.journal`, the oldest having the least number:
 *
 *   offset  size
 *        0    17  "mantis-journal 1\n"
 *       17        frames, each written and synced in one piece:
 *                 u32le 0x464a4d01 | u32le length | u32le CRC-32C of the records | u32le CRC-32C of these 12 bytes, seeded
 *                 with the frame's own offset | records
 *
 * Worked example, the first frame of a file, of the 4 bytes 01 02 03 04 (not a record):
 *
 *   014d4a46 04000000 f48c3029 f59a2f8e 01020304
 */
import { crc32c, isOneBitOff } from '../../protocol/crc32c.ts';
import { StoreError } from '../backends/backend.ts';
import { hasUnwrittenSector, type TornTail } from '../backends/torn-tail.ts';

/** A folder of the journal; failures are StoreErrors. */
export interface JournalFolder {
  /** For messages. */
  readonly path: string;
  /** The names of all files; none where there is no folder. */
  list(): Promise<string[]>;
  read(name: string): Promise<Buffer>;
  /** Makes a file, whose name is durable from then on. */
  create(name: string): Promise<JournalFile>;
  remove(name: string): Promise<void>;
}

export interface JournalFile {
  /** Resolves when the bytes, which lie in one or more pieces, are durable. One call at a time. */
  append(pieces: readonly Buffer[]): Promise<void>;
  close(): Promise<void>;
}

const HEAD = Buffer.from('mantis-journal 1\n');
const HEAD_START = 'mantis-journal ';
const NAME = /^[0-9a-f]{16}\.journal$/;
const FRAME_MAGIC = 0x464a4d01;
const FRAME_HEAD_BYTES = 16;
const GATHERING_BYTES = 256 << 10;
/** More than this is not kept between two frames. */
const KEPT_BYTES = 4 << 20;
/** So much may wait for a flush; after that the flush itself is what a commit waits for. */
const JOURNAL_BYTES_MAX = 256 << 20;

interface Segment {
  readonly name: string;
  readonly bytes: number;
}

interface OpenSegment {
  readonly name: string;
  readonly file: JournalFile;
  bytes: number;
}

export class Journal {
  /** What replay() has left out at the ends of files. */
  readonly tornTails: TornTail[] = [];
  readonly #folder: JournalFolder;
  /** Files that no frame is added to any more. */
  #closed: Segment[] = [];
  #open: OpenSegment | null = null;
  #nextNumber = 1n;
  /** What of a frame in the making is before what is being gathered: large records of their own, and what came before them. */
  #pieces: Buffer[] = [];
  /** A frame in the making: room for its head, unless that is in the first piece, then records. */
  #gathering: Buffer = Buffer.allocUnsafeSlow(GATHERING_BYTES);
  #gathered = FRAME_HEAD_BYTES;
  #spare: Buffer = Buffer.allocUnsafeSlow(GATHERING_BYTES);
  /** The last write that was asked for, and whether it has begun. */
  #lastWrite: Promise<void> = Promise.resolve();
  #isWriteBegun = true;
  /** What removes and closes files. */
  #tidying: Promise<unknown> = Promise.resolve();
  /** Called when a file cannot be removed; it is tried again after the next flush. */
  onLeftOver: (error: unknown) => void = () => undefined;

  constructor(folder: JournalFolder) {
    this.#folder = folder;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#closed.reduce((sum, { bytes }) => sum + bytes, this.#open?.bytes ?? 0);
  }

  /** Only a flush makes room. */
  get isFull(): boolean {
    return this.bytes >= JOURNAL_BYTES_MAX;
  }

  /**
   * Gives what an earlier run has left, oldest first; to be called before anything else. The files stay until a flush is done.
   * @throws StoreError `damaged` when a file is damaged, and not merely torn at its end, `refused` for a newer release's
   */
  async replay(onRecords: (records: Buffer) => void): Promise<number> {
    const names = (await this.#folder.list()).filter((name) => NAME.test(name)).sort();
    let frames = 0;
    for (const name of names) {
      const bytes = await this.#folder.read(name);
      const path = `${this.#folder.path}/${name}`;
      for (const records of framesOf(bytes, path, (tail) => this.tornTails.push(tail))) {
        onRecords(records);
        frames++;
      }
      this.#closed.push({ name, bytes: bytes.length });
      this.#nextNumber = BigInt(`0x${name.slice(0, 16)}`) + 1n;
    }
    return frames;
  }

  /**
   * Takes the changes of a turn.
   * @param isGiven the buffer may be kept as it is; otherwise the bytes are copied
   */
  append(records: Buffer, isGiven = false): void {
    if (isGiven) {
      this.#pieces.push(this.#gathering.subarray(0, this.#gathered), records);
      this.#gathering = Buffer.allocUnsafeSlow(GATHERING_BYTES);
      this.#gathered = 0;
      return;
    }
    const needed = this.#gathered + records.length;
    if (needed > this.#gathering.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#gathering.length));
      this.#gathering.copy(larger, 0, 0, this.#gathered);
      this.#gathering = larger;
    }
    records.copy(this.#gathering, this.#gathered);
    this.#gathered = needed;
  }

  /**
   * Resolves when everything that was taken is durable; rejects with a StoreError when that cannot be. What was being written then
   * is not in the journal.
   */
  sync(): Promise<void> {
    if (this.#isWriteBegun && (this.#pieces.length > 0 || this.#gathered > FRAME_HEAD_BYTES)) {
      this.#isWriteBegun = false;
      this.#lastWrite = this.#lastWrite.catch(() => undefined).then(() => this.#write());
    }
    return this.#lastWrite;
  }

  async #write(): Promise<void> {
    this.#isWriteBegun = true;
    const last = this.#gathering;
    const frame = [...this.#pieces, last.subarray(0, this.#gathered)];
    this.#pieces = [];
    this.#gathering = this.#spare;
    this.#gathered = FRAME_HEAD_BYTES;
    try {
      this.#open ??= await this.#create();
      this.#open.bytes += writeFrameHead(frame, this.#open.bytes);
      await this.#open.file.append(frame);
    } catch (error) {
      // Whatever of the frame is there is a torn tail only as long as nothing follows it.
      this.#endSegment();
      throw error;
    } finally {
      this.#spare = last.length <= KEPT_BYTES ? last : Buffer.allocUnsafeSlow(GATHERING_BYTES);
    }
  }

  async #create(): Promise<OpenSegment> {
    const name = `${(this.#nextNumber++).toString(16).padStart(16, '0')}.journal`;
    const file = await this.#folder.create(name);
    const segment = { name, file, bytes: HEAD.length };
    try {
      await file.append([HEAD]);
    } catch (error) {
      this.#end(segment);
      throw error;
    }
    return segment;
  }

  #endSegment(): void {
    if (this.#open !== null) this.#end(this.#open);
    this.#open = null;
  }

  #end({ name, file, bytes }: OpenSegment): void {
    this.#closed.push({ name, bytes });
    // A frame may still be on its way there.
    this.#tidy(() => this.#lastWrite.catch(() => undefined).then(() => file.close()));
  }

  #tidy(work: () => Promise<unknown>): void {
    this.#tidying = this.#tidying.then(work).catch((error: unknown) => this.onLeftOver(error));
  }

  /** A flush begins: what it gives back is to be called when all that was dirty by now is durable elsewhere. */
  beginFlush(): () => void {
    this.#endSegment();
    const before = [...this.#closed];
    return () => this.#tidy(() => this.#remove(before));
  }

  async #remove(segments: readonly Segment[]): Promise<void> {
    for (const segment of segments) {
      if (!this.#closed.includes(segment)) continue;
      await this.#folder.remove(segment.name);
      this.#closed = this.#closed.filter((other) => other !== segment);
    }
  }

  /** Waits for what is under way; the files stay as they are. */
  async close(): Promise<void> {
    await this.#lastWrite.catch(() => undefined);
    this.#endSegment();
    await this.#tidying;
  }
}

/** Writes the head into its room at the begin of a frame that lies in pieces; returns the frame's length. */
function writeFrameHead(frame: readonly Buffer[], offset: number): number {
  const [first, ...others] = frame;
  let length = first.length;
  let checksum = crc32c(first, FRAME_HEAD_BYTES, first.length);
  for (const piece of others) {
    length += piece.length;
    checksum = crc32c(piece, 0, piece.length, checksum);
  }
  first.writeUInt32LE(FRAME_MAGIC, 0);
  first.writeUInt32LE(length - FRAME_HEAD_BYTES, 4);
  first.writeUInt32LE(checksum, 8);
  first.writeUInt32LE(crc32c(first, 0, 12, offset), 12);
  return length;
}

/**
 * The whole frames of a file. One that is not whole must be the last, and not wrong by a single bit: then it was cut short, and nothing of
 * it was acknowledged. What cannot be told from that is left out too, and said to be in doubt.
 */
export function* framesOf(bytes: Buffer, path: string, onTorn: (tail: TornTail) => void): Generator<Buffer> {
  const isHeadWhole = bytes.subarray(0, HEAD.length).equals(HEAD);
  if (!isHeadWhole && !isUnwritten(bytes)) throw headError(bytes, path);
  for (let at = isHeadWhole ? HEAD.length : 0; at < bytes.length;) {
    const end = frameEnd(bytes, at);
    if (end === null) {
      if (hasFrameAfter(bytes, at) || isOneBitFlipped(bytes, at)) throw damaged(path);
      onTorn({ path, bytes: bytes.length - at, isDoubtful: isHeadWhole && isDoubtful(bytes, at) });
      return;
    }
    yield bytes.subarray(at + FRAME_HEAD_BYTES, end);
    at = end;
  }
}

/** Whether not even the first bytes came to the disk. */
function isUnwritten(bytes: Buffer): boolean {
  return bytes.length < HEAD.length || bytes.every((byte) => byte === 0);
}

/** Whether a frame would be whole with one bit of it turned back. */
function isOneBitFlipped(bytes: Buffer, at: number): boolean {
  const from = at + FRAME_HEAD_BYTES;
  if (from > bytes.length) return false;
  if (!isFrameHead(bytes, at)) return isOneBitOff(crc32c(bytes, at, at + 12, at) ^ bytes.readUInt32LE(at + 12), 12);
  const end = from + bytes.readUInt32LE(at + 4);
  return end <= bytes.length && isOneBitOff(crc32c(bytes, from, end) ^ bytes.readUInt32LE(at + 8), end - from);
}

/** Whether a frame that is not whole is as long as it says, and written in all of its sectors. */
function isDoubtful(bytes: Buffer, at: number): boolean {
  const from = at + FRAME_HEAD_BYTES;
  const isShort = from > bytes.length || (isFrameHead(bytes, at) && from + bytes.readUInt32LE(at + 4) > bytes.length);
  return !isShort && !hasUnwrittenSector(bytes, at, bytes.length);
}

function isFrameHead(bytes: Buffer, at: number): boolean {
  if (at + FRAME_HEAD_BYTES > bytes.length || bytes.readUInt32LE(at) !== FRAME_MAGIC) return false;
  return bytes.readUInt32LE(at + 12) === crc32c(bytes, at, at + 12, at);
}

/** Where the frame ends; null when it is not whole. */
function frameEnd(bytes: Buffer, at: number): number | null {
  if (!isFrameHead(bytes, at)) return null;
  const from = at + FRAME_HEAD_BYTES;
  const end = from + bytes.readUInt32LE(at + 4);
  return end <= bytes.length && crc32c(bytes, from, end) === bytes.readUInt32LE(at + 8) ? end : null;
}

function hasFrameAfter(bytes: Buffer, at: number): boolean {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(FRAME_MAGIC);
  for (let found = bytes.indexOf(magic, at + 1); found >= 0; found = bytes.indexOf(magic, found + 1)) {
    if (isFrameHead(bytes, found)) return true;
  }
  return false;
}

function headError(bytes: Buffer, path: string): StoreError {
  const text = bytes.toString('latin1', 0, HEAD.length);
  const version = text.startsWith(HEAD_START) ? Number.parseInt(text.slice(HEAD_START.length), 10) : Number.NaN;
  if (!(version > 1)) return damaged(path);
  return new StoreError(
    'refused',
    `${path} was written in format ${version} by a newer release; this one reads format 1: start the newer release`,
  );
}

function damaged(path: string): StoreError {
  return new StoreError(
    'damaged',
    `${path} is damaged: it holds acknowledged writes that can no longer be read. Restore a backup, or move that file away ` +
      'to start with what the embedded store and the peers have',
  );
}
