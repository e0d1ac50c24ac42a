/**
 * Reads awaiting their index: all that come in one turn of the event loop share one confirmation (thesis 6.4), then
 * wait until the state machine reflects the index it gave.
 */
import type { Index, ReadLevel, RequestId } from "../raft/types.ts";

/** What became of one confirmation: `retry` where no leader could give it. */
export type ReadOutcome = "readable" | "retry" | "expired" | "stopped";

interface Batch {
  readonly waiting: ((outcome: ReadOutcome) => void)[];
  /** The earliest deadline of those that wait. */
  deadline: number;
  /** Null until confirmed. */
  index: Index | null;
}

export class Reads {
  readonly #gathering = new Map<ReadLevel, Batch>();
  readonly #submitted = new Map<RequestId, Batch>();

  /** Batches whose outcome is open. */
  get pending(): number {
    return this.#gathering.size + this.#submitted.size;
  }

  /** Joins this turn's batch of `level`. */
  gather(level: ReadLevel, deadline: number): Promise<ReadOutcome> {
    return new Promise((resolve) => {
      const batch = this.#gathering.get(level);
      if (batch === undefined) {
        this.#gathering.set(level, { waiting: [resolve], deadline, index: null });
        return;
      }
      batch.waiting.push(resolve);
      batch.deadline = Math.min(batch.deadline, deadline);
    });
  }

  /** The levels that have a batch in this turn, each to be submitted under an id of its own. */
  submit(nextId: () => RequestId): { readonly id: RequestId; readonly level: ReadLevel }[] {
    const events = [];
    for (const [level, batch] of this.#gathering) {
      const id = nextId();
      this.#submitted.set(id, batch);
      events.push({ id, level });
    }
    this.#gathering.clear();
    return events;
  }

  onReadable(id: RequestId, index: Index, applied: Index): void {
    const batch = this.#submitted.get(id);
    if (batch === undefined) return;
    batch.index = index;
    if (applied >= index) this.#end(id, batch, "readable");
  }

  onRejected(id: RequestId): void {
    const batch = this.#submitted.get(id);
    if (batch !== undefined) this.#end(id, batch, "retry");
  }

  onApplied(applied: Index): void {
    for (const [id, batch] of this.#submitted) {
      if (batch.index !== null && batch.index <= applied) this.#end(id, batch, "readable");
    }
  }

  expire(now: number): void {
    for (const [id, batch] of this.#submitted) {
      if (batch.deadline <= now) this.#end(id, batch, "expired");
    }
  }

  abandon(): void {
    for (const [id, batch] of this.#submitted) this.#end(id, batch, "stopped");
    for (const batch of this.#gathering.values()) {
      for (const resolve of batch.waiting) resolve("stopped");
    }
    this.#gathering.clear();
  }

  #end(id: RequestId, batch: Batch, outcome: ReadOutcome): void {
    this.#submitted.delete(id);
    for (const resolve of batch.waiting) resolve(outcome);
  }
}
