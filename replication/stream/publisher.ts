/**
 * Messages on channels on their way to one peer: sent behind the changes that were made before them, and not kept for later.
 * What a peer does not take in time is dropped.
 */

interface Waiting {
  readonly frame: Buffer;
  /** The stream has to be sent up to here first. */
  readonly sequence: number;
}

export class Publisher {
  /** Frames dropped because the peer was too slow. */
  dropped = 0;
  readonly #settings: { readonly outboxBytesMax: number };
  #waiting: Waiting[] = [];
  #bytes = 0;

  constructor(settings: { readonly outboxBytesMax: number }) {
    this.#settings = settings;
  }

  /** Takes a frame, which may be shared, behind the outbox's frames below `sequence`. */
  push(frame: Buffer, sequence: number): void {
    if (this.#bytes + frame.length > this.#settings.outboxBytesMax) {
      this.dropped++;
      return;
    }
    this.#bytes += frame.length;
    this.#waiting.push({ frame, sequence });
  }

  /** The next frame that may be sent to a peer whose stream has got to `sequence`, or null. */
  next(sequence: number): Buffer | null {
    const first = this.#waiting.at(0);
    if (first === undefined || first.sequence > sequence) return null;
    this.#waiting.shift();
    this.#bytes -= first.frame.length;
    return first.frame;
  }
}
