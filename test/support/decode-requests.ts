/** Runs a RequestDecoder over bytes, and copies out what it yields. */
import { RequestDecoder, type RequestLimits } from '../../protocol/resp-request.ts';

export const defaultLimits: RequestLimits = {
  bulkLengthMax: 512 * 1024 * 1024,
  inlineLengthMax: 64 * 1024,
  argumentsMax: 2 ** 31 - 1,
};

export function newDecoder({ limits = defaultLimits, authenticated = true } = {}): RequestDecoder {
  const decoder = new RequestDecoder(limits);
  decoder.authenticated = authenticated;
  return decoder;
}

/** The current request's arguments, copied, as latin1 text so that a difference can be read. */
export function argumentsOf(decoder: RequestDecoder): string[] {
  const copied: string[] = [];
  for (let index = 0; index < decoder.argc; index++) {
    const start = decoder.starts[index];
    copied.push(decoder.buffer.toString('latin1', start, start + decoder.lengths[index]));
  }
  return copied;
}

/**
 * Feeds bytes cut at the given places, each piece at an odd offset of one buffer that is overwritten between the pieces, as the
 * server's shared read buffer is.
 */
export function decodePieces(decoder: RequestDecoder, bytes: Buffer, cuts: Iterable<number>): string[][] {
  const requests: string[][] = [];
  const shared = Buffer.alloc(bytes.length + 7);
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    shared.fill(0x2a);
    bytes.copy(shared, 3, from, to);
    decoder.feed(shared, 3, 3 + to - from);
    while (decoder.next() === 1) requests.push(argumentsOf(decoder));
    from = to;
  }
  return requests;
}

/** The requests in the bytes, and the protocol error that ended them, if one did. */
export function decodeUntilError(
  decoder: RequestDecoder,
  bytes: Buffer,
  cuts: Iterable<number> = [],
): { requests: string[][]; error: string | undefined } {
  const requests: string[][] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    decoder.feed(bytes, from, to);
    try {
      while (decoder.next() === 1) requests.push(argumentsOf(decoder));
    } catch (error) {
      return { requests, error: (error as Error).message };
    }
    from = to;
  }
  return { requests, error: undefined };
}

/** Cuts after every byte. */
export function everyByte(bytes: Buffer): number[] {
  return Array.from({ length: Math.max(0, bytes.length - 1) }, (_, index) => index + 1);
}
