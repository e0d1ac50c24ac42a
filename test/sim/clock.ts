/** A machine's clocks: a monotonic one that runs fast or slow and may stand still, and a wall clock that is set at times. */
import type { Clock } from "../../src/ports.ts";
import type { SimOptions } from "./options.ts";
import { Random } from "./random.ts";
import type { Owner, World } from "./world.ts";

/** 2026-01-01, in milliseconds. */
const epochMs = 1_767_225_600_000;

/**
 * How fast a machine's clock runs. In every other run all are as fast as may be, but one that is as slow: what a lease
 * has to fear.
 */
export function clockRate(
  { seed, faults, drift, nodes }: SimOptions,
  number: number,
): number {
  if (!faults.has("drift")) return 1;
  const common = new Random(seed, "clocks");
  const isOneSlow = common.chance(0.5);
  const slow = common.whole(1, nodes);
  if (isOneSlow) return number === slow ? 1 - drift : 1 + drift;
  const own = new Random(seed, `clock n${number}`);
  return own.pick([1 - drift, 1 + drift, own.between(1 - drift, 1 + drift)]);
}

export class MachineClock {
  readonly #world: World;
  /** Milliseconds of this clock in one of true time. */
  readonly rate: number;
  /** The clock showed `#shown` milliseconds at `#since` microseconds. */
  #since = 0;
  #shown: number;
  #wallOffset: number;

  constructor(world: World, rate: number, shown: number) {
    this.#world = world;
    this.rate = rate;
    this.#shown = shown;
    this.#wallOffset = epochMs - shown;
  }

  now(): number {
    return this.#shown + (this.#world.now - this.#since) / 1000 * this.rate;
  }

  wallNow(): number {
    return this.now() + this.#wallOffset;
  }

  /** Somebody sets the wall clock. */
  step(ms: number): void {
    this.#wallOffset += ms;
  }

  /** The machine slept for the last `us` microseconds: the monotonic clock stood still, the wall clock went on. */
  slept(us: number): void {
    const ms = us / 1000 * this.rate;
    this.#shown = this.now() - ms;
    this.#since = this.#world.now;
    this.#wallOffset += ms;
  }

  /** The clock as the process that `owner` runs now sees it. */
  of(owner: Owner): Clock {
    const world = this.#world;
    const { life } = owner;
    const timer = (at: number, callback: () => void): () => void => {
      const due = (): number =>
        world.now + Math.max(0, Math.ceil((at - this.now()) / this.rate * 1000));
      const fire = (): void => {
        if (this.now() >= at) return callback();
        event = world.atProcess(Math.max(world.now + 1, due()), owner, life, fire);
      };
      let event = world.atProcess(due(), owner, life, fire);
      return () => {
        event.cancelled = true;
      };
    };
    return {
      now: () => this.now(),
      wallNow: () => this.wallNow(),
      timer,
      yield: () => new Promise((resolve) => void world.atProcess(world.now, owner, life, resolve)),
    };
  }
}
