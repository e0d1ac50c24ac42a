/** A node told to stop while a client has sent half a request, and while others keep coming. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { eventually } from "./harness/cluster.ts";
import { HttpClient } from "./harness/http-client.ts";
import {
  freePort,
  nodeCommand,
  RunningProcess,
  runtimes,
  temporaryDirectory,
} from "./harness/node-process.ts";

/** A write whose body never comes to its end. */
class HalfRequest implements Disposable {
  #socket: Socket | null = null;

  send(port: number): void {
    this.#socket = connect({ host: "127.0.0.1", port }).on("error", () => {});
    this.#socket.write("PUT /v1/kv/half HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc");
  }

  [Symbol.dispose](): void {
    this.#socket?.destroy();
  }
}

/** One request over a connection of its own. */
async function newcomer(url: string): Promise<void> {
  const http = new HttpClient();
  await http.request(url);
  http.close();
}

for (const runtime of runtimes) {
  describe(`a node under ${runtime} that is told to stop`, () => {
    it("ends with status 0 though half a body hangs, and refuses what comes meanwhile", async () => {
      using temporary = temporaryDirectory();
      const port = await freePort();
      const key = `http://127.0.0.1:${port}/v1/kv/half`;
      const flags = ["--listen", `127.0.0.1:${port}`, "--data", join(temporary.path, "n1")];
      const started = new RunningProcess([...nodeCommand(runtime), ...flags]);
      const http = new HttpClient();
      using half = new HalfRequest();
      try {
        await started.firstLine();
        await eventually("it serves", async () => {
          const { status } = await http.request(key);
          return status === 404 ? true : undefined;
        });
        half.send(port);
        // Nothing tells from outside that the node has begun with it; requests sent later have been answered.
        for (let round = 0; round < 20; round++) await newcomer(key);
        started.signal("SIGTERM");
        const refused = await eventually("it refuses", async () => {
          const answer = await http.request(key, { method: "PUT", body: "x" });
          return answer.status === 503 ? answer : undefined;
        });
        assert.match(refused.text(), /"outcome":"not_applied"/);
        for (const name of ["holdfast-node", "holdfast-revision", "holdfast-term"]) {
          assert.ok(refused.headers[name], `${name} in ${JSON.stringify(refused.headers)}`);
        }
        const { status, stderr } = await started.ended;
        assert.equal(status, 0, stderr);
      } finally {
        http.close();
        started.signal("SIGKILL");
      }
    });
  });
}
