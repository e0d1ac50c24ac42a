import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { statusOf } from "../../src/cli/command.ts";
import { run } from "../../src/cli/run.ts";
import { connect } from "../../src/client/mod.ts";
import { freePorts } from "./free-ports.ts";
import { type Running, startCli, startNode } from "./processes.ts";
import { ServedNode } from "./served-node.ts";

describe("watch", { timeout: 120_000 }, () => {
  let node: ServedNode;
  before(async () => {
    node = await ServedNode.start();
  });
  after(() => node.stop());

  it("refuses a wrong command line before it asks anybody", async () => {
    for (
      const [argv, message] of [
        [["watch", "k", "--prefix", "p"], /^watch takes either KEY/],
        [["watch", "--prefix", "p", "--end", "e"], /^--prefix and --start or --end exclude/],
        [["watch", "--count", "0"], /^--count takes/],
        [["watch", "--from", "x"], /^--from takes a revision/],
      ] as const
    ) {
      await assert.rejects(run(argv), (error) => {
        assert.equal(statusOf(error), 2);
        assert.match(String(error instanceof Error ? error.message : error), message);
        return true;
      });
    }
  });

  it("prints a line for each change of its range, from a revision on, and ends after --count", async () => {
    const client = connect({ endpoints: [node.url] });
    const { revision } = await client.put("w/a", "1", { contentType: "text/plain" });
    await client.put("elsewhere", "1");
    await client.put("w/b", "22", { contentType: "text/plain" });
    await client.deletePrefix("w/");
    const flags = ["--from", String(revision)];
    const [range, key] = await node.all(
      ["watch", "--prefix", "w/", ...flags, "--count", "4"],
      ["watch", "w/b", ...flags, "--count", "2"],
    );
    assert.equal(range?.status, 0, range?.stderr);
    const last = revision + 3;
    assert.deepEqual(range.stdout.split("\n"), [
      `put\t${revision}\tw/a\t1\ttext/plain`,
      `put\t${revision + 2}\tw/b\t2\ttext/plain`,
      `delete\t${last}\tw/a`,
      `delete\t${last}\tw/b`,
      "",
    ]);
    assert.equal(key?.stdout, `put\t${revision + 2}\tw/b\t2\ttext/plain\ndelete\t${last}\tw/b\n`);
  });

  it("prints items as JSON, what was before, and which belong together", async () => {
    const client = connect({ endpoints: [node.url] });
    const { revision } = await client.put("j/a", "old");
    await client.transaction()
      .then({ put: { key: "j/a", value: "new" } }, { put: { key: "j/b", value: "b" } })
      .commit();
    const line = `watch --prefix j/ --from ${revision + 1} --previous --count 2 --json`;
    const [told = ""] = await node.ok(line);
    const [a, b] = told.trimEnd().split("\n").map((each) => JSON.parse(each));
    assert.deepEqual([a.event, a.key, a.value, a.revision, a.more], [
      "put",
      "j/a",
      "new",
      revision + 1,
      true,
    ]);
    assert.deepEqual([a.previous.value, a.previous.revision], ["old", revision]);
    assert.deepEqual([b.key, b.previous, b.revision, b.more], [
      "j/b",
      null,
      revision + 1,
      undefined,
    ]);
  });

  it("ends with 0 at Ctrl-C, when it has printed what came", async () => {
    const client = connect({ endpoints: [node.url] });
    const { revision } = await client.put("c/a", "1");
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const watch = node.begin(["watch", "--prefix", "c/", "--from", String(revision)]);
      await watch.line(/^put\t\d+\tc\/a\t/);
      watch.kill(signal);
      const { status, stderr } = await watch.ended;
      assert.deepEqual([status, stderr], [0, ""]);
    }
  });

  it("tells by its exit status that no node answers", async () => {
    const nobody = `http://127.0.0.1:${await freePorts(1)}`;
    const flags = ["--json", "--timeout", "300ms", "--endpoints", nobody];
    const [ended] = await node.all(["watch", ...flags]);
    assert.equal(ended?.status, 5);
    // Where this machine is slow, the last attempt may be cut off before it is refused.
    assert.match(JSON.parse(ended.stderr).code, /^(unreachable|no_answer)$/);
  });

  it("tells how far back history reaches, where that isn't far enough", async () => {
    const forgetful = await ServedNode.start("--history-revisions", "2");
    const client = connect({ endpoints: [forgetful.url] });
    for (let at = 1; at <= 5; at++) await client.put("k", String(at));
    const [text, json, past] = await forgetful.all(
      ["watch", "--from", "2"],
      ["watch", "--from", "2", "--json"],
      ["get", "k", "--revision", "2", "--json"],
    );
    await forgetful.stop();
    assert.equal(text?.status, 7);
    assert.match(text.stderr, /^holdfast watch: .*\b4\b.*; list shows/);
    // The two changes that are kept lead back to what the store held before the first of them.
    for (const [ended, first] of [[json, 4], [past, 3]] as const) {
      assert.equal(ended?.status, 7);
      const { code, status, oldest } = JSON.parse(ended.stderr);
      assert.deepEqual([code, status, oldest], ["compacted", 410, first]);
    }
  });
});

describe("a watch over a node's death", { timeout: 120_000 }, () => {
  let nodes: readonly Running[] = [];
  after(async () => {
    for (const node of nodes) node.kill("SIGKILL");
    await Promise.all(nodes.map((node) => node.ended));
  });

  it("goes to another node, and prints every change once and in order", async () => {
    const port = await freePorts(3);
    const urls = [0, 1, 2].map((at) => `http://127.0.0.1:${port + at}`);
    const peers = urls.map((url, at) => `n${at + 1}=${url}`).join(",");
    nodes = urls.map((_, at) =>
      startNode([
        ...["--id", `n${at + 1}`, "--listen", `127.0.0.1:${port + at}`],
        ...["--peers", peers, "--storage", "memory"],
      ])
    );
    await Promise.all(nodes.map((node) => node.line(/listening/)));
    const client = connect({ endpoints: urls });
    const { revision } = await client.put("d/0", "v");
    // It asks the first endpoint first, and stays there as long as that lives.
    const flags = ["--prefix", "d/", "--from", String(revision), "--count", "40"];
    const watch = startCli(["watch", ...flags, "--endpoints", urls.join(",")]);
    await watch.line(/\td\/0\t/);
    for (let at = 1; at < 40; at++) {
      if (at === 20) {
        await watch.line(/\td\/19\t/);
        nodes[0]?.kill("SIGKILL");
      }
      await client.put(`d/${at}`, "v");
    }
    const { status, stdout, stderr } = await watch.ended;
    assert.equal(status, 0, stderr);
    const keys = stdout.trimEnd().split("\n").map((line) => line.split("\t")[2]);
    assert.deepEqual(keys, Array.from({ length: 40 }, (_, at) => `d/${at}`));
  });
});
