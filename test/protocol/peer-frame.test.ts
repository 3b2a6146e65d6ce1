import { describe, expect, it } from '@jest/globals';
import {
  FRAME_ACK,
  FRAME_BYTES_BEFORE_AUTHENTICATION,
  FRAME_RECORDS,
  FRAME_REPAIR_DONE,
  FRAME_REPAIR_WANT,
  FrameDecoder,
  PEER_MAGIC,
  PeerProtocolError,
  REFUSE_CHECKSUM,
  REFUSE_MAGIC,
  REFUSE_MALFORMED,
  REFUSE_TOO_LONG,
  REFUSE_VERSION,
  allocateFrame,
  sealFrame,
  PEER_VERSION_HIGHEST,
} from '../../protocol/peer-frame.ts';
import {
  PING_MEMBERS_MAX,
  decodeAck,
  decodeAuth,
  decodeHello,
  decodePing,
  decodePong,
  decodePosition,
  decodeRefuse,
  encodeAck,
  encodeAuth,
  encodeBrought,
  decodeForget,
  encodeForget,
  encodeHello,
  encodePing,
  encodePong,
  encodeRecords,
  encodeRefuse,
  encodeResume,
  encodeStream,
  type Hello,
  type Ping,
} from '../../protocol/peer-message.ts';
import {
  REPAIR_BUCKET_COUNT,
  decodeBuckets,
  decodeGroups,
  decodePlan,
  encodeBuckets,
  encodeEmpty,
  encodeGroups,
  encodePlan,
  decodeRule,
  encodeRepairRecords,
  encodeRule,
  encodeWords,
  entryCount,
  groupDigests,
} from '../../protocol/peer-repair.ts';
import { encodeSeen } from '../../protocol/written.ts';
import fc from '../support/properties.ts';

const stamp = { hi: 0x018bcfe5, lo: 0x68000007 };
const hello: Hello = {
  versionLowest: 1,
  versionHighest: 1,
  nodeHi: 0x01234567,
  nodeLo: 0x89abcdef,
  incarnationHi: 1,
  incarnationLo: 2,
  clockHi: stamp.hi,
  clockLo: stamp.lo,
  wallMs: 1_700_000_000_000,
  nonce: Buffer.alloc(32, 0xaa),
  port: 16379,
  host: 'n1',
  clusterId: 'c',
  horizon: null,
};
const toldHorizon = { held: { hi: 3, lo: 4 }, reaped: { hi: 1, lo: 2 }, writer: { hi: 5, lo: 6 } };
const forget = { node: { hi: 1, lo: 2 }, stamp, complete: { hi: 3, lo: 4 } };
const rule = { reaped: stamp, isProof: false, nodes: [{ hi: 1, lo: 2, completeHi: 3, completeLo: 4 }] };
const ping: Ping = {
  clockHi: stamp.hi,
  clockLo: stamp.lo,
  wallMs: 1_700_000_000_000,
  token: 9,
  backlogBytes: 70_000,
  published: { hi: 5, lo: 6 },
  complete: { hi: 7, lo: 8 },
  held: { hi: 9, lo: 10 },
  members: [{ nodeHi: 1, nodeLo: 2, incarnationHi: 3, incarnationLo: 4, linked: true, port: 7000, host: '10.0.0.1' }],
};

/** The frames of a connection that is fed in pieces. */
function framesOf(
  pieces: readonly Buffer[],
  bound = FRAME_BYTES_BEFORE_AUTHENTICATION,
): { type: number; flags: number; payload: string }[] {
  const decoder = new FrameDecoder(bound);
  const frames = [];
  for (const piece of pieces) {
    // The fed buffer is reused afterwards, as the real one is.
    const fed = Buffer.from(piece);
    decoder.feed(fed, 0, fed.length);
    while (decoder.next()) {
      const { type, flags } = decoder;
      frames.push({ type, flags, payload: decoder.buffer.toString('hex', decoder.payloadStart, decoder.payloadEnd) });
    }
    fed.fill(0xff);
  }
  return frames;
}

/** Decodes the one frame's payload with `decode`. */
function reread<T>(frame: Buffer, decode: (buffer: Buffer, start: number, end: number) => T): T {
  const decoder = new FrameDecoder(1 << 26);
  const bytes = Buffer.concat([PEER_MAGIC, frame]);
  decoder.feed(bytes, 0, bytes.length);
  expect(decoder.next()).toBe(true);
  return decode(decoder.buffer, decoder.payloadStart, decoder.payloadEnd);
}

