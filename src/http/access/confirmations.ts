/**
 * Whether this node knows the newest of tokens and roles, asked of the leader where a request would be refused else: a
 * node that is behind may not have heard yet. Strangers can bring this about, so it has to cost little: one question is
 * on its way at a time, whoever comes meanwhile shares the next one, and they don't follow each other at once.
 */
import { NotApplied } from "../../errors.ts";
import { Refusal } from "../problem.ts";

/** Requests that wait for an answer at a time, of each kind. */
export const doubtsMax = 256;
/** Whose tokens are known here have places of their own: strangers, however many, don't take them. */
export type Doubtful = "stranger" | "bearer";
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
  readonly #waiting: Record<Doubtful, number> = { stranger: 0, bearer: 0 };
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
   * @param deadline until when whoever asks can wait, in milliseconds as `now` has them.
   * @throws {NotApplied} where no leader said so in time.
   * @throws {Refusal} 429 where too many wait for that.
   */
  async confirm(deadline: number, who: Doubtful): Promise<void> {
    if (this.#waiting[who] >= doubtsMax) {
      throw new Refusal("overloaded", "too many requests with doubtful tokens are open");
    }
    this.#waiting[who]++;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new NotApplied("no_leader", "no leader was found in time")),
      Math.max(1, deadline - this.#now()),
    );
    try {
      await Promise.race([this.#next ??= this.#follow(), late.promise]);
    } finally {
      clearTimeout(timer);
      this.#waiting[who]--;
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
