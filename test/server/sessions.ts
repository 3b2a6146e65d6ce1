/** Sessions that are connected to nothing, for tests of what keeps track of sessions. */
import { RequestDecoder } from '../../protocol/resp-request.ts';
import { Session, type Transport } from '../../server/clients/session.ts';

class NoTransport implements Transport {
  readonly remoteAddress = '';
  readonly localAddress = '';
  readonly fileDescriptor = -1;
  readonly pendingBytes = 0;

  send(): void {}
  close(): void {}
  destroy(): void {}
  pause(): void {}
  resume(): void {}
}

export function makeSession(id = 1): Session {
  const decoder = new RequestDecoder({ bulkLengthMax: 1024, inlineLengthMax: 1024, argumentsMax: 16 });
  return new Session(id, new NoTransport(), decoder, 0);
}
