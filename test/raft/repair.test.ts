/** A node whose disk lost a part of the log: what it may do before it has that again, and how it gets it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Raft } from "../../src/raft/mod.ts";
import type { Cluster } from "./cluster.ts";
import { accept, after, append, ask, clear, clusterOf, entriesOf } from "./hand.ts";
import { heartbeat, reject, sent, status, theOnly } from "./hand.ts";
import {
  configurationOf,
  electionTimeoutMs,
  heartbeatIntervalMs,
  raftOptionsOf,
} from "./options.ts";

const three = ["a", "b", "c"];
const log = entriesOf([1, 1, 2, 2]);

/** `a`, whose log was 1 1 2 2 and is cut behind `kept`, in term 3 and up for an election timeout. */
function repairing(kept: number): Cluster {
  const cluster = clusterOf(three, { absent: ["b", "c"] });
  cluster.crash("a");
  const { disk } = cluster.node("a");
  disk.entries = [...log];
  disk.hardState = { term: 3, vote: null, commit: 2 };
  disk.decay(kept);
  cluster.restart("a");
  cluster.node("a").clock.offset += electionTimeoutMs;
  return cluster;
}

/** Whether `a` votes for `b`, first asked and then in earnest. */
function votes(cluster: Cluster, lastIndex: number, lastTerm: number): boolean[] {
  const term = status(cluster, "a").term + 1;
  cluster.node("a").clock.offset += electionTimeoutMs;
  clear(cluster);
  for (const type of ["preVote", "vote"] as const) {
    cluster.inject(ask(type, { from: "b", to: "a", term }, { lastIndex, lastTerm }));
  }
  return [theOnly(cluster, "preVoteReply").granted, theOnly(cluster, "voteReply").granted];
}

const byB = { from: "b", to: "a", term: 3 } as const;

describe("a node that lost a part of its log", () => {
  it("votes as if nothing were lost: for no log that is behind where its own ended", () => {
    assert.deepEqual(votes(repairing(2), 2, 1), [false, false]);
    assert.deepEqual(votes(repairing(2), 3, 2), [false, false]);
    assert.deepEqual(votes(repairing(2), 4, 2), [true, true]);
    assert.deepEqual(votes(repairing(2), 3, 3), [true, true]);
    assert.deepEqual(votes(repairing(4), 4, 2), [true, true]);
  });

  it("elects whoever has all of it, though two of three have lost a part", () => {
    const cluster = clusterOf(three);
    for (const id of three) {
      cluster.crash(id);
      const { disk } = cluster.node(id);
      disk.entries = [...log];
      disk.hardState = { term: 3, vote: null, commit: 0 };
      if (id !== "c") disk.decay(id === "a" ? 1 : 2);
    }
    for (const id of three) cluster.restart(id);
    cluster.run(20 * electionTimeoutMs);
    assert.equal(cluster.leader?.id, "c");
    for (const id of three) assert.equal(status(cluster, id).commit, 5);
    for (const id of three) assert.equal(cluster.node(id).raft?.owes, null);
  });

  it("takes a later term on all the same, and keeps it", () => {
    const cluster = repairing(2);
    cluster.inject(ask("vote", { ...byB, term: 9 }, { lastIndex: 3, lastTerm: 2 }));
    assert.equal(status(cluster, "a").term, 9);
    assert.equal(status(cluster, "a").vote, null);
  });

  it("never campaigns, not even when it is told to", () => {
    const cluster = repairing(2);
    cluster.run(10 * electionTimeoutMs);
    assert.equal(status(cluster, "a").role, "follower");
    cluster.inject({ type: "timeoutNow", ...byB, id: 1 });
    assert.equal(status(cluster, "a").role, "follower");
    assert.equal(status(cluster, "a").term, 3);
    assert.deepEqual([...sent(cluster, "preVote"), ...sent(cluster, "vote")], []);
  });

  it("believes no heartbeat about what it may have lost", () => {
    const cluster = repairing(2);
    cluster.inject(heartbeat(byB, { commit: 4 }));
    assert.equal(status(cluster, "a").commit, 2);
  });

  it("votes again once its durable log is as far as it was", () => {
    const cluster = repairing(2);
    cluster.node("a").diskPace = "manual";
    const entries = log.slice(2, 4);
    cluster.inject(append(byB, { ...after(log[1]), entries: entries.slice(0, 1) }));
    cluster.inject(append(byB, { ...after(log[2]), entries: entries.slice(1) }));
    assert.equal(status(cluster, "a").lastIndex, 4);
    cluster.persist("a", 1);
    assert.equal(theOnly(cluster, "appendReply").match, 3);
    assert.deepEqual(cluster.node("a").raft?.owes, { index: 4, term: 2 }, "before it is durable");
    cluster.persist("a");
    cluster.node("a").diskPace = "auto";
    assert.equal(cluster.node("a").raft?.owes, null);
    assert.deepEqual(votes(cluster, 3, 2), [false, false]);
    assert.deepEqual(votes(cluster, 4, 2), [true, true]);
  });

  it("is as far with a snapshot only once that has taken the log's place for good", () => {
    const start = { index: 0, term: 0, crc: 0 };
    const configuration = configurationOf({ voters: three });
    const raft = new Raft(raftOptionsOf("a", 0, { voters: three }), {
      hardState: { term: 3, vote: null, commit: 2 },
      snapshot: { ...start, configuration },
      logStart: start,
      entries: log.slice(0, 2),
      owes: { index: 4, term: 2 },
    });
    const meta = { index: 9, term: 3, crc: 1, configuration };
    const message = { type: "installSnapshot", ...byB, id: 1, meta } as const;
    const { persist, restore } = raft.step({ type: "receive", message }, 0);
    assert.deepEqual(restore, meta);
    assert.deepEqual(raft.owes, { index: 4, term: 2 });
    raft.step({ type: "persisted", seq: persist?.seq ?? 0 }, 1);
    assert.equal(raft.owes, null);
  });

  it("is as far with a shorter log that ends in a later term", () => {
    const cluster = repairing(1);
    const [, second, third] = entriesOf([1, 1, 3]);
    assert.ok(second && third);
    cluster.inject(append(byB, { ...after(log[0]), entries: [second, third] }));
    assert.equal(cluster.node("a").raft?.owes, null);
  });
});

