/**
 * A HyperLogLog: one element for each node that has added to it, named by the node's id, whose value is what that node has
 * added, in Redis's format. Each node writes its own element only, so that no addition is lost; what commands see is a string,
 * the greatest of each register over all elements.
 */
import { TYPE_STRING } from '../arena/block.ts';
import {
  createEmpty,
  DENSE_BYTES,
  denseSet,
  ENCODING_DENSE,
  isHyperLogLog,
  markStale,
  raiseRegisters,
  REGISTERS,
  sparseSet,
  TOO_LARGE,
  toDense,
} from '../types/hyperloglog.ts';
import type { Collection, CollectionHome } from './collection.ts';
import { MemberCollection } from './member-collection.ts';

/** Several nodes' sparse values become a dense one beyond this: Redis's default for one. */
const SPARSE_BYTES_MAX = 3000;

export class HyperLogLogCollection extends MemberCollection {
  /** This node's element. */
  readonly ownName: Buffer;
  /** What several elements make together; null until it is asked for. */
  #joined: Buffer | null = null;

  constructor(home: CollectionHome) {
    super(TYPE_STRING, home);
    this.ownName = Buffer.alloc(8);
    this.ownName.writeUInt32BE(home.nodes.hi[0], 0);
    this.ownName.writeUInt32BE(home.nodes.lo[0], 4);
  }

  override createEmpty(): Collection {
    return new HyperLogLogCollection(this.home);
  }

  override shown(): void {
    this.#joined = null;
  }

  override hidden(): void {
    this.#joined = null;
  }

  /** Leaves the value in `elements.valueBuffer`, `valueStart`, `valueLength`. Its cached cardinality may be written to. */
  readValue(): void {
    const { elements } = this;
    if (this.#joined === null && this.count === 1) {
      this.forEach((ref) => elements.readPayload(ref));
      return;
    }
    this.#joined ??= this.#join();
    elements.valueBuffer = this.#joined;
    elements.valueStart = 0;
    elements.valueLength = this.#joined.length;
  }

  #join(): Buffer {
    const { elements } = this;
    const registers = new Uint8Array(REGISTERS);
    let isDense = false;
    this.forEach((ref) => {
      elements.readPayload(ref);
      const { valueBuffer, valueStart, valueLength } = elements;
      if (!isHyperLogLog(valueBuffer, valueStart, valueLength)) return;
      raiseRegisters(valueBuffer, valueStart, valueLength, registers);
      if (valueBuffer[valueStart + 4] === ENCODING_DENSE) isDense = true;
    });
    return encodeRegisters(registers, isDense);
  }

  override get indexBytes(): number {
    return super.indexBytes + (this.#joined === null ? 0 : DENSE_BYTES);
  }
}

/** A value with these registers: sparse while that is short. */
function encodeRegisters(registers: Uint8Array, isDense: boolean): Buffer {
  const empty = createEmpty();
  const sparse = { buffer: Buffer.alloc(empty.length + 16), length: empty.length };
  empty.copy(sparse.buffer);
  let dense = isDense ? toDense(empty, 0, empty.length)! : null;
  for (let register = 0; register < REGISTERS; register++) {
    const value = registers[register];
    if (value === 0) continue;
    if (dense === null && sparseSet(sparse, register, value, SPARSE_BYTES_MAX) === TOO_LARGE) {
      dense = toDense(sparse.buffer, 0, sparse.length)!;
    }
    if (dense !== null) denseSet(dense, 0, register, value);
  }
  const value = dense ?? sparse.buffer.subarray(0, sparse.length);
  markStale(value, 0);
  return value;
}
