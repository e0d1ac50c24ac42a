/** What anybody sees first: the line, a put here and a get there, a stop, and the data after it. */
import { after, before, describe, it } from "node:test";
import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { Cluster, setups } from "./harness/cluster.ts";

const version = { bun: /^bun \d+\.\d+\.\d+/, deno: /^deno \d+\.\d+\.\d+/, node: /^node \d+\./ };

for (const { name, runtimes } of setups) {
  describe(`first contact (${name})`, () => {
    let cluster: Cluster;
    before(async () => {
      cluster = await Cluster.layOut(runtimes);
    });
    after(() => cluster[Symbol.asyncDispose]());

    it("says one line when it serves, and nothing else on standard output", async () => {
      const lines = await cluster.startAll();
      for (const [at, node] of cluster.nodes.entries()) {
        const [, url, runtime] =
          /^holdfast (?:n\d) listening on (\S+) \((.*)\)$/.exec(lines[at] ?? "") ?? [];
        assert.ok(lines[at]?.startsWith(`holdfast ${node.id} listening on `), lines[at]);
        assert.equal(url, node.url);
        assert.match(runtime ?? "", version[node.runtime]);
      }
      await cluster.ready();
      for (const node of cluster.nodes) assert.equal(node.stdout.split("\n").length, 2);
    });

    it("reads on every node at once what was put on any", async () => {
      for (const [round, writer] of [...cluster.nodes, ...cluster.nodes].entries()) {
        const value = `round ${round}`;
        const answer = await cluster.http.request(`${writer.url}/v1/kv/greeting`, {
          method: "PUT",
          body: value,
          headers: { "content-type": "text/plain" },
        });
        assert.equal(answer.status, round === 0 ? 201 : 200, answer.text());
        assert.deepEqual(answer.json(), { revision: round + 1, version: round + 1 });
        assert.equal(answer.headers.etag, `"${round + 1}"`);
        await Promise.all(cluster.nodes.map(async (node) => {
          const read = await cluster.http.request(`${node.url}/v1/kv/greeting`);
          assert.equal(read.status, 200);
          assert.equal(read.text(), value);
          assert.equal(read.headers["content-type"], "text/plain");
          assert.equal(read.headers["holdfast-node"], node.id);
          assert.equal(read.headers.etag, `"${round + 1}"`);
        }));
      }
    });

    it("stops within 10 s with status 0 on SIGTERM and SIGINT, and finds its data again", async () => {
      const { http, nodes } = cluster;
      const [first] = nodes;
      assert.ok(first);
      for (let n = 0; n < 20; n++) {
        await http.request(`${first.url}/v1/kv/key-${n}`, { method: "PUT", body: `value ${n}` });
      }
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        const start = performance.now();
        const ended = await Promise.all(nodes.map((node) => node.end(signal)));
        const took = performance.now() - start;
        assert.deepEqual(ended.map(({ status }) => status), [0, 0, 0], cluster.stderr());
        assert.ok(took < 10_000, `it took ${took} ms`);
        await cluster.startAll();
        await cluster.ready();
        for (const node of nodes) {
          for (let n = 0; n < 20; n++) {
            const { status, text } = await http.request(`${node.url}/v1/kv/key-${n}`);
            assert.equal(status, 200);
            assert.equal(text(), `value ${n}`);
          }
        }
      }
    });
  });
}
