/** Ends what is past its deadline, now and then, while anything is pending. */
import type { Clock } from "../ports.ts";

/** How often deadlines are looked at, in milliseconds: a request may be answered this much late. */
const intervalMs = 20;

/** What has deadlines. */
export interface Swept {
  readonly pending: number;
  expire(now: number): void;
}

export class Sweep {
  readonly #clock: Clock;
  readonly #swept: readonly Swept[];
  #isArmed = false;

  constructor(clock: Clock, swept: readonly Swept[]) {
    this.#clock = clock;
    this.#swept = swept;
  }

  /** Something may be pending. */
  begin(): void {
    if (this.#isArmed || this.#swept.every(({ pending }) => pending === 0)) return;
    this.#isArmed = true;
    this.#clock.timer(this.#clock.now() + intervalMs, () => {
      this.#isArmed = false;
      const now = this.#clock.now();
      for (const each of this.#swept) each.expire(now);
      this.begin();
    });
  }
}
