/** Points 9 to 17 of the list of what is easy to get wrong: the log. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvariantViolation } from "../../src/assert.ts";
import type { Cluster } from "./cluster.ts";
import {
  accept,
  after,
  append,
  clear,
  clusterOf,
  deliver,
  entriesOf,
  give,
  grant,
  hear,
  reject,
  sent,
  status,
  theOnly,
} from "./hand.ts";
import type { ClusterOptions } from "./options.ts";
import { electionTimeoutMs, heartbeatIntervalMs } from "./options.ts";

const three = ["a", "b", "c"];

/** `a` leads with a log of these terms and the empty entry behind it; `b` and `c` speak by hand. */
function leading(
  terms: readonly number[],
  options: Omit<ClusterOptions, "voters"> = {},
): Cluster {
  const cluster = clusterOf(three, { absent: ["b", "c"], ...options });
  give(cluster, "a", terms);
  cluster.campaign("a");
  cluster.inject(grant(theOnly(cluster, "preVote", { to: "b" })));
  cluster.inject(grant(theOnly(cluster, "vote", { to: "b" })));
  assert.equal(status(cluster, "a").role, "leader");
  return cluster;
}

/** As {@link leading}, and both followers hold everything. */
function replicating(options: Omit<ClusterOptions, "voters"> = {}): Cluster {
  const cluster = leading([], options);
  for (const message of sent(cluster, "append")) {
    cluster.inject(accept(message));
  }
  for (const message of sent(cluster, "append").slice(2)) cluster.inject(accept(message));
  clear(cluster);
  return cluster;
}

/** What `a` knows of `id`. */
function progress(
  cluster: Cluster,
  id: string,
): { readonly state: string; readonly match: number } {
  const peer = status(cluster, "a").progress.find((other) => other.id === id);
  assert.ok(peer !== undefined);
  return { state: peer.state, match: peer.match };
}

