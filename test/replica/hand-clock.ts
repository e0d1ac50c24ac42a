/** A clock that a test moves: both of its hands, together or apart. */
import type { Clock } from "../../src/ports.ts";

export class HandClock implements Clock {
  #now = 0;
  #aheadMs = 1_000_000;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#now + this.#aheadMs;
  }

  timer(at: number, callback: () => void): () => void {
    const timer = { at, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  async yield(): Promise<void> {}

  /** Somebody sets the wall clock. */
  set(byMs: number): void {
    this.#aheadMs += byMs;
  }

  /** Time passes, and timers are called when they are due; what follows from that has its turns. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await turns();
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#now = Math.max(this.#now, next.at);
      this.#call(next);
    }
    this.#now = end;
  }

  /** Time passes while nothing is called: then all that was due is. */
  async stall(ms: number): Promise<void> {
    await turns();
    this.#now += ms;
    for (const timer of this.#timers.filter(({ at }) => at <= this.#now)) this.#call(timer);
    await turns();
  }

  #call(timer: { readonly callback: () => void }): void {
    this.#timers = this.#timers.filter((each) => each !== timer);
    timer.callback();
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
