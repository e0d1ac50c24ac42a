/** Points 18 to 20 of the list of what is easy to get wrong: reads. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Answer, Effects, NodeId, ReadLevel } from "../../src/raft/mod.ts";
import type { Cluster } from "./cluster.ts";
import { accept, clear, clusterOf, deliver, grant, hear, heartbeat, sent } from "./hand.ts";
import { status, theOnly } from "./hand.ts";
import {
  electionTimeoutMs,
  heartbeatIntervalMs,
  maxClockDrift,
  maxClockJumpMs,
} from "./options.ts";

const three = ["a", "b", "c"];
const leaseMs = electionTimeoutMs * (1 - maxClockDrift) / (1 + maxClockDrift) - maxClockJumpMs;

/** Collects what a cluster's nodes answer to reads, by the read's id. */
class Reads {
  readonly #cluster: Cluster;
  readonly #answers = new Map<number, Answer>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    const step = cluster.step.bind(cluster);
    cluster.step = (id, event): Effects => {
      const effects = step(id, event);
      for (const answer of effects.answers) {
        if (answer.type === "readable" || answer.type === "readRejected") {
          this.#answers.set(answer.id, answer);
        }
      }
      return effects;
    };
  }

  ask(id: NodeId, level: ReadLevel = "linearizable"): number {
    return this.#cluster.read(id, level);
  }

  /** `readable` index, why it was rejected, or null while it waits. */
  of(read: number): number | string | null {
    const answer = this.#answers.get(read);
    if (answer === undefined) return null;
    if (answer.type === "readable") return answer.index;
    return answer.type === "readRejected" ? answer.reason : null;
  }
}

/** `a` was elected by `b`'s hand; nothing of its term is committed yet. */
function elected(learners: readonly NodeId[] = []): Cluster {
  const cluster = clusterOf(three, { learners, absent: ["b", "c", ...learners] });
  cluster.campaign("a");
  cluster.inject(grant(theOnly(cluster, "preVote", { to: "b" })));
  cluster.inject(grant(theOnly(cluster, "vote", { to: "b" })));
  return cluster;
}

/** As {@link elected}, and its first entry is committed. */
function leading(learners: readonly NodeId[] = []): Cluster {
  const cluster = elected(learners);
  cluster.inject(accept(theOnly(cluster, "append", { to: "b" })));
  clear(cluster);
  return cluster;
}

