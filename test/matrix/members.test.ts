/** Members come and go while real nodes serve: nothing that was acknowledged is lost, and hardly anything refused. */
import { describe, it, type TestContext } from "node:test";
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import type { HttpAnswer } from "./harness/http-client.ts";
import { put } from "./harness/kv.ts";
import { Load } from "./harness/load.ts";
import { type Ended, type NodeProcess, root, run } from "./harness/node-process.ts";

const WARM_MS = 500;
/** What is refused within this is one moment. */
const MOMENT_MS = 500;
/** A change that takes longer than this hangs. */
const CHANGE_MS = 30_000;

interface Members {
  readonly members: readonly { readonly id: string; readonly voter: boolean }[];
  readonly change: unknown;
}

async function membersAt(cluster: Cluster, node: NodeProcess): Promise<Members> {
  const { status, json } = await cluster.http.request(`${node.url}/v1/members`);
  assert.equal(status, 200);
  return json() as Members;
}

async function votersAt(cluster: Cluster, node: NodeProcess): Promise<readonly string[]> {
  const { members } = await membersAt(cluster, node);
  return members.filter(({ voter }) => voter).map(({ id }) => id);
}

function ask(
  cluster: Cluster,
  node: NodeProcess,
  [method, path, body]: readonly [method: string, path: string, body?: unknown],
): Promise<HttpAnswer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return cluster.http.request(`${node.url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: text }),
  });
}

/** Asks until the change is over, as a client that repeats its request does. */
async function change(
  cluster: Cluster,
  node: NodeProcess,
  request: readonly [method: string, path: string, body?: unknown],
): Promise<HttpAnswer> {
  return await eventually(`${request[0]} ${request[1]}\n${cluster.stderr()}`, async () => {
    const answer = await ask(cluster, node, request);
    assert.ok([200, 201, 202].includes(answer.status), answer.text());
    return answer.status === 202 ? undefined : answer;
  }, CHANGE_MS);
}

function cli(nodes: readonly NodeProcess[], ...args: string[]): Promise<Ended> {
  const endpoints = nodes.map(({ url }) => url).join(",");
  const binary = join(root, "node_modules/.bin/node");
  return run([binary, "src/cli/main.ts", ...args, "--endpoints", endpoints], {
    timeoutMs: CHANGE_MS,
  });
}

/** Fails unless every write was acknowledged or refused, and none that was acknowledged is gone. */
async function settle(
  t: TestContext,
  { load, nodes, since }: {
    readonly load: Load;
    readonly nodes: readonly NodeProcess[];
    readonly since: number;
  },
): Promise<void> {
  await load.stop();
  await load.readBack(nodes);
  t.diagnostic(`longest gap ${Math.round(load.gapSince(since))} ms, ${JSON.stringify(load.fates)}`);
  assert.equal(load.history.flaw(), null);
  assert.equal(load.fates.unknown, 0, "a write's fate was not told");
}

// On three runtimes at once: what one of them can't do shows here as well, and a run takes its time.
for (const { name, runtimes } of longSetups) {
  describe(`members (${name})`, () => {
    it("three become five, then another three without the leader, under load", async (t) => {
      await using cluster = await Cluster.start(runtimes);
      await using load = new Load(cluster, "grown");
      const since = performance.now();
      await sleep(WARM_MS);
      const { term } = await cluster.status(await cluster.leader());
      const n4 = await cluster.join("bun");
      const n5 = await cluster.join("deno");
      for (const { id, url } of [n4, n5]) {
        const added = await cli(load.nodes, "member", "add", id, url);
        assert.equal(added.status, 0, `${added.stderr}\n${cluster.stderr()}`);
        assert.equal(added.stdout, `${id} votes\n`);
      }
      load.nodes = cluster.nodes;
      assert.deepEqual(await votersAt(cluster, n5), ["n1", "n2", "n3", "n4", "n5"]);
      await sleep(WARM_MS);

      const leader = await cluster.leader();
      const stayed = await cluster.status(leader);
      const [kept, ...leaving] = cluster.nodes.filter((node) => node !== leader)
        .toSorted((a, b) => (a.id < b.id ? -1 : 1)).filter((node) => node !== n4 && node !== n5);
      const staying = [...(leader === n4 || leader === n5 ? [] : [n4, n5]), kept]
        .filter((node) => node !== undefined);
      assert.equal(staying.length, 3, `one of the first leads, not ${leader.id}`);
      // Whoever leaves is asked no longer, as by a load balancer that is told before.
      load.nodes = staying;
      const voters = staying.map(({ id }) => id);
      const replacing = performance.now();
      const replaced = await change(cluster, n4, ["PUT", "/v1/members", { voters }]);
      assert.equal(replaced.status, 200);
      await sleep(WARM_MS);
      const early = load.refused.filter((time) => time < replacing);
      assert.ok(early.length === 0 || stayed.term > term, "writes were refused for no reason");
      assert.ok(load.momentsRefused(MOMENT_MS) <= 1, "more than a handover's moment was refused");
      for (const node of staying) {
        assert.deepEqual(await votersAt(cluster, node), voters.toSorted());
      }
      for (const node of [leader, ...leaving]) await node.kill();
      await load.acknowledgedAfter(performance.now());
      await settle(t, { load, nodes: staying, since });
    });

    it("all nodes are restarted in turn under load, with a refused moment per handover", async (t) => {
      await using cluster = await Cluster.start(runtimes);
      await using load = new Load(cluster, "restarted");
      const since = performance.now();
      let handovers = 0;
      for (const node of cluster.nodes) {
        await sleep(WARM_MS);
        load.nodes = cluster.others(node.id);
        await sleep(MOMENT_MS);
        if ((await cluster.leader()) === node) handovers += 1;
        const { status, stderr } = await node.end("SIGTERM");
        assert.equal(status, 0, stderr);
        await node.start();
        await cluster.ready();
        load.nodes = cluster.nodes;
      }
      await sleep(WARM_MS);
      const moments = load.momentsRefused(MOMENT_MS);
      t.diagnostic(`${handovers} handovers, ${moments} moments in which writes were refused`);
      assert.ok(moments <= handovers, `${moments} refused moments, ${handovers} handovers`);
      await settle(t, { load, nodes: cluster.nodes, since });
    });

    it("a node whose disk is lost is replaced by one command, and the successor counts", async (t) => {
      await using cluster = await Cluster.start(runtimes);
      await using load = new Load(cluster, "replaced");
      const since = performance.now();
      const leader = await cluster.leader();
      const [dead, other] = cluster.others(leader.id);
      assert.ok(dead && other);
      load.nodes = [leader, other];
      await sleep(MOMENT_MS);
      await dead.end("SIGKILL");
      rmSync(dead.data, { recursive: true });
      const successor = await cluster.join("node");
      const by = `${successor.id}=${successor.url}`;
      const replaced = await cli(load.nodes, "member", "replace", dead.id, "--with", by);
      assert.equal(replaced.status, 0, `${replaced.stderr}\n${cluster.stderr()}`);
      const again = await cli(load.nodes, "member", "replace", dead.id, "--with", by);
      assert.equal(again.stdout, replaced.stdout);
      await settle(t, { load, nodes: [leader, other, successor], since });

      // Two of three, one of them the successor.
      await other.end("SIGKILL");
      await eventually("two of three take writes", async () => {
        const { http } = cluster;
        const { type } = await put({ http, url: successor.url, key: "two" }, "yes");
        return type === "done" ? true : undefined;
      });
    });

    it("bad requests are answered with clear errors, by every node, and change nothing", async () => {
      await using cluster = await Cluster.start(runtimes);
      const [first] = cluster.nodes;
      assert.ok(first);
      const n9 = { id: "n9", url: "http://127.0.0.1:4009" };
      const refusals: readonly (readonly [readonly [string, string, unknown?], number, string])[] =
        [
          [["POST", "/v1/members", { id: "n9", url: "ftp://127.0.0.1:4009" }], 400, "bad_request"],
          [["POST", "/v1/members", { id: "n9", url: "http://169.254.1.1" }], 400, "bad_request"],
          [["POST", "/v1/members", { id: "n9", url: "http://[fe80::1]" }], 400, "bad_request"],
          [["POST", "/v1/members", { id: "n9", url: first.url }], 400, "bad_request"],
          [["POST", "/v1/members", { ...n9, id: "n1" }], 400, "bad_request"],
          [["POST", "/v1/members", { ...n9, id: "n/9" }], 400, "bad_request"],
          [["POST", "/v1/members", { ...n9, vote: true }], 400, "bad_request"],
          [["POST", "/v1/members", "{"], 400, "bad_request"],
          [["PUT", "/v1/members", { voters: [] }], 400, "bad_request"],
          [["PUT", "/v1/members", { voters: ["n1", "n9"] }], 400, "bad_request"],
          [["PUT", "/v1/members", { voters: ["n1", "n1"] }], 400, "bad_request"],
          [
            ["PUT", "/v1/members", { voters: ["n1", n9, { ...n9, id: "n8" }] }],
            400,
            "bad_request",
          ],
          [["DELETE", "/v1/members/n9"], 404, "not_found"],
          [["DELETE", "/v1/members/n%209"], 400, "bad_request"],
          [["PATCH", "/v1/members", {}], 405, "no_such_route"],
          [["PUT", "/v1/leader", { id: "n9" }], 400, "bad_request"],
        ];
      await cluster.http.request(`${first.url}/v1/kv/settled`, { method: "PUT", body: "x" });
      const before = await cluster.status(await cluster.leader());
      for (const node of cluster.nodes) {
        for (const [request, status, code] of refusals) {
          const answer = await ask(cluster, node, request);
          const said = `${
            JSON.stringify(request)
          } to ${node.id}: ${answer.status} ${answer.text()}`;
          const problem = answer.json() as Record<string, unknown>;
          assert.equal(answer.status, status, said);
          assert.equal(problem["code"], code, said);
          assert.equal(problem["outcome"], "not_applied", said);
        }
        assert.deepEqual(await votersAt(cluster, node), ["n1", "n2", "n3"]);
        assert.equal((await membersAt(cluster, node)).change, null);
      }
      const { term, lastLog } = await cluster.status(await cluster.leader());
      assert.deepEqual([term, lastLog], [before.term, before.lastLog], "nothing came into the log");

      // A change that waits for somebody who never comes: no other one meanwhile, but it can be taken back.
      assert.equal((await ask(cluster, first, ["POST", "/v1/members", n9])).status, 202);
      for (const node of cluster.nodes) {
        const other = { id: "n8", url: "http://127.0.0.1:4008" };
        const conflict = await ask(cluster, node, ["POST", "/v1/members", other]);
        assert.equal(conflict.status, 409, conflict.text());
        const problem = conflict.json() as Record<string, unknown>;
        assert.equal(problem["code"], "change_in_progress");
        assert.equal(problem["outcome"], "not_applied");
      }
      await change(cluster, first, ["DELETE", "/v1/members/n9"]);
      assert.deepEqual(await votersAt(cluster, first), ["n1", "n2", "n3"]);
    });
  });
}