function refusalOf(...bytes: Buffer[]): number {
  try {
    framesOf(bytes);
  } catch (problem) {
    if (problem instanceof PeerProtocolError) return problem.code;
    throw problem;
  }
  return 0;
}

describe('the wire format, which is a promise', () => {
  it.each([
    ['ACK', encodeAck(stamp.hi, stamp.lo), '10000000830a7f5007010000018bcfe568000007'],
    [
      'HELLO',
      encodeHello(hello),
      '53000000e285dab401010000010100000123456789abcdef0000000100000002018bcfe5680000070000018bcfe56800aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaafb3f026e310163',
    ],
    [
      'HELLO with its horizon',
      encodeHello({ ...hello, horizon: toldHorizon }),
      '6b000000aa276d8401010000010100000123456789abcdef0000000100000002018bcfe5680000070000018bcfe56800aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaafb3f026e310163000000030000000400000001000000020000000500000006',
    ],
    ['BROUGHT', encodeBrought(stamp), '100000007447e1ea0d050000018bcfe568000007'],
    ['FORGET', encodeForget(forget), '2000000070e10d1c0b0100000000000100000002018bcfe5680000070000000300000004'],
    [
      'REPAIR_RULE',
      encodeRule(rule),
      '24000000b00cf88319010000018bcfe5680000070100010000000001000000020000000300000004',
    ],
    [
      'AUTH',
      encodeAuth([Buffer.alloc(32, 1)]),
      '29000000882cf6ed02010000010101010101010101010101010101010101010101010101010101010101010101',
    ],
    ['REFUSE', encodeRefuse(6, 'no'), '0e000000c27079d203010000060002006e6f'],
    ['RESUME', encodeResume({ flag: true, ...stamp }), '12000000573325a2040100000100018bcfe568000007'],
    ['STREAM', encodeStream({ flag: false, ...stamp }), '12000000b41d743d050100000000018bcfe568000007'],
    [
      'RECORDS',
      encodeRecords(stamp, { hi: 1, lo: 2 }, true, Buffer.from('..abc'), 2, 5),
      '1b0000000c887e5306010100018bcfe5680000070000000100000002616263',
    ],
    [
      'PING',
      encodePing(ping),
      '56000000e22a091608010000018bcfe5680000070000018bcfe56800090000007011010000000005000000060000000700000008000000090000000a01000000000100000002000000030000000401581b0831302e302e302e31',
    ],
    [
      'PONG',
      encodePong({ token: 9, clockHi: stamp.hi, clockLo: stamp.lo, wallMs: 1_700_000_000_000 }),
      '1c0000000086d2fb0901000009000000018bcfe5680000070000018bcfe56800',
    ],
    [
      'SEEN',
      encodeSeen([{ writerHi: 0x11111111, writerLo: 0x22222222, stampHi: stamp.hi, stampLo: stamp.lo }]),
      '1a0000004fc263810a01000001001111111122222222018bcfe568000007',
    ],
    ['REPAIR_DONE', encodeEmpty(FRAME_REPAIR_DONE), '08000000620b06f218010000'],
    [
      'REPAIR_WANT',
      encodeWords(FRAME_REPAIR_WANT, false, new Uint32Array([1, 2, 3, 4]), 4),
      '18000000bc1653c71501000000000001000000020000000300000004',
    ],
    ['REPAIR_RECORDS', encodeRepairRecords(true, Buffer.from('..abc'), 2, 5), '0b000000f2948dd316010100616263'],
  ])('%s', (_name, frame, hex) => {
    expect(frame.toString('hex')).toBe(hex);
  });

  it('reads back what it writes', () => {
    expect(reread(encodeHello(hello), decodeHello)).toEqual(hello);
    expect(reread(encodeHello({ ...hello, horizon: toldHorizon }), decodeHello).horizon).toEqual(toldHorizon);
    expect(reread(encodeForget(forget), decodeForget)).toEqual(forget);
    expect(reread(encodeRule(rule), decodeRule)).toEqual(rule);
    expect(reread(encodePing(ping), decodePing)).toEqual(ping);
    expect(reread(encodeAck(3, 4), decodeAck)).toEqual({ hi: 3, lo: 4 });
    const pong = { token: 1, clockHi: 2, clockLo: 3, wallMs: 4 };
    expect(reread(encodePong(pong), decodePong)).toEqual(pong);
    expect(reread(encodeStream({ flag: true, hi: 5, lo: 6 }), decodePosition)).toEqual({ flag: true, hi: 5, lo: 6 });
    expect(reread(encodeAuth([Buffer.alloc(32, 1), Buffer.alloc(32, 2)]), decodeAuth)).toEqual([
      Buffer.alloc(32, 1),
      Buffer.alloc(32, 2),
    ]);
    expect(reread(encodeRefuse(7, 'line\r\nforged'), decodeRefuse)).toEqual({ reason: 7, message: 'line  forged' });
  });

  it('lets a later version append to HELLO, and to nothing else', () => {
    const longer = (frame: Buffer): Buffer => {
      const payload = frame.subarray(12);
      const grown = allocateFrame(frame[8], 0, payload.length + 3);
      payload.copy(grown, 12);
      return sealFrame(grown);
    };
    expect(reread(longer(encodeHello(hello)), decodeHello)).toEqual(hello);
    for (const [frame, decode] of [
      [encodePing(ping), decodePing],
      [encodeAck(1, 2), decodeAck],
      [encodeAuth([]), decodeAuth],
      [encodeRefuse(1, 'x'), decodeRefuse],
      [encodeResume({ flag: true, hi: 1, lo: 1 }), decodePosition],
    ] as const) {
      expect(() => reread(longer(frame), decode as typeof decodeAck)).toThrow(PeerProtocolError);
    }
  });

  it('refuses every payload that ends early', () => {
    for (const [frame, decode] of [
      [encodeHello(hello), decodeHello],
      [encodePing(ping), decodePing],
      [encodeAuth([Buffer.alloc(32)]), decodeAuth],
      [encodeRefuse(1, 'text'), decodeRefuse],
      [encodeAck(1, 2), decodeAck],
      [encodeForget(forget), decodeForget],
      [encodeRule(rule), decodeRule],
      [encodePong({ token: 1, clockHi: 2, clockLo: 3, wallMs: 4 }), decodePong],
    ] as const) {
      for (let end = 12; end < frame.length; end++) {
        expect(() => (decode as typeof decodeAck)(frame, 12, end)).toThrow(PeerProtocolError);
      }
    }
  });

  it('bounds what is told of members, proofs and reasons', () => {
    const many = { ...ping, members: Array.from({ length: PING_MEMBERS_MAX + 5 }, () => ping.members[0]) };
    expect(reread(encodePing(many), decodePing).members.length).toBe(PING_MEMBERS_MAX);
    const proofs = Buffer.alloc(1 + 96);
    proofs[0] = 3;
    expect(() => decodeAuth(proofs, 0, proofs.length)).toThrow('3 proofs where 2 are allowed');
    expect(reread(encodeRefuse(1, 'x'.repeat(5000)), decodeRefuse).message.length).toBe(512);
  });
});

