/**
 * Real data on another runtime: a backup that was taken of a cluster under load is, restored into one of another
 * runtime, the store as it was at its revision; and the leader's death in the midst of a restore changes nothing of it.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { request as send } from "node:http";
import { join } from "node:path";
import process from "node:process";
import { Cluster, eventually } from "./harness/cluster.ts";
import type { HttpAnswer } from "./harness/http-client.ts";
import { Load } from "./harness/load.ts";
import { root, run, type RuntimeName, runtimes } from "./harness/node-process.ts";

/** Every source of this repository is a key; so are these, of random bytes. */
const LARGE = 24;
const LARGE_BYTES = 256 * 1024;
const HISTORY = ["--history-revisions", "20000"];

const others: Readonly<Record<RuntimeName, RuntimeName>> = {
  bun: "deno",
  deno: "node",
  node: "bun",
};

/** From Bun to Deno always; from and to each of them where `HOLDFAST_MATRIX` is set, to whatever. */
const takenOn: readonly RuntimeName[] = process.env["HOLDFAST_MATRIX"] === undefined
  ? ["bun"]
  : runtimes;

/** A command line of `holdfast`, under a runtime. */
async function holdfast(runtime: RuntimeName, urls: readonly string[], args: readonly string[]) {
  const binary = join(root, "node_modules/.bin", runtime);
  const main = join(root, "src/cli/main.ts");
  const command = runtime === "deno" ? [binary, "run", "-A", "-q", main] : [binary, main];
  const [first = "", ...rest] = [...command, ...args];
  const env = { HOLDFAST_ENDPOINTS: urls.join(",") };
  const ended = await run([first, ...rest], { env, timeoutMs: 60_000 });
  assert.equal(ended.status, 0, `${args.join(" ")}: ${ended.stderr}`);
  return JSON.parse(ended.stdout || "null") as Record<string, unknown>;
}

async function ok(answer: Promise<HttpAnswer>): Promise<HttpAnswer> {
  const { status, text } = await answer;
  assert.ok(status >= 200 && status < 300, `${status}: ${text().slice(0, 300)}`);
  return await answer;
}

/** All that a cluster says of its store at a revision, but what time it is. */
async function storeAt(cluster: Cluster, revision: number): Promise<readonly unknown[]> {
  const url = cluster.nodes[0]?.url ?? "";
  const items: unknown[] = [];
  let query = `revision=${revision}&limit=1000`;
  for (;;) {
    const page = await ok(cluster.http.request(`${url}/v1/kv?${query}`));
    const { items: more, cursor, revision: at } = page.json() as {
      readonly items: readonly unknown[];
      readonly cursor?: string;
      readonly revision: number;
    };
    assert.equal(at, revision);
    items.push(...more);
    if (cursor === undefined) return items;
    query = `cursor=${encodeURIComponent(cursor)}&limit=1000`;
  }
}

async function leasesOf({ nodes, http }: Cluster): Promise<readonly unknown[]> {
  const { leases } = (await ok(http.request(`${nodes[0]?.url}/v1/leases`))).json() as {
    readonly leases: readonly Record<string, unknown>[];
  };
  return leases.map(({ id, ttlMs }) => ({ id, ttlMs }));
}

/** Sources as text, random bytes, a lease with keys, and times to live. Returns the lease's id. */
async function fill(cluster: Cluster): Promise<string> {
  const { http } = cluster;
  const { url } = await cluster.leader();
  await holdfast("node", [url], ["load", join(root, "src"), "--prefix", "src/", "--json"]);
  const random = openSync("/dev/urandom", "r");
  for (let n = 0; n < LARGE; n++) {
    const body = new Uint8Array(LARGE_BYTES);
    readSync(random, body);
    await ok(http.request(`${url}/v1/kv/large/${n}`, { method: "PUT", body }));
  }
  const granted = await ok(
    http.request(`${url}/v1/leases`, { method: "POST", body: '{"ttl":"1h"}' }),
  );
  const { id } = granted.json() as { readonly id: string };
  for (const key of ["leased/1", "leased/2"]) {
    await ok(http.request(`${url}/v1/kv/${key}?lease=${id}`, { method: "PUT", body: key }));
  }
  await ok(http.request(`${url}/v1/kv/ttl?ttl=2h`, { method: "PUT", body: "still there" }));
  await ok(http.request(`${url}/v1/kv/once`, {
    method: "PUT",
    body: "1",
    headers: { "idempotency-key": "only once" },
  }));
  return id;
}

