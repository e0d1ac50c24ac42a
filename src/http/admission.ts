/**
 * When a request may begin. What a node can't do at once waits here, and not half done in the rooms behind, where it
 * would hold what others need; what has waited too long is refused, when nothing of it has been proposed.
 *
 * - **Turns.** A turn of the event loop begins a bounded number of requests. Between turns comes what peers say, which
 *   never waits here: with thousands of requests at a time a node would else hear no heartbeat for an election timeout.
 * - **A window.** The replica is given as many requests at a time as it ends in `replicaDelayMs`, at the rate at which
 *   it has ended them of late: then each takes about so long (Little's law), whatever it is that the way through the log
 *   waits for: a disk, a peer, the processor, other nodes' clients. While the oldest has been there for twice as long,
 *   none follows. Some always may, or a cluster that was slow once would stay so.
 *
 * Waiting for a leader is no overload: as long as nobody leads, requests wait for their whole time, as they would at the
 * replica, which then says why they weren't answered.
 */

/** Bounds of what begins. */
export interface AdmissionLimits {
  /** Requests that one turn of the event loop begins. */
  readonly turnRequestsMax: number;
  /** How long requests are to take at the replica at the most, in milliseconds: rules how many there may be. */
  readonly replicaDelayMs: number;
  /** So many requests may always be at the replica. */
  readonly replicaRequestsMin: number;
  /** How long a request may wait to begin, in milliseconds; 429 beyond. */
  readonly admissionDelayMsMax: number;
  /** By then a request is answered, in milliseconds. */
  readonly requestTimeoutMs: number;
}

/** How often those that wait are looked at when nothing else happens, in milliseconds. */
const sweepIntervalMs = 20;
/** What counts as of late for the rate, in milliseconds. */
const rateSpanMs = 1000;
/** Places of requests that have begun are given back in pieces of so many. */
const begunMax = 1024;

interface Waiting {
  readonly since: number;
  readonly begin: (waitedMs: number | null) => void;
}

/** A request at the replica. */
interface Passage {
  readonly since: number;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #now: () => number;
  readonly #hasLeader: () => boolean;
  /** There was no leader until then. */
  #ledSince = -Infinity;
  /** At the replica, oldest first. */
  readonly #passing = new Set<Passage>();
  /** Ended at the replica in the last {@link rateSpanMs}, those of longer ago counting less. */
  #ended = 0;
  #endedAt = 0;
  /** First come, first served; those before `#head` have begun. */
  #waiting: Waiting[] = [];
  #head = 0;
  /** Begun in this turn. */
  #begun = 0;
  #turning = false;
  #sweeping = false;
  /** How often those that wait were looked at. */
  looks = 0;

  /** @param now monotonic milliseconds. */
  constructor(limits: AdmissionLimits, now: () => number, hasLeader: () => boolean) {
    this.#limits = limits;
    this.#now = now;
    this.#hasLeader = hasLeader;
  }

  /** Requests that wait to begin. */
  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /**
   * Null where a request may begin at once; else resolves with how long it waited, in milliseconds, or with null where
   * that was too long. `open` is how many are open, this one
   * not counted: where they are few, nothing needs to be looked at.
   */
  enter(open: number): Promise<number | null> | null {
    if (open < this.#limits.replicaRequestsMin && this.waiting === 0) return null;
    if (this.waiting === 0 && this.#mayBegin(this.#now())) {
      this.#begun++;
      this.#turn();
      return null;
    }
    return new Promise((begin) => {
      this.#waiting.push({ since: this.#now(), begin });
      this.#turn();
      this.#sweepLater();
    });
  }

  /** Settles as `work` does, which the replica has been given. */
  async through<T>(work: Promise<T>): Promise<T> {
    const passage = { since: this.#now() };
    this.#passing.add(passage);
    try {
      return await work;
    } finally {
      this.#passing.delete(passage);
      this.#age();
      this.#ended++;
      if (this.waiting > 0) this.#turn();
    }
  }

  #age(): void {
    const now = this.#now();
    this.#ended *= Math.exp((this.#endedAt - now) / rateSpanMs);
    this.#endedAt = now;
  }

  #mayBegin(now: number): boolean {
    const { turnRequestsMax, replicaDelayMs, replicaRequestsMin } = this.#limits;
    if (this.#begun >= turnRequestsMax) return false;
    // Those that began in this turn may not be there yet.
    const passing = this.#passing.size + this.#begun;
    if (passing < replicaRequestsMin) return true;
    if (passing > this.#ended * replicaDelayMs / rateSpanMs) return false;
    const [oldest] = this.#passing;
    return oldest === undefined || now - oldest.since <= 2 * replicaDelayMs;
  }

  /** Looks again in the next turn. */
  #turn(): void {
    if (this.#turning) return;
    this.#turning = true;
    setImmediate(() => {
      this.#turning = false;
      this.#begun = 0;
      this.#age();
      this.#proceed();
    });
  }

  #proceed(): void {
    const { admissionDelayMsMax, requestTimeoutMs } = this.#limits;
    const now = this.#now();
    this.looks++;
    if (this.waiting > 0 && !this.#hasLeader()) this.#ledSince = now;
    for (let next = this.#waiting[this.#head]; next; next = this.#waiting[this.#head]) {
      const waitedMs = now - next.since;
      const isLate = now - Math.max(next.since, this.#ledSince) > admissionDelayMsMax;
      const isOver = waitedMs > requestTimeoutMs;
      if (!isLate && !isOver && !this.#mayBegin(now)) break;
      if (!isLate) this.#begun++;
      this.#head++;
      next.begin(isLate ? null : waitedMs);
    }
    if (this.#head === this.#waiting.length || this.#head >= begunMax) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    // Those that began may have ended by the next turn, or others may follow in it.
    if (this.#begun > 0) this.#turn();
  }

  #sweepLater(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    setTimeout(() => {
      this.#sweeping = false;
      if (this.waiting === 0) return;
      this.#turn();
      this.#sweepLater();
    }, sweepIntervalMs);
  }
}
