import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import { sealEntry } from "../../src/adapters/log-record.ts";
import { NotLeader, Proposals } from "../../src/replica/proposals.ts";
import { silent } from "./cluster.ts";

const command = new Uint8Array([1]);

function entry(index: number, term: number) {
  return sealEntry({ index, term, kind: "command", payload: command }, 0);
}

/** Two commands proposed in one batch, `accepted` of them appended from index 5 of term 3 on. */
function proposed(accepted: number, reason: "notLeader" | "overloaded" | null) {
  const proposals = new Proposals<string>(silent);
  const fates = [proposals.gather(command, 0, 100), proposals.gather(command, 0, 100)];
  for (const fate of fates) fate.catch(() => undefined);
  assert.equal(proposals.submit(1)?.length, 2);
  proposals.onProposed({ type: "proposed", id: 1, firstIndex: 5, term: 3, accepted, reason }, 1);
  return { proposals, fates };
}

describe("a proposal", () => {
  it("is applied when its own entry is at its index", async () => {
    const { proposals, fates } = proposed(2, null);
    proposals.onApplied(entry(5, 3), "first", 2);
    proposals.onApplied(entry(6, 3), "second", 2);
    assert.deepEqual(await fates[0], { index: 5, term: 3, result: "first" });
    assert.deepEqual(await fates[1], { index: 6, term: 3, result: "second" });
    assert.equal(proposals.pending, 0);
  });

  it("is not applied when another leader's entry is committed at its index", async () => {
    const { proposals, fates } = proposed(2, null);
    proposals.onApplied(entry(5, 4), "another's", 2);
    await assert.rejects(fates[0] ?? Promise.resolve(), NotApplied);
    assert.equal(proposals.pending, 1);
  });

  it("is unknown when a snapshot took the place of its index, and nobody can tell any more", async () => {
    const { proposals, fates } = proposed(2, null);
    proposals.onRestored(5, 2);
    await assert.rejects(fates[0] ?? Promise.resolve(), OutcomeUnknown);
    assert.equal(proposals.pending, 1);
  });

  it("is unknown at its deadline, not before", async () => {
    const { proposals, fates } = proposed(2, null);
    proposals.expire(99);
    assert.equal(proposals.pending, 2);
    proposals.expire(100);
    await assert.rejects(fates[1] ?? Promise.resolve(), OutcomeUnknown);
  });

  it("is refused as not applied when the core would not append it", async () => {
    const overloaded = proposed(1, "overloaded");
    await assert.rejects(overloaded.fates[1] ?? Promise.resolve(), NotApplied);
    const deposed = proposed(0, "notLeader");
    await assert.rejects(deposed.fates[0] ?? Promise.resolve(), NotLeader);
  });

  it("is unknown when the replica halts after appending it, not applied when before", async () => {
    const { proposals, fates } = proposed(2, null);
    const late = proposals.gather(command, 3, 100);
    proposals.abandon(4);
    await assert.rejects(fates[0] ?? Promise.resolve(), OutcomeUnknown);
    await assert.rejects(late, NotApplied);
  });
});
