/**
 * Whether this machine slept. The monotonic clock stands meanwhile and the wall clock goes on, so what the wall clock
 * gained on the monotonic one since they last agreed is how long the machine may have slept without being noticed.
 */
import type { Clock } from "../ports.ts";

/**
 * A gain of more than this, in milliseconds, is a jump; one of less is what leases and ages allow for. Wall clocks that
 * are slewed gain it in minutes, and a process that is scheduled away between two looks at once: a false alarm costs
 * one round of heartbeats, a sleep that was not noticed a stale read.
 */
export const clockJumpMs = 20;

/** How often the clocks are read at most to read both at the same time. */
const triesMax = 3;

export class ClockWatch {
  readonly #clock: Clock;
  /** The least by which the wall clock was ahead of the monotonic one, since they last jumped. */
  #least: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#least = this.#ahead();
  }

  /** Whether the clocks parted since the last look: the machine slept, or somebody set its clock. */
  jumped(): boolean {
    const gained = this.gainedMs();
    // A clock that was set back may hide a sleep.
    const jumped = Math.abs(gained) > clockJumpMs;
    if (jumped || gained < 0) this.#least += gained;
    return jumped;
  }

  /** How much longer ago things may be than the monotonic clock says. */
  gainedMs(): number {
    return this.#ahead() - this.#least;
  }

  #ahead(): number {
    for (let tries = 1;; tries++) {
      const now = this.#clock.now();
      const wall = this.#clock.wallNow();
      // Being scheduled away in between looks like a gain.
      if (tries === triesMax || this.#clock.now() - now < 1) return wall - now;
    }
  }
}
