/**
 * One timer, moved only when somebody wants to be called earlier.
 *
 * One that comes late says that this process was busy, or stood still, and that what its peers sent meanwhile waits to be
 * read. That goes first: else a node would take a leader for dead that it had not listened to.
 */
import type { Clock } from "../ports.ts";

/** Turns of the event loop in which a process that is late reads what has come. */
const lateTurns = 3;

export class OneTimer {
  readonly #clock: Clock;
  readonly #lateMs: number;
  readonly #onDue: () => void;
  #armed: { readonly at: number; readonly cancel: () => void } | null = null;

  /** @param lateMs from when on it counts as late, in milliseconds. */
  constructor(clock: Clock, lateMs: number, onDue: () => void) {
    this.#clock = clock;
    this.#lateMs = lateMs;
    this.#onDue = onDue;
  }

  /** Calls at `at`, or when it was to call anyway, if that is before; never where that is infinite. */
  arm(at: number): void {
    if (this.#armed !== null && this.#armed.at <= at) return;
    this.cancel();
    if (at === Infinity) return;
    const armed = { at, cancel: () => cancel() };
    const cancel = this.#clock.timer(at, () => void this.#call(armed));
    this.#armed = armed;
  }

  cancel(): void {
    this.#armed?.cancel();
    this.#armed = null;
  }

  async #call(armed: { readonly at: number }): Promise<void> {
    const isLate = this.#clock.now() - armed.at > this.#lateMs;
    for (let turn = 0; isLate && turn < lateTurns; turn++) await this.#clock.yield();
    if (this.#armed !== armed) return;
    this.#armed = null;
    this.#onDue();
  }
}
