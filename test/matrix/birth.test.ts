/** How a cluster begins: when all its first members are there, and never again with a disk that was lost. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import { freePort, NodeProcess, temporaryDirectory } from "./harness/node-process.ts";

function incarnationOf(node: NodeProcess): unknown {
  const text = readFileSync(join(node.data, "identity.json"), "utf8");
  return (JSON.parse(text) as { incarnation?: unknown }).incarnation;
}

/** What a node's log says at a level. */
function logged(node: NodeProcess, level: string): readonly string[] {
  return node.stderr.split("\n").filter((line) => line.includes(`"level":"${level}"`));
}

for (const { name, runtimes } of longSetups) {
  describe(`a cluster's birth (${name})`, () => {
    it("waits for all first members, says for whom, and then serves where it listened", async () => {
      await using cluster = await Cluster.layOut(runtimes, ["--request-timeout", "300ms"]);
      const { http } = cluster;
      const [n1, n2, n3] = [cluster.node("n1"), cluster.node("n2"), cluster.node("n3")];
      for (const node of [n1, n2]) {
        assert.match(await node.start(), /^holdfast n\d listening on /);
        assert.equal((await http.request(`${node.url}/livez`)).status, 200);
        const put = await http.request(`${node.url}/v1/kv/a`, { method: "PUT", body: "x" });
        assert.equal(put.status, 503);
        const { code, outcome } = put.json() as { code: string; outcome: string };
        assert.deepEqual([code, outcome], ["no_leader", "not_applied"]);
        assert.equal((await http.request(`${node.url}/v1/kv/a`)).status, 503);
        const { role, term, leader } = await cluster.status(node);
        assert.deepEqual([role, term, leader], ["follower", 0, null]);
      }
      await eventually("both wait for n3 alone", async () => {
        const said = await Promise.all([n1, n2].map(({ url }) => http.request(`${url}/readyz`)));
        for (const { status } of said) assert.equal(status, 503);
        return said.every((one) => /waits for n3 \(no answer\)"/.test(one.text())) || undefined;
      });
      assert.match((await http.request(`${n1.url}/metrics`)).text(), /server_has_leader 0/);

      const life = incarnationOf(n2);
      assert.match(String(life), /^[0-9a-f]{16}$/);
      assert.equal((await n2.end("SIGTERM")).status, 0, n2.stderr);
      await n2.start();
      assert.equal((await n2.end("SIGKILL")).status, "SIGKILL");
      await n2.start();
      assert.equal(incarnationOf(n2), life);

      await n3.start();
      await cluster.ready();
      const put = await http.request(`${n1.url}/v1/kv/a`, { method: "PUT", body: "x" });
      assert.equal(put.status, 201);
      const seen = await Promise.all(cluster.nodes.map((node) => cluster.status(node)));
      assert.equal(new Set(seen.map(({ clusterId }) => clusterId)).size, 1);
      for (const node of cluster.nodes) assert.equal(node.stdout.split("\n").length, 2);
      assert.equal(incarnationOf(n2), life);
    });

    it("does not take a lost disk for the voter that it was", async () => {
      await using cluster = await Cluster.start(runtimes, ["--request-timeout", "1s"]);
      const { http } = cluster;
      const [n1, n2, n3] = [cluster.node("n1"), cluster.node("n2"), cluster.node("n3")];
      const put = async (body: string): Promise<number> => {
        return (await http.request(`${n1.url}/v1/kv/a`, { method: "PUT", body })).status;
      };
      assert.equal(await put("kept"), 201);
      await n2.end("SIGKILL");
      rmSync(n2.data, { recursive: true });
      await n2.start();
      await eventually("n2 says that its disk was lost", async () => {
        const { status, text } = await http.request(`${n2.url}/readyz`);
        assert.equal(status, 503);
        return /disk was lost.*holdfast member replace n2/.test(text()) || undefined;
      });
      const refused = await http.request(`${n2.url}/v1/kv/a`);
      assert.equal(refused.status, 503);
      assert.equal(await put("with two of three"), 200);

      await n3.end("SIGKILL");
      assert.ok([503, 504].includes(await put("with n2's vote")), "n2 votes for nobody");
      await n1.end("SIGKILL");
      await n1.start();
      await eventually("n1 campaigns", async () => {
        return (await cluster.status(n1)).role === "preCandidate" || undefined;
      });
      assert.equal((await http.request(`${n1.url}/v1/kv/a`)).status, 503);

      await n3.start();
      await cluster.ready([n1, n3]);
      const { text } = await http.request(`${n3.url}/v1/kv/a`);
      assert.match(text(), /^with /);
      const { term } = await cluster.status(n2);
      assert.equal(term, 0, "n2 has heard nothing of the cluster");
      assert.equal((await n2.end("SIGTERM")).status, 0);
      const errors = logged(n2, "error");
      assert.equal(errors.length, 1, n2.stderr);
      assert.match(errors[0] ?? "", /disk was lost/);
    });

    it("does not come about among nodes that were told of other members", async () => {
      using temporary = temporaryDirectory();
      await using cluster = await Cluster.layOut([]);
      const [first, second] = [await freePort(), await freePort()];
      const urls = [`http://127.0.0.1:${first}`, `http://127.0.0.1:${second}`];
      const [runtime = "node", other = "node"] = runtimes;
      const peers = `n1=${urls[0]},n2=${urls[1]}`;
      const parts = [
        { id: "n1", port: first, runtime, peers },
        { id: "n2", port: second, runtime: other, peers: `${peers},n3=http://127.0.0.1:9` },
      ];
      const nodes = parts.map((part) => {
        return new NodeProcess({ ...part, data: join(temporary.path, part.id) });
      });
      try {
        await Promise.all(nodes.map((node) => node.start()));
        for (const node of nodes) {
          const line = await eventually("it tells of the other text", () => {
            return Promise.resolve(logged(node, "error")[0]);
          });
          const { ours, theirs } = JSON.parse(line) as { ours: string; theirs: string };
          assert.deepEqual([ours, theirs].toSorted(), parts.map((part) => part.peers).toSorted());
          const { status, text } = await cluster.http.request(`${node.url}/readyz`);
          assert.equal(status, 503);
          assert.match(text(), /other --peers/);
        }
      } finally {
        for (const node of nodes) await node.kill();
      }
    });
  });
}
