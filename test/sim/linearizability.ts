/**
 * Whether what clients saw could have come from one copy of the store that does one thing at a time, each operation at
 * some moment between its invocation and its return.
 *
 * First the order that revisions give (`revision-order.ts`), over all keys. Then, key by key, a search for an order of
 * the operations that the model (`register.ts`) admits: Wing and Gong's, with Lowe's memory of (what is done, state)
 * pairs that led nowhere. Linearizability is local, so keys may be judged one by one (Herlihy and Wing). The store's
 * revision in every answer leaves little to choose from: only operations of the least revision that is left can be
 * next, or changes that nobody got an answer to, where a revision is missing. Those may be left out, and are tried last.
 *
 * The search takes a bounded number of steps. One that runs out of them is `undecided`, which is not `ok`.
 */
import { absent, type Operation, type Register, step } from "./register.ts";
import { place, revisionFlaw, takenRevisions } from "./revision-order.ts";

export type Verdict =
  | { readonly ok: true }
  | {
    readonly ok: false;
    readonly verdict: "violated" | "undecided";
    readonly key: string;
    readonly reason: string;
  };

export const stepsDefault = 200_000;

/** @param steps that the search may take for each key. */
export function checkHistory(
  operations: readonly Operation[],
  steps: number = stepsDefault,
): Verdict {
  const flaw = revisionFlaw(operations);
  if (flaw !== null) return { ok: false, verdict: "violated", ...flaw };
  const taken = takenRevisions(operations);
  let undecided: Verdict | null = null;
  for (const [key, ofKey] of Map.groupBy(operations, (operation) => operation.key)) {
    const verdict = checkKey(key, ofKey, steps, taken);
    if (verdict.ok) continue;
    if (verdict.verdict === "violated") return verdict;
    undecided ??= verdict;
  }
  return undecided ?? { ok: true };
}

/**
 * The search alone, over the operations of one key.
 * @param taken revisions that no change of unknown fate can have.
 */
export function checkKey(
  key: string,
  operations: readonly Operation[],
  steps: number,
  taken: ReadonlySet<number> = takenRevisions(operations),
): Verdict {
  return new Search(operations, steps, taken).run(key);
}

/** One point of the search: what the register is, and who may go next. */
interface Frame {
  readonly register: Register;
  readonly candidates: readonly Candidate[];
  /** The next candidate to try. */
  next: number;
  /** Who went to come here. */
  readonly by: number;
}

interface Candidate {
  readonly slot: number;
  readonly after: Register;
}

class Search {
  /** With an answer, in order of the revision in it; then those without one, in order of invocation. */
  readonly #operations: readonly Operation[];
  readonly #answered: number;
  /** Answered ones in order of their return, and where each of them stands there. */
  readonly #byReturn: readonly number[];
  readonly #ranks: Uint32Array;
  readonly #done: Uint8Array;
  #left: number;
  /** All before these are done, in either order. */
  #least = 0;
  #earliest = 0;
  #steps: number;
  readonly #taken: ReadonlySet<number>;
  /** Open operations of one class can stand for each other. */
  readonly #classes: readonly string[];
  readonly #failed = new Set<string>();
  #deepest = { left: Infinity, register: absent, stuck: 0 };

  constructor(operations: readonly Operation[], steps: number, taken: ReadonlySet<number>) {
    const effective = place(operations).filter(({ action, outcome }) =>
      outcome.type !== "notApplied" && !(action.type === "get" && outcome.type === "unknown")
    );
    const byInvocation = effective.toSorted((a, b) => a.invokedAt - b.invokedAt);
    const open = byInvocation.filter(({ outcome }) => outcome.type === "unknown");
    const answered = byInvocation.filter(({ outcome }) => outcome.type !== "unknown")
      .sort((a, b) => revisionOf(a) - revisionOf(b));
    this.#operations = [...answered, ...open];
    this.#answered = answered.length;
    this.#left = answered.length;
    this.#done = new Uint8Array(this.#operations.length);
    this.#byReturn = answered.map((_, slot) => slot).sort((a, b) =>
      (answered[a]?.returnedAt ?? 0) - (answered[b]?.returnedAt ?? 0)
    );
    this.#ranks = new Uint32Array(answered.length);
    for (const [rank, slot] of this.#byReturn.entries()) this.#ranks[slot] = rank;
    this.#steps = steps;
    this.#taken = taken;
    this.#classes = classesOf(open, answered);
  }

