/** What a node refuses to start with: the exit status, and one line that says what to do. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, setups } from "./harness/cluster.ts";
import { find, flip, zeroFrom } from "./harness/decay.ts";
import {
  type Ended,
  freePort,
  nodeCommand,
  NodeProcess,
  run,
  type RuntimeName,
  temporaryDirectory,
} from "./harness/node-process.ts";

/** Starts a node with these flags alone; the sockets and files that it must not get to would be found there. */
function start(runtime: RuntimeName, flags: readonly string[]): Promise<Ended> {
  return run([...nodeCommand(runtime), ...flags]);
}

/** One line for people on standard error that matches, beside log lines, which are JSON; nothing on standard output. */
function assertRefused(ended: Ended, status: number, words: RegExp): void {
  assert.equal(ended.status, status, ended.stderr);
  assert.equal(ended.stdout, "");
  const lines = ended.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
  assert.equal(lines.length, 1, ended.stderr);
  assert.match(lines[0] ?? "", words);
}

const peers = "n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002";

const wrongFlags: readonly (readonly [flags: string, words: RegExp])[] = [
  ["--bogus", /--bogus/],
  ["--listen nowhere", /--listen takes .*"nowhere"/],
  ["--listen 127.0.0.1:99999", /--listen takes/],
  ["--id a/b", /--id takes/],
  ["--peers n1=nonsense", /--peers takes/],
  [`--id n9 --peers ${peers} --join ${peers}`, /--join takes.*--peers/],
  ["--storage tape", /--storage takes file or memory/],
  ["--secret tooshort", /--secret takes at least 32/],
  ["--listen 0.0.0.0:4001 --advertise http://10.0.0.1:4001", /--secret/],
  [`--listen 0.0.0.0:4001 --advertise http://10.0.0.1:4001 --secret ${"s".repeat(32)}`, /--auth/],
  ["--tls-cert none.pem", /--tls-key/],
  ["--tls-cert none.pem --tls-key none.pem", /--tls-cert: "none\.pem" .*ENOENT/],
  ["--secret-file none", /--secret-file: "none" .*ENOENT/],
  ["--election-timeout fast", /--election-timeout takes/],
  ["--election-timeout 100ms --heartbeat-interval 50ms", /--heartbeat-interval takes/],
  ["--max-clock-drift 2", /--max-clock-drift takes/],
  ["--snapshot-entries -1", /--snapshot-entries/],
  ["--request-timeout 0", /--request-timeout takes/],
  ["--log-level loud", /--log-level takes/],
  ["surplus", /surplus/],
];

const chosen = setups.flatMap(({ name, runtimes }) =>
  runtimes.filter((one) => one === name).slice(0, 1)
);

for (const runtime of chosen) {
  describe(`a node that can't start (${runtime})`, () => {
    it("names the flag that is wrong, with status 2", async () => {
      using temporary = temporaryDirectory();
      // The same code reads them everywhere: all of them once, and a few elsewhere.
      const some = wrongFlags.filter((_, at) => runtime === chosen[0] || at % 5 === 0);
      for (const [flags, words] of some) {
        const data = join(temporary.path, "data");
        assertRefused(await start(runtime, ["--data", data, ...flags.split(" ")]), 2, words);
      }
      assert.deepEqual(readdirSync(temporary.path), [], "nothing was made on the disk");
    });

    it("names a variable of the environment that is wrong", async () => {
      const env = { HOLDFAST_ELECTION_TIMEOUT: "soon" };
      const ended = await run([...nodeCommand(runtime)], { env });
      assertRefused(ended, 2, /--election-timeout takes.*HOLDFAST_ELECTION_TIMEOUT.*"soon"/);
    });

    it("names a port that is busy", async () => {
      using temporary = temporaryDirectory();
      const port = await freePort();
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
      try {
        const flags = ["--listen", `127.0.0.1:${port}`, "--data", join(temporary.path, "n1")];
        assertRefused(await start(runtime, flags), 2, new RegExp(`--listen.*${port}`));
      } finally {
        server.close();
      }
    });

    it("refuses a data directory below a file, with strangers in it, or another node's, with status 3", async () => {
      using temporary = temporaryDirectory();
      const port = await freePort();
      const listen = ["--listen", `127.0.0.1:${port}`];
      const file = join(temporary.path, "file");
      writeFileSync(file, "here");
      assertRefused(
        await start(runtime, [...listen, "--data", join(file, "n1")]),
        3,
        new RegExp(`${file}/n1`),
      );

      const strangers = join(temporary.path, "strangers");
      mkdirSync(strangers);
      writeFileSync(join(strangers, "letter.txt"), "dear reader");
      const foreign = await start(runtime, [...listen, "--data", strangers]);
      assertRefused(foreign, 3, /letter\.txt/);
      assert.deepEqual(readdirSync(strangers), ["letter.txt"]);

      const data = join(temporary.path, "n1");
      const node = new NodeProcess({ id: "n1", runtime, port, data });
      await node.start();
      await node.end("SIGTERM");
      const other = await start(runtime, ["--id", "n2", ...listen, "--data", data]);
      assertRefused(other, 3, /n1/);
      await node.start();
      await node.end("SIGTERM");
    });

    it("refuses a data directory that a process holds, and takes it as soon as that is killed", async () => {
      using temporary = temporaryDirectory();
      const data = join(temporary.path, "n1");
      const node = new NodeProcess({ id: "n1", runtime, port: await freePort(), data });
      try {
        await node.start();
        const second = ["--listen", `127.0.0.1:${await freePort()}`, "--data", data];
        assertRefused(await start(runtime, second), 3, new RegExp(`${data}.*${node.pid}`));
        await node.kill();
        await node.start();
      } finally {
        await node.kill();
      }
    });

    it("refuses a log with a flipped byte in its middle, and says where; a torn tail is cut", async () => {
      using temporary = temporaryDirectory();
      const data = join(temporary.path, "n1");
      const node = new NodeProcess({ id: "n1", runtime, port: await freePort(), data });
      await using cluster = await Cluster.layOut([]);
      const { http } = cluster;
      try {
        await node.start();
        await cluster.ready([node]);
        for (let n = 0; n < 50; n++) {
          const body = `value-${n}-${"x".repeat(200)}`;
          const { status } = await http.request(`${node.url}/v1/kv/k${n}`, { method: "PUT", body });
          assert.equal(status, 201);
        }
        await node.end("SIGKILL");

        const { file, offset } = find(join(data, "wal"), "value-20-");
        flip(file, offset + 40);
        const refused = await run(node.command());
        assertRefused(refused, 3, new RegExp(`${file.replaceAll(".", "\\.")}, offset \\d+`));
        const named = Number(/offset (\d+)/.exec(refused.stderr)?.[1]);
        assert.ok(named <= offset + 40 && named > offset - 4096, `offset ${named}, not ${offset}`);
        assertRefused(await run(node.command()), 3, new RegExp(`offset ${named}`));
        flip(file, offset + 40);

        const last = find(join(data, "wal"), "value-49-");
        zeroFrom(last.file, last.offset + 100);
        await node.start();
        await cluster.ready([node]);
        for (let n = 0; n < 49; n++) {
          const { text } = await http.request(`${node.url}/v1/kv/k${n}`);
          assert.ok(text().startsWith(`value-${n}-`));
        }
        const torn = await http.request(`${node.url}/v1/kv/k49`);
        assert.equal(torn.status, 404, "the last one was cut as if it had never been synced");
      } finally {
        await node.kill();
      }
    });
  });
}
