/**
 * Simulated time: a queue of events in order of (time, sequence), run one by one. Between two of them every promise
 * that can be settled is: each runs in a macrotask of its own, before which all three runtimes drain their microtasks.
 * So how many ticks an `await` takes in which engine changes nothing, as long as no two things that one event sets off
 * draw from one stream: what must not race waits for an event of its own, or for `onSettled`. Time is whole
 * microseconds, and jumps.
 */

/** Who has to be running for an event to happen. A new life begins with each process. */
export interface Owner {
  readonly number: number;
  life: number;
  paused: boolean;
  /** What came while it was paused. */
  readonly deferred: SimEvent[];
}

export interface SimEvent {
  readonly at: number;
  readonly sequence: number;
  readonly owner: Owner | null;
  /** The life that it belongs to; null: whichever there is. */
  readonly life: number | null;
  readonly run: () => void;
  cancelled: boolean;
}

/** Macrotasks that are asked for at a time: the runtime's turn around its loop costs more than an event. */
const batch = 128;

export class World {
  /** Microseconds since the beginning. */
  now = 0;
  /** Events that happened. */
  happened = 0;
  /** Called for each event that happens. */
  onEvent: (event: SimEvent) => void = () => {};
  /** Called when all that an event set off has settled: what depends on no runtime's number of ticks. */
  onSettled: () => void = () => {};
  /** Ends the run where it returns true. */
  ended: () => boolean = () => false;
  #sequence = 0;
  readonly #queue: SimEvent[] = [];

  /** Whatever happens, at `at` at the earliest. */
  at(at: number, run: () => void): SimEvent {
    return this.#add(at, null, null, run);
  }

  /** Happens to the process that is `owner`'s life number `life`; not if that has ended. While it is paused it waits. */
  atProcess(at: number, owner: Owner, life: number, run: () => void): SimEvent {
    return this.#add(at, owner, life, run);
  }

  /** Happens to whatever process `owner` runs then. */
  atOwner(at: number, owner: Owner, run: () => void): SimEvent {
    return this.#add(at, owner, null, run);
  }

  after(delay: number, run: () => void): SimEvent {
    return this.at(this.now + delay, run);
  }

  /** What came while it was paused comes now, in the order that `sort` puts it: timers and sockets are ready at once. */
  resume(owner: Owner, sort: (events: readonly SimEvent[]) => readonly SimEvent[]): void {
    owner.paused = false;
    for (const { owner: whose, life, run, cancelled } of sort(owner.deferred.splice(0))) {
      if (!cancelled) this.#add(this.now, whose, life, run);
    }
  }

  /** Runs until nothing is left to happen by `until`, which is the time then. */
  run(until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = 0;
      let finished = false;
      const fill = (): void => {
        left = batch;
        for (let i = 0; i < batch; i++) setImmediate(turn);
      };
      const turn = (): void => {
        if (finished) return;
        try {
          this.onSettled();
          finished = this.ended() || !this.#step(until);
        } catch (error) {
          finished = true;
          reject(error);
        }
        if (finished) return resolve();
        if (--left === 0) fill();
      };
      fill();
    });
  }

  #step(until: number): boolean {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (next.at > until) break;
      this.#pop();
      const { owner } = next;
      if (next.cancelled || (next.life !== null && next.life !== owner?.life)) continue;
      this.now = Math.max(this.now, next.at);
      if (owner?.paused === true) {
        owner.deferred.push(next);
        continue;
      }
      this.happened++;
      this.onEvent(next);
      next.run();
      return true;
    }
    this.now = Math.max(this.now, until);
    return false;
  }

  #add(at: number, owner: Owner | null, life: number | null, run: () => void): SimEvent {
    const sequence = this.#sequence++;
    const event: SimEvent = {
      at: Math.max(this.now, Math.ceil(at)),
      sequence,
      owner,
      life,
      run,
      cancelled: false,
    };
    this.#push(event);
    return event;
  }

  #push(event: SimEvent): void {
    const queue = this.#queue;
    let hole = queue.push(event) - 1;
    while (hole > 0) {
      const above = (hole - 1) >> 1;
      const parent = queue[above];
      if (parent === undefined || isBefore(parent, event)) break;
      queue[hole] = parent;
      hole = above;
    }
    queue[hole] = event;
  }

  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop();
    if (last === undefined || queue.length === 0) return;
    let hole = 0;
    for (;;) {
      const left = queue[2 * hole + 1];
      if (left === undefined) break;
      const right = queue[2 * hole + 2];
      const isRight = right !== undefined && isBefore(right, left);
      const least = isRight ? right : left;
      if (isBefore(last, least)) break;
      queue[hole] = least;
      hole = 2 * hole + (isRight ? 2 : 1);
    }
    queue[hole] = last;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}
