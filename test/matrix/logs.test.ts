/** The log of real nodes: what it never says, and that nothing waits for whoever reads it. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import { HttpClient } from "./harness/http-client.ts";
import {
  freePorts,
  nodeCommand,
  RunningProcess,
  type RuntimeName,
  runtimes,
  temporaryDirectory,
} from "./harness/node-process.ts";

const secret = "marker-of-a-cluster-secret-0123456789";
const rootToken = `hf_rootid00_marker_of_a_root_token_${"0".repeat(12)}`;
const wrongToken = `hf_wrongid0_marker_of_a_wrong_token_${"0".repeat(12)}`;

for (const { name, runtimes: chosen } of longSetups) {
  describe(`logs (${name})`, () => {
    it("hold no secret, token, key or value at debug level, whatever goes wrong", async () => {
      const flags = ["--log-level", "debug", "--secret", secret, "--auth", "on"];
      await using cluster = await Cluster.start(chosen, [...flags, "--root-token", rootToken]);
      const { http } = cluster;
      const bearer = { authorization: `Bearer ${rootToken}` };
      const heard: string[] = [];
      const write = async (): Promise<void> => {
        const running = cluster.nodes.filter((node) => node.isRunning);
        await Promise.all(running.map(async ({ url }) => {
          await ask(url, "PUT", "/v1/kv/marker-key?ttl=1h", "marker-value");
          await ask(url, "GET", "/v1/kv/marker-key");
          await ask(url, "GET", "/v1/kv?prefix=marker-key&limit=marker");
          await ask(url, "POST", "/v1/txn", '{"then":[{"put":{"key":"marker","value":"marker"}}]}');
          await ask(url, "POST", "/v1/batch", '{"marker":');
          await ask(url, "PUT", "/v1/members", '{"voters":["marker"]}');
          await ask(url, "PUT", "/v1/marker", "marker");
          await ask(url, "POST", "/raft/v1/append", "marker");
        }));
      };
      const ask = async (url: string, method: string, path: string, body?: string) => {
        const headers = {
          "holdfast-metadata": btoa("marker"),
          "idempotency-key": `marker-${heard.length}`,
          traceparent: "marker",
        };
        const wrong = { authorization: `Bearer ${wrongToken}` };
        for (const said of method === "PUT" ? [bearer, wrong] : [bearer]) {
          const options = { method, headers: { ...headers, ...said }, timeoutMs: 5000 };
          const answer = await http.request(
            url + path,
            body === undefined ? options : { ...options, body },
          );
          heard.push(`${method} ${path} ${answer.status}`);
        }
      };
      // Once the root token is the cluster's.
      await eventually("writes are taken", async () => {
        const [first] = cluster.nodes;
        assert.ok(first);
        const options = { method: "PUT", body: "marker", headers: bearer, timeoutMs: 5000 };
        const { status } = await http.request(`${first.url}/v1/kv/marker`, options);
        return status === 201 ? true : undefined;
      });
      await write();
      const leader = (await Promise.all(cluster.nodes.map(async (node) => {
        const { json } = await http.request(`${node.url}/v1/status`, { headers: bearer });
        return (json() as { readonly role: string }).role === "leader" ? node : null;
      }))).find((node) => node !== null);
      assert.ok(leader);
      await leader.kill();
      const told = [leader.stderr];
      await cluster.ready(cluster.others(leader.id));
      await write();
      await leader.start();
      await cluster.ready();
      await write();
      for (const node of cluster.nodes) await node.end("SIGTERM");
      told.push(...cluster.nodes.map((node) => node.stderr + node.stdout));
      assert.ok(heard.some((line) => /PUT \/v1\/kv\S+ 20[01]/.test(line)), heard.join("\n"));
      assert.ok(told.every((text) => text.includes('"level":"debug"')));
      const lines = told.flatMap((text) => text.split("\n"));
      assert.deepEqual(lines.filter((line) => /marker|bWFya2Vy/.test(line)), []);
    });
  });
}

/** What stands where a node's standard error leads to. */
const readers = {
  /** A pipe that is full, and that nobody reads. */
  stuck: "exec 2> >(exec sleep 60 >/dev/null 2>&1); timeout 1 head -c 4194304 /dev/zero >&2",
  /** A pipe whose reader has gone. */
  gone: "exec 2> >(exec true); while (echo >&2); do sleep 0.02; done",
};

for (const [reader, script] of Object.entries(readers)) {
  describe(`a log whose reader is ${reader}`, () => {
    it("holds nobody up, on any runtime", async () => {
      using temporary = temporaryDirectory();
      const first = await freePorts(runtimes.length);
      const urls = runtimes.map((_, at) => `http://127.0.0.1:${first + at}`);
      const peers = urls.map((url, at) => `n${at + 1}=${url}`).join(",");
      const shell = join(temporary.path, "quiet.sh");
      writeFileSync(shell, `${script}\nexec "$@"\n`);
      const started = runtimes.map((runtime: RuntimeName, at) => {
        const own = ["--id", `n${at + 1}`, "--listen", `127.0.0.1:${first + at}`, "--peers", peers];
        const data = ["--data", join(temporary.path, `n${at + 1}`), "--log-level", "debug"];
        const command = ["bash", shell, ...nodeCommand(runtime), ...own, ...data] as const;
        return new RunningProcess([...command], { ownGroup: true });
      });
      const http = new HttpClient();
      try {
        for (const node of started) await node.firstLine();
        for (const url of urls) {
          await eventually(`${url} is ready`, async () => {
            const { status } = await http.request(`${url}/readyz`, { timeoutMs: 1000 });
            return status === 200 ? true : undefined;
          });
        }
        for (let n = 0; n < 60; n++) {
          const url = `${urls[n % urls.length]}/v1/kv/key-${n}`;
          assert.equal((await http.request(url, { method: "PUT", body: `${n}` })).status, 201);
          assert.equal((await http.request(url)).text(), `${n}`);
        }
        const dropped = await Promise.all(urls.map(async (url) => {
          const { text } = await http.request(`${url}/metrics`);
          return Number(/^holdfast_log_dropped_lines_total (\d+)$/m.exec(text())?.[1]);
        }));
        // What waits for a reader that is stuck may yet be read.
        for (const lines of dropped) assert.ok(reader === "gone" ? lines > 0 : lines === 0);
        const ended = started.map((node) => node.ended);
        for (const node of started) node.signalGroup("SIGTERM");
        assert.deepEqual((await Promise.all(ended)).map(({ status }) => status), [0, 0, 0]);
      } finally {
        for (const node of started) node.signalGroup("SIGKILL");
        http.close();
      }
    });
  });
}
