/**
 * Bounds how long bodies may take to arrive. One timer serves all that are arriving: most are here at once, and a timer
 * of its own for each cost 3.5 µs under Bun, as much as all else that is done to read a body.
 */

interface Arrival {
  readonly since: number;
  readonly giveUp: () => void;
}

export class Arrivals {
  readonly #timeoutMs: number;
  /** Oldest first. */
  readonly #open = new Set<Arrival>();
  #sweeping = false;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Settles as `reading` does, or resolves with `late` where that takes too long (up to a quarter more than said). */
  within<Bytes, Late>(reading: Promise<Bytes>, late: Late): Promise<Bytes | Late> {
    return new Promise((resolve, reject) => {
      const arrival = { since: performance.now(), giveUp: () => resolve(late) };
      this.#open.add(arrival);
      this.#sweepLater();
      reading.then((bytes) => {
        this.#open.delete(arrival);
        resolve(bytes);
      }, (error: unknown) => {
        this.#open.delete(arrival);
        reject(error);
      });
    });
  }

  #sweepLater(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    setTimeout(() => {
      this.#sweeping = false;
      this.#sweep(performance.now());
      if (this.#open.size > 0) this.#sweepLater();
    }, Math.min(this.#timeoutMs / 4, 1000));
  }

  #sweep(now: number): void {
    for (const arrival of this.#open) {
      if (now - arrival.since < this.#timeoutMs) return;
      this.#open.delete(arrival);
      arrival.giveUp();
    }
  }
}