describe('FrameDecoder', () => {
  const stream = [
    PEER_MAGIC,
    encodeAck(1, 2),
    encodeHello(hello),
    encodeRecords(stamp, { hi: 0, lo: 0 }, false, Buffer.alloc(300, 5), 0, 300),
  ];
  const bytes = Buffer.concat(stream);
  const whole = framesOf([bytes]);

  it('finds the same frames however the bytes are cut', () => {
    expect(whole.map((frame) => frame.type)).toEqual([FRAME_ACK, 1, FRAME_RECORDS]);
    for (let cut = 0; cut <= bytes.length; cut++)
      expect(framesOf([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole);
    expect(framesOf(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(whole);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 20, maxLength: 60 }), (sizes) => {
        const pieces: Buffer[] = [];
        let at = 0;
        for (const size of sizes) {
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        pieces.push(bytes.subarray(at));
        expect(framesOf(pieces)).toEqual(whole);
      }),
    );
  });

  it('goes on with what it was told to keep, before what is fed meanwhile', () => {
    for (let cut = PEER_MAGIC.length + 1; cut <= bytes.length; cut++) {
      const decoder = new FrameDecoder(FRAME_BYTES_BEFORE_AUTHENTICATION);
      const types: number[] = [];
      // After each frame the rest waits, and twice as much comes as before.
      const pieces = [
        Buffer.from(bytes.subarray(0, cut)),
        Buffer.from(bytes.subarray(cut)),
        Buffer.concat(stream.slice(1)),
      ];
      for (const piece of pieces) {
        decoder.feed(piece, 0, piece.length);
        if (decoder.next()) types.push(decoder.type);
        decoder.keep();
        piece.fill(0);
      }
      while (decoder.next()) types.push(decoder.type);
      const expected = whole.map(({ type }) => type);
      expect(types).toEqual([...expected, ...expected]);
    }
  });

  it('yields nothing of a frame that is cut off', () => {
    for (let cut = 0; cut < 4 + 20; cut++) expect(framesOf([bytes.subarray(0, cut)])).toEqual([]);
  });

  it('refuses a wrong magic at its first wrong byte', () => {
    expect(refusalOf(Buffer.from('G'))).toBe(REFUSE_MAGIC);
    expect(refusalOf(Buffer.from('MN'), Buffer.from('TX'))).toBe(REFUSE_MAGIC);
  });

  it('refuses a length out of bounds from its four bytes, before it allocates', () => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(FRAME_BYTES_BEFORE_AUTHENTICATION + 1);
    expect(refusalOf(PEER_MAGIC, length)).toBe(REFUSE_TOO_LONG);
    length.writeUInt32LE(7);
    expect(refusalOf(PEER_MAGIC, length)).toBe(REFUSE_MALFORMED);
  });

  it('holds no more than has arrived', () => {
    const decoder = new FrameDecoder(1 << 26);
    const start = Buffer.concat([PEER_MAGIC, Buffer.from([0, 0, 0, 2]), Buffer.alloc(100)]);
    decoder.feed(start, 0, start.length);
    expect(decoder.next()).toBe(false);
    expect(decoder.pendingBytes).toBe(104);
  });

  it('refuses a wrong checksum, a version and flags it does not know', () => {
    const frame = Buffer.from(encodeAck(1, 2));
    for (let byte = 4; byte < frame.length; byte++) {
      const bad = Buffer.from(frame);
      bad[byte] ^= 0x10;
      expect(refusalOf(PEER_MAGIC, bad)).toBe(REFUSE_CHECKSUM);
    }
    const later = allocateFrame(FRAME_ACK, 0, 8);
    later[9] = PEER_VERSION_HIGHEST + 1;
    expect(refusalOf(PEER_MAGIC, sealFrame(later))).toBe(REFUSE_VERSION);
    expect(refusalOf(PEER_MAGIC, sealFrame(allocateFrame(FRAME_ACK, 2, 8)))).toBe(REFUSE_MALFORMED);
  });

  it('never throws anything but a refusal, whatever it is fed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => refusalOf(PEER_MAGIC, Buffer.from(noise)) >= 0),
    );
  });
});

