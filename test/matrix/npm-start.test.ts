/** `npm start`, as the README has it: three durable nodes from one command, Ctrl-C, and the data is there again. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { eventually, setups } from "./harness/cluster.ts";
import { freePorts, RunningProcess, temporaryDirectory } from "./harness/node-process.ts";
import { HttpClient } from "./harness/http-client.ts";

for (const { name } of setups) {
  describe(`npm start (${name})`, () => {
    it("serves three nodes, stops them on Ctrl-C with status 0, and finds the data again", async () => {
      using temporary = temporaryDirectory();
      const data = join(temporary.path, "data");
      const port = await freePorts(3);
      const urls = [0, 1, 2].map((at) => `http://127.0.0.1:${port + at}`);
      const flags = ["--runtime", name, "--base-port", String(port), "--data", data];
      const http = new HttpClient();
      for (const round of [1, 2]) {
        const started = new RunningProcess(["npm", "start", "--", ...flags], { ownGroup: true });
        try {
          for (const url of urls) {
            await eventually(`${url} is ready`, async () => {
              if (started.hasEnded) throw new Error(started.stdout + started.stderr);
              const { status } = await http.request(`${url}/readyz`);
              return status === 200 ? true : undefined;
            }, 30_000);
          }
          const [first = "", second = ""] = urls;
          const before = await http.request(`${second}/v1/kv/round`);
          assert.equal(before.status === 404 ? null : before.text(), round === 1 ? null : "1");
          const put = { method: "PUT", body: String(round) };
          const answer = await http.request(`${first}/v1/kv/round`, put);
          assert.equal(answer.status, round === 1 ? 201 : 200);
          assert.equal((await http.request(`${second}/v1/kv/round`)).text(), String(round));

          await eventually("it has said who leads", () => {
            return Promise.resolve(/leader/.test(started.stdout) ? true : undefined);
          });
          for (const url of urls) assert.ok(started.stdout.includes(url), started.stdout);
          assert.ok((started.stdout.match(/curl /g)?.length ?? 0) >= 3, started.stdout);

          started.signalGroup("SIGINT");
          const { status, stdout, stderr } = await started.ended;
          assert.equal(status, 0, stdout + stderr);
          for (const url of urls) {
            await assert.rejects(http.request(`${url}/readyz`), { code: "ECONNREFUSED" });
          }
        } finally {
          if (!started.hasEnded) started.signalGroup("SIGKILL");
        }
      }
      http.close();
    });
  });
}
