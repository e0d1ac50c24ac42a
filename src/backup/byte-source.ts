/** Takes exact numbers of bytes from a stream that is cut in any way. Holds no more than is asked for, and one piece. */
export class ByteSource {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);
  #taken = 0;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#pieces = bytes[Symbol.asyncIterator]();
  }

  /** Bytes that were taken. */
  get offset(): number {
    return this.#taken;
  }

  /** The next `count` bytes, which hold until the next are taken; null where the stream ends before. */
  async take(count: number): Promise<Uint8Array | null> {
    if (this.#held.length < count) {
      const whole = new Uint8Array(count);
      let filled = 0;
      for (;;) {
        const piece = this.#held.subarray(0, count - filled);
        whole.set(piece, filled);
        filled += piece.length;
        this.#held = this.#held.subarray(piece.length);
        if (filled === count) break;
        const next = await this.#pieces.next();
        if (next.done === true) return null;
        this.#held = next.value;
      }
      this.#taken += count;
      return whole;
    }
    const bytes = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    this.#taken += count;
    return bytes;
  }
}
