/**
 * Full disks: small file systems in memory that a test fills. A node is read-only before a write could fail, hands its
 * office on, goes on as a follower, and recovers by itself; what ends the process all the same loses nothing.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import type { HttpAnswer } from "./harness/http-client.ts";
import { freePort, NodeProcess, temporaryDirectory } from "./harness/node-process.ts";
import { canMount, SmallDisks } from "./harness/small-disks.ts";

const DISK_MIB = 120;
/** Below the reserve, above its half. */
const SHORT_MIB = 30;
/** What a follower missed comes in large messages, which a busy machine takes its time for. */
const CATCH_UP_MS = 60_000;
const flags = ["--disk-reserve", "40MiB"];
const skip = canMount() ? false : "needs root or user namespaces, to mount a tmpfs";

interface Scene extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly disks: SmallDisks;
}

async function start(runtimes: Parameters<typeof Cluster.layOut>[0]): Promise<Scene> {
  const cluster = await Cluster.layOut(runtimes, flags);
  const disks = await SmallDisks.mount(cluster.nodes.map(({ data }) => data), DISK_MIB);
  for (const node of cluster.nodes) node.prefix = disks.prefix;
  const dispose = async (): Promise<void> => {
    await cluster[Symbol.asyncDispose]();
    disks[Symbol.dispose]();
  };
  try {
    await cluster.startAll();
    await cluster.ready();
    return { cluster, disks, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function put(cluster: Cluster, node: NodeProcess, key: string, body: string): Promise<HttpAnswer> {
  return cluster.http.request(`${node.url}/v1/kv/${key}`, { method: "PUT", body });
}

async function written(cluster: Cluster, node: NodeProcess, key: string, body: string) {
  await eventually(() => `${key} is written at ${node.id}\n${cluster.stderr()}`, async () => {
    const { status } = await put(cluster, node, key, body);
    return status === 200 || status === 201 ? true : undefined;
  });
}

async function isReadOnly(cluster: Cluster, node: NodeProcess): Promise<boolean> {
  const { json } = await cluster.http.request(`${node.url}/v1/status`);
  return (json() as { disk: { readOnly: boolean } }).disk.readOnly;
}

async function becomes(cluster: Cluster, node: NodeProcess, readOnly: boolean): Promise<void> {
  await eventually(
    () => `${node.id} is ${readOnly ? "read-only" : "writable"}\n${cluster.stderr()}`,
    async () => await isReadOnly(cluster, node) === readOnly ? true : undefined,
  );
}

async function metric(cluster: Cluster, node: NodeProcess, name: string): Promise<number> {
  const { text } = await cluster.http.request(`${node.url}/metrics`);
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text())?.[1] ?? NaN);
}

for (const { name, runtimes } of longSetups) {
  describe(`full disks (${name})`, { skip }, () => {
    it("makes a cluster without room read-only until there is room again", async () => {
      await using scene = await start(runtimes);
      const { cluster, disks } = scene;
      const { http, nodes } = cluster;
      for (const node of nodes) await written(cluster, node, `before-${node.id}`, node.id);
      for (const { data } of nodes) disks.fill(data, SHORT_MIB);
      for (const node of nodes) await becomes(cluster, node, true);
      for (const node of nodes) {
        // Whoever led may have tried to give way before all were full.
        const refused = await eventually("it says why", async () => {
          const answer = await put(cluster, node, `refused-${node.id}`, "no");
          assert.equal(answer.status, 503, answer.text());
          const problem = answer.json() as { code: string; outcome: string; detail: string };
          assert.equal(problem.outcome, "not_applied", answer.text());
          return problem.code === "not_ready" ? { ...answer, ...problem } : undefined;
        });
        assert.match(refused.detail, /almost full/);
        assert.ok(refused.headers["retry-after"] !== undefined);
        const read = await http.request(`${node.url}/v1/kv/before-${node.id}`);
        assert.equal(read.text(), node.id, cluster.stderr());
        assert.equal(await metric(cluster, node, "holdfast_read_only"), 1);
        assert.ok(await metric(cluster, node, "holdfast_disk_free_bytes") < 40 * 1024 * 1024);
        const ready = await http.request(`${node.url}/readyz`);
        assert.equal(ready.status, 200, ready.text());
        assert.match(ready.text(), /read-only/);
        // What makes room is let in.
        await eventually("a delete is taken", async () => {
          const gone = await http.request(`${node.url}/v1/kv/before-${node.id}`, {
            method: "DELETE",
          });
          return gone.status === 200 ? true : undefined;
        });
      }
      for (const { data } of nodes) disks.empty(data);
      for (const node of nodes) {
        await becomes(cluster, node, false);
        await written(cluster, node, `after-${node.id}`, "yes");
      }
      for (const node of nodes) {
        const { status } = await http.request(`${node.url}/v1/kv/refused-${node.id}`);
        assert.equal(status, 404, "what was called not applied is not there");
        assert.match(node.stderr, /this node is read-only/);
        assert.match(node.stderr, /has room again/);
      }
    });

    it("hands the leadership to a node that has room, and goes on without a full follower", async () => {
      await using scene = await start(runtimes);
      const { cluster, disks } = scene;
      const { http } = cluster;
      const full = await cluster.leader();
      await written(cluster, full, "before", "here");
      disks.fill(full.data, 0);
      const next = await cluster.leader(cluster.others(full.id));
      // More than the log's segment that it has: were it to take them, it would have to end.
      const value = "v".repeat(1024 * 1024 - 8);
      for (let n = 0; n < 20; n++) await written(cluster, next, `large-${n % 4}`, `${n}${value}`);
      assert.ok(full.isRunning, `${full.id} goes on\n${full.stderr}`);
      const stale = await http.request(`${full.url}/v1/kv/before?consistency=stale`);
      assert.equal(stale.text(), "here");
      const busy = await http.request(`${full.url}/readyz`);
      assert.equal(busy.status, 503, busy.text());

      disks.empty(full.data);
      await eventually(() => `${full.id} has caught up\n${cluster.stderr()}`, async () => {
        const { text } = await http.request(`${full.url}/v1/kv/large-3`);
        return text() === `19${value}` ? true : undefined;
      }, CATCH_UP_MS);
      assert.match(full.stderr, /the disk is full: this node takes no entries/);
      await written(cluster, full, "after", "there");
    });
  });
}

for (const { runtimes } of longSetups) {
  for (const runtime of new Set(runtimes)) {
    it(
      `a write that finds no room ends the process, and loses nothing (${runtime})`,
      { skip },
      async () => {
        using temporary = temporaryDirectory();
        const data = join(temporary.path, "n1");
        using disks = await SmallDisks.mount([data], DISK_MIB);
        await using cluster = await Cluster.layOut([]);
        await using node = new NodeProcess({
          id: "n1",
          runtime,
          port: await freePort(),
          data,
          flags: ["--disk-reserve", "0"],
        });
        node.prefix = disks.prefix;
        await node.start();
        const acknowledged: string[] = [];
        disks.fill(data, 0);
        const value = "v".repeat(1024 * 1024);
        for (let n = 0; node.isRunning; n++) {
          const { status } = await put(cluster, node, `k${n}`, value).catch(() => ({ status: 0 }));
          if (status === 201) acknowledged.push(`k${n}`);
        }
        const ended = await node.ended();
        assert.equal(ended.status, 4, ended.stderr);
        assert.match(ended.stderr, /ENOSPC|no space left/i);

        disks.empty(data);
        await node.start();
        await cluster.ready([node]);
        for (const key of acknowledged) {
          const { status } = await cluster.http.request(`${node.url}/v1/kv/${key}`);
          assert.equal(status, 200, `${key} was acknowledged`);
        }
        assert.ok(acknowledged.length > 0);
        await node.end("SIGTERM");
      },
    );

    it(
      `a node that finds no room to begin with says so, with status 4 (${runtime})`,
      { skip },
      async () => {
        using temporary = temporaryDirectory();
        const data = join(temporary.path, "n1");
        using disks = await SmallDisks.mount([data], DISK_MIB);
        disks.fill(data, 0);
        await using node = new NodeProcess({ id: "n1", runtime, port: await freePort(), data });
        node.prefix = disks.prefix;
        await assert.rejects(node.start());
        const ended = await node.ended();
        assert.equal(ended.status, 4, ended.stderr);
        const lines = ended.stderr.split("\n").filter((line) =>
          line !== "" && !line.startsWith("{")
        );
        assert.equal(lines.length, 1, ended.stderr);
        assert.match(lines[0] ?? "", /the disk failed: .*(ENOSPC|no space left)/i);
        disks.empty(data);
        await node.start();
        await node.end("SIGTERM");
      },
    );
  }
}
