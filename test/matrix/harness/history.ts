/**
 * Histories of single keys, and the check that they could have come from one copy of the store.
 *
 * Every change has a revision that is unique in the store, and every read says which revision it saw, so the order is
 * given and a history of n operations is judged in O(n log n): the revisions must agree with real time (an operation
 * that began after another had ended does not see or get less), and with the values that were written.
 */
import { performance } from "node:perf_hooks";

/** What an operation turned out to be. `revision` is the key's, null where a read found nothing. */
type Outcome =
  | { readonly type: "done"; readonly revision: number | null; readonly value: string | null }
  | { readonly type: "notApplied" }
  | { readonly type: "unknown" };

interface Operation {
  readonly key: string;
  /** The value that a write carries, unique in the history; null for a read. */
  readonly written: string | null;
  readonly start: number;
  readonly end: number;
  readonly outcome: Outcome;
}

export class History {
  readonly #operations: Operation[] = [];

  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** Runs one operation and keeps when it began, when it ended, and what came of it. */
  async record(
    key: string,
    written: string | null,
    operation: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const start = performance.now();
    let outcome: Outcome = { type: "unknown" };
    try {
      outcome = await operation();
      return outcome;
    } finally {
      const end = outcome.type === "unknown" ? Infinity : performance.now();
      this.#operations.push({ key, written, start, end, outcome });
    }
  }

  /** The first thing that no linearizable store could have answered, in words; null where there is none. */
  flaw(): string | null {
    const byKey = Map.groupBy(this.#operations, ({ key }) => key);
    const revisions = new Map<number, string>();
    for (const operation of this.#operations) {
      const { written, outcome, key } = operation;
      if (written === null || outcome.type !== "done" || outcome.revision === null) continue;
      const other = revisions.get(outcome.revision);
      if (other !== undefined) return `revision ${outcome.revision} is ${other}'s and ${key}'s`;
      revisions.set(outcome.revision, key);
    }
    for (const [key, operations] of byKey) {
      const flaw = valueFlaw(operations) ?? orderFlaw(operations);
      if (flaw !== null) return `${key}: ${flaw}`;
    }
    return null;
  }
}

/** Reads of one revision agree, and saw what was written there and may have been applied. */
function valueFlaw(operations: readonly Operation[]): string | null {
  const writes = new Map(
    operations.flatMap((one) => one.written === null ? [] : [[one.written, one]]),
  );
  const seen = new Map<number, string | null>();
  const at = new Map<string, number>();
  for (const { written, outcome } of operations) {
    if (outcome.type !== "done" || outcome.revision === null) continue;
    const value = written ?? outcome.value;
    const before = seen.get(outcome.revision);
    if (before !== undefined && before !== value) {
      return `revision ${outcome.revision} is both ${before} and ${value}`;
    }
    seen.set(outcome.revision, value);
    if (value === null) continue;
    const elsewhere = at.get(value);
    if (elsewhere !== undefined && elsewhere !== outcome.revision) {
      return `${value} was applied twice, at ${elsewhere} and ${outcome.revision}`;
    }
    at.set(value, outcome.revision);
    const origin = writes.get(value);
    if (origin === undefined) return `${value} was read and never written`;
    if (origin.outcome.type === "notApplied") return `${value} was read, and called not applied`;
  }
  return null;
}

/** What ended before an operation began is at or below the revision that it got; for a write, below. */
function orderFlaw(operations: readonly Operation[]): string | null {
  const appliedAt = new Map(
    operations.flatMap(({ outcome }) =>
      outcome.type === "done" && outcome.revision !== null && outcome.value !== null
        ? [[outcome.value, outcome.revision]]
        : []
    ),
  );
  // A write of unknown fate that a read saw was applied after it began.
  const placed = operations.flatMap((operation) => {
    const { outcome, written } = operation;
    if (outcome.type === "done") return [{ ...operation, revision: outcome.revision ?? 0 }];
    const revision = written === null ? undefined : appliedAt.get(written);
    return outcome.type === "unknown" && revision !== undefined ? [{ ...operation, revision }] : [];
  });
  const byEnd = placed.filter(({ end }) => end < Infinity).sort((a, b) => a.end - b.end);
  let next = 0;
  let floor = 0;
  for (const operation of placed.toSorted((a, b) => a.start - b.start)) {
    for (let ended = byEnd[next]; ended !== undefined && ended.end < operation.start;) {
      floor = Math.max(floor, ended.revision);
      ended = byEnd[++next];
    }
    const { revision, written } = operation;
    const isLate = written === null ? revision < floor : revision <= floor;
    if (isLate && floor > 0) {
      const kind = written === null ? "a read saw" : `the write of ${written} got`;
      return `${kind} revision ${revision} after ${floor} had been seen or acknowledged`;
    }
  }
  return null;
}
