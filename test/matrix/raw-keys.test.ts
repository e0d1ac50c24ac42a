/** Keys as they were sent: what a URL parser would resolve away names a key like any other. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { HttpClient } from "./harness/http-client.ts";
import {
  freePort,
  nodeCommand,
  RunningProcess,
  runtimes,
  temporaryDirectory,
} from "./harness/node-process.ts";
import { eventually } from "./harness/cluster.ts";

/** Sent, and stored as. */
const keys: readonly (readonly [sent: string, stored: string])[] = [
  ["a/../b", "a/../b"],
  ["c/%2e%2E/d", "c/../d"],
  ["..", ".."],
  [".", "."],
  ["e/.", "e/."],
  ["f/..", "f/.."],
  ["g/./%2F?consistency=stale", "g/.//"],
  ["%C3%A9/../h", "é/../h"],
  ["i//j", "i//j"],
  ["k/", "k/"],
];

for (const runtime of runtimes) {
  describe(`a key under ${runtime}`, () => {
    it("with segments of dots is kept as it was sent", async () => {
      using temporary = temporaryDirectory();
      const url = `http://127.0.0.1:${await freePort()}`;
      const flags = ["--listen", url.slice("http://".length), "--data", temporary.path];
      const node = new RunningProcess([...nodeCommand(runtime), ...flags]);
      const http = new HttpClient();
      try {
        await node.firstLine();
        await eventually("it serves", async () => {
          const { status } = await http.request(`${url}/v1/kv/none`);
          return status === 404 ? true : undefined;
        });
        for (const [sent, stored] of keys) {
          const put = await http.request(`${url}/v1/kv/${sent}`, { method: "PUT", body: stored });
          assert.equal(put.status, 201, `${sent}: ${put.text()}`);
          const got = await http.request(`${url}/v1/kv/${sent}`);
          assert.equal(got.text(), stored);
        }
        const list = (await http.request(`${url}/v1/kv`)).text();
        const expected = keys.map(([, stored]) => stored).sort();
        const { items } = JSON.parse(list) as { items: { key: string }[] };
        assert.deepEqual(items.map(({ key }) => key).sort(), expected);
      } finally {
        http.close();
        node.signal("SIGKILL");
        await node.ended;
      }
    });
  });
}