for (const runtime of takenOn) {
  const other = others[runtime];
  describe(`a backup of a cluster on ${runtime}`, () => {
    it(`under load is its store at its revision, restored on ${other}`, async (t) => {
      await using cluster = await Cluster.start([runtime, runtime, runtime], HISTORY);
      await fill(cluster);
      const file = join(cluster.directory, "taken.backup");
      await using load = new Load(cluster, "load");
      await load.acknowledgedAfter(performance.now() + 300);
      const taken = await holdfast(other, cluster.urls, ["backup", file, "--json"]);
      await load.acknowledgedAfter(performance.now());
      await load.stop();
      const revision = Number(taken["revision"]);
      t.diagnostic(`${runtime}: revision ${revision}, ${Number(taken["fileBytes"])} bytes`);
      const verified = await holdfast(runtime, [], ["verify", file, "--json"]);
      assert.equal(verified["sha256"], taken["sha256"]);

      await using restored = await Cluster.layOut([other, other, other], HISTORY);
      const peers = restored.nodes.map(({ id, url }) => `${id}=${url}`).join(",");
      const flags = ["--data", restored.directory, "--peers", peers, "--json"];
      await holdfast(other, [], ["restore", file, ...flags]);
      await restored.startAll();
      await restored.ready();
      const store = await storeAt(cluster, revision);
      assert.ok(store.length > 200, `${store.length} keys`);
      assert.deepEqual(await storeAt(restored, revision), store);
      // What was before is there as well.
      for (const past of [revision - 100, revision - 1]) {
        assert.deepEqual(await storeAt(restored, past), await storeAt(cluster, past));
      }
      assert.deepEqual(await leasesOf(restored), await leasesOf(cluster));
      for (const node of restored.nodes) {
        const status = await restored.status(node);
        assert.equal(status.revision, revision);
        assert.notEqual(status.clusterId, (await cluster.status(cluster.nodes[0]!)).clusterId);
      }
      const leader = await restored.leader();
      const { http } = restored;
      const ttl = await ok(http.request(`${leader.url}/v1/kv/ttl`));
      assert.ok(Number(ttl.headers["holdfast-ttl-ms"]) > 3_600_000);
      // A write that was answered before the backup is not done again.
      const options = { method: "PUT", body: "1", headers: { "idempotency-key": "only once" } };
      const again = (await ok(http.request(`${leader.url}/v1/kv/once`, options))).json();
      assert.ok((again as { revision: number }).revision < revision);
      const next = await ok(http.request(`${leader.url}/v1/kv/next`, { method: "PUT", body: "" }));
      assert.equal((next.json() as { revision: number }).revision, revision + 1);
    });
  });
}

for (const runtime of runtimes) {
  describe(`a backup of a node on ${runtime}`, () => {
    it("whose taker dies holds nothing up, and is over", async () => {
      await using cluster = await Cluster.start([runtime]);
      const { http, urls: [url = ""] } = cluster;
      const body = new Uint8Array(1024 * 1024);
      for (let n = 0; n < 32; n++) {
        await ok(http.request(`${url}/v1/kv/${n}`, { method: "PUT", body }));
      }
      for (let n = 0; n < 3; n++) {
        await eventually("a backup can be begun", () => beginsBackup(url));
      }
      await ok(http.request(`${url}/v1/kv/k`, { method: "PUT", body: "v" }));
      const taken = await eventually("one can be taken to its end", async () => {
        const answer = await http.request(`${url}/v1/backup`);
        return answer.status === 200 ? answer : undefined;
      });
      const file = join(cluster.directory, "taken.backup");
      writeFileSync(file, taken.body);
      const { keys } = await holdfast(runtime, [], ["verify", file, "--json"]);
      assert.equal(keys, 33);
    });
  });
}

/** Begins to take a backup, and goes away in its midst. */
function beginsBackup(url: string): Promise<true | undefined> {
  return new Promise((resolve) => {
    const request = send(`${url}/v1/backup`, (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        return resolve(undefined);
      }
      response.once("data", () => {
        request.destroy();
        resolve(true);
      });
    });
    request.on("error", () => resolve(undefined));
    request.end();
  });
}

describe("a restore into a running cluster (mixed)", () => {
  it("is whole on all members, through a leader's death in its midst", async () => {
    await using source = await Cluster.start(["node"]);
    await fill(source);
    const file = join(source.directory, "taken.backup");
    await holdfast("bun", source.urls, ["backup", file, "--json"]);
    const revision = (await source.status(source.nodes[0]!)).revision;
    await using cluster = await Cluster.start(["bun", "deno", "node"]);
    const leader = await cluster.leader();
    const [follower, third] = cluster.others(leader.id);
    assert.ok(follower !== undefined && third !== undefined);
    const { http } = cluster;
    const body = readFileSync(file);
    const restoring = eventually("the cluster's version is 2", async () => {
      const url = `${follower.url}/v1/restore`;
      const answer = await http.request(url, { method: "POST", body, timeoutMs: 60_000 });
      return answer.status === 503 ? undefined : answer;
    });
    await eventually("pieces are in the log", async () => {
      const { commit } = await cluster.status(leader);
      return commit > 5 ? true : undefined;
    });
    await leader.kill();
    const answer = await restoring;
    assert.equal(answer.status, 200, answer.text());
    assert.equal((answer.json() as { revision: number }).revision, revision);
    const refused = await http.request(`${follower.url}/v1/restore`, { method: "POST", body });
    assert.equal(refused.status, 412);
    await leader.start();
    await cluster.ready();
    for (const node of cluster.nodes) {
      await eventually(`${node.id} has it`, async () => {
        const status = await cluster.status(node);
        return status.revision === revision ? true : undefined;
      });
    }
    assert.deepEqual(await storeAt(cluster, revision), await storeAt(source, revision));
    assert.deepEqual(await leasesOf(cluster), await leasesOf(source));
  });
});
