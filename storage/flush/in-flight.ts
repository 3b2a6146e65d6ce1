/** Slices of registers that are on their way to the stores. */
export class InFlight {
  /** Of all slices. */
  registers = 0;
  bytes = 0;
  readonly #slices = new Set<Promise<void>>();

  get size(): number {
    return this.#slices.size;
  }

  /** @param sent resolves when the stores have the slice; it does not reject */
  add(sent: Promise<void>, registers: number, bytes: number): void {
    this.registers += registers;
    this.bytes += bytes;
    this.#slices.add(sent);
    void sent.then(() => {
      this.registers -= registers;
      this.bytes -= bytes;
      this.#slices.delete(sent);
    });
  }

  /** Resolves when one slice has arrived. */
  one(): Promise<unknown> {
    return Promise.race(this.#slices);
  }

  /** Resolves when all that are on their way now have arrived. */
  all(): Promise<unknown> {
    return Promise.all(this.#slices);
  }
}
