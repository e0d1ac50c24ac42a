/**
 * How old a replica's own state is at most, without comparing clocks.
 *
 * A leader's state holds all that was committed when the last round of heartbeats that a quorum answered was *sent*:
 * nobody else led then. A follower can't tell how long a heartbeat was on its way (or waited in the buffers of a
 * stopped process), but it knows when it answered an earlier one. A heartbeat that acknowledges that answer left
 * after it, so what it says was true then or later; minus the age of the leader's own certainty.
 */
import type { Index, Millis, Term } from "./types.ts";

/** Answered rounds that are remembered, and certainties that wait to be applied. */
const kept = 64;

export class Freshness {
  /** The term whose rounds these are: each leader numbers its own. */
  #term: Term = 0;
  #lastRound = 0;
  #answered: { readonly round: number; readonly at: Millis }[] = [];
  /** The state that reflects `index` reflects all that was committed at `at`. Oldest first. */
  #certain: { readonly index: Index; readonly at: Millis }[] = [];
  #freshAt: Millis | null = null;

  /** The clock jumped: how long ago all this was is not known any more. */
  clockJumped(): void {
    this.#answered = [];
    this.#certain = [];
    this.#freshAt = null;
  }

  /**
   * This node answers `round` of the leader of `term`. Only the first answer to a round says that what acknowledges it
   * left later, so a round that came again, or after a later one, is not noted.
   */
  answers(term: Term, round: number, now: Millis): void {
    this.#enter(term);
    if (round <= this.#lastRound) return;
    this.#lastRound = round;
    if (this.#answered.length === kept) this.#answered.shift();
    this.#answered.push({ round, at: now });
  }

  /** When this node answered `round` of `term`, or null where it doesn't remember having done so. */
  answeredAt(term: Term, round: number): Millis | null {
    this.#enter(term);
    const at = this.#answered.find((answer) => answer.round === round)?.at ?? null;
    if (at !== null) this.#answered = this.#answered.filter((answer) => answer.round >= round);
    return at;
  }

  #enter(term: Term): void {
    if (term === this.#term) return;
    this.#term = term;
    this.#lastRound = 0;
    this.#answered = [];
  }

  /** All that was committed at `at` is in the log up to `index`. */
  learn(index: Index, at: Millis): void {
    if (this.#certain.length === kept) this.#certain.pop();
    this.#certain.push({ index, at });
  }

  /** The time as of which the state that reflects `applied` is complete, or null before the first certainty. */
  freshAt(applied: Index): Millis | null {
    while (this.#certain[0] !== undefined && this.#certain[0].index <= applied) {
      this.#freshAt = Math.max(this.#freshAt ?? -Infinity, this.#certain[0].at);
      this.#certain.shift();
    }
    return this.#freshAt;
  }
}
