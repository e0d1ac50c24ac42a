import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Condition } from "../../src/kv/command.ts";
import { checkHistory, checkKey, stepsDefault } from "./linearizability.ts";
import type { Operation, Outcome } from "./register.ts";

const none: readonly Condition[] = [];

/** `key` of a client's operation, from one time to another. */
function at(invokedAt: number, returnedAt: number, key = "k"): Draft {
  return { invokedAt, returnedAt, key, client: invokedAt };
}
type Draft = Pick<Operation, "invokedAt" | "returnedAt" | "key" | "client">;
type Unnumbered = Omit<Operation, "number">;

function put(draft: Draft, value: string, outcome: Outcome, conditions = none): Unnumbered {
  return { ...draft, action: { type: "put", value, conditions }, outcome };
}
function remove(draft: Draft, outcome: Outcome, conditions = none): Unnumbered {
  return { ...draft, action: { type: "delete", conditions }, outcome };
}
function get(draft: Draft, store: number, value: string | null, revision = store): Unnumbered {
  const item = value === null ? null : { value, revision };
  return { ...draft, action: { type: "get" }, outcome: { type: "got", revision: store, item } };
}
const wrote = (revision: number, version: number | null = null): Outcome => ({
  type: "put",
  revision,
  version,
});
const deleted = (revision: number, count: 0 | 1 | null = 1): Outcome => ({
  type: "deleted",
  revision,
  deleted: count,
});
const failed = (revision: number, current: number): Outcome => ({
  type: "conditionFailed",
  revision,
  current,
});
const unknown: Outcome = { type: "unknown" };
const notApplied: Outcome = { type: "notApplied" };

function numbered(operations: readonly Unnumbered[]): Operation[] {
  return operations.map((operation, i) => ({ ...operation, number: i + 1 }));
}

function accepts(...operations: readonly Unnumbered[]): void {
  assert.deepEqual(checkHistory(numbered(operations)), { ok: true });
}

/** Rejected, whichever of the two checks finds it first. */
function rejects(reason: RegExp, ...operations: readonly Unnumbered[]): void {
  const verdict = checkHistory(numbered(operations));
  assert(!verdict.ok, "accepted");
  assert.equal(verdict.verdict, "violated");
  assert.match(verdict.reason, reason);
}

/** Rejected by the search itself, without the help of the order of revisions. */
function searchRejects(...operations: readonly Unnumbered[]): void {
  const verdict = checkKey("k", numbered(operations), stepsDefault);
  assert(!verdict.ok && verdict.verdict === "violated", "not rejected");
}

