/** The two halves of comparing elements, spoken by hand, right and wrong. */
import { describe, expect, it } from '@jest/globals';
import {
  CELL_BITS_MOST,
  encodeAll,
  encodeCells,
  encodePick,
  encodeRanges,
  rangeCount,
  type KeyRanges,
} from '../../../protocol/peer-elements.ts';
import {
  FRAME_HEADER_BYTES,
  FRAME_REPAIR_CELLS,
  FRAME_REPAIR_DONE,
  FRAME_REPAIR_GROUPS,
  FRAME_REPAIR_PICK,
  FRAME_REPAIR_RECORDS,
  FRAME_REPAIR_SUMMARIES,
  FRAME_REPAIR_TURN,
  PeerProtocolError,
  REFUSE_MALFORMED,
} from '../../../protocol/peer-frame.ts';
import { encodeBuckets, encodeEmpty } from '../../../protocol/peer-repair.ts';
import { ElementAnswerer } from '../../../replication/repair/element-answerer.ts';
import { CELLS_PER_TURN, ElementAsker, KEYS_PER_TURN } from '../../../replication/repair/element-asker.ts';
import { FrameScratch } from '../../../replication/stream/frame-scratch.ts';
import type { CellScan, KeyPart, LargeKey } from '../../../replication/replica.ts';
import { ModelReplica } from '../model-replica.ts';
import { RawPeer } from '../raw-peer.ts';
import { VirtualCluster } from '../virtual-cluster.ts';

const BITS = 7;
const zero = { hi: 0, lo: 0 };

/** A replica of which every key has the same cells, all of 1 but those given. */
class CellReplica extends ModelReplica {
  readonly given: KeyPart[] = [];
  readonly #words: Uint32Array;

  constructor(changed: readonly number[] = []) {
    super({ hi: 1, lo: 1 }, () => 0);
    this.#words = new Uint32Array(2 ** BITS * 2).fill(1);
    for (const cell of changed) this.#words[cell * 2 + 1] = 2;
  }

