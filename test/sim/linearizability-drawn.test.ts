import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkHistory, checkKey, stepsDefault } from "./linearizability.ts";
import { drawHistory } from "./linearizability-histories.ts";
import { Random } from "./random.ts";
import { absent, type Operation, type Register, step } from "./register.ts";
import { revisionFlaw } from "./revision-order.ts";

describe("linearizability: drawn histories", () => {
  it("accepts every history of a store that is linearizable", () => {
    for (let seed = 1n; seed <= 150n; seed++) {
      const history = drawHistory(new Random(seed, "histories"));
      assert.deepEqual(checkHistory(history), { ok: true }, `seed ${seed}`);
    }
  });
  it("accepts a thousand operations of twenty clients on one key, in few steps", () => {
    const size = { operations: 1000, clients: 20, keys: 1, unknowns: 0.05 };
    const history = drawHistory(new Random(1n, "a large one"), size);
    assert.equal(history.length, 1000);
    assert.deepEqual(checkHistory(history, 50_000), { ok: true });
  });
  it("rejects one whose answers were exchanged", () => {
    let tried = 0;
    for (let seed = 1n; seed <= 150n; seed++) {
      const history = drawHistory(new Random(seed, "histories"), { unknowns: 0 });
      const mutated = exchangeReads(history, new Random(seed, "mutations"));
      if (mutated === null) continue;
      tried++;
      assert.equal(checkHistory(mutated).ok, false, `seed ${seed}`);
    }
    assert(tried > 100, `${tried} tried`);
  });
  it("rejects one with a read that came too late for what it saw", () => {
    let tried = 0;
    for (let seed = 1n; seed <= 150n; seed++) {
      const history = drawHistory(new Random(seed, "histories"));
      const mutated = delayRead(history, new Random(seed, "mutations"));
      if (mutated === null) continue;
      tried++;
      assert.equal(checkHistory(mutated).ok, false, `seed ${seed}`);
    }
    assert(tried > 100, `${tried} tried`);
  });
  it("agrees with a search through every order of small histories", () => {
    const size = { operations: 6, clients: 3, keys: 1, unknowns: 0.25 };
    const count = { linearizable: 0, not: 0 };
    for (let seed = 1n; seed <= 4000n; seed++) {
      const random = new Random(seed, "small histories");
      const history = disturb(drawHistory(random, size), random);
      const expected = anyOrder(absent, history);
      const found = checkKey("", history, stepsDefault);
      assert.equal(found.ok, expected, `seed ${seed}`);
      const flaw = revisionFlaw(history);
      assert(flaw === null || !expected, `seed ${seed}: ${flaw?.reason}`);
      count[expected ? "linearizable" : "not"]++;
    }
    assert(count.linearizable > 500 && count.not > 500, JSON.stringify(count));
  });
  it("says that it could not decide rather than guess", () => {
    const history = drawHistory(new Random(1n, "a large one"), { keys: 1 });
    const verdict = checkHistory(history, 20);
    assert(!verdict.ok);
    assert.equal(verdict.verdict, "undecided");
  });
});

/** Two reads of a key that got different items, the second after the first had ended, get each other's. */
function exchangeReads(history: readonly Operation[], random: Random): Operation[] | null {
  const reads = history.filter(({ outcome }) => outcome.type === "got");
  const pairs = reads.flatMap((a) =>
    reads.filter((b) =>
      a.key === b.key && a.returnedAt < b.invokedAt && revisionOf(a) !== revisionOf(b)
    ).map((b) => [a, b] as const)
  );
  if (pairs.length === 0) return null;
  const [a, b] = random.pick(pairs);
  return history.map((one) =>
    one === a ? { ...a, outcome: b.outcome } : one === b ? { ...b, outcome: a.outcome } : one
  );
}

function revisionOf({ outcome }: Operation): number {
  return "revision" in outcome ? outcome.revision : 0;
}

/** A read happens after a write had ended that it doesn't see. */
function delayRead(history: readonly Operation[], random: Random): Operation[] | null {
  const pairs = history.flatMap((read) =>
    read.outcome.type !== "got"
      ? []
      : history.filter(({ outcome }) =>
        outcome.type === "put" && outcome.revision > revisionOf(read)
      )
        .map((write) => [read, write] as const)
  );
  if (pairs.length === 0) return null;
  const [read, write] = random.pick(pairs);
  const later = { invokedAt: write.returnedAt + 1, returnedAt: write.returnedAt + 2 };
  return history.map((one) => one === read ? { ...one, ...later } : one);
}

/** At times moves an operation, or changes what it was told. */
function disturb(history: readonly Operation[], random: Random): Operation[] {
  return history.map((operation) => {
    if (random.chance(0.8)) return operation;
    const { outcome } = operation;
    if (random.chance(0.5)) {
      const invokedAt = operation.invokedAt + random.whole(-6, 6);
      return { ...operation, invokedAt, returnedAt: Math.max(invokedAt, operation.returnedAt) };
    }
    if (!("revision" in outcome)) return operation;
    return {
      ...operation,
      outcome: { ...outcome, revision: Math.max(0, outcome.revision + random.whole(-1, 1)) },
    };
  });
}

/** Whether some order of these, those without an answer at will, is one of the model's. */
function anyOrder(register: Register, left: readonly Operation[]): boolean {
  const answered = left.filter(({ outcome: { type } }) =>
    type !== "unknown" && type !== "notApplied"
  );
  if (answered.length === 0) return true;
  const ended = Math.min(...answered.map(({ returnedAt }) => returnedAt));
  return left.some((operation) => {
    if (operation.invokedAt > ended) return false;
    const after = step(register, operation);
    return after !== null && anyOrder(after, left.filter((one) => one !== operation));
  });
}
