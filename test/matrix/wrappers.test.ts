/** The commands that people type: each passes the node's exit status on, for bad flags, for signals, for Ctrl-C. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { freePort, run, RunningProcess, temporaryDirectory } from "./harness/node-process.ts";
import { eventually } from "./harness/cluster.ts";
import { HttpClient } from "./harness/http-client.ts";

const wrappers: Readonly<Record<string, readonly [string, ...string[]]>> = {
  "npm run node:node --": ["npm", "run", "node:node", "--"],
  "npm run --silent node --": ["npm", "run", "--silent", "node", "--"],
  "bun run node": ["bun", "run", "node"],
  "deno task node": ["deno", "task", "node"],
};

for (const [name, command] of Object.entries(wrappers)) {
  describe(name, () => {
    it("passes status 2 on for a bad flag", async () => {
      const ended = await run([...command, "--bogus"]);
      assert.equal(ended.status, 2, ended.stderr);
      assert.match(ended.stderr, /--bogus/);
    });

    for (const how of ["SIGTERM to the wrapper", "Ctrl-C in its terminal"] as const) {
      it(`ends the node with status 0 on ${how}`, async () => {
        using temporary = temporaryDirectory();
        const port = await freePort();
        const url = `http://127.0.0.1:${port}`;
        const data = join(temporary.path, "n1");
        const flags = ["--listen", `127.0.0.1:${port}`, "--data", data];
        const http = new HttpClient();
        const started = new RunningProcess([...command, ...flags], { ownGroup: true });
        try {
          await eventually("it serves", async () => {
            const { status } = await http.request(`${url}/readyz`);
            return status === 200 ? true : undefined;
          });
          if (how === "SIGTERM to the wrapper") started.signal("SIGTERM");
          else started.signalGroup("SIGINT");
          const { status, stderr, stdout } = await started.ended;
          assert.equal(status, 0, stdout + stderr);
          await assert.rejects(http.request(`${url}/readyz`), { code: "ECONNREFUSED" });
        } finally {
          http.close();
          if (!started.hasEnded) started.signalGroup("SIGKILL");
        }
      });
    }
  });
}
