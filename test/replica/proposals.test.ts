import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import { sealEntry } from "../../src/adapters/log-record.ts";
import { NotLeader, Proposals } from "../../src/replica/proposals.ts";
import { silent } from "./cluster.ts";

const slow = "what was proposed before takes too long";
const command = new Uint8Array([1]);

function entry(index: number, term: number) {
  return sealEntry({ index, term, kind: "command", payload: command }, 0);
}

/** Refuses what clients propose while two are open of which the first is older than 50 ms. */
function proposalsAt(now: () => number): Proposals<string> {
  const options = { proposals: { delayMsMax: 50, pendingMin: 2 } };
  return new Proposals<string>({ observer: silent, clock: { now }, options });
}

/** Two commands proposed in one batch, `accepted` of them appended from index 5 of term 3 on. */
function proposed(accepted: number, reason: "notLeader" | "overloaded" | null) {
  const proposals = proposalsAt(() => 0);
  const early = { lane: "clients", deadline: 100 } as const;
  const fates = [proposals.gather(command, early), proposals.gather(command, early)];
  for (const fate of fates) fate.catch(() => undefined);
  assert.deepEqual(proposals.submit(() => 1).map(({ commands }) => commands.length), [2]);
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
    const late = proposals.gather(command, { lane: "clients", deadline: 100 });
    proposals.abandon(4);
    await assert.rejects(fates[0] ?? Promise.resolve(), OutcomeUnknown);
    await assert.rejects(late, NotApplied);
  });

  describe("whose index another one of ours took in a later office", () => {
    /** The first two as {@link proposed}, and a third at index 5 of term 4. */
    function displaced() {
      const { proposals, fates } = proposed(2, null);
      const later = proposals.gather(command, { lane: "clients", deadline: 200 });
      later.catch(() => undefined);
      proposals.submit(() => 2);
      const answer = { type: "proposed", id: 2, firstIndex: 5, term: 4, accepted: 1 } as const;
      proposals.onProposed({ ...answer, reason: null }, 3);
      assert.equal(proposals.pending, 3);
      const [first = Promise.reject(new Error("nothing was proposed"))] = fates;
      return { proposals, first, later };
    }

    it("is not applied when that one is", async () => {
      const { proposals, first, later } = displaced();
      proposals.onApplied(entry(5, 4), "later", 4);
      assert.deepEqual(await later, { index: 5, term: 4, result: "later" });
      await assert.rejects(first, NotApplied);
      assert.equal(proposals.pending, 1);
    });

    it("is applied where its own entry was committed after all", async () => {
      const { proposals, first, later } = displaced();
      proposals.onApplied(entry(5, 3), "first", 4);
      assert.deepEqual(await first, { index: 5, term: 3, result: "first" });
      await assert.rejects(later, NotApplied);
    });

    it("is unknown at its deadline, behind a snapshot, and when the replica halts", async () => {
      for (const end of ["expire", "onRestored", "abandon"] as const) {
        const { proposals, first } = displaced();
        if (end === "expire") proposals.expire(100);
        if (end === "onRestored") proposals.onRestored(5, 4);
        if (end === "abandon") proposals.abandon(4);
        await assert.rejects(first, OutcomeUnknown, end);
      }
    });
  });

  it("of a client is refused as overloaded while those before it take too long, the leader's own is not", async () => {
    let now = 0;
    const proposals = proposalsAt(() => now);
    const gather = (lane: "own" | "clients"): Promise<unknown> =>
      proposals.gather(command, { lane, deadline: 1000 });
    const propose = (id: number): void => {
      gather("clients").catch(() => undefined);
      const [batch] = proposals.submit(() => id);
      const answer = { type: "proposed", id, firstIndex: id, term: 1, accepted: 1 } as const;
      assert.equal(batch?.own, undefined);
      proposals.onProposed({ ...answer, reason: null }, now);
    };
    propose(1);
    now = 60;
    propose(2);
    await assert.rejects(gather("clients"), new NotApplied("overloaded", slow));
    assert.deepEqual(proposals.submit(() => 3), []);
    void gather("own");
    assert.equal(proposals.submit(() => 4)[0]?.own, true);
    proposals.onApplied(entry(1, 1), "done", now);
    propose(5);
  });
});
