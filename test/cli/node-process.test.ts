import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { connect } from "../../src/client/mod.ts";
import { thisRuntime } from "../../src/cli/node.ts";
import { freePort, startNode, temporaryDirectory } from "./processes.ts";

describe("a node's process", { timeout: 120_000 }, () => {
  let directory = "";
  let remove = async (): Promise<void> => {};
  before(async () => {
    ({ path: directory, remove } = await temporaryDirectory());
  });
  after(() => remove());

  it("exits with 2 and one line that names the flag", async () => {
    for (
      const [flag, ...rest] of [
        ["--bogus"],
        ["--secret", "hunter2"],
      ]
    ) {
      const { status, stdout, stderr } = await startNode([flag ?? "", ...rest]).ended;
      assert.equal(status, 2);
      assert.equal(stdout, "");
      assert.match(stderr, new RegExp(`^holdfast: ${flag} [^\\n]+\\n$`));
      assert.doesNotMatch(stderr, /hunter2/);
    }
  });

  it("prints its flags and exits with 0 where it is asked for help", async () => {
    const { status, stdout } = await startNode(["--help"]).ended;
    assert.equal(status, 0);
    assert.match(stdout, /--election-timeout +HOLDFAST_ELECTION_TIMEOUT/);
  });

  it("says in one line that it serves, stops at a signal with 0, and finds its data again", async () => {
    const port = await freePort();
    const flags = ["--listen", `127.0.0.1:${port}`, "--data", `${directory}/n1`];
    const client = connect({ endpoints: [`http://127.0.0.1:${port}`] });
    const version = process.versions[thisRuntime];
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const node = startNode(flags);
      assert.equal(
        await node.line(/./),
        `holdfast n1 listening on http://127.0.0.1:${port} (${thisRuntime} ${version})`,
      );
      if (signal === "SIGTERM") await client.put("k", "v");
      assert.equal((await client.get("k"))?.revision, 1);
      node.kill(signal);
      const { status, stdout, stderr } = await node.ended;
      assert.equal(status, 0);
      assert.equal(stdout.split("\n").length, 2);
      for (const line of stderr.trimEnd().split("\n")) assert.ok(JSON.parse(line));
    }
  });

  it("exits with 3 where the directory is locked, and with 0 once its holder was killed", async () => {
    const [first, second] = [await freePort(), await freePort()];
    const data = ["--data", `${directory}/locked`];
    const holder = startNode(["--listen", `127.0.0.1:${first}`, ...data]);
    await holder.line(/listening/);
    const refused = await startNode(["--listen", `127.0.0.1:${second}`, ...data]).ended;
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, /^holdfast: \S+\/locked is in use by process \d+/m);
    holder.kill("SIGKILL");
    await holder.ended;
    const next = startNode(["--listen", `127.0.0.1:${second}`, ...data]);
    await next.line(/listening/);
    next.kill("SIGTERM");
    assert.equal((await next.ended).status, 0);
  });

  it("exits with 3 where the directory is another node's, not its own, or can't be made", async () => {
    const port = await freePort();
    const start = (id: string, data: string) =>
      startNode(["--id", id, "--listen", `127.0.0.1:${port}`, "--data", data]);
    const owner = start("n1", `${directory}/owned`);
    await owner.line(/listening/);
    owner.kill("SIGTERM");
    await owner.ended;
    const another = await start("n2", `${directory}/owned`).ended;
    assert.equal(another.status, 3);
    assert.match(another.stderr, /identity\.json says .* node n1 .*--id n1/);

    await mkdir(`${directory}/foreign`);
    await writeFile(`${directory}/foreign/thesis.txt`, "");
    const foreign = await start("n1", `${directory}/foreign`).ended;
    assert.equal(foreign.status, 3);
    assert.match(foreign.stderr, /foreign holds "thesis\.txt"/);
    assert.deepEqual(await readdir(`${directory}/foreign`), ["thesis.txt"]);

    const unusable = await start("n1", "/proc/holdfast").ended;
    assert.equal(unusable.status, 3);
    assert.match(unusable.stderr, /\/proc\/holdfast cannot be used/);
  });

  it("exits with 2 and names --listen where its port is in use", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const listen = `127.0.0.1:${address.port}`;
    const { status, stderr } = await startNode(["--listen", listen, "--data", `${directory}/busy`])
      .ended;
    server.close();
    assert.equal(status, 2);
    assert.match(stderr, new RegExp(`^holdfast: --listen .*${listen}.* in use$`, "m"));
  });

  it("takes options from the environment, and forgets all where it is told to", async () => {
    const port = await freePort();
    const env = {
      HOLDFAST_ID: "solo",
      HOLDFAST_LISTEN: `127.0.0.1:${port}`,
      HOLDFAST_STORAGE: "memory",
      HOLDFAST_DATA: `${directory}/never`,
      HOLDFAST_MAX_VALUE_BYTES: "4",
    };
    const node = startNode([], env);
    assert.match(await node.line(/./), /^holdfast solo listening/);
    const client = connect({ endpoints: [`http://127.0.0.1:${port}`] });
    await client.put("k", "1234");
    await assert.rejects(client.put("k", "12345"), { code: "too_large" });
    node.kill("SIGTERM");
    assert.equal((await node.ended).status, 0);
    await assert.rejects(readdir(`${directory}/never`));
  });
});
