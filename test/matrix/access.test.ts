/** Tokens on real nodes: made at the first start, asked for by every node, through followers, leader kills and restarts. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import type { HttpAnswer } from "./harness/http-client.ts";
import type { NodeProcess } from "./harness/node-process.ts";

/** The node that made the root token, and its text. */
async function rootToken(
  cluster: Cluster,
): Promise<{ readonly text: string; readonly path: string }> {
  return await eventually(() => `a root token\n${cluster.stderr()}`, async () => {
    // A node that lost to another takes its file away again.
    for (const node of cluster.nodes) {
      const path = join(node.data, "root-token");
      if (!existsSync(path)) continue;
      const text = readFileSync(path, "utf8").trim();
      const { status } = await ask(cluster, node, "GET /v1/access/self", { token: text });
      if (status === 200) return { text, path };
    }
    return undefined;
  });
}

async function ask(
  { http }: Cluster,
  node: NodeProcess,
  request: string,
  { token, body }: { readonly token?: string; readonly body?: string | object } = {},
): Promise<HttpAnswer> {
  const [method = "", target = ""] = request.split(" ");
  return await http.request(`${node.url}${target}`, {
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
}

/** Fails unless all nodes answer so, whoever leads. */
async function everywhere(
  cluster: Cluster,
  status: number,
  request: string,
  given: { readonly token?: string; readonly body?: string | object } = {},
): Promise<void> {
  for (const node of cluster.nodes.filter(({ isRunning }) => isRunning)) {
    const answer = await ask(cluster, node, request, given);
    assert.equal(answer.status, status, `${request} at ${node.id}: ${answer.text()}`);
    if (status > 400 && !request.startsWith("GET")) {
      assert.equal((answer.json() as { outcome: string }).outcome, "not_applied");
    }
  }
}

async function newToken(cluster: Cluster, token: string, body: object): Promise<{
  readonly id: string;
  readonly token: string;
}> {
  const answer = await ask(cluster, cluster.node("n2"), "POST /v1/access/tokens", { token, body });
  assert.equal(answer.status, 201, answer.text());
  return answer.json() as { id: string; token: string };
}

describe("tokens", { timeout: 120_000 }, () => {
  for (const { name, runtimes } of longSetups) {
    it(`of a cluster of ${name}: made, asked for, taken away, and kept`, async () => {
      await using cluster = await Cluster.layOut(runtimes);
      const [n1, n2, n3] = cluster.nodes;
      assert.ok(n1 !== undefined && n2 !== undefined && n3 !== undefined);
      // One that wasn't told to ask for tokens is no hole.
      const on = ["--auth", "on"];
      await Promise.all([n1.start(on), n2.start(on), n3.start()]);
      await cluster.ready();
      const { text: root, path } = await rootToken(cluster);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      for (const node of cluster.nodes) assert.ok(!node.stderr.includes(root), "never in the log");
      await eventually("one file alone", async () => {
        const files = cluster.nodes.filter(({ data }) => existsSync(join(data, "root-token")));
        return files.length === 1 ? true : undefined;
      });
      await everywhere(cluster, 401, "PUT /v1/kv/a", { body: "v" });
      await everywhere(cluster, 401, "GET /v1/kv/a");
      await everywhere(cluster, 200, "GET /livez");

      const role = { grants: [{ verbs: ["read", "write"], prefix: "a/" }] };
      const set = await ask(cluster, n2, "PUT /v1/access/roles/app", { token: root, body: role });
      assert.equal(set.status, 200, set.text());
      const app = await newToken(cluster, root, { name: "app", roles: ["app"] });
      // Right after it was made, by every node: also by those that haven't heard of it yet.
      await everywhere(cluster, 404, "GET /v1/kv/a/none", { token: app.token });
      await everywhere(cluster, 403, "GET /v1/kv/b/none", { token: app.token });
      await everywhere(cluster, 403, "PUT /v1/kv/b/none", { token: app.token, body: "v" });
      const batch = { ops: [{ put: { key: "a/1", value: "v" } }, { delete: { key: "b/1" } }] };
      await everywhere(cluster, 403, "POST /v1/batch", { token: app.token, body: batch });
      for (const node of cluster.nodes) {
        const given = { token: app.token, body: "v" };
        assert.ok((await ask(cluster, node, `PUT /v1/kv/a/${node.id}`, given)).status === 201);
      }

      const leader = await eventually("a leader", async () => {
        const { leader } = (await ask(cluster, n1, "GET /v1/status", { token: root })).json() as {
          leader: string | null;
        };
        return leader ?? undefined;
      });
      await cluster.node(leader).kill();
      await eventually("the others go on", async () => {
        const [other] = cluster.others(leader);
        assert.ok(other);
        const given = { token: app.token, body: "v" };
        return (await ask(cluster, other, "PUT /v1/kv/a/on", given)).status < 300
          ? true
          : undefined;
      });
      const gone = await eventually("a token's end", async () => {
        const [, other] = cluster.others(leader);
        assert.ok(other);
        const answer = await ask(cluster, other, `DELETE /v1/access/tokens/${app.id}`, {
          token: root,
        });
        return answer.status < 500 ? answer : undefined;
      });
      assert.ok([200, 404].includes(gone.status), gone.text());
      await everywhere(cluster, 401, "GET /v1/kv/a/on", { token: app.token });
      await everywhere(cluster, 401, "PUT /v1/kv/a/on", { token: app.token, body: "w" });

      // It isn't told to ask for tokens any more: the cluster says so.
      await cluster.node(leader).start();
      await cluster.ready();
      await eventually("the one that was away asks as well", async () => {
        const answer = await ask(cluster, cluster.node(leader), "GET /v1/kv/a/on", {
          token: app.token,
        });
        return answer.status === 401 ? true : undefined;
      });
      const kept = await ask(cluster, cluster.node(leader), "GET /v1/kv/a/on", { token: root });
      assert.equal(kept.text(), "v");
    });
  }
});
