/** A peer spoken by hand: frame by frame, right or wrong, against a real node in a virtual world. */
import { FRAME_AUTH, FRAME_HELLO, FRAME_REFUSE, FrameDecoder, PEER_MAGIC } from '../../protocol/peer-frame.ts';
import {
  decodeRefuse,
  encodeAuth,
  encodeHello,
  encodeResume,
  encodeStream,
  type Hello,
} from '../../protocol/peer-message.ts';
import { prove } from '../../replication/links/handshake.ts';
import type { Connection } from '../../replication/environment.ts';
import { peerPort, type VirtualCluster } from './virtual-cluster.ts';

export interface RawFrame {
  type: number;
  flags: number;
  payload: Buffer;
}

export class RawPeer {
  readonly frames: RawFrame[] = [];
  refusal: { reason: number; message: string } | null = null;
  isClosed = false;
  hello: Hello;
  #cluster: VirtualCluster;
  #connection: Connection;
  #decoder = new FrameDecoder(1 << 26);

  constructor(cluster: VirtualCluster, changes: Partial<Hello> = {}, host = 'raw') {
    this.#cluster = cluster;
    this.hello = {
      versionLowest: 1,
      versionHighest: 1,
      nodeHi: 0xabc00000,
      nodeLo: 99,
      incarnationHi: 1,
      incarnationLo: 2,
      clockHi: 0,
      clockLo: 0,
      wallMs: 0,
      nonce: Buffer.alloc(32, 7),
      port: 0,
      host: '',
      clusterId: '',
      horizon: null,
      ...changes,
    };
    this.#connection = cluster.world.networkOf(host).connect('n1', peerPort);
    this.#connection.events = {
      opened: () => undefined,
      received: (buffer, start, end) => this.#received(buffer, start, end),
      writable: () => undefined,
      closed: () => (this.isClosed = true),
    };
    cluster.run(20);
  }

  #received(buffer: Buffer, start: number, end: number): void {
    this.#decoder.feed(buffer, start, end);
    while (this.#decoder.next()) {
      const { type, flags, payloadStart, payloadEnd } = this.#decoder;
      const payload = Buffer.from(this.#decoder.buffer.subarray(payloadStart, payloadEnd));
      this.frames.push({ type, flags, payload });
      if (type === FRAME_REFUSE) this.refusal = decodeRefuse(payload, 0, payload.length);
    }
  }

  /** Sends bytes as they are and lets 20 ms pass. */
  send(...buffers: Buffer[]): void {
    this.#connection.write(buffers);
    this.#cluster.run(20);
  }

  close(): void {
    this.#connection.close();
    this.#cluster.run(20);
  }

  frame(type: number): RawFrame | undefined {
    return this.frames.find((one) => one.type === type);
  }

  sayHello(): void {
    this.send(PEER_MAGIC, encodeHello(this.hello));
  }

  /** Shows proofs made with these secrets. */
  sayAuth(secrets: string[] = ['a secret']): void {
    const dialed = encodeHello(this.hello).subarray(12);
    const accepted = this.frame(FRAME_HELLO)!.payload;
    this.send(encodeAuth(prove(secrets, 'dial', { dialed, accepted })));
  }

  /** The whole handshake, up to a live stream that begins at `from`. */
  join(from = { hi: 0, lo: 0 }, resumed = true): this {
    this.sayHello();
    this.sayAuth();
    if (this.frame(FRAME_AUTH) === undefined) throw new Error(`not let in: ${this.refusal?.message}`);
    this.send(encodeResume({ flag: false, hi: 0, lo: 0 }), encodeStream({ flag: resumed, ...from }));
    return this;
  }
}
