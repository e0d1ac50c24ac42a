/**
 * Watchers that begin in the past, or have fallen behind by much: they read the history, as fast as their clients take
 * it and in slices between which everything else has its turn, until they have seen all that there is.
 *
 * One reader goes through the history for all of them, from the oldest revision that one of them is waiting for. Who is
 * not ready when it comes by waits for its next round. So ten thousand watchers that come back after a node's failure
 * cost about as much reading as one.
 */
import { Groups } from "./groups.ts";
import type { WatchSource } from "./source.ts";
import { readSpan } from "./span.ts";
import type { Watcher } from "./watcher.ts";

/** Who hears of it when a watcher leaves. */
export interface Exits {
  /** It has been given all that there is. */
  readonly caughtUp: (watcher: Watcher) => void;
  /** What it has not seen yet is not kept any more. */
  readonly lost: (watcher: Watcher) => void;
}

export class CatchUp {
  readonly #source: WatchSource;
  readonly #exits: Exits;
  readonly #groups = new Groups();
  /** Where the reader is on its way through the history. */
  #position = 0;
  #scheduled = false;

  constructor(source: WatchSource, exits: Exits) {
    this.#source = source;
    this.#exits = exits;
  }

  get size(): number {
    return this.#groups.size;
  }

  add(watcher: Watcher): void {
    this.#groups.add(watcher);
    if (watcher.isReady) this.wake();
  }

  /** Whether it was here. */
  remove(watcher: Watcher): boolean {
    return this.#groups.remove(watcher);
  }

  has(watcher: Watcher): boolean {
    return this.#groups.groupOf(watcher) !== undefined;
  }

  /** Lets go of `watcher` where it is here and can't be served any more. */
  check(watcher: Watcher): void {
    if (this.has(watcher) && watcher.upTo < this.#source.store.floor) this.#exits.lost(watcher);
  }

  /** Goes on in a later turn of the event loop, after pending I/O had its chance. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#slice();
    });
  }

  #slice(): void {
    const ready = this.#sorted();
    const first = this.#nextFor(ready);
    if (first === null) return;
    const span = readSpan(this.#source.store, this.#groups, first);
    const concerns = new Map(span.concerned.map((concern) => [concern.group, concern]));
    for (const watcher of ready) {
      if (watcher.upTo + 1 < first || watcher.upTo >= span.upTo) continue;
      const group = this.#groups.groupOf(watcher);
      const concern = group === undefined ? undefined : concerns.get(group);
      if (concern !== undefined) watcher.give(concern.chunks(watcher.form, watcher.upTo));
      watcher.upTo = span.upTo;
    }
    this.#position = span.upTo + 1;
    if (this.#sorted().length > 0) this.wake();
  }

  /** Lets those go who have seen all, and those who can't any more; of the others, those whose clients wait for more. */
  #sorted(): Watcher[] {
    const { floor, revision } = this.#source.store;
    const ready: Watcher[] = [];
    for (const watcher of [...this.#groups.watchers()]) {
      if (watcher.upTo < floor) {
        this.#exits.lost(watcher);
      } else if (watcher.upTo >= revision) {
        this.#groups.remove(watcher);
        this.#exits.caughtUp(watcher);
      } else if (watcher.isReady) {
        ready.push(watcher);
      }
    }
    return ready;
  }

  /** The revision to go on from: on along the way, or from the oldest one anew; null where nobody waits. */
  #nextFor(ready: readonly Watcher[]): number | null {
    let oldest = Infinity;
    let onward = Infinity;
    for (const { upTo } of ready) {
      oldest = Math.min(oldest, upTo + 1);
      if (upTo + 1 >= this.#position) onward = Math.min(onward, upTo + 1);
    }
    if (oldest === Infinity) return null;
    return onward === Infinity ? oldest : onward;
  }
}
