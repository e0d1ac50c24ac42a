/** Who waits for something to change, for a while. */
import type { Clock } from "../ports.ts";

export class Waiters {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves at the next change, at `until` at the latest. */
  change(until: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.timer(until, resolve);
      this.#waiting.push(() => {
        cancel();
        resolve();
      });
    });
  }

  /** It changed. */
  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