  override startCells(): CellScan {
    return { words: this.#words, isLost: false, step: () => false };
  }

  override startParts(parts: readonly KeyPart[]): ReturnType<ModelReplica['startParts']> {
    this.given.push(...parts);
    return super.startParts(parts);
  }
}

const large = (number: number): LargeKey => ({
  database: 0,
  key: Buffer.from(`key ${number}`),
  kind: 16,
  elementCount: 1600,
});

function frameOf(side: { next(): Buffer | null; readonly isDone: boolean }): Buffer[] {
  const frames: Buffer[] = [];
  while (!side.isDone) {
    const frame = side.next();
    if (frame !== null) frames.push(frame);
  }
  return frames;
}

/** Hands a frame to the side that it is for. */
function hand(frame: Buffer, asker: ElementAsker, answerer: ElementAnswerer): void {
  const end = frame.length;
  if (frame[8] === FRAME_REPAIR_CELLS) asker.receiveCells(frame.readUInt16LE(10), frame, FRAME_HEADER_BYTES, end);
  else if (frame[8] === FRAME_REPAIR_PICK) answerer.receivePick(frame, FRAME_HEADER_BYTES, end);
  else answerer.receiveRanges(frame, FRAME_HEADER_BYTES, end);
}

function refusalOf(work: () => void): number {
  try {
    work();
  } catch (problem) {
    if (problem instanceof PeerProtocolError) return problem.code;
    throw problem;
  }
  return 0;
}

function converse(ours: CellReplica, theirs: CellReplica, keys: number): { asker: ElementAsker; frames: number } {
  const asker = new ElementAsker(theirs, 100, new FrameScratch());
  const answerer = new ElementAnswerer(ours, new FrameScratch());
  for (let number = 0; number < keys; number++) expect(asker.add(large(number))).toBe(true);
  let frames = 0;
  for (let isFirst = true; ; isFirst = false) {
    if (!isFirst) asker.answered();
    for (const frame of frameOf(asker)) {
      frames++;
      hand(frame, asker, answerer);
    }
    answerer.turned();
    for (const frame of frameOf(answerer)) {
      frames++;
      hand(frame, asker, answerer);
    }
    if (!answerer.isOpen) return { asker, frames };
    answerer.endTurn();
  }
}

describe('comparing elements', () => {
  it('ends with the very cells that differ, on both sides', () => {
    const ours = new CellReplica([3, 100]);
    const theirs = new CellReplica([100, 101]);
    const { asker, frames } = converse(ours, theirs, 1);
    const expected = new Uint8Array(2 ** BITS);
    expected[3] = expected[101] = 1;
    const part = { database: 0, key: Buffer.from('key 0'), kind: 16, bits: BITS, cells: expected };
    expect(ours.given).toEqual([part]);
    expect(theirs.given).toEqual([{ ...part, elementCount: 1600 }]);
    expect([asker.isOpen, asker.isDone, frames]).toEqual([false, true, 3]);
  });

  it('takes as many keys as fit one turn, and the others in the next ones', () => {
    const ours = new CellReplica([3]);
    const theirs = new CellReplica();
    const keys = 2 * KEYS_PER_TURN + 9;
    expect(converse(ours, theirs, keys).frames).toBe(3 * keys);
    expect(new Set(ours.given.map(({ key }) => key.toString())).size).toBe(keys);
    expect(theirs.given).toHaveLength(keys);
  });

  const ranges: KeyRanges = { ...large(0), bits: BITS, ranges: new Uint32Array(rangeCount(BITS) * 2) };
  const answererAfter = (...given: KeyRanges[]): ElementAnswerer => {
    const answerer = new ElementAnswerer(new CellReplica(), new FrameScratch());
    for (const one of given)
      hand(encodeRanges(one), new ElementAsker(new CellReplica(), 1, new FrameScratch()), answerer);
    answerer.turned();
    frameOf(answerer);
    answerer.endTurn();
    return answerer;
  };
  const askerAfter = (): ElementAsker => {
    const asker = new ElementAsker(new CellReplica(), 100, new FrameScratch());
    asker.add(large(0));
    frameOf(asker);
    return asker;
  };
  const nobody = new ElementAnswerer(new CellReplica(), new FrameScratch());
  const pick = encodePick(0, BITS, new Uint8Array(2 ** BITS));
  const noCells = encodeCells(0, BITS, [], new Uint32Array(0), false);

  it.each<[string, () => void]>([
    ['a pick among cells that were not told', () => hand(pick, askerAfter(), nobody)],
    [
      'a pick of what was picked from already',
      () => {
        const answerer = answererAfter(ranges);
        hand(pick, askerAfter(), answerer);
        hand(pick, askerAfter(), answerer);
      },
    ],
    ['a turn without its picks', () => answererAfter(ranges).turned()],
    ['more keys than a turn has', () => answererAfter(...new Array<KeyRanges>(KEYS_PER_TURN + 1).fill(ranges))],
    [
      'more cells than a turn has',
      () => {
        const most = { ...ranges, bits: CELL_BITS_MOST, ranges: new Uint32Array(rangeCount(CELL_BITS_MOST) * 2) };
        expect(2 ** most.bits).toBe(CELLS_PER_TURN);
        answererAfter(ranges, most);
      },
    ],
    ['cells that were not asked for', () => hand(encodeAll(FRAME_REPAIR_CELLS, 1), askerAfter(), nobody)],
    [
      'cells after the last ones',
      () => {
        const asker = askerAfter();
        hand(noCells, asker, nobody);
        hand(noCells, asker, nobody);
      },
    ],
    ['a turn without its cells', () => askerAfter().answered()],
  ])('refuses %s', (_name, work) => {
    expect(refusalOf(work)).toBe(REFUSE_MALFORMED);
  });
});

describe('a peer that compares elements with a node', () => {
  /** A peer that has just been sent the plan and the summaries of a round in which everything is exchanged. */
  async function inItsTurn(versionHighest: number): Promise<RawPeer> {
    const cluster = new VirtualCluster(3);
    const node = await cluster.add();
    node.write(['key', 'value']);
    const peer = new RawPeer(cluster, { versionHighest }).join(zero, false);
    peer.send();
    expect(peer.frame(FRAME_REPAIR_GROUPS)).toBeDefined();
    peer.send(
      encodeBuckets(
        zero,
        Array.from({ length: 256 }, (_none, at) => at),
        new Uint32Array(65536 * 2),
      ),
    );
    expect(peer.frame(FRAME_REPAIR_SUMMARIES)).toBeDefined();
    return peer;
  }
  const told = encodeRanges({ database: 0, key: Buffer.from('key'), kind: 16, bits: 2, ranges: new Uint32Array(2) });
  const types = (peer: RawPeer, from: number): number[] => peer.frames.slice(from).map(({ type }) => type);

  it('is given a key whole that the node cannot compare', async () => {
    const peer = await inItsTurn(4);
    peer.send(told, encodeEmpty(FRAME_REPAIR_TURN));
    expect(peer.frames.at(-1)?.type).toBe(FRAME_REPAIR_TURN);
    const answer = peer.frame(FRAME_REPAIR_CELLS)!;
    expect(answer.payload.toString('hex')).toBe('000000000100');
    const before = peer.frames.length;
    peer.send(encodeAll(FRAME_REPAIR_PICK, 0), encodeEmpty(FRAME_REPAIR_TURN));
    expect(types(peer, before)).toEqual([FRAME_REPAIR_RECORDS, FRAME_REPAIR_DONE]);
    expect(peer.isClosed).toBe(false);
  });

  it.each([
    ['ranges, though it is of an earlier release', 3, [told]],
    ['a turn without picks', 4, [told, encodeEmpty(FRAME_REPAIR_TURN), encodeEmpty(FRAME_REPAIR_TURN)]],
    ['cells, which only the leader tells', 4, [encodeAll(FRAME_REPAIR_CELLS, 0)]],
    ['a pick before any cells', 4, [encodeAll(FRAME_REPAIR_PICK, 0)]],
  ])('is refused when it sends %s', async (_name, version, frames) => {
    const peer = await inItsTurn(version);
    for (const frame of frames) peer.send(frame);
    expect(peer.refusal?.reason).toBe(REFUSE_MALFORMED);
  });
});
