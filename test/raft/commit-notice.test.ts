import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Cluster } from "./cluster.ts";
import { clear, clusterOf, deliver, sent, status } from "./hand.ts";

const noticeDelayMs = 5;

/** A leader whose followers know all that is committed. */
function settled(): Cluster {
  const cluster = clusterOf(["a", "b", "c"], { noticeDelayMs });
  cluster.elect("a");
  cluster.run(2 * noticeDelayMs);
  clear(cluster);
  return cluster;
}

/** Proposes, and commits by b's answer; c's is there as well. */
function commit(cluster: Cluster, command: string): void {
  cluster.propose("a", command);
  deliver(cluster, { type: "append" });
  deliver(cluster, { type: "appendReply" });
}

describe("a commit", () => {
  it("is told after a while, once to each peer, where no write follows", () => {
    const cluster = settled();
    commit(cluster, "x=1");
    const { commit: index } = status(cluster, "a");
    assert.equal(status(cluster, "b").commit, index - 1);
    assert.deepEqual(sent(cluster, "append"), []);
    cluster.tick(noticeDelayMs - 1);
    assert.deepEqual(sent(cluster, "append"), []);
    cluster.tick(2);
    const notices = sent(cluster, "append");
    assert.deepEqual(notices.map(({ to, entries }) => [to, entries.length]), [["b", 0], ["c", 0]]);
    deliver(cluster, { type: "append" });
    deliver(cluster, { type: "appendReply" });
    assert.equal(status(cluster, "b").commit, index);
    assert.deepEqual(sent(cluster, "append"), []);
  });

  it("is told by the next write's append, and by no message of its own", () => {
    const cluster = settled();
    commit(cluster, "x=1");
    const { commit: index } = status(cluster, "a");
    cluster.tick(noticeDelayMs - 1);
    cluster.propose("a", "x=2");
    const appends = sent(cluster, "append");
    assert.deepEqual(appends.map(({ commit, entries }) => [commit, entries.length]), [
      [index, 1],
      [index, 1],
    ]);
    cluster.tick(2);
    assert.equal(sent(cluster, "append").length, 2);
  });
});
