/** Points 26, 29 and 31 of the list of what is easy to get wrong, as far as they are the core's: the host. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvariantViolation } from "../../src/assert.ts";
import { Raft } from "../../src/raft/mod.ts";
import type { Entry, NodeId, RaftRestart } from "../../src/raft/mod.ts";
import { clear, clusterOf, deliver, entriesOf, status } from "./hand.ts";
import { configurationOf, electionTimeoutMs, raftOptionsOf } from "./options.ts";

const three = { voters: ["a", "b", "c"] };

/** What a disk with this log, and nothing else, would hold. */
function restart(terms: readonly number[], content: Partial<RaftRestart> = {}): RaftRestart {
  return {
    hardState: { term: terms.at(-1) ?? 0, vote: null, commit: 0 },
    snapshot: { index: 0, term: 0, crc: 0, configuration: configurationOf(three) },
    logStart: { index: 0, term: 0, crc: 0 },
    entries: entriesOf(terms),
    ...content,
  };
}

function start(from: RaftRestart): Raft {
  return new Raft(raftOptionsOf("a", 0, three), from);
}

describe("the host", () => {
  it("26 a leader whose disk stalls stops its heartbeats, and another is elected", () => {
    const cluster = clusterOf(three.voters);
    cluster.elect("a");
    cluster.node("a").diskPace = "manual";
    cluster.propose("a", "x=1");
    cluster.tick(electionTimeoutMs, () => deliver(cluster, {}));
    assert.equal(status(cluster, "a").role, "leader");
    clear(cluster);
    // Everybody answers it: only its own disk keeps it silent from here on.
    cluster.tick(electionTimeoutMs - 1);
    assert.deepEqual(cluster.network.find({ from: "a" }), []);
    cluster.run(3 * electionTimeoutMs);
    assert.notEqual(cluster.leader?.id, "a");
    assert.equal(cluster.leader?.state.get("x"), "1");
  });

  it("26 nobody campaigns on a disk that stalls", () => {
    const cluster = clusterOf(three.voters);
    cluster.elect("a");
    cluster.node("b").diskPace = "manual";
    cluster.propose("a", "x=1");
    deliver(cluster, { to: "b" });
    cluster.crash("a");
    cluster.crash("c");
    clear(cluster);
    cluster.tick(10 * electionTimeoutMs);
    assert.deepEqual(cluster.network.parcels, []);
    cluster.node("b").diskPace = "auto";
    cluster.persist("b");
    cluster.tick(3 * electionTimeoutMs);
    assert.ok(cluster.network.find({ type: "preVote" }).length > 0);
  });

  it("29 refuses a log that begins after the snapshot's end", () => {
    const entries = entriesOf([1, 1, 1, 1]);
    const [, , third] = entries;
    assert.ok(third !== undefined);
    const { index, term, crc } = third;
    const from = restart([1], {
      logStart: { index, term, crc },
      entries: entries.slice(3),
    });
    assert.throws(() => start(from), (error) => {
      assert.ok(error instanceof InvariantViolation);
      assert.match(error.message, /begins at 4/);
      return true;
    });
  });

  it("29 refuses a commit index outside the log", () => {
    const hardState = { term: 1, vote: null, commit: 3 };
    assert.throws(() => start(restart([1, 1], { hardState })), (error) => {
      assert.ok(error instanceof InvariantViolation);
      assert.match(error.message, /commit 3/);
      return true;
    });
    assert.equal(start(restart([1, 1, 1], { hardState })).status().commit, 3);
  });

  it("29 refuses a state that was applied past what the log knows otherwise", () => {
    // The snapshot is of another history than the log, which knows that index to be committed.
    const snapshot = { index: 2, term: 3, crc: 99, configuration: configurationOf(three) };
    const hardState = { term: 3, vote: null, commit: 2 };
    assert.throws(() => start(restart([1, 1], { snapshot, hardState })), InvariantViolation);
    const sameTerm = { ...snapshot, term: 1 };
    assert.throws(() => start(restart([1, 1], { snapshot: sameTerm })), InvariantViolation);
  });

  it("29 refuses gaps, terms that go back, and terms beyond the one on record", () => {
    const entries = entriesOf([1, 2, 2]);
    const [first, , third] = entries;
    assert.ok(first !== undefined && third !== undefined);
    assert.throws(() => start(restart([2], { entries: [first, third] })), InvariantViolation);
    const back = entriesOf([2, 1]);
    assert.throws(() => start(restart([2], { entries: back })), InvariantViolation);
    const hardState = { term: 1, vote: null, commit: 0 };
    assert.throws(() => start(restart([1, 2], { hardState })), InvariantViolation);
  });

  it("29 starts behind a snapshot that the log doesn't reach", () => {
    const entries = entriesOf([1, 1, 1, 1]);
    const [, , , last] = entries;
    assert.ok(last !== undefined);
    const { index, term, crc } = last;
    const snapshot = { index, term, crc, configuration: configurationOf(three) };
    const raft = start(restart([1, 1], { snapshot }));
    const { persist } = raft.step({ type: "applied", index }, 0);
    assert.deepEqual(persist?.reset, snapshot);
    const { commit, lastIndex, lastTerm, firstIndex } = raft.status();
    assert.deepEqual([commit, lastIndex, lastTerm, firstIndex], [4, 4, 1, 5]);
  });

  it("31 leader and followers apply the same entries by the same path", () => {
    const cluster = clusterOf(three.voters);
    const applied = new Map<NodeId, Entry[]>(three.voters.map((id) => [id, []]));
    const step = cluster.step.bind(cluster);
    cluster.step = (id, event) => {
      const effects = step(id, event);
      applied.get(id)?.push(...effects.apply);
      return effects;
    };
    cluster.elect("a");
    cluster.propose("a", "x=1", "y=2");
    cluster.stabilize();
    cluster.transfer("a", "b");
    cluster.stabilize();
    cluster.propose("b", "z=3");
    cluster.stabilize();
    const [a, b, c] = three.voters.map((id) =>
      applied.get(id)?.toSorted((one, other) => one.index - other.index)
    );
    assert.equal(a?.length, 5);
    assert.deepEqual(b, a);
    assert.deepEqual(c, a);
    assert.equal(new Set(a?.map(({ index }) => index)).size, 5);
  });
});