describe("linearizability: histories that are", () => {
  it("accepts reads and writes one after the other", () => {
    accepts(
      get(at(1, 2), 0, null),
      put(at(3, 4), "a", wrote(1, 1)),
      get(at(5, 6), 1, "a"),
      put(at(7, 8), "b", wrote(2, 2)),
      get(at(9, 10), 2, "b"),
      remove(at(11, 12), deleted(3)),
      remove(at(13, 14), deleted(3, 0)),
      get(at(15, 16), 3, null),
      put(at(17, 18), "c", wrote(4, 1)),
    );
  });
  it("accepts either order of what overlaps", () => {
    accepts(
      put(at(1, 10), "a", wrote(1)),
      get(at(2, 9), 0, null),
      get(at(3, 8), 1, "a"),
      put(at(4, 7), "b", wrote(2)),
      get(at(5, 6), 0, null),
    );
  });
  it("accepts a write of unknown fate that takes effect late, or never", () => {
    const late = put(at(1, Infinity), "a", unknown);
    accepts(late, get(at(2, 3), 0, null), get(at(100, 101), 1, "a"));
    accepts(late, get(at(2, 3), 0, null), put(at(4, 5), "b", wrote(1, 1)));
    accepts(late, put(at(4, 5), "b", wrote(2, 2)));
    accepts(late, put(at(2, 3), "b", wrote(1, 1)), get(at(4, 5), 2, "a"));
  });
  it("accepts a delete of unknown fate that explains an absent key", () => {
    accepts(
      put(at(1, 2), "a", wrote(1, 1)),
      remove(at(3, Infinity), unknown),
      get(at(4, 5), 1, "a"),
      get(at(6, 7), 2, null),
      put(at(8, 9), "b", wrote(3, 1)),
    );
  });
  it("accepts a write of unknown fate that only a failed condition gives away", () => {
    accepts(
      put(at(1, Infinity), "a", unknown),
      put(at(2, 3), "b", failed(1, 1), [{ type: "absent" }]),
      put(at(4, 5), "c", wrote(2, 2), [{ type: "revision", revisions: [1] }]),
    );
  });
  it("accepts conditions as they come out", () => {
    accepts(
      put(at(1, 2), "a", failed(0, 0), [{ type: "exists" }]),
      put(at(3, 4), "a", wrote(1, 1), [{ type: "absent" }]),
      put(at(5, 6), "b", failed(1, 1), [{ type: "absent" }]),
      put(at(7, 8), "b", failed(1, 1), [{ type: "revision", revisions: [7] }]),
      remove(at(9, 10), failed(1, 1), [{ type: "notRevision", revisions: [1] }]),
      put(at(11, 12), "b", wrote(2, 2), [{ type: "revision", revisions: [1] }]),
      remove(at(13, 14), deleted(3), [{ type: "exists" }]),
    );
  });
  it("accepts revisions of other keys in between, and one that several keys share", () => {
    accepts(
      put(at(1, 2, "x"), "a", wrote(1, 1)),
      put(at(3, 4, "y"), "b", wrote(2, 1)),
      get(at(5, 6, "x"), 2, "a", 1),
    );
    const parts = ["x", "y", "z"].map((key) => remove(at(7, 8, key), deleted(3, null)));
    const operations = numbered([
      put(at(1, 2, "x"), "a", wrote(1, 1)),
      put(at(3, 4, "y"), "b", wrote(2, 1)),
    ]);
    const range = parts.map((part) => ({ ...part, number: 3 }));
    assert.deepEqual(checkHistory([...operations, ...range]), { ok: true });
  });
});

