/** How a node comes to a cluster that is there, and how it goes: added, restarted, lost, removed. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import {
  type Ended,
  freePort,
  NodeProcess,
  run,
  type RunningProcess,
} from "./harness/node-process.ts";

/** Asks until it is so: a change that goes on is waited for by asking again. */
async function ask(
  cluster: Cluster,
  method: "POST" | "DELETE",
  path: string,
  body?: object,
): Promise<void> {
  const url = `${cluster.node("n1").url}/v1/members${path}`;
  const text = body === undefined ? {} : { body: JSON.stringify(body) };
  await eventually(() => `${method} ${path}\n${cluster.stderr()}`, async () => {
    const { status, text: said } = await cluster.http.request(url, { method, ...text });
    assert.ok(status < 300 || status === 409 || status === 503, said());
    return (status < 300 && status !== 202) || undefined;
  });
}

async function notReady(cluster: Cluster, node: NodeProcess, words: RegExp): Promise<void> {
  await eventually(() => `${node.id} says ${words}\n${node.stderr}`, async () => {
    const { status, text } = await cluster.http.request(`${node.url}/readyz`);
    return (status === 503 && words.test(text())) || undefined;
  });
}

/** The one line for people among the log lines. */
function lastWords({ stderr }: Pick<Ended, "stderr"> | RunningProcess): string {
  const lines = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
  assert.equal(lines.length, 1, stderr);
  return lines[0] ?? "";
}

for (const { name, runtimes } of longSetups) {
  describe(`a newcomer (${name})`, () => {
    it("waits until it is added, catches up and votes, and is gone for good once it is removed", async () => {
      await using cluster = await Cluster.start(runtimes);
      const { http } = cluster;
      const [n1, n2, n3] = [cluster.node("n1"), cluster.node("n2"), cluster.node("n3")];
      const put = { method: "PUT", body: "x" };
      assert.equal((await http.request(`${n1.url}/v1/kv/a`, put)).status, 201);

      const contacts = `n1=${n1.url},n2=${n2.url}`;
      const [runtime = "node"] = runtimes;
      const parts = { id: "n4", runtime, port: await freePort() };
      const data = join(cluster.directory, "n4");
      const n4 = new NodeProcess({ ...parts, data, flags: ["--join", contacts] });
      try {
        assert.match(await n4.start(), /^holdfast n4 listening on /);
        await notReady(cluster, n4, /holdfast member add n4 http:\/\/127\.0\.0\.1/);
        assert.equal((await cluster.status(n4)).role, "learner");
        assert.equal((await http.request(`${n4.url}/v1/kv/a`)).status, 503);

        await ask(cluster, "POST", "", { id: "n4", url: n4.url });
        await cluster.ready([n4]);
        assert.equal((await http.request(`${n4.url}/v1/kv/a`)).text(), "x");
        const clusterId = (await cluster.status(n1)).clusterId;
        assert.equal((await cluster.status(n4)).clusterId, clusterId);
        assert.ok(["follower", "leader"].includes((await cluster.status(n4)).role));

        // Its directory says where it belongs, whatever it is told.
        await n4.end("SIGKILL");
        await n4.start();
        await cluster.ready([n4]);

        await n4.end("SIGKILL");
        rmSync(data, { recursive: true });
        await n4.start();
        await notReady(cluster, n4, /disk was lost/);
        await ask(cluster, "DELETE", "/n4");
        const ended = await n4.end("SIGCONT");
        assert.equal(ended.status, 3);
        assert.match(lastWords(ended), /n4 was removed.*never comes back/);
        const again = await run(n4.command());
        assert.equal(again.status, 3);
        assert.match(lastWords(again), /n4 was removed/);
      } finally {
        await n4.kill();
      }

      await ask(cluster, "DELETE", "/n3");
      const removed = await n3.end("SIGCONT");
      assert.equal(removed.status, 0, removed.stderr);
      assert.match(removed.stderr, /removed from its cluster/);
      const after = await run(n3.command());
      assert.equal(after.status, 3);
      assert.match(lastWords(after), /n3 was removed.*empty --data/);
      await cluster.ready([n1, n2]);
    });

    it("hears that it was removed while it was away", async () => {
      await using cluster = await Cluster.start(runtimes);
      const n2 = cluster.node("n2");
      await n2.end("SIGKILL");
      await ask(cluster, "DELETE", "/n2");
      await n2.start();
      const ended = await n2.end("SIGCONT");
      assert.equal(ended.status, 0, ended.stderr);
      assert.equal((await run(n2.command())).status, 3);
    });
  });
}
