/** Points 1 to 8 of the list of what is easy to get wrong: terms and votes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeConfiguration } from "../../src/raft/mod.ts";
import { sealEntry } from "../../src/adapters/log-record.ts";
import {
  append,
  ask,
  clear,
  clusterOf,
  deliver,
  entriesOf,
  give,
  grant,
  heartbeat,
  refuse,
  sent,
  status,
  theOnly,
} from "./hand.ts";
import { electionTimeoutMs, heartbeatIntervalMs } from "./options.ts";

const three = ["a", "b", "c"];
const empty = { lastIndex: 0, lastTerm: 0 };

describe("terms and votes", () => {
  it("01 a candidate asks for votes only when its own vote is durable", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const a = cluster.node("a");
    a.diskPace = "manual";
    cluster.campaign("a");
    cluster.inject(grant(theOnly(cluster, "preVote", { to: "b" })));
    assert.equal(status(cluster, "a").role, "candidate");
    assert.deepEqual(sent(cluster, "vote"), []);
    cluster.persist("a");
    assert.deepEqual(a.disk.hardState, { term: 1, vote: "a", commit: 0 });
    assert.equal(sent(cluster, "vote").length, 2);
  });

  it("01 a vote is given only when it is durable, and survives a restart", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const a = cluster.node("a");
    a.diskPace = "manual";
    cluster.inject(ask("vote", { from: "b", to: "a", term: 1 }, empty));
    assert.deepEqual(sent(cluster, "voteReply"), []);
    cluster.persist("a");
    assert.equal(theOnly(cluster, "voteReply").granted, true);
    clear(cluster);
    cluster.crash("a");
    cluster.restart("a");
    a.diskPace = "auto";
    cluster.time += electionTimeoutMs;
    cluster.inject(ask("vote", { from: "c", to: "a", term: 1 }, empty));
    assert.equal(theOnly(cluster, "voteReply", { to: "c" }).granted, false);
    cluster.inject(ask("vote", { from: "b", to: "a", term: 1 }, empty));
    assert.equal(theOnly(cluster, "voteReply", { to: "b" }).granted, true);
  });

  it("01 a term is durable before any reply that carries it, and never goes back", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const a = cluster.node("a");
    a.diskPace = "manual";
    cluster.inject(heartbeat({ from: "b", to: "a", term: 3 }));
    cluster.inject(ask("vote", { from: "c", to: "a", term: 4 }, { ...empty, transfer: true }));
    assert.deepEqual(cluster.network.parcels, []);
    cluster.persist("a", 1);
    assert.equal(theOnly(cluster, "heartbeatReply").term, 3);
    cluster.persist("a");
    assert.equal(theOnly(cluster, "voteReply").term, 4);
    cluster.inject(heartbeat({ from: "b", to: "a", term: 3 }));
    assert.equal(status(cluster, "a").term, 4);
    assert.equal(a.disk.hardState.term, 4);
  });

  it("02 a restarted voter grants nothing for one election timeout", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    cluster.inject(heartbeat({ from: "b", to: "a", term: 1 }));
    cluster.crash("a");
    cluster.time += 10_000;
    cluster.restart("a");
    clear(cluster);
    cluster.time += electionTimeoutMs - 1;
    cluster.inject(ask("preVote", { from: "c", to: "a", term: 2 }, empty));
    cluster.inject(ask("vote", { from: "c", to: "a", term: 2 }, empty));
    assert.equal(theOnly(cluster, "preVoteReply").granted, false);
    assert.equal(theOnly(cluster, "voteReply").granted, false);
    assert.equal(status(cluster, "a").term, 1);
    clear(cluster);
    cluster.time += 1;
    cluster.inject(ask("preVote", { from: "c", to: "a", term: 2 }, empty));
    cluster.inject(ask("vote", { from: "c", to: "a", term: 2 }, empty));
    assert.equal(theOnly(cluster, "preVoteReply").granted, true);
    assert.equal(theOnly(cluster, "voteReply").granted, true);
  });

  it("03 a pre-vote changes no term, and its grant carries the term asked for", () => {
    const cluster = clusterOf(three, { absent: ["c"] });
    cluster.campaign("a");
    deliver(cluster, { to: "b" });
    assert.equal(theOnly(cluster, "preVoteReply").granted, true);
    assert.equal(theOnly(cluster, "preVoteReply").term, 1);
    assert.equal(status(cluster, "a").term, 0);
    assert.equal(status(cluster, "b").term, 0);
    assert.deepEqual(cluster.node("b").disk.hardState, { term: 0, vote: null, commit: 0 });
  });

  it("03 a pre-vote at a lower term is answered, with the term that it must reach", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    give(cluster, "a", [1], { term: 5 });
    cluster.inject(ask("preVote", { from: "b", to: "a", term: 2 }, { lastIndex: 9, lastTerm: 1 }));
    assert.equal(theOnly(cluster, "preVoteReply").granted, false);
    assert.equal(theOnly(cluster, "preVoteReply").term, 5);
    cluster.campaign("a");
    const asked = theOnly(cluster, "preVote", { to: "b" });
    const { from, to, id } = asked;
    cluster.inject({ type: "preVoteReply", from: to, to: from, id, term: 9, granted: false });
    assert.equal(status(cluster, "a").term, 9);
  });

  it("03 leftover pre-vote replies don't count as votes, nor in a later attempt", () => {
    const cluster = clusterOf(["a", "b", "c", "d", "e"], { absent: ["b", "c", "d", "e"] });
    cluster.campaign("a");
    const early = sent(cluster, "preVote");
    clear(cluster);
    cluster.campaign("a");
    // Two grants of the first attempt, and the second has one of its own: three are needed.
    for (const request of early.slice(0, 2)) cluster.inject(grant(request));
    assert.equal(status(cluster, "a").role, "preCandidate");
    const [b, c, d] = sent(cluster, "preVote");
    assert.ok(b !== undefined && c !== undefined && d !== undefined);
    cluster.inject(grant(b));
    cluster.inject(grant(c));
    assert.equal(status(cluster, "a").role, "candidate");
    const votes = sent(cluster, "vote");
    cluster.inject(grant(d));
    for (const vote of votes.slice(0, 1)) cluster.inject(grant(vote));
    assert.equal(status(cluster, "a").role, "candidate");
    for (const vote of votes.slice(1, 2)) cluster.inject(grant(vote));
    assert.equal(status(cluster, "a").role, "leader");
  });

  it("04 a leader of a lower term is answered, and steps down", () => {
    for (const type of ["append", "heartbeat"] as const) {
      const cluster = clusterOf(three, { absent: ["b"] });
      give(cluster, "c", [], { term: 7 });
      cluster.campaign("a");
      cluster.inject(grant(theOnly(cluster, "preVote", { to: "b" })));
      cluster.inject(grant(theOnly(cluster, "vote", { to: "b" })));
      assert.equal(status(cluster, "a").role, "leader");
      if (type === "heartbeat") cluster.tick(heartbeatIntervalMs);
      deliver(cluster, { from: "a", to: "c", type });
      deliver(cluster, { from: "c", to: "a", type: `${type}Reply` });
      assert.equal(status(cluster, "a").role, "follower", type);
      assert.equal(status(cluster, "a").term, 7, type);
    }
  });

  it("05 while a leader is heard no vote is given and no term changes, except for a transfer", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    cluster.inject(heartbeat({ from: "b", to: "a", term: 1 }));
    cluster.time += electionTimeoutMs - 1;
    clear(cluster);
    cluster.inject(ask("preVote", { from: "c", to: "a", term: 9 }, empty));
    cluster.inject(ask("vote", { from: "c", to: "a", term: 9 }, empty));
    assert.equal(theOnly(cluster, "preVoteReply").granted, false);
    assert.equal(theOnly(cluster, "voteReply").granted, false);
    assert.equal(status(cluster, "a").term, 1);
    clear(cluster);
    cluster.inject(ask("vote", { from: "c", to: "a", term: 2 }, { ...empty, transfer: true }));
    assert.equal(theOnly(cluster, "voteReply").granted, true);
    assert.equal(status(cluster, "a").term, 2);
  });

  it("05 votes stick to a leader from its own side, too, as long as a quorum answers it", () => {
    const cluster = clusterOf(three, { absent: ["c"] });
    cluster.elect("a");
    cluster.inject(ask("vote", { from: "c", to: "a", term: 9 }, { lastIndex: 9, lastTerm: 1 }));
    assert.equal(theOnly(cluster, "voteReply", { to: "c" }).granted, false);
    assert.equal(status(cluster, "a").role, "leader");
    assert.equal(status(cluster, "a").term, 1);
    cluster.time += electionTimeoutMs;
    clear(cluster);
    cluster.inject(ask("vote", { from: "c", to: "a", term: 9 }, { lastIndex: 9, lastTerm: 1 }));
    assert.equal(theOnly(cluster, "voteReply", { to: "c" }).granted, true);
    assert.equal(status(cluster, "a").role, "follower");
  });

  it("06 a learner answers votes and never campaigns, not even when told to", () => {
    const cluster = clusterOf(["a", "b"], { learners: ["l"], absent: ["a", "b"] });
    cluster.inject(ask("vote", { from: "a", to: "l", term: 1 }, empty));
    assert.equal(theOnly(cluster, "voteReply").granted, true);
    clear(cluster);
    cluster.tick(20 * electionTimeoutMs);
    assert.deepEqual(cluster.network.parcels, []);
    cluster.inject({ type: "timeoutNow", from: "a", to: "l", term: 1, id: 1 });
    cluster.tick(20 * electionTimeoutMs);
    assert.equal(theOnly(cluster, "timeoutNowReply").to, "a");
    assert.equal(status(cluster, "l").role, "learner");
    assert.equal(status(cluster, "l").term, 1);
  });

  it("06 nobody campaigns with a committed configuration that isn't applied", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const a = cluster.node("a");
    a.applyPace = "manual";
    const payload = encodeConfiguration(cluster.configuration);
    const entry = sealEntry({ index: 1, term: 1, kind: "configuration", payload }, 0);
    cluster.inject(append({ from: "b", to: "a", term: 1 }, { entries: [entry], commit: 1 }));
    assert.equal(status(cluster, "a").commit, 1);
    clear(cluster);
    cluster.tick(5 * electionTimeoutMs);
    assert.deepEqual(sent(cluster, "preVote"), []);
    cluster.apply("a");
    cluster.tick(5 * electionTimeoutMs);
    assert.ok(sent(cluster, "preVote").length > 0);
  });

  it("06 nobody campaigns while a snapshot is being installed", () => {
    // The shortest of timeouts, so that the disk is not yet called stalled when it fires.
    const cluster = clusterOf(three, { absent: ["b", "c"], random: () => () => 0 });
    cluster.inject(heartbeat({ from: "b", to: "a", term: 1 }));
    const [entry] = entriesOf([1]);
    const { raft } = cluster.node("a");
    assert.ok(entry !== undefined && raft !== null);
    const meta = { index: 1, term: 1, crc: entry.crc, configuration: cluster.configuration };
    // Past the cluster's own hands: its invariants would want to have seen the entry being committed.
    const message = { type: "installSnapshot", from: "b", to: "a", term: 1, id: 1, meta } as const;
    const installing = raft.step({ type: "receive", message }, cluster.time);
    assert.deepEqual(installing.restore, meta);
    const due = raft.deadline();
    assert.equal(due, cluster.time + electionTimeoutMs);
    assert.deepEqual(raft.step({ type: "timeout" }, due).send, []);
    assert.equal(raft.status().role, "follower");
    raft.step({ type: "persisted", seq: installing.persist?.seq ?? 0 }, due);
    raft.step({ type: "timeout" }, raft.deadline());
    assert.equal(raft.status().role, "preCandidate");
  });

  it("07 a timer that fires late lets the network be read before it campaigns", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    cluster.inject(heartbeat({ from: "b", to: "a", term: 1 }));
    cluster.time += 10 * electionTimeoutMs;
    clear(cluster);
    cluster.step("a", { type: "timeout" });
    assert.deepEqual(sent(cluster, "preVote"), []);
    // What had arrived meanwhile is read now, and shows that the leader lives.
    cluster.inject(heartbeat({ from: "b", to: "a", term: 1 }));
    cluster.tick(electionTimeoutMs);
    assert.deepEqual(sent(cluster, "preVote"), []);
    // Where nothing had arrived, it campaigns soon after.
    cluster.time += 10 * electionTimeoutMs;
    cluster.step("a", { type: "timeout" });
    cluster.tick(electionTimeoutMs);
    assert.equal(sent(cluster, "preVote").length, 2);
  });

  it("07 a leader that was stopped reads its followers' answers before it doubts its office", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    cluster.tick(heartbeatIntervalMs);
    deliver(cluster, { from: "a" });
    cluster.time += 10 * electionTimeoutMs;
    cluster.step("a", { type: "timeout" });
    assert.equal(status(cluster, "a").role, "leader");
    // Answers that lay in the socket; they may be old, and whoever has a later term says so.
    deliver(cluster, { to: "a" });
    cluster.tick(heartbeatIntervalMs);
    assert.equal(status(cluster, "a").role, "leader");
  });

  it("08 each attempt draws its own timeout, between one and two election timeouts", () => {
    const draws = [0.1, 0.9, 0.4, 0.7, 0.2, 0.6];
    let next = 0;
    const random = () => () => draws[next++ % draws.length] ?? 0;
    const cluster = clusterOf(three, { absent: ["b", "c"], random });
    const waits: number[] = [];
    for (let attempt = 0; attempt < 4; attempt++) {
      cluster.campaign("a");
      waits.push(cluster.node("a").deadline - cluster.node("a").now(cluster.time));
    }
    assert.equal(new Set(waits).size, waits.length, "the same timeout twice");
    for (const wait of waits) {
      assert.ok(wait >= electionTimeoutMs && wait < 2 * electionTimeoutMs, `waits ${wait}`);
    }
  });

  it("08 a candidate yields to an append and to a heartbeat of its own term", () => {
    for (const message of [append, heartbeat]) {
      const cluster = clusterOf(three, { absent: ["b", "c"] });
      cluster.campaign("a");
      cluster.inject(grant(theOnly(cluster, "preVote", { to: "b" })));
      assert.equal(status(cluster, "a").role, "candidate");
      cluster.inject(message({ from: "c", to: "a", term: 1 }));
      assert.equal(status(cluster, "a").role, "follower");
      assert.equal(status(cluster, "a").leader, "c");
      assert.equal(status(cluster, "a").term, 1);
      assert.equal(status(cluster, "a").vote, "a");
    }
  });

  it("08 the own vote counts when it is durable", () => {
    const cluster = clusterOf(["a"]);
    cluster.node("a").diskPace = "manual";
    cluster.campaign("a");
    assert.equal(status(cluster, "a").role, "candidate");
    cluster.persist("a", 1);
    assert.equal(status(cluster, "a").role, "leader");
  });

  it("08 the own vote doesn't count after the election was lost", () => {
    const cluster = clusterOf(["a"]);
    cluster.node("a").diskPace = "manual";
    cluster.campaign("a");
    cluster.inject(heartbeat({ from: "z", to: "a", term: 1 }));
    cluster.persist("a");
    assert.equal(status(cluster, "a").role, "follower");
    assert.equal(status(cluster, "a").leader, "z");
  });

  it("08 one voter's word counts once, and a lost election ends", () => {
    const cluster = clusterOf(["a", "b", "c", "d", "e"], { absent: ["b", "c", "d", "e"] });
    cluster.campaign("a");
    for (const request of sent(cluster, "preVote").slice(0, 2)) cluster.inject(grant(request));
    const [b, c, d, e] = sent(cluster, "vote");
    assert.ok(b !== undefined && c !== undefined && d !== undefined && e !== undefined);
    cluster.inject(grant(b));
    cluster.inject(grant(b));
    assert.equal(status(cluster, "a").role, "candidate");
    cluster.inject(refuse(c));
    cluster.inject(refuse(d));
    assert.equal(status(cluster, "a").role, "candidate");
    cluster.inject(refuse(e));
    assert.equal(status(cluster, "a").role, "follower");
  });

  it("08 a vote goes to no candidate whose log ends before the voter's", () => {
    const cases: readonly (readonly [lastIndex: number, lastTerm: number, granted: boolean])[] = [
      [2, 2, false],
      [9, 1, false],
      [3, 2, true],
      [1, 3, true],
    ];
    for (const [lastIndex, lastTerm, granted] of cases) {
      const cluster = clusterOf(three, { absent: ["b", "c"] });
      give(cluster, "a", [1, 2, 2]);
      const log = { lastIndex, lastTerm };
      cluster.inject(ask("preVote", { from: "b", to: "a", term: 4 }, log));
      cluster.inject(ask("vote", { from: "b", to: "a", term: 4 }, log));
      assert.equal(theOnly(cluster, "preVoteReply").granted, granted, `${lastIndex}@${lastTerm}`);
      assert.equal(theOnly(cluster, "voteReply").granted, granted, `${lastIndex}@${lastTerm}`);
    }
  });
});
