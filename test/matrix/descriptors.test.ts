/** More connections than a node has file descriptors: it serves again when they have gone. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { eventually } from "./harness/cluster.ts";
import { HttpClient } from "./harness/http-client.ts";
import {
  freePort,
  nodeCommand,
  RunningProcess,
  runtimes,
  temporaryDirectory,
} from "./harness/node-process.ts";

const DESCRIPTORS = 200;
const CONNECTIONS = 400;

describe("a node without file descriptors for more connections", () => {
  for (const runtime of runtimes) {
    it(`goes on when there are some again (${runtime})`, async () => {
      using temporary = temporaryDirectory();
      const port = await freePort();
      const flags = ["--listen", `127.0.0.1:${port}`, "--data", temporary.path];
      const command = [...nodeCommand(runtime), ...flags].map((word) => `'${word}'`).join(" ");
      const node = new RunningProcess([
        "sh",
        "-c",
        `ulimit -n ${DESCRIPTORS}; exec ${command}`,
      ]);
      const http = new HttpClient();
      const put = () =>
        http.request(`http://127.0.0.1:${port}/v1/kv/a`, {
          method: "PUT",
          body: "x",
          timeoutMs: 2000,
        });
      const serves = async () => (await put()).status < 300 ? true : undefined;
      const sockets: Socket[] = [];
      try {
        await node.firstLine();
        await eventually("it serves", serves);
        await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
          const socket = connect(port, "127.0.0.1").on("error", () => {});
          sockets.push(socket);
          await once(socket, "connect").catch(() => {});
        }));
        for (const socket of sockets) socket.destroy();
        await eventually(() => `it serves again: ${node.stderr}`, serves);
        assert.equal(node.hasEnded, false);
      } finally {
        for (const socket of sockets) socket.destroy();
        http.close();
        node.signal("SIGKILL");
        await node.ended;
      }
    });
  }
});
