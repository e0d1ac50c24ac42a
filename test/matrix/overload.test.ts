/**
 * More load than a cluster can carry, offered without waiting for answers. What can't be done is refused with 429 and
 * leaves no trace; what is done is about as much as ever; nobody loses its office over it. `npm run bench -- --rows
 * overload` is the long form.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type OpenLoad, openLoadInChild, putValue } from "../../bench/open-loop.ts";
import { keyOf } from "../../bench/workload.ts";
import { Cluster, eventually, type Setup, setups } from "./harness/cluster.ts";
import { put } from "./harness/kv.ts";

const chosen: readonly Setup[] = process.env["HOLDFAST_MATRIX"] === undefined
  ? setups.filter(({ name }) => name === "node" || name === "mixed")
  : setups;

/** Three nodes and the load share two processors: some seconds show it. */
const BEST_SECONDS = 3;
const OVERLOAD_SECONDS = 6;
/** So many more requests are open than the nodes begin at a time. */
const CONNECTIONS = 3072;
/** What is looked at is the load, and not what else keeps two processors busy for a second. */
const patient = ["--request-timeout", "10s", "--election-timeout", "2s"];
/** Of the best. What the machine has besides to do comes and goes in between. */
const DONE_MIN = 0.5;
const RESIDENT_MIB_MAX = 1024;
const SAMPLE = 100;

for (const { name, runtimes } of chosen) {
  describe(`a cluster under more than it can carry (${name})`, () => {
    it("refuses the rest as overloaded, and does what it always did", async (t) => {
      await using cluster = await Cluster.start(runtimes, patient);
      const shape = { urls: cluster.urls, keys: 20_000, valueBytes: 256 };
      const drive = (load: Omit<OpenLoad, keyof typeof shape>) =>
        openLoadInChild({ ...shape, ...load }, null);
      const waiting = { perSecond: null, seconds: BEST_SECONDS, connections: 256 };
      await drive({ ...waiting, stamp: "warm" });
      const best = done(await drive({ ...waiting, stamp: "best" })) / BEST_SECONDS;
      const leader = await cluster.leader();
      const before = await cluster.status(leader);

      const overload = { seconds: OVERLOAD_SECONDS, connections: CONNECTIONS, stamp: "over" };
      const running = drive({ ...overload, perSecond: Math.round(3 * best) });
      const looked = await lookedAt(cluster, running);
      const result = await running;

      const { statuses, odd, last } = result;
      t.diagnostic(
        `${name}: best ${Math.round(best)}/s; ${JSON.stringify({ ...result, last: 0 })}`,
      );
      const wrong = Object.keys(statuses).filter((status) =>
        !["200", "201", "429"].includes(status)
      );
      assert.deepEqual(wrong, [], `${odd.join("\n")}\n${cluster.stderr()}`);
      assert.ok((statuses[429] ?? 0) > 0, "it was overloaded");
      assert.ok(looked > 0, "status was told meanwhile");
      for (const node of cluster.nodes) {
        const status = await cluster.status(node);
        assert.equal(status.leader, leader.id, `who leads, by ${node.id}\n${cluster.stderr()}`);
        assert.equal(status.term, before.term);
        assert.ok(
          residentMib(node.pid) < RESIDENT_MIB_MAX,
          `${node.id} took ${residentMib(node.pid)} MiB`,
        );
      }
      const { revision } = await cluster.status(leader);
      assert.equal(revision - before.revision, done(result), "a revision for each that was done");
      const step = Math.ceil(last.size / SAMPLE);
      for (const [key, n] of [...last].filter((_, at) => at % step === 0)) {
        for (const { url, id } of cluster.nodes) {
          const { status, text } = await cluster.http.request(`${url}/v1/kv/${keyOf(key)}`);
          assert.equal(status, 200);
          assert.equal(
            text(),
            putValue({ stamp: "over", valueBytes: 256 }, n),
            `${keyOf(key)} on ${id}`,
          );
        }
      }
      const rate = done(result) / OVERLOAD_SECONDS;
      assert.ok(rate >= DONE_MIN * best, `${rate}/s done, ${best}/s at the best`);
      await eventually("it takes writes as before", async () => {
        const { type } = await put({ http: cluster.http, url: leader.url, key: "after" }, "all");
        return type === "done" ? true : undefined;
      });
    });
  });
}

function done({ statuses }: { readonly statuses: Readonly<Record<number, number>> }): number {
  return (statuses[200] ?? 0) + (statuses[201] ?? 0);
}

/** How often every node told its status while the load was running. */
async function lookedAt(cluster: Cluster, running: Promise<unknown>): Promise<number> {
  let over = false;
  const ended = running.finally(() => over = true);
  ended.catch(() => {});
  let looked = 0;
  while (!over) {
    for (const node of cluster.nodes) await cluster.status(node);
    looked++;
    await Promise.race([ended, sleep(200)]);
  }
  return looked;
}

function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN) / 1024;
}
