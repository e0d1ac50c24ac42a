/**
 * Watches what a node stands on: the event loop, the disk, the clocks. It tells, and counts; what a stall or a jump leads
 * to is the core's and the driver's affair. An event loop that stood still finds its lease run out by the monotonic
 * clock, reads the network before it campaigns, and leaves office where others have gone on. A leader whose disk stalls
 * sends no heartbeats. A wall clock that jumps voids the lease, for the machine may have slept; else nothing counts by it.
 */
import type { Clock, Logger } from "../ports.ts";

/** How often it looks, in milliseconds. */
export const watchdogIntervalMs = 100;
/** The wall clock may part from the monotonic one by so much between two looks, in milliseconds. */
const clockJumpMs = 1000;

/** A loop that stands still again and again is told of so often at most, in milliseconds, unless it is far worse. */
const tellIntervalMs = 10_000;

/** What is told as it happens; metrics listen. */
export interface WatchdogObserver {
  /** The event loop came so much later than it was asked to. */
  loopLagged(seconds: number, isStall: boolean): void;
  diskStalled(isStalled: boolean): void;
  clockJumped(): void;
}

export interface WatchdogParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer: WatchdogObserver;
  readonly electionTimeoutMs: number;
  readonly status: () => { readonly role: string; readonly persistLagMs: number };
}

/** Looks until it is stopped. */
export class Watchdog {
  readonly #parts: WatchdogParts;
  #due = 0;
  /** The last stall of the event loop that was told, and when. */
  #toldMs = 0;
  #toldAt = -Infinity;
  #aheadMs = 0;
  /** How long the disk has owed a write, where that is longer than it may; 0 where it isn't. */
  #stalledMs = 0;
  #cancel: () => void = () => {};

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#aheadMs = this.#readAhead();
    this.#arm();
  }

  stop(): void {
    this.#cancel();
  }

  #arm(): void {
    const { clock } = this.#parts;
    this.#due = clock.now() + watchdogIntervalMs;
    this.#cancel = clock.timer(this.#due, () => {
      this.#lookAtLoop();
      this.#lookAtClocks();
      this.#lookAtDisk();
      this.#arm();
    });
  }

  #lookAtLoop(): void {
    const { clock, log, observer, electionTimeoutMs, status } = this.#parts;
    const lagMs = Math.max(0, clock.now() - this.#due);
    const isStall = lagMs > electionTimeoutMs / 2;
    observer.loopLagged(lagMs / 1000, isStall);
    if (!isStall || (lagMs < 2 * this.#toldMs && clock.now() < this.#toldAt + tellIntervalMs)) {
      return;
    }
    this.#toldAt = clock.now();
    this.#toldMs = lagMs;
    const { role } = status();
    log("warn", "the event loop stood still", { ms: Math.round(lagMs), role });
  }

  #lookAtClocks(): void {
    const { log, observer } = this.#parts;
    const aheadMs = this.#readAhead();
    const jumpMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    if (Math.abs(jumpMs) <= clockJumpMs) return;
    observer.clockJumped();
    log("warn", "the wall clock jumped: it was set, or this machine slept", {
      ms: Math.round(jumpMs),
    });
  }

  #lookAtDisk(): void {
    const { log, observer, electionTimeoutMs, status } = this.#parts;
    const { persistLagMs, role } = status();
    const isStalled = persistLagMs > electionTimeoutMs;
    const before = this.#stalledMs;
    this.#stalledMs = isStalled ? Math.max(before, persistLagMs) : 0;
    if (isStalled === before > 0) return;
    observer.diskStalled(isStalled);
    if (isStalled) {
      log("warn", "the disk stalls: a write to it has not ended", {
        ms: Math.round(persistLagMs),
        role,
      });
    } else {
      log("info", "the disk answers again", { ms: Math.round(before), role });
    }
  }

  #readAhead(): number {
    const { clock } = this.#parts;
    return clock.wallNow() - clock.now();
  }
}
