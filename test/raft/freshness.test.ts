import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { clear, clusterOf, hear, sent, theOnly } from "./hand.ts";
import { heartbeatIntervalMs, maxClockJumpMs } from "./options.ts";

describe("the age of a leader's certainty", () => {
  it("counts from when the confirmed round left, and what its clock may have stood meanwhile", () => {
    const cluster = clusterOf(["a", "b", "c"]);
    cluster.elect("a");
    cluster.run(heartbeatIntervalMs);
    clear(cluster);
    cluster.tick(heartbeatIntervalMs);
    const sentAt = cluster.time;
    cluster.inject(hear(theOnly(cluster, "heartbeat", { to: "b" })));
    clear(cluster);
    cluster.tick(heartbeatIntervalMs);
    const [next] = sent(cluster, "heartbeat", { to: "b" });
    assert.equal(next?.ageMs, cluster.time - sentAt + maxClockJumpMs);
  });
});
