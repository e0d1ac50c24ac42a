/**
 * The cluster's time, which leaders stamp into commands: it must not run faster than true time by more than clocks may,
 * whoever leads and whatever befell the clocks, or something would end before it is due. That it may fall behind, while
 * nobody leads, only makes things last longer.
 *
 * A stamp is as old as the first write of its entry to a disk. From the least that true time (by the fastest clock
 * allowed) has been ahead of a stamp, no later stamp may gain anything.
 */
export class ClusterTime {
  readonly #drift: number;
  /** When an entry was handed to a disk first, in microseconds. */
  readonly #begun = new Map<string, number>();
  /** Of all stamps so far, the least that one was ahead of its time by the fastest clock, in milliseconds. */
  #least: { readonly ahead: number; readonly index: number } = { ahead: Infinity, index: 0 };

  /** @param drift clocks gain so much at most, as a fraction. */
  constructor(drift: number) {
    this.#drift = drift;
  }

  begun(index: number, term: number, now: number): void {
    const name = `${index}@${term}`;
    if (!this.#begun.has(name)) this.#begun.set(name, now);
  }

  /** When an entry was first handed to a disk. */
  begunAt(index: number, term: number): number {
    return this.#begun.get(`${index}@${term}`) ?? 0;
  }

  /** What is wrong with a stamp; null where nothing is. */
  stamped(index: number, term: number, stampMs: number): string | null {
    const begunAt = this.begunAt(index, term);
    const ahead = stampMs - begunAt / 1000 * (1 + this.#drift);
    const gained = ahead - this.#least.ahead;
    if (gained > stampGraceMs) {
      return `${index}@${term} was stamped ${stampMs} ms: the cluster's time gained ${
        Math.round(gained)
      } ms on the fastest clock since ${this.#least.index}`;
    }
    if (ahead < this.#least.ahead) this.#least = { ahead, index };
    return null;
  }
}

/** Stamps are whole milliseconds. */
const stampGraceMs = 2;