describe("reads", () => {
  it("18 no read is answered before the first commit of the leader's own term", () => {
    const cluster = elected();
    const reads = new Reads(cluster);
    const first = theOnly(cluster, "append", { to: "b" });
    clear(cluster);
    const read = reads.ask("a");
    const leased = reads.ask("a", "lease");
    cluster.tick(heartbeatIntervalMs);
    for (const message of sent(cluster, "heartbeat", { to: "b" })) cluster.inject(hear(message));
    assert.equal(reads.of(read), null);
    assert.equal(reads.of(leased), null);
    clear(cluster);
    cluster.inject(accept(first));
    assert.equal(reads.of(read), null);
    cluster.inject(hear(theOnly(cluster, "heartbeat", { to: "b" })));
    assert.equal(reads.of(read), 1);
    assert.equal(reads.of(leased), 1);
  });

  it("18 the index is taken when the read arrives", () => {
    const cluster = leading();
    const reads = new Reads(cluster);
    const read = reads.ask("a");
    const round = theOnly(cluster, "heartbeat", { to: "b" });
    cluster.propose("a", "x=1");
    cluster.inject(accept(theOnly(cluster, "append", { to: "b" })));
    assert.equal(status(cluster, "a").commit, 2);
    cluster.inject(hear(round));
    assert.equal(reads.of(read), 1);
  });

  it("18 a read is confirmed only by a round that started after it came", () => {
    const cluster = leading();
    const reads = new Reads(cluster);
    const first = reads.ask("a");
    const earlier = theOnly(cluster, "heartbeat", { to: "b" });
    const second = reads.ask("a");
    clear(cluster);
    cluster.inject(hear(earlier));
    assert.equal(reads.of(first), 1);
    assert.equal(reads.of(second), null);
    const later = theOnly(cluster, "heartbeat", { to: "b" });
    assert.ok(later.round > earlier.round, "each round has its own number");
    // The earlier round's other answers, however late, say nothing about the second read.
    cluster.inject({ ...hear(earlier), from: "c" });
    cluster.inject(hear(earlier));
    assert.equal(reads.of(second), null);
    cluster.inject(hear(later));
    assert.equal(reads.of(second), 1);
  });

  it("18 an answer of an earlier term confirms nothing", () => {
    const cluster = leading();
    const reads = new Reads(cluster);
    reads.ask("a");
    const old = theOnly(cluster, "heartbeat", { to: "b" });
    cluster.inject(heartbeat({ from: "c", to: "a", term: 2 }));
    clear(cluster);
    cluster.time += 2 * electionTimeoutMs;
    cluster.campaign("a");
    cluster.inject(grant(theOnly(cluster, "preVote", { to: "b" })));
    cluster.inject(grant(theOnly(cluster, "vote", { to: "b" })));
    cluster.inject(accept(theOnly(cluster, "append", { to: "b" })));
    assert.equal(status(cluster, "a").term, 3);
    const read = reads.ask("a");
    cluster.inject(hear(old));
    assert.equal(reads.of(read), null);
    cluster.inject(hear(theOnly(cluster, "heartbeat", { to: "b" })));
    assert.equal(reads.of(read), 2);
  });

  it("18 the refusal of an earlier term's round confirms nothing in the term that refuses it", () => {
    const cluster = clusterOf(three, { absent: ["b"] });
    const reads = new Reads(cluster);
    cluster.elect("a");
    cluster.run(heartbeatIntervalMs);
    clear(cluster);
    cluster.tick(heartbeatIntervalMs);
    const old = theOnly(cluster, "heartbeat", { to: "c" });
    clear(cluster);
    // a loses its office to term 2, and has one again in term 3, whose rounds are numbered anew.
    cluster.inject(heartbeat({ from: "b", to: "a", term: 2 }));
    cluster.time += 2 * electionTimeoutMs;
    clear(cluster);
    cluster.elect("a");
    assert.equal(status(cluster, "a").term, 3);
    clear(cluster);
    cluster.inject(old);
    const refusal = theOnly(cluster, "heartbeatReply");
    assert.equal(refusal.term, 3);
    assert.equal(refusal.round, 0);
    const read = reads.ask("a");
    cluster.inject(refusal);
    cluster.inject({ ...refusal, round: old.round });
    assert.equal(reads.of(read), null);
    cluster.inject(hear(theOnly(cluster, "heartbeat", { to: "c" })));
    assert.notEqual(reads.of(read), null);
  });

  it("18 only voters confirm", () => {
    const cluster = leading(["k", "l"]);
    const reads = new Reads(cluster);
    const read = reads.ask("a");
    for (const learner of ["k", "l"]) {
      cluster.inject(hear(theOnly(cluster, "heartbeat", { to: learner })));
    }
    assert.equal(reads.of(read), null);
    cluster.inject(hear(theOnly(cluster, "heartbeat", { to: "b" })));
    assert.equal(reads.of(read), 1);
  });

  it("18 a follower's read has the leader's index, and is not answered from its own", () => {
    const cluster = clusterOf(three);
    const reads = new Reads(cluster);
    cluster.elect("a");
    cluster.propose("a", "x=1");
    cluster.stabilize(["a", "b"]);
    assert.equal(status(cluster, "c").commit, 1);
    const read = reads.ask("c");
    for (const type of ["readIndex", "heartbeat", "heartbeatReply", "readIndexReply"] as const) {
      deliver(cluster, { type });
    }
    assert.equal(reads.of(read), 2);
  });

  it("19 stepping down fails every pending read, one's own and the followers'", () => {
    const cluster = leading();
    const reads = new Reads(cluster);
    const confirming = reads.ask("a");
    const waiting = reads.ask("a");
    const header = { from: "b", to: "a", term: 1, id: 77 };
    cluster.inject({ type: "readIndex", ...header, level: "linearizable" });
    clear(cluster);
    cluster.inject(heartbeat({ from: "c", to: "a", term: 2 }));
    assert.equal(reads.of(confirming), "notLeader");
    assert.equal(reads.of(waiting), "notLeader");
    assert.equal(theOnly(cluster, "readIndexReply", { to: "b" }).index, null);
  });

  it("19 stepping down for want of a quorum fails them, too", () => {
    const cluster = elected();
    const reads = new Reads(cluster);
    const held = reads.ask("a");
    cluster.tick(3 * electionTimeoutMs);
    assert.notEqual(status(cluster, "a").role, "leader");
    assert.equal(reads.of(held), "notLeader");
  });

  it("19 a follower's read fails when its leader changes or doesn't answer", () => {
    for (const how of ["changed", "unreachable", "refused"] as const) {
      const cluster = clusterOf(three, { absent: ["a", "b"] });
      const reads = new Reads(cluster);
      cluster.inject(heartbeat({ from: "a", to: "c", term: 1 }));
      const read = reads.ask("c");
      const request = theOnly(cluster, "readIndex");
      if (how === "changed") cluster.inject(heartbeat({ from: "b", to: "c", term: 2 }));
      else if (how === "unreachable") cluster.unreachable(request);
      else {
        const header = { from: "a", to: "c", term: 1, id: request.id };
        cluster.inject({ type: "readIndexReply", ...header, index: null, indexTerm: 0 });
      }
      assert.equal(reads.of(read), "notLeader", how);
    }
  });

  it("19 a follower's read fails when its leader is elected again before it answered", () => {
    const cluster = clusterOf(three, { absent: ["a", "b"] });
    const reads = new Reads(cluster);
    cluster.inject(heartbeat({ from: "a", to: "c", term: 1 }));
    const read = reads.ask("c");
    const { id } = theOnly(cluster, "readIndex");
    cluster.inject(heartbeat({ from: "a", to: "c", term: 2 }));
    const header = { from: "a", to: "c", term: 1, id };
    cluster.inject({ type: "readIndexReply", ...header, index: null, indexTerm: 0 });
    assert.equal(reads.of(read), "notLeader");
  });

  it("19 what waits is bounded", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"], limits: { pendingReadsMax: 2 } });
    const reads = new Reads(cluster);
    cluster.campaign("a");
    cluster.inject(grant(theOnly(cluster, "preVote", { to: "b" })));
    cluster.inject(grant(theOnly(cluster, "vote", { to: "b" })));
    const asked = [reads.ask("a"), reads.ask("a"), reads.ask("a")];
    assert.deepEqual(asked.map((read) => reads.of(read)), [null, null, "overloaded"]);
  });

  it("20 a lease counts from when the round was sent, shortened by the drift bound", () => {
    const cluster = leading();
    const reads = new Reads(cluster);
    cluster.tick(heartbeatIntervalMs);
    const round = theOnly(cluster, "heartbeat", { to: "b" });
    const sentAt = cluster.time;
    cluster.time += 40;
    cluster.inject(hear(round));
    cluster.time = sentAt + leaseMs - 1;
    assert.equal(reads.of(reads.ask("a", "lease")), 1);
    cluster.time = sentAt + leaseMs + 1;
    assert.equal(reads.of(reads.ask("a", "lease")), null);
  });

  it("20 a leader without a confirmed round has no lease", () => {
    const cluster = leading();
    const reads = new Reads(cluster);
    assert.equal(reads.of(reads.ask("a", "lease")), null);
  });

  it("20 a follower's lease read is answered from the leader's lease", () => {
    const cluster = clusterOf(three);
    const reads = new Reads(cluster);
    cluster.elect("a");
    cluster.run(heartbeatIntervalMs);
    const read = reads.ask("c", "lease");
    deliver(cluster, { type: "readIndex" });
    assert.deepEqual(sent(cluster, "heartbeat"), []);
    deliver(cluster, { type: "readIndexReply" });
    assert.equal(reads.of(read), 1);
  });

  it("20 a transfer ends the lease, also where it fails", () => {
    const cluster = leading();
    const reads = new Reads(cluster);
    const renew = (): void => {
      clear(cluster);
      cluster.tick(heartbeatIntervalMs);
      for (const message of sent(cluster, "heartbeat", { to: "b" })) cluster.inject(hear(message));
    };
    renew();
    assert.equal(reads.of(reads.ask("a", "lease")), 1);
    cluster.transfer("a", "c");
    assert.equal(reads.of(reads.ask("a", "lease")), null);
    for (let round = 0; round < 5; round++) renew();
    const [answer] = cluster.propose("a", "x=1").answers;
    assert.ok(answer?.type === "proposed" && answer.accepted === 1, "the transfer is over");
    assert.equal(reads.of(reads.ask("a", "lease")), null);
  });

  it("20 a clock that jumped voids the lease until a later round is confirmed", () => {
    const cluster = leading();
    const reads = new Reads(cluster);
    cluster.tick(heartbeatIntervalMs);
    const early = theOnly(cluster, "heartbeat", { to: "b" });
    cluster.inject(hear(early));
    assert.equal(reads.of(reads.ask("a", "lease")), 1);
    clear(cluster);
    cluster.tick(heartbeatIntervalMs);
    const before = theOnly(cluster, "heartbeat", { to: "b" });
    cluster.step("a", { type: "clockJumped" });
    assert.equal(reads.of(reads.ask("a", "lease")), null);
    clear(cluster);
    // This round left before the jump, when no one knows how long ago.
    cluster.inject(hear(before));
    assert.equal(reads.of(reads.ask("a", "lease")), null);
    for (const message of sent(cluster, "heartbeat", { to: "b" })) cluster.inject(hear(message));
    assert.equal(reads.of(reads.ask("a", "lease")), 1);
  });

  it("20 a clock that jumped voids the certainty about staleness, too", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    cluster.run(4 * heartbeatIntervalMs);
    for (const id of ["a", "b"]) {
      assert.notEqual(cluster.node(id).staleness(cluster.time), null, `${id} knows`);
      cluster.step(id, { type: "clockJumped" });
      assert.equal(cluster.node(id).staleness(cluster.time), null, `${id} can't know`);
    }
    cluster.run(4 * heartbeatIntervalMs);
    for (const id of ["a", "b"]) {
      assert.notEqual(cluster.node(id).staleness(cluster.time), null, `${id} knows again`);
    }
  });

  it("20 a sole leader's state is fresh once it reflects all that was ever acknowledged", () => {
    const cluster = clusterOf(["a"]);
    const a = cluster.node("a");
    cluster.elect("a");
    cluster.propose("a", "x=1");
    assert.equal(a.staleness(cluster.time), 0);
    cluster.crash("a");
    cluster.restart("a");
    a.diskPace = "manual";
    cluster.campaign("a");
    cluster.persist("a", 1);
    assert.equal(status(cluster, "a").role, "leader");
    assert.equal(a.state.get("x"), undefined);
    assert.equal(a.staleness(cluster.time), null);
    cluster.persist("a");
    assert.equal(a.state.get("x"), "1");
    assert.equal(a.staleness(cluster.time), 0);
  });

  it("20 a lease rests on CheckQuorum: a leader that nobody answers leaves in an election timeout", () => {
    const cluster = leading();
    const since = cluster.time;
    while (status(cluster, "a").role === "leader") {
      assert.ok(cluster.timeout(since + 3 * electionTimeoutMs), "it leads for ever");
    }
    assert.ok(cluster.time <= since + 2 * electionTimeoutMs);
  });
});