describe("linearizability: histories that are not", () => {
  it("rejects a stale read", () => {
    const history = [
      put(at(1, 2), "a", wrote(1)),
      put(at(3, 4), "b", wrote(2)),
      get(at(5, 6), 1, "a"),
    ];
    rejects(/operation 3 got revision 1, and operation 2 had ended with 2/, ...history);
    searchRejects(...history);
  });
  it("rejects a stale read of another key's client", () => {
    rejects(
      /operation 3 got revision 1/,
      put(at(1, 2, "x"), "a", wrote(1)),
      put(at(3, 4, "y"), "b", wrote(2)),
      get(at(5, 6, "x"), 1, "a"),
    );
  });
  it("rejects a lost update", () => {
    const history = [
      put(at(1, 2), "a", wrote(1)),
      put(at(3, 6), "b", wrote(2), [{ type: "revision", revisions: [1] }]),
      put(at(4, 5), "c", wrote(3), [{ type: "revision", revisions: [1] }]),
    ];
    rejects(/none explains operation 3/, ...history);
    searchRejects(...history);
  });
  it("rejects an acknowledged write that is gone", () => {
    const history = [
      put(at(1, 2), "a", wrote(1)),
      put(at(3, 4), "b", wrote(2)),
      get(at(5, 6), 2, "a", 1),
    ];
    rejects(/and 2 had changed it/, ...history);
    searchRejects(...history);
    const absentNow = [put(at(1, 2), "a", wrote(1)), get(at(3, 4), 1, null)];
    rejects(/found nothing/, ...absentNow);
    searchRejects(...absentNow);
  });
  it("rejects writes whose revisions contradict their times", () => {
    const history = [put(at(1, 2), "a", wrote(2)), put(at(3, 4), "b", wrote(1))];
    rejects(/operation 2 got revision 1/, ...history);
    searchRejects(...history);
  });
  it("rejects two changes of one revision", () => {
    rejects(
      /operations 1 and 2 both have revision 1/,
      put(at(1, 4, "x"), "a", wrote(1)),
      put(at(2, 3, "y"), "b", wrote(1)),
    );
  });
  it("rejects a write that is seen and was called not applied", () => {
    const history = [
      put(at(1, 2), "a", notApplied),
      get(at(3, 4), 1, "a"),
    ];
    rejects(/nobody wrote that there/, ...history);
    searchRejects(...history);
  });
  it("rejects a value that nobody wrote, or wrote elsewhere, or only later", () => {
    rejects(/nobody wrote that/, get(at(1, 2), 1, "a"));
    rejects(/nobody wrote that/, put(at(1, 2, "x"), "a", unknown), get(at(3, 4, "y"), 1, "a"));
    rejects(/operation 2 got revision 1/, get(at(1, 2), 1, "a"), put(at(3, 4), "a", wrote(1)));
    rejects(
      /operation 2 got revision 1/,
      get(at(1, 2), 1, "a"),
      put(at(3, Infinity), "a", unknown),
    );
    searchRejects(get(at(1, 2), 1, "a"));
    searchRejects(get(at(1, 2), 1, "a"), put(at(3, 4), "a", wrote(1)));
  });
  it("rejects a value at another revision than it was written at", () => {
    const history = [put(at(1, 2), "a", wrote(1)), get(at(3, 4), 3, "a", 2)];
    rejects(/nobody wrote that there/, ...history);
    searchRejects(...history);
  });
  it("rejects reads that two clients got in opposite orders", () => {
    const history = [
      put(at(1, 100), "a", wrote(1)),
      put(at(2, 100), "b", wrote(2)),
      get(at(3, 4), 2, "b"),
      get(at(5, 6), 1, "a"),
    ];
    rejects(/operation 4 got revision 1/, ...history);
    searchRejects(...history);
  });
  it("rejects what goes back and forth in a cycle", () => {
    rejects(
      /./,
      put(at(1, Infinity), "a", unknown),
      put(at(2, Infinity), "b", unknown),
      get(at(3, 4), 1, "a"),
      get(at(5, 6), 2, "b"),
      get(at(7, 8), 3, "a"),
    );
  });
  it("rejects a write of unknown fate that happens twice", () => {
    const history = [
      put(at(1, Infinity), "a", unknown),
      get(at(2, 3), 1, "a"),
      remove(at(4, 5), deleted(2)),
      get(at(6, 7), 3, "a"),
    ];
    rejects(/./, ...history);
    searchRejects(...history);
  });
  it("rejects created where it was replaced, and counts that don't add up", () => {
    rejects(/none explains/, put(at(1, 2), "a", wrote(1, 1)), put(at(3, 4), "b", wrote(2, 1)));
    rejects(/none explains/, put(at(1, 2), "a", wrote(1, 2)));
    rejects(/none explains/, put(at(1, 2), "a", wrote(1, 1)), remove(at(3, 4), deleted(1, 0)));
    rejects(/none explains/, remove(at(1, 2), deleted(1)));
  });
  it("rejects a condition that failed and held, and one that held and failed", () => {
    rejects(/none explains/, put(at(1, 2), "a", failed(0, 0), [{ type: "absent" }]));
    rejects(/none explains/, put(at(1, 2), "a", wrote(1), [{ type: "exists" }]));
    rejects(
      /saw what was put at 1/,
      put(at(1, 2), "a", wrote(1)),
      remove(at(3, 4), deleted(2)),
      put(at(5, 6), "b", failed(2, 1), [{ type: "absent" }]),
    );
  });
});
