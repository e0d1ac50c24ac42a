/**
 * Leader leases (thesis 6.4.1): for a while after a confirmed round of heartbeats nobody else can be elected, so the
 * leader may answer reads without asking.
 *
 * Derivation. A voter that receives a heartbeat grants no vote and no pre-vote, and doesn't campaign, for one election
 * timeout E by its own clock (sticky votes; a restarted voter keeps the promise by refusing for one E from its start).
 * Another leader needs a quorum, which shares a voter with the quorum that answered the round. That voter received
 * the heartbeat at the time of sending or later. So from the *sending* on, the office is safe while the voter's clock
 * advances by E. Rates differ from true time by at most the fraction d: the voter's clock may gain, needing only
 * E / (1 + d) of true time, while the leader's may lose, showing (1 − d) of it. The leader may thus count on
 * E × (1 − d) / (1 + d) of its own milliseconds, less those for which its clock may have stood still without anybody
 * noticing (a virtual machine that was suspended).
 *
 * The one way around sticky votes is a transfer, which therefore voids the lease until another term; a jump of the
 * clock voids what was confirmed before it.
 */
import type { RaftOptions } from "./step.ts";
import type { Millis } from "./types.ts";

/** How long a lease lasts on the leader's clock, from the sending of the round that it rests on. */
export function leaseDuration(
  { electionTimeoutMs, maxClockDrift, maxClockJumpMs }: RaftOptions,
): number {
  return electionTimeoutMs * (1 - maxClockDrift) / (1 + maxClockDrift) - maxClockJumpMs;
}

export class Lease {
  readonly #durationMs: number;
  #until: Millis = -Infinity;
  #over = false;

  constructor(durationMs: number) {
    this.#durationMs = durationMs;
  }

  holds(now: Millis): boolean {
    return !this.#over && now < this.#until;
  }

  /** A quorum answered a round whose heartbeats left at `sentAt`. */
  confirmed(sentAt: Millis): void {
    this.#until = Math.max(this.#until, sentAt + this.#durationMs);
  }

  /** The clock jumped: what was timed by it so far doesn't count. */
  clockJumped(): void {
    this.#until = -Infinity;
  }

  /** A transfer began: somebody may be elected at any time, also after it was given up. */
  endForThisTerm(): void {
    this.#over = true;
  }
}
