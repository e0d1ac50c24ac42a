import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { connect } from "../../src/client/mod.ts";
import { freePorts } from "./free-ports.ts";
import { startCli, temporaryDirectory } from "./processes.ts";

describe("cluster", { timeout: 120_000 }, () => {
  it("starts three nodes, stops them cleanly, and finds their data again", async () => {
    const { path, remove } = await temporaryDirectory();
    const port = await freePorts(3);
    const endpoints = [0, 1, 2].map((index) => `http://127.0.0.1:${port + index}`);
    const flags = ["--base-port", String(port), "--data", path];
    const client = connect({ endpoints });
    for (const start of ["first", "second"]) {
      const cluster = startCli(["cluster", ...flags]);
      await cluster.line(/is leader in term/);
      await cluster.line(/curl -X PUT/);
      if (start === "first") await client.put("k", "v");
      for (const endpoint of endpoints) {
        assert.equal((await connect({ endpoints: [endpoint] }).get("k"))?.revision, 1);
      }
      cluster.kill("SIGINT");
      const { status, stdout } = await cluster.ended;
      assert.equal(status, 0, stdout);
      for (const [index, endpoint] of endpoints.entries()) {
        assert.ok(stdout.includes(`holdfast n${index + 1} listening on ${endpoint} (`), stdout);
      }
    }
    await remove();
  });

  it("leaves out who was removed from the cluster, and needs anybody else", async () => {
    const { path, remove } = await temporaryDirectory();
    for (const id of ["n1", "n2"]) {
      await mkdir(`${path}/${id}`);
      await writeFile(`${path}/${id}/identity.json`, '{"removed":true}');
    }
    const flags = ["--base-port", String(await freePorts(3)), "--data", path];
    const cluster = startCli(["cluster", ...flags]);
    await cluster.line(/^\S+ n1 was removed from its cluster, and is left out$/);
    await cluster.line(/^\S+ n2 was removed/);
    await cluster.line(/^\S+ starting n3 …/);
    await cluster.line(/^holdfast n3 listening/);
    cluster.kill("SIGINT");
    const { status, stdout } = await cluster.ended;
    assert.equal(status, 0, stdout);
    const none = await startCli(["cluster", "--nodes", "2", ...flags]).ended;
    assert.deepEqual([none.status, none.stdout], [2, ""]);
    assert.match(none.stderr, /^holdfast: --data takes a directory with members/);
    await remove();
  });

  it("says which port is in use, before it starts anything", async () => {
    const port = await freePorts(2);
    const server = createServer().listen(port + 1, "127.0.0.1");
    await once(server, "listening");
    const flags = ["--nodes", "2", "--base-port", String(port), "--data", "/nonexistent/data"];
    const { status, stdout, stderr } = await startCli(["cluster", ...flags]).ended;
    server.close();
    assert.deepEqual([status, stdout], [2, ""]);
    assert.match(stderr, new RegExp(`^holdfast: --base-port .*:${port + 1} is in use\n$`));
  });

  it("tells why a node did not start, stops the others, and exits with its status", async () => {
    const port = await freePorts(2);
    const flags = ["--nodes", "2", "--base-port", String(port), "--data", "/proc/holdfast"];
    const { status, stdout } = await startCli(["cluster", ...flags]).ended;
    assert.equal(status, 3);
    assert.match(stdout, /n1 ended: exit status 3, \/proc\/holdfast\/n1 cannot be used/);
  });
});
