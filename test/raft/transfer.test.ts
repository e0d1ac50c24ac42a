/** Points 21 and 25 of the list of what is easy to get wrong: transfers, and counting over joint configurations. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Answer } from "../../src/raft/mod.ts";
import type { Cluster } from "./cluster.ts";
import { accept, clear, clusterOf, deliver, grant, hear, heartbeat, refuse, sent } from "./hand.ts";
import { status, theOnly } from "./hand.ts";
import { electionTimeoutMs, heartbeatIntervalMs } from "./options.ts";

const three = ["a", "b", "c"];

function accepted(answers: readonly Answer[]): number {
  const [answer] = answers;
  assert.ok(answer?.type === "proposed");
  return answer.accepted;
}

describe("transfer", () => {
  it("21 proposals are refused while a transfer runs, and nothing is appended", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    cluster.transfer("a", "b");
    const [answer] = cluster.propose("a", "x=1").answers;
    assert.ok(answer?.type === "proposed");
    assert.equal(answer.accepted, 0);
    assert.equal(answer.reason, "transferring");
    assert.equal(status(cluster, "a").lastIndex, 1);
  });

  it("21 the target is told once it holds the whole log, and only once", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    cluster.propose("a", "x=1");
    const [append] = cluster.network.find({ to: "b", type: "append" });
    assert.ok(append !== undefined);
    clear(cluster);
    cluster.transfer("a", "b");
    assert.deepEqual(sent(cluster, "timeoutNow"), []);
    cluster.deliver(append);
    deliver(cluster, { from: "b" });
    assert.equal(theOnly(cluster, "timeoutNow").to, "b");
    cluster.tick(heartbeatIntervalMs);
    assert.equal(sent(cluster, "timeoutNow").length, 1);
  });

  it("21 a transfer ends by timeout", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    cluster.crash("c");
    cluster.transfer("a", "c");
    const answers: Answer[] = [];
    const step = cluster.step.bind(cluster);
    cluster.step = (id, event) => {
      const effects = step(id, event);
      if (id === "a") answers.push(...effects.answers);
      return effects;
    };
    cluster.run(electionTimeoutMs + 1);
    assert.deepEqual(answers.map(({ type }) => type), ["transferRejected"]);
    assert.equal(accepted(cluster.propose("a", "x=1").answers), 1);
  });

  it("21 a transfer belongs to its term", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    const office = (): void => {
      clear(cluster);
      cluster.campaign("a");
      cluster.inject(grant(theOnly(cluster, "preVote", { to: "b" })));
      cluster.inject(grant(theOnly(cluster, "vote", { to: "b" })));
      cluster.inject(accept(theOnly(cluster, "append", { to: "b" })));
    };
    office();
    cluster.transfer("a", "c");
    cluster.inject(heartbeat({ from: "b", to: "a", term: 2 }));
    office();
    assert.equal(status(cluster, "a").term, 3);
    assert.equal(accepted(cluster.propose("a", "x=1").answers), 1);
    cluster.inject(accept(theOnly(cluster, "append", { to: "c" })));
    assert.deepEqual(sent(cluster, "timeoutNow"), []);
  });

  it("21 TimeoutNow skips the pre-vote, and the voters' stickiness", () => {
    const cluster = clusterOf(three);
    cluster.elect("a");
    cluster.transfer("a", "b");
    deliver(cluster, { type: "timeoutNow" });
    assert.deepEqual(sent(cluster, "preVote"), []);
    const votes = sent(cluster, "vote");
    assert.equal(votes.length, 2);
    assert.ok(votes.every(({ transfer }) => transfer));
    cluster.stabilize();
    assert.equal(status(cluster, "b").role, "leader");
    assert.equal(status(cluster, "b").term, 2);
  });

  it("21 a TimeoutNow of an earlier term does nothing but to be answered", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    cluster.inject(heartbeat({ from: "b", to: "a", term: 2 }));
    clear(cluster);
    cluster.inject({ type: "timeoutNow", from: "c", to: "a", term: 1, id: 9 });
    assert.equal(status(cluster, "a").role, "follower");
    assert.equal(theOnly(cluster, "timeoutNowReply").term, 2);
    assert.deepEqual(sent(cluster, "vote"), []);
  });

  it("21 after a failed hand-over the next campaign asks by pre-vote again", () => {
    const cluster = clusterOf(three, { absent: ["b", "c"] });
    cluster.inject(heartbeat({ from: "b", to: "a", term: 1 }));
    cluster.inject({ type: "timeoutNow", from: "b", to: "a", term: 1, id: 9 });
    for (const vote of sent(cluster, "vote")) cluster.inject(refuse(vote));
    clear(cluster);
    cluster.tick(3 * electionTimeoutMs);
    assert.ok(sent(cluster, "preVote").length > 0);
    assert.deepEqual(sent(cluster, "vote"), []);
  });
});

/** Incoming a, b, c; outgoing c, d, e; all but a by hand. */
function joint(): Cluster {
  return clusterOf(three, { outgoing: ["c", "d", "e"], absent: ["b", "c", "d", "e"] });
}