describe("a follower that rejects what it had acknowledged", () => {
  it("is sent what it lost, from where its log ends now", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    for (let n = 0; n < 5; n++) cluster.propose("a", `k${n}=1`);
    cluster.stabilize();
    assert.equal(status(cluster, "b").lastIndex, 6);
    cluster.crash("b");
    cluster.node("b").disk.decay(2);
    cluster.restart("b");
    assert.equal(status(cluster, "b").lastIndex, 2);
    cluster.tick(heartbeatIntervalMs);
    cluster.stabilize();
    assert.equal(status(cluster, "b").commit, 2);
    cluster.propose("a", "new=1");
    cluster.stabilize();
    assert.equal(status(cluster, "b").lastIndex, 7);
    assert.equal(status(cluster, "b").commit, 7);
    assert.equal(cluster.node("b").raft?.owes, null);
    assert.equal(status(cluster, "a").role, "leader");
    assert.equal(status(cluster, "a").term, 1);
  });

  it("counts with what it holds, and only where it can't be an old answer", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    cluster.campaign("a");
    for (const type of ["preVote", "vote"] as const) {
      const { from, to, term, id } = theOnly(cluster, type, { to: "b" });
      const header = { from: to, to: from, term, id, granted: true };
      cluster.inject({ type: `${type}Reply`, ...header });
    }
    const first = theOnly(cluster, "append", { to: "b" });
    cluster.inject(accept(first));
    clear(cluster);
    cluster.propose("a", "x=1");
    cluster.propose("a", "y=1");
    cluster.propose("a", "z=1");
    const [, third, fourth] = sent(cluster, "append", { to: "b" });
    assert.ok(third && fourth);
    cluster.inject(accept(fourth));
    const match = () => status(cluster, "a").progress.find(({ id }) => id === "b")?.match;
    assert.equal(match(), 4);
    // It left before anything that far was acknowledged.
    cluster.inject(reject(third, { conflictTerm: 0, conflictIndex: 2 }));
    assert.equal(match(), 4);
    clear(cluster);
    cluster.propose("a", "x=2");
    const fifth = theOnly(cluster, "append", { to: "b" });
    assert.equal(fifth.previousIndex, 4);
    clear(cluster);
    cluster.inject(reject(fifth, { conflictTerm: 0, conflictIndex: 2 }));
    assert.equal(match(), 1);
    assert.equal(theOnly(cluster, "append", { to: "b" }).previousIndex, 1);
  });
});