describe('the repair frames', () => {
  it('carry digests, groups and plans', () => {
    const buckets = new Uint32Array(2 * REPAIR_BUCKET_COUNT);
    buckets[2 * 0x1203] = 7;
    buckets[2 * 0x1203 + 1] = 8;
    buckets[2 * 0x12ff + 1] = 1;
    const groups = groupDigests(buckets);
    expect([groups[2 * 0x12], groups[2 * 0x12 + 1]]).toEqual([7, 9]);
    expect(reread(encodeGroups(stamp, groups), decodeGroups)).toEqual({ coverHi: stamp.hi, coverLo: stamp.lo, groups });
    const seen: number[][] = [];
    const own = new Uint32Array(2 * REPAIR_BUCKET_COUNT);
    own[2 * 0x1205 + 1] = 5;
    const message = reread(encodeBuckets(stamp, [0x12], buckets), (buffer, start, end) =>
      decodeBuckets(buffer, start, end, own, (bucket, hi, lo) => seen.push([bucket, hi, lo])),
    );
    expect(message).toEqual({ coverHi: stamp.hi, coverLo: stamp.lo, groupCount: 1 });
    expect(seen).toEqual([
      [0x1203, 7, 8],
      [0x1205, 0, 0],
      [0x12ff, 0, 1],
    ]);
    const plan = Uint8Array.from({ length: REPAIR_BUCKET_COUNT }, (_unused, bucket) => (bucket * 7) % 3);
    expect(reread(encodePlan(plan), decodePlan)).toEqual(plan);
  });

  it('are refused when their size is wrong', () => {
    const noise = Buffer.alloc(5000);
    expect(() => decodeGroups(noise, 0, 2055)).toThrow('malformed REPAIR_GROUPS');
    expect(() => decodePlan(noise, 0, 5000)).toThrow('malformed REPAIR_PLAN');
    expect(() => decodePlan(Buffer.alloc(16384, 3), 0, 16384)).toThrow('malformed REPAIR_PLAN');
    expect(() => decodeBuckets(noise, 0, 9, new Uint32Array(0), () => undefined)).toThrow('malformed REPAIR_BUCKETS');
    expect(() => decodeBuckets(noise, 0, 12, new Uint32Array(0), () => undefined)).toThrow('malformed REPAIR_BUCKETS');
    expect(() => entryCount(0, 17, 16)).toThrow('malformed');
  });
});