describe("the log", () => {
  it("09 commits by counting only entries of the current term", () => {
    const cluster = leading([1, 1], { limits: { appendBytesMax: 1 } });
    const first = theOnly(cluster, "append", { to: "b" });
    clear(cluster);
    cluster.inject(reject(first, { conflictTerm: 0, conflictIndex: 2 }));
    const old = theOnly(cluster, "append", { to: "b" });
    assert.deepEqual(old.entries.map(({ index, term }) => [index, term]), [[2, 1]]);
    clear(cluster);
    cluster.inject(accept(old));
    assert.equal(progress(cluster, "b").match, 2);
    assert.equal(status(cluster, "a").commit, 0);
    cluster.inject(accept(theOnly(cluster, "append", { to: "b" })));
    assert.equal(status(cluster, "a").commit, 3);
  });

  it("09 opens its term with an empty entry, whatever the limits, that no user sees", () => {
    const cluster = leading([], { limits: { uncommittedBytesMax: 0, applyLagMax: 0 } });
    const [entry] = theOnly(cluster, "append", { to: "b" }).entries;
    assert.equal(entry?.kind, "empty");
    assert.equal(entry?.payload.byteLength, 0);
    cluster.inject(accept(theOnly(cluster, "append", { to: "b" })));
    assert.equal(cluster.node("a").applied, 1);
    assert.equal(cluster.node("a").state.size, 0);
  });

  it("10 cuts only at a real conflict, never because a message ended sooner", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const entries = entriesOf([1, 1, 1]);
    const way = { from: "b", to: "a", term: 1 };
    cluster.inject(append(way, { entries }));
    const again = cluster.inject(append(way, { entries: entries.slice(0, 1) }));
    const empty = cluster.inject(append(way, {}));
    assert.equal(again.persist, null);
    assert.equal(empty.persist, null);
    assert.equal(status(cluster, "a").lastIndex, 3);
    const other = entriesOf([1, 2]).slice(1);
    const cut = cluster.inject(append({ ...way, from: "c", term: 2 }, {
      ...after(entries[0]),
      entries: other,
    }));
    assert.equal(cut.persist?.truncateFrom, 2);
    assert.equal(status(cluster, "a").lastIndex, 2);
  });

  it("10 halts at a conflict at or below what is committed", () => {
    for (const index of [1, 2]) {
      const cluster = clusterOf(three, { absent: ["b", "c"] });
      const entries = entriesOf([1, 1, 1]);
      cluster.inject(append({ from: "b", to: "a", term: 1 }, { entries, commit: 2 }));
      const others = entriesOf(index === 1 ? [2, 2] : [1, 2]);
      const contradicting = append({ from: "c", to: "a", term: 2 }, {
        ...after(others[index - 2]),
        entries: others.slice(index - 1),
      });
      // By itself: the cluster's own invariants would say so, too.
      const { raft } = cluster.node("a");
      const event = { type: "receive", message: contradicting } as const;
      assert.throws(() => raft?.step(event, cluster.time), InvariantViolation);
    }
  });

  it("10 halts where a leader's chain has the same entry with another history", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const [first, second] = entriesOf([1, 1]);
    assert.ok(first !== undefined && second !== undefined);
    cluster.inject(append({ from: "b", to: "a", term: 1 }, { entries: [first, second] }));
    const flipped = { ...after(second), previousCrc: second.crc ^ 1 };
    assert.throws(
      () => cluster.inject(append({ from: "b", to: "a", term: 1 }, flipped)),
      InvariantViolation,
    );
  });

  it("11 a follower commits only what the very message vouches for", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const entries = entriesOf([1, 1, 1]);
    cluster.inject(append({ from: "b", to: "a", term: 1 }, { entries }));
    // The new leader agrees at 1; what follows here is not its own.
    cluster.inject(append({ from: "c", to: "a", term: 2 }, { ...after(entries[0]), commit: 3 }));
    assert.equal(status(cluster, "a").commit, 1);
    assert.equal(cluster.node("a").applied, 1);
  });

  it("11 a heartbeat carries min(match, commit)", () => {
    const cluster = leading([]);
    cluster.inject(accept(theOnly(cluster, "append", { to: "b" })));
    assert.equal(status(cluster, "a").commit, 1);
    cluster.tick(heartbeatIntervalMs);
    assert.equal(theOnly(cluster, "heartbeat", { to: "b" }).commit, 1);
    assert.equal(theOnly(cluster, "heartbeat", { to: "c" }).commit, 0);
  });

  it("11 an append that begins below our commit is answered with success at commit", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const entries = entriesOf([1, 1, 1]);
    const way = { from: "b", to: "a", term: 1 };
    cluster.inject(append(way, { entries, commit: 3 }));
    cluster.snapshot("a");
    assert.equal(status(cluster, "a").firstIndex, 4);
    clear(cluster);
    cluster.inject(append(way, { ...after(entries[0]), entries: entries.slice(1, 2) }));
    assert.equal(theOnly(cluster, "appendReply").success, true);
    assert.equal(theOnly(cluster, "appendReply").match, 3);
  });

  it("12 a rejection names the conflicting term and its first index", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    give(cluster, "a", [1, 2, 2, 2]);
    const way = { from: "b", to: "a", term: 5 };
    cluster.inject(append(way, { previousIndex: 4, previousTerm: 4 }));
    const { success, rejectedIndex, conflictTerm, conflictIndex } = theOnly(cluster, "appendReply");
    assert.deepEqual(
      { success, rejectedIndex, conflictTerm, conflictIndex },
      { success: false, rejectedIndex: 4, conflictTerm: 2, conflictIndex: 2 },
    );
    clear(cluster);
    cluster.inject(append(way, { previousIndex: 9, previousTerm: 4 }));
    const missing = theOnly(cluster, "appendReply");
    assert.equal(missing.conflictTerm, 0);
    assert.equal(missing.conflictIndex, 5);
  });

  it("12 the leader skips a term at a time", () => {
    const cluster = leading([1, 1, 1, 4, 4, 4]);
    const previous = (): number => theOnly(cluster, "append", { to: "b" }).previousIndex;
    const answer = (conflictTerm: number, conflictIndex: number): void => {
      const message = theOnly(cluster, "append", { to: "b" });
      clear(cluster);
      cluster.inject(reject(message, { conflictTerm, conflictIndex }));
    };
    assert.equal(previous(), 6);
    // Term 3 is unknown here: nothing of it agrees.
    answer(3, 5);
    assert.equal(previous(), 4);
    answer(2, 3);
    assert.equal(previous(), 2);
  });

  it("12 where the leader has the conflicting term it goes on behind its own last entry of it", () => {
    const cluster = leading([1, 1, 1, 4, 4, 4]);
    const first = theOnly(cluster, "append", { to: "b" });
    clear(cluster);
    cluster.inject(reject(first, { conflictTerm: 1, conflictIndex: 1 }));
    assert.equal(theOnly(cluster, "append", { to: "b" }).previousIndex, 3);
  });

  it("12 late rejections and reordered replies never move match back", () => {
    const cluster = replicating();
    cluster.propose("a", "x=1");
    cluster.propose("a", "x=2");
    const [first, second] = sent(cluster, "append", { to: "b" });
    assert.ok(first !== undefined && second !== undefined);
    cluster.inject(accept(second));
    cluster.inject(accept(first));
    assert.deepEqual(progress(cluster, "b"), { state: "replicate", match: 3 });
    cluster.inject(reject(first, { conflictTerm: 0, conflictIndex: 1 }));
    assert.deepEqual(progress(cluster, "b"), { state: "replicate", match: 3 });
    cluster.propose("a", "x=3");
    const last = sent(cluster, "append", { to: "b" }).at(-1);
    assert.deepEqual(last?.entries.map(({ index }) => index), [4]);
  });

  it("12 a pipelined append that is rejected after a later success is sent again", () => {
    const cluster = replicating();
    for (const value of [1, 2, 3]) cluster.propose("a", `x=${value}`);
    const [second, third, fourth] = sent(cluster, "append", { to: "b" });
    assert.ok(second !== undefined && third !== undefined && fourth !== undefined);
    clear(cluster);
    // The last overtook the others on its way, and its rejection is overtaken by their successes.
    cluster.inject(accept(second));
    cluster.inject(accept(third));
    clear(cluster);
    cluster.inject(reject(fourth, { conflictTerm: 0, conflictIndex: 2 }));
    assert.deepEqual(progress(cluster, "b"), { state: "replicate", match: 3 });
    const again = theOnly(cluster, "append", { to: "b" });
    assert.deepEqual(again.entries.map(({ index }) => index), [4]);
  });

  it("12 an empty append still checks what comes before it", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    give(cluster, "a", [1, 1]);
    const way = { from: "b", to: "a", term: 3 };
    cluster.inject(append(way, { previousIndex: 2, previousTerm: 2, commit: 2 }));
    assert.equal(theOnly(cluster, "appendReply").success, false);
    assert.equal(status(cluster, "a").commit, 0);
    clear(cluster);
    cluster.inject(append(way, { previousIndex: 3, previousTerm: 1, commit: 2 }));
    assert.equal(theOnly(cluster, "appendReply").success, false);
    assert.equal(status(cluster, "a").commit, 0);
  });

  it("13 a write of an older term doesn't make today's entries durable", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const a = cluster.node("a");
    const [base] = entriesOf([1]);
    assert.ok(base !== undefined);
    cluster.inject(append({ from: "b", to: "a", term: 1 }, { entries: [base] }));
    a.diskPace = "manual";
    const old = entriesOf([1, 1, 1]).slice(1);
    cluster.inject(append({ from: "b", to: "a", term: 1 }, { ...after(base), entries: old }));
    const today = entriesOf([1, 2, 2]).slice(1);
    clear(cluster);
    const way = { from: "c", to: "a", term: 2 };
    cluster.inject(append(way, { ...after(base), entries: today, commit: 3 }));
    cluster.persist("a", 1);
    assert.equal(a.applied, 1);
    assert.deepEqual(sent(cluster, "appendReply", { to: "c" }), []);
    cluster.persist("a");
    assert.equal(a.applied, 3);
    assert.equal(theOnly(cluster, "appendReply", { to: "c" }).match, 3);
  });

  it("13 a leader counts itself, and applies, only what its own disk has", () => {
    const cluster = replicating();
    const a = cluster.node("a");
    a.diskPace = "manual";
    cluster.propose("a", "x=1");
    cluster.inject(accept(theOnly(cluster, "append", { to: "b" })));
    assert.equal(status(cluster, "a").commit, 1);
    cluster.inject(accept(theOnly(cluster, "append", { to: "c" })));
    assert.equal(status(cluster, "a").commit, 2);
    assert.equal(a.applied, 1);
    cluster.persist("a");
    assert.equal(a.applied, 2);
  });

  it("13 the reply to an append seen before waits for the write that is on its way", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    cluster.node("a").diskPace = "manual";
    const message = append({ from: "b", to: "a", term: 1 }, { entries: entriesOf([1]) });
    cluster.inject(message);
    cluster.inject({ ...message, id: message.id + 1_000 });
    assert.deepEqual(sent(cluster, "appendReply"), []);
    cluster.persist("a");
    assert.deepEqual(sent(cluster, "appendReply").map(({ match }) => match), [1, 1]);
  });

  it("14 a full window still sends heartbeats", () => {
    const cluster = replicating({ limits: { inflightAppendsMax: 2 } });
    for (const value of [1, 2, 3, 4]) cluster.propose("a", `x=${value}`);
    assert.equal(sent(cluster, "append", { to: "b" }).length, 2);
    cluster.tick(2 * heartbeatIntervalMs);
    assert.equal(sent(cluster, "heartbeat", { to: "b" }).length, 2);
    assert.equal(sent(cluster, "append", { to: "b" }).length, 2);
  });

  it("14 an unreachable peer is probed, one append at a time", () => {
    const cluster = replicating();
    for (const value of [1, 2, 3]) cluster.propose("a", `x=${value}`);
    const lost = sent(cluster, "append", { to: "b" });
    clear(cluster);
    for (const message of lost) cluster.unreachable(message);
    assert.deepEqual(progress(cluster, "b"), { state: "probe", match: 1 });
    cluster.tick(2 * heartbeatIntervalMs);
    cluster.propose("a", "x=4");
    const probes = sent(cluster, "append", { to: "b" });
    assert.equal(probes.length, 1);
    assert.equal(probes[0]?.previousIndex, 1);
    clear(cluster);
    for (const probe of probes) cluster.inject(accept(probe));
    const rest = theOnly(cluster, "append", { to: "b" });
    assert.equal(rest.entries.at(-1)?.index, 5);
    assert.equal(progress(cluster, "b").state, "replicate");
  });

  it("14 an idle group finds a lost append out, too", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    cluster.propose("a", "x=1");
    const lost = theOnly(cluster, "append", { to: "c" });
    for (const parcel of cluster.network.find({ to: "c" })) cluster.drop(parcel);
    cluster.stabilize();
    cluster.unreachable(lost);
    cluster.run(4 * heartbeatIntervalMs);
    assert.equal(cluster.node("c").state.get("x"), "1");
  });

  it("15 replication goes on as soon as the follower's log reaches ours", () => {
    const cluster = replicating({ limits: { inflightAppendsMax: 8 } });
    for (const value of [1, 2, 3]) cluster.propose("a", `x=${value}`);
    const lost = sent(cluster, "append", { to: "c" });
    for (const message of sent(cluster, "append", { to: "b" })) cluster.inject(accept(message));
    // c's answers are lost, a's log begins at 5: c is offered the snapshot, and holds more than that already.
    for (const message of lost) cluster.unreachable(message);
    cluster.snapshot("a");
    cluster.propose("a", "x=4");
    clear(cluster);
    cluster.tick(heartbeatIntervalMs);
    cluster.inject(hear(theOnly(cluster, "heartbeat", { to: "c" })));
    const offer = theOnly(cluster, "installSnapshot", { to: "c" });
    assert.equal(progress(cluster, "c").state, "snapshot");
    assert.equal(offer.meta.index, 4);
    const { from, to, term, id } = offer;
    const reply = { type: "installSnapshotReply", from: to, to: from, term, id } as const;
    cluster.inject({ ...reply, success: true, match: 5 });
    assert.deepEqual(progress(cluster, "c"), { state: "replicate", match: 5 });
  });

  it("15 a late answer to an append ends the wait for a snapshot", () => {
    const cluster = replicating({ limits: { inflightAppendsMax: 8 } });
    for (const value of [1, 2, 3]) cluster.propose("a", `x=${value}`);
    const [first, , third] = sent(cluster, "append", { to: "c" });
    assert.ok(first !== undefined && third !== undefined);
    for (const message of sent(cluster, "append", { to: "b" })) cluster.inject(accept(message));
    cluster.unreachable(first);
    cluster.snapshot("a");
    clear(cluster);
    cluster.tick(heartbeatIntervalMs);
    cluster.inject(hear(theOnly(cluster, "heartbeat", { to: "c" })));
    assert.equal(progress(cluster, "c").state, "snapshot");
    cluster.inject(accept(third));
    assert.deepEqual(progress(cluster, "c"), { state: "replicate", match: 4 });
  });

  it("15 a follower that keeps up is spared the snapshot, within a bound on bytes", () => {
    for (const trailingBytesMax of [1 << 20, 60]) {
      const cluster = replicating({ limits: { inflightAppendsMax: 8, trailingBytesMax } });
      for (const value of [1, 2, 3]) cluster.propose("a", `x=${value}`);
      for (const message of sent(cluster, "append", { to: "b" })) cluster.inject(accept(message));
      // c has answered lately and matches 1; the records at 2, 3 and 4 are 28 bytes long.
      cluster.snapshot("a");
      assert.equal(status(cluster, "a").firstIndex, trailingBytesMax === 60 ? 3 : 2);
    }
  });

  it("15 a snapshot at or below commit is ignored before anything is touched", () => {
    for (const compacted of [false, true]) {
      const cluster = clusterOf(three, { absent: ["b", "c"] });
      const entries = entriesOf([1, 1, 1]);
      cluster.inject(append({ from: "b", to: "a", term: 1 }, { entries, commit: 2 }));
      if (compacted) cluster.snapshot("a");
      for (const position of [0, 1]) {
        clear(cluster);
        const { index, term, crc } = entries[position] ?? { index: 0, term: 0, crc: 0 };
        const meta = { index, term, crc, configuration: cluster.configuration };
        const header = { from: "b", to: "a", term: 1, id: 7 + position };
        const { restore, persist, compactBefore } = cluster.inject({
          type: "installSnapshot",
          ...header,
          meta,
        });
        assert.deepEqual([restore, persist, compactBefore], [null, null, null]);
        assert.equal(theOnly(cluster, "installSnapshotReply").match, 2);
        assert.equal(status(cluster, "a").lastIndex, 3);
      }
    }
  });

  it("15 a snapshot whose tail we have keeps the tail", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const entries = entriesOf([1, 1, 1]);
    cluster.inject(append({ from: "b", to: "a", term: 1 }, { entries }));
    const { index, term, crc } = entries[1] ?? { index: 0, term: 0, crc: 0 };
    const meta = { index, term, crc, configuration: cluster.configuration };
    const header = { from: "b", to: "a", term: 1, id: 7 };
    const effects = cluster.inject({ type: "installSnapshot", ...header, meta });
    assert.equal(effects.restore, null);
    assert.equal(status(cluster, "a").lastIndex, 3);
    assert.equal(status(cluster, "a").commit, 2);
    assert.equal(cluster.node("a").applied, 2);
  });

  it("16 a leader with nothing left in its log sends a new learner the snapshot", () => {
    // Whether it has nothing, or is a single entry short.
    for (const match of [0, 3]) {
      const cluster = clusterOf(["a"], { learners: ["l"], absent: ["l"] });
      give(cluster, "a", [1, 1, 1]);
      cluster.campaign("a");
      assert.equal(status(cluster, "a").commit, 4);
      cluster.snapshot("a");
      assert.equal(status(cluster, "a").firstIndex, 5);
      const probe = theOnly(cluster, "append", { to: "l" });
      const rejection = reject(probe, { conflictTerm: 0, conflictIndex: 1 });
      cluster.inject(match === 0 ? rejection : accept(probe, match));
      assert.equal(theOnly(cluster, "installSnapshot", { to: "l" }).meta.index, 4);
    }
  });

  it("17 a proposal over the bound on uncommitted bytes is refused before it is appended", () => {
    const cluster = replicating({ limits: { uncommittedBytesMax: 10 } });
    const answers = cluster.propose("a", "x=1", "y=2", "z=3", "w=4").answers;
    assert.equal(answers.length, 1);
    const [answer] = answers;
    assert.ok(answer?.type === "proposed");
    assert.equal(answer.accepted, 3);
    assert.equal(answer.reason, "overloaded");
    assert.equal(status(cluster, "a").lastIndex, 4);
    const [refused] = cluster.propose("a", "v=5").answers;
    assert.ok(refused?.type === "proposed");
    assert.equal(refused.accepted, 0);
    assert.equal(status(cluster, "a").lastIndex, 4);
    for (const message of sent(cluster, "append", { to: "b" })) cluster.inject(accept(message));
    const [taken] = cluster.propose("a", "v=5").answers;
    assert.ok(taken?.type === "proposed");
    assert.equal(taken.accepted, 1);
  });

  it("17 in-flight appends and bytes are bounded, and a single large entry still goes", () => {
    const limits = { appendBytesMax: 60, inflightBytesMax: 100, inflightAppendsMax: 3 };
    const cluster = replicating({ limits });
    for (let value = 0; value < 20; value++) cluster.propose("a", `x=${value}`, `y=${value}`);
    const flying = sent(cluster, "append", { to: "b" });
    assert.ok(flying.length <= 3);
    const bytes = flying.flatMap(({ entries }) => entries).reduce(
      (sum, { record }) => sum + record.byteLength,
      0,
    );
    // The last of them may reach over the bound by less than one append.
    assert.ok(bytes <= 100 + 60, `${bytes} bytes are on their way`);
    const large = replicating({ limits });
    large.propose("a", `x=${"1".repeat(500)}`);
    assert.equal(theOnly(large, "append", { to: "b" }).entries.length, 1);
  });

  it("17 nothing is taken in while too much is committed and not applied", () => {
    const cluster = replicating({ limits: { applyLagMax: 2 } });
    cluster.node("a").applyPace = "manual";
    const propose = (): number => {
      const [answer] = cluster.propose("a", "x=1").answers;
      assert.ok(answer?.type === "proposed");
      for (const message of sent(cluster, "append", { to: "b" })) cluster.inject(accept(message));
      clear(cluster);
      return answer.accepted;
    };
    assert.deepEqual([propose(), propose(), propose(), propose()], [1, 1, 1, 0]);
    cluster.apply("a");
    assert.equal(propose(), 1);
  });

  it("17 no bound refuses what is the leader's own", () => {
    const cluster = replicating({ limits: { uncommittedBytesMax: 3, applyLagMax: 0 } });
    const own = (): number => {
      const commands = [new Uint8Array(8)];
      const [answer] = cluster.step("a", { type: "propose", id: 99, commands, own: true }).answers;
      assert.ok(answer?.type === "proposed");
      return answer.accepted;
    };
    cluster.node("a").applyPace = "manual";
    cluster.propose("a", "x=1");
    assert.equal(own(), 1);
    for (const message of sent(cluster, "append", { to: "b" })) cluster.inject(accept(message));
    assert.equal(own(), 1);
    const [refused] = cluster.propose("a", "v=5").answers;
    assert.ok(refused?.type === "proposed");
    assert.equal(refused.accepted, 0);
  });

  it("17 a candidate's and a follower's proposals are refused", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    const [answer] = cluster.propose("b", "x=1").answers;
    assert.ok(answer?.type === "proposed");
    assert.equal(answer.accepted, 0);
    assert.equal(answer.reason, "notLeader");
    cluster.time += electionTimeoutMs;
    cluster.campaign("b");
    const [refused] = cluster.propose("b", "x=1").answers;
    assert.ok(refused?.type === "proposed");
    assert.equal(refused.accepted, 0);
    deliver(cluster, { from: "b" });
  });
});