function lead(cluster: Cluster): void {
  cluster.campaign("a");
  for (const to of ["b", "c", "d"]) cluster.inject(grant(theOnly(cluster, "preVote", { to })));
  for (const to of ["b", "c", "d"]) cluster.inject(grant(theOnly(cluster, "vote", { to })));
  assert.equal(status(cluster, "a").role, "leader");
}

describe("joint configurations", () => {
  it("25 votes are counted over both halves", () => {
    const cluster = joint();
    cluster.campaign("a");
    const ask = (type: "preVote" | "vote", to: string): void => {
      cluster.inject(grant(theOnly(cluster, type, { to })));
    };
    ask("preVote", "b");
    ask("preVote", "c");
    assert.equal(status(cluster, "a").role, "preCandidate");
    ask("preVote", "d");
    assert.equal(status(cluster, "a").role, "candidate");
    ask("vote", "d");
    ask("vote", "e");
    assert.equal(status(cluster, "a").role, "candidate");
    ask("vote", "b");
    assert.equal(status(cluster, "a").role, "leader");
  });

  it("25 matches are counted over both halves", () => {
    const cluster = joint();
    lead(cluster);
    const hold = (to: string): void => {
      cluster.inject(accept(theOnly(cluster, "append", { to })));
    };
    hold("b");
    assert.equal(status(cluster, "a").commit, 0);
    hold("d");
    assert.equal(status(cluster, "a").commit, 0);
    hold("e");
    assert.equal(status(cluster, "a").commit, 1);
  });

  it("25 rounds are counted over both halves", () => {
    const cluster = joint();
    lead(cluster);
    for (const to of ["b", "d", "e"]) cluster.inject(accept(theOnly(cluster, "append", { to })));
    clear(cluster);
    cluster.read("a", "linearizable");
    const [b, d, e] = ["b", "d", "e"].map((to) => theOnly(cluster, "heartbeat", { to }));
    assert.ok(b !== undefined && d !== undefined && e !== undefined);
    assert.deepEqual(cluster.inject(hear(d)).answers, []);
    assert.deepEqual(cluster.inject(hear(e)).answers, []);
    assert.equal(cluster.inject(hear(b)).answers[0]?.type, "readable");
  });

  it("25 CheckQuorum wants both halves to answer", () => {
    for (const [answering, stays] of [["bc", false], ["de", false], ["bde", true]] as const) {
      const cluster = joint();
      lead(cluster);
      for (let round = 0; round < 8; round++) {
        clear(cluster);
        cluster.tick(heartbeatIntervalMs);
        for (const to of answering) {
          for (const message of sent(cluster, "heartbeat", { to })) cluster.inject(hear(message));
        }
      }
      assert.equal(status(cluster, "a").role === "leader", stays, `${answering} answer`);
    }
  });
});
