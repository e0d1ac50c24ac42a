import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { commands } from "../../src/cli/run.ts";
import { freePorts } from "./free-ports.ts";
import { startCli, temporaryDirectory } from "./processes.ts";
import { ServedNode } from "./served-node.ts";

describe("--json", { timeout: 120_000 }, () => {
  let node: ServedNode;
  let directory = "";
  let remove = async (): Promise<void> => {};
  before(async () => {
    node = await ServedNode.start();
    ({ path: directory, remove } = await temporaryDirectory());
    await mkdir(`${directory}/tree`);
    await writeFile(`${directory}/tree/file.txt`, "text");
    await writeFile(`${directory}/txn.json`, '{"then":[{"put":{"key":"t","value":"v"}}]}');
    await writeFile(`${directory}/batch.json`, '{"ops":[{"put":{"key":"t","value":"v"}}]}');
  });
  after(async () => {
    await node.stop();
    await remove();
  });

  /** Command lines whose standard output is one document, in an order in which each succeeds. */
  const documents = (): Readonly<Record<string, string>> => ({
    put: "put k v",
    add: "add n 1",
    get: "get k",
    list: "list",
    txn: `txn ${directory}/txn.json`,
    batch: `batch ${directory}/batch.json`,
    lease: "lease grant --ttl 1h",
    load: `load ${directory}/tree`,
    status: "status",
    member: "member list",
    leader: "leader",
    token: "token generate",
    role: "role list",
    config: "config example",
    del: "del k",
    backup: `backup ${directory}/kept`,
    verify: `verify ${directory}/kept`,
    restore: `restore ${directory}/kept --data ${directory}/made --peers n1=http://127.0.0.1:4001`,
    wal: `wal verify ${directory}/made/n1`,
    snapshot: `snapshot inspect ${directory}/made/n1`,
  });
  /** Those that go on, and print an object a line. */
  const streams: Readonly<Record<string, string>> = {
    watch: "watch --from 1 --count 2",
    demo: "demo",
  };
  /** Those that have a test of their own below. */
  const others = ["cluster", "lock"];

  it("is a flag of every command", () => {
    const covered = [...Object.keys(documents()), ...Object.keys(streams), ...others];
    assert.deepEqual(covered.sort(), Object.keys(commands).sort());
    for (const [name, { syntax, help }] of Object.entries(commands)) {
      assert.equal(syntax.flags["json"]?.bare, true, name);
      assert.match(help, /^ {2}--json /m, name);
    }
  });

  it("makes a command print one document and nothing else", async () => {
    const lines = Object.values(documents());
    const printed = await node.ok(...lines.map((line) => `${line} --json`));
    for (const [at, text] of printed.entries()) {
      assert.doesNotThrow(() => JSON.parse(text), `${lines[at]}: ${text}`);
      assert.equal(typeof JSON.parse(text), "object", lines[at]);
    }
  });

  it("makes help a document, too", async () => {
    const [all = "", one = ""] = await node.ok("help --json", "help get --json");
    const names = JSON.parse(all).commands.map(({ name }: { name: string }) => name);
    assert.deepEqual(names.sort(), [...Object.keys(commands), "help", "node"].sort());
    assert.match(JSON.parse(one).help, /^holdfast get KEY/);
  });

  it("makes a command that goes on print an object a line", async () => {
    const lines = Object.values(streams);
    const printed = await node.ok(...lines.map((line) => `${line} --json`));
    for (const [at, text] of printed.entries()) {
      const documents = text.trimEnd().split("\n").map((line) => JSON.parse(line));
      assert.ok(documents.length >= 2, lines[at]);
    }
  });

  it("leaves standard output to the command that lock runs", async () => {
    const command = ["--", "echo", '{"own":true}'];
    const { status, stdout } = await node.begin(["lock", "l", "--json", ...command]).ended;
    assert.deepEqual([status, stdout], [0, '{"own":true}\n']);
  });

  it("makes a cluster tell its life an object a line, and where its nodes are", async () => {
    const port = await freePorts(1);
    const flags = ["--nodes", "1", "--base-port", String(port), "--storage", "memory"];
    const data = ["--data", `${directory}/data`];
    const cluster = startCli(["cluster", "--json", ...flags, ...data]);
    await cluster.line(/"url"/);
    cluster.kill("SIGINT");
    const { status, stdout } = await cluster.ended;
    assert.equal(status, 0, stdout);
    const told = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    for (const { time, message } of told) {
      assert.ok(Number.isFinite(Date.parse(time)));
      assert.equal(typeof message, "string");
    }
    const { id, url } = told.find((each) => each.url !== undefined) ?? {};
    assert.deepEqual([id, url], ["n1", `http://127.0.0.1:${port}`]);
  });

  it("makes every error one line of JSON, with the code that a node's answer has", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    await writeFile(`${directory}/large`, new Uint8Array(1024 * 1024 + 1));
    const nobody = `http://127.0.0.1:${await freePorts(1)}`;
    const cases: readonly (readonly [string, number, string | RegExp])[] = [
      ["get absent", 1, "not_found"],
      ["put absent v --if-present", 1, "precondition_failed"],
      ["list --bogus", 2, "usage"],
      ["bogus", 2, "usage"],
      [`cluster --nodes 1 --base-port ${address.port}`, 2, "usage"],
      [`get k --timeout 200ms --endpoints ${nobody}`, 5, /^(unreachable|no_answer)$/],
      [`put k --file ${directory}/large`, 7, "too_large"],
      ["member promote n9", 1, "not_found"],
      ["leader transfer n9", 1, "bad_request"],
    ];
    const ended = await node.all(...cases.map(([line]) => `${line} --json`.split(" ")));
    server.close();
    for (const [at, { status, stdout, stderr }] of ended.entries()) {
      const [line, expected, code] = cases[at] ?? ["", 0, ""];
      assert.deepEqual([status, stdout], [expected, ""], line);
      assert.match(stderr, /^[^\n]+\n$/, line);
      const problem = JSON.parse(stderr);
      if (typeof code === "string") assert.equal(problem.code, code, line);
      else assert.match(problem.code, code, line);
      assert.equal(typeof problem.detail, "string", line);
    }
    assert.equal(JSON.parse(ended[1]?.stderr ?? "").outcome, "not_applied");
  });
});