  run(key: string): Verdict {
    const stack = [this.#frame(absent, -1)];
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      if (this.#left === 0) return { ok: true };
      if (this.#steps <= 0) {
        const reason = "the search took all the steps that it was given";
        return { ok: false, verdict: "undecided", key, reason };
      }
      const candidate = frame.candidates[frame.next++];
      if (candidate === undefined) {
        this.#undo(frame.by);
        stack.pop();
        continue;
      }
      this.#do(candidate.slot);
      // Where nothing changed nobody had a choice, so there is nothing to remember.
      const isNew = isSame(candidate.after, frame.register) || this.#isNew(candidate.after);
      if (isNew) stack.push(this.#frame(candidate.after, candidate.slot));
      else this.#undo(candidate.slot);
    }
    return { ok: false, verdict: "violated", key, reason: this.#reason() };
  }

  #frame(register: Register, by: number): Frame {
    const candidates = this.#candidates(register);
    if (this.#left < this.#deepest.left && candidates.length === 0) {
      this.#deepest = { left: this.#left, register, stuck: this.#least };
    }
    return { register, candidates, next: 0, by };
  }

  #candidates(register: Register): Candidate[] {
    // Nobody can be next who began after another, that is not done yet, had ended.
    const ended = this.#operations[this.#byReturn[this.#earliest] ?? -1]?.returnedAt ?? Infinity;
    const candidates: Candidate[] = [];
    for (const slot of this.#ofLeastRevision()) {
      const operation = this.#operations[slot];
      if (operation === undefined || this.#done[slot] === 1) continue;
      if (operation.invokedAt > ended) continue;
      const after = this.#try(register, operation);
      if (after === null) continue;
      // It changes nothing: to let it go first can't be wrong.
      if (isSame(after, register)) return [{ slot, after }];
      candidates.push({ slot, after });
    }
    return [...candidates, ...this.#open(register, ended)];
  }

  *#ofLeastRevision(): Generator<number, void, undefined> {
    const least = this.#operations[this.#least];
    if (least === undefined) return;
    const revision = revisionOf(least);
    for (let slot = this.#least; slot < this.#answered; slot++) {
      const operation = this.#operations[slot];
      if (operation === undefined || revisionOf(operation) !== revision) return;
      yield slot;
    }
  }

  /** Changes without an answer that may have happened here: at a revision that is missing, not beyond the next answer's. */
  #open(register: Register, ended: number): Candidate[] {
    const candidates: Candidate[] = [];
    const least = this.#least < this.#answered ? this.#operations[this.#least] : undefined;
    let missing = register.floor + 1;
    while (this.#taken.has(missing)) missing++;
    if (least === undefined || missing > revisionOf(least)) return candidates;
    const tried = new Set<string>();
    for (let slot = this.#answered; slot < this.#operations.length; slot++) {
      const operation = this.#operations[slot];
      const name = this.#classes[slot - this.#answered];
      if (operation === undefined || operation.invokedAt > ended || name === undefined) break;
      if (this.#done[slot] === 1 || tried.has(name)) continue;
      tried.add(name);
      const after = this.#try(register, operation, missing);
      if (after !== null) candidates.push({ slot, after });
    }
    return candidates;
  }

  #try(register: Register, operation: Operation, missing?: number): Register | null {
    this.#steps--;
    return step(register, operation, missing);
  }

  #do(slot: number): void {
    this.#done[slot] = 1;
    if (slot >= this.#answered) return;
    this.#left--;
    while (this.#least < this.#answered && this.#done[this.#least] === 1) this.#least++;
    for (;;) {
      const earliest = this.#byReturn[this.#earliest];
      if (earliest === undefined || this.#done[earliest] === 0) return;
      this.#earliest++;
    }
  }

  #undo(slot: number): void {
    if (slot < 0) return;
    this.#done[slot] = 0;
    if (slot >= this.#answered) return;
    this.#left++;
    this.#least = Math.min(this.#least, slot);
    this.#earliest = Math.min(this.#earliest, this.#ranks[slot] ?? 0);
  }

  /** Whether the search comes here for the first time. */
  #isNew(register: Register): boolean {
    const before = this.#failed.size;
    return this.#failed.add(this.#name(register)).size > before;
  }

  /** What is done and what the register is, in letters. Nothing beyond the least revision is done. */
  #name(register: Register): string {
    const done: number[] = [];
    for (const slot of this.#ofLeastRevision()) if (this.#done[slot] === 1) done.push(slot);
    for (let slot = this.#answered; slot < this.#done.length; slot++) {
      if (this.#done[slot] === 1) done.push(slot);
    }
    const { value, revision, isExact, version, floor } = register;
    const kind = typeof value;
    return [this.#least, done.join(), kind, value, revision, isExact, version, floor].join(" ");
  }

  #reason(): string {
    const { register, stuck } = this.#deepest;
    const operation = this.#operations[stuck];
    const done = this.#answered - this.#deepest.left;
    return `${done} operations have an order, after which the key is ${
      JSON.stringify(register)
    }; ` +
      `none explains operation ${operation?.number}: ${JSON.stringify(operation)}`;
  }
}

/** The store's revision in an answer. */
function revisionOf({ outcome }: Operation): number {
  return "revision" in outcome ? outcome.revision : Infinity;
}

function isSame(a: Register, b: Register): boolean {
  return a.value === b.value && a.revision === b.revision && a.isExact === b.isExact &&
    a.version === b.version && a.floor === b.floor;
}

/** What a later operation can tell of each: its conditions, and the value where somebody saw it. */
function classesOf(open: readonly Operation[], answered: readonly Operation[]): string[] {
  const seen = new Set(
    answered.map(({ outcome }) => outcome.type === "got" ? outcome.item?.value : undefined),
  );
  return open.map(({ action }) => {
    if (action.type === "get") return "";
    const isSeen = action.type === "put" && seen.has(action.value);
    return JSON.stringify({ ...action, value: isSeen ? action.value : null });
  });
}
