/**
 * Whether this node knows the newest of tokens and roles, asked of the leader where a request would be refused else: a
 * node that is behind may not have heard yet. Strangers can bring this about, so it has to cost little: one question is
 * on its way at a time, whoever comes meanwhile shares the next one, and they don't follow each other at once.
 */
import { Refusal } from "../problem.ts";

/** Requests that wait for an answer at a time. */
export const doubtsMax = 256;
/** From one question to the next, in milliseconds. */
const paceMs = 25;

/** What is asked: a replica. */
export interface Oracle {
  /** Resolves when the state here reflects all that was acknowledged before the call. @throws {NotApplied} */
  read(level: "linearizable", timeoutMs: number): Promise<void>;
}

export class Confirmations {
  readonly #replica: Oracle;
  readonly #timeoutMs: number;
  readonly #now: () => number;
  #waiting = 0;
  #askedAt = -Infinity;
  /** The question that is on its way. */
  #current: Promise<void> | null = null;
  /** The one that follows it. */
  #next: Promise<void> | null = null;

  constructor(
    { replica, timeoutMs, now }: {
      readonly replica: Oracle;
      readonly timeoutMs: number;
      readonly now: () => number;
    },
  ) {
    this.#replica = replica;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
  }

  /**
   * Resolves when the state here reflects all that was acknowledged before the call.
   * @throws {NotApplied} where no leader said so in time.
   * @throws {Refusal} 429 where too many wait for that.
   */
  async confirm(): Promise<void> {
    if (this.#waiting >= doubtsMax) {
      throw new Refusal("overloaded", "too many requests with doubtful tokens are open");
    }
    this.#waiting++;
    try {
      await (this.#next ??= this.#follow());
    } finally {
      this.#waiting--;
    }
  }

  async #follow(): Promise<void> {
    const before = this.#current;
    // Whoever waits for that hears why it failed.
    await before?.catch(() => {});
    const restMs = Math.min(paceMs, this.#askedAt + paceMs - this.#now());
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    this.#askedAt = this.#now();
    this.#current = this.#next;
    this.#next = null;
    await this.#replica.read("linearizable", this.#timeoutMs);
  }
}
