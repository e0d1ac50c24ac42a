/** What the loss of a leader costs: a bounded time without acknowledged writes, and nothing that was acknowledged. */
import { after, before, describe, it } from "node:test";
import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, eventually, setups } from "./harness/cluster.ts";
import { get, put } from "./harness/kv.ts";
import { Load } from "./harness/load.ts";

/** The bound at default settings. */
const GAP_MS_MAX = 1500;
const WARM_MS = 500;
/** Longer than what was under way when the leader died can take to be acknowledged. */
const SETTLED_MS = 400;

for (const { name, runtimes } of setups) {
  describe(`a lost leader (${name})`, () => {
    let cluster: Cluster;
    before(async () => {
      cluster = await Cluster.start(runtimes);
    });
    after(() => cluster[Symbol.asyncDispose]());

    it("costs at most 1.5 s without acknowledged writes when it is killed", async (t) => {
      await using load = new Load(cluster, "killed");
      const gaps: number[] = [];
      for (let round = 0; round < 2; round++) {
        await sleep(WARM_MS);
        const leader = await cluster.leader();
        const killed = performance.now();
        await leader.end("SIGKILL");
        await load.acknowledgedAfter(killed + SETTLED_MS);
        gaps.push(load.gapSince(killed));
        await leader.start();
        await cluster.ready();
      }
      await load.stop();
      t.diagnostic(`${name}: gaps of ${gaps.map((gap) => Math.round(gap)).join(" and ")} ms`);
      t.diagnostic(`${name}: writes ${JSON.stringify(load.fates)}`);
      assert.equal(load.history.flaw(), null);
      assert.ok(Math.max(...gaps) <= GAP_MS_MAX, `gaps of ${gaps.join(", ")} ms`);
    });

    it("hands its office over when it is stopped under load, and loses no write's fate", async (t) => {
      await using load = new Load(cluster, "stopped");
      await sleep(WARM_MS);
      const leader = await cluster.leader();
      const stopping = performance.now();
      const { status, stderr } = await leader.end("SIGTERM");
      assert.equal(status, 0, stderr);
      await load.acknowledgedAfter(stopping + SETTLED_MS);
      const gap = load.gapSince(stopping);
      await load.stop();
      await leader.start();
      await cluster.ready();
      t.diagnostic(`${name}: a gap of ${Math.round(gap)} ms, writes ${JSON.stringify(load.fates)}`);
      assert.equal(load.history.flaw(), null);
      // Without a handover nobody would campaign before an election timeout of 500 ms at least.
      assert.ok(gap < 450, `a gap of ${gap} ms: nobody took over before an election timeout`);
    });

    it("stops writes and confirmed reads while it takes the majority along, and goes on with it", async () => {
      const { http } = cluster;
      const leader = await cluster.leader();
      assert.equal((await put({ http, url: leader.url, key: "a" }, "before")).type, "done");
      const [survivor, second] = cluster.others(leader.id);
      assert.ok(survivor && second);
      await eventually("the survivor has it", async () => {
        const answer = await get({ http, url: survivor.url, key: "a" }, "?consistency=stale");
        return answer.type === "done" && answer.value === "before" ? true : undefined;
      });
      await Promise.all([leader.end("SIGKILL"), second.end("SIGKILL")]);

      const asked = performance.now();
      const path = `${survivor.url}/v1/kv/a`;
      const written = await http.request(path, { method: "PUT", body: "lost", timeoutMs: 5000 });
      const problem = written.json() as { outcome: string };
      assert.ok(written.status === 503 || written.status === 504, written.text());
      assert.equal(problem.outcome, written.status === 503 ? "not_applied" : "unknown");
      const read = await http.request(path, { timeoutMs: 5000 });
      assert.equal(read.status, 503, read.text());
      assert.ok(performance.now() - asked < 5000, "each is answered within the request timeout");

      const stale = await http.request(`${path}?consistency=stale`);
      assert.equal(stale.status, 200);
      assert.equal(stale.text(), "before");
      assert.match(String(stale.headers["holdfast-staleness-ms"]), /^\d+$/);
      assert.ok(Number(stale.headers["holdfast-staleness-ms"]) > 0);
      const bounded = await http.request(`${path}?consistency=stale&max_stale=1ms`);
      assert.equal(bounded.status, 503, bounded.text());
      assert.equal((bounded.json() as { code: string }).code, "too_stale");

      await second.start();
      await eventually("writes resume with two of three", async () => {
        const again = await put({ http, url: survivor.url, key: "a" }, "after");
        return again.type === "done" ? true : undefined;
      });
      for (const { url } of [survivor, second]) {
        const answer = await get({ http, url, key: "a" });
        assert.equal(answer.type === "done" ? answer.value : answer.type, "after");
      }
    });
  });
}
