import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { statusOf } from "../../src/cli/command.ts";
import { commands, run } from "../../src/cli/run.ts";
import { connect } from "../../src/client/mod.ts";
import { flagOf, nodeOptions } from "../../src/config/options.ts";
import {
  type Ended,
  freePort,
  type Running,
  startCli,
  startNode,
  temporaryDirectory,
} from "./processes.ts";

describe("a command", () => {
  it("refuses a wrong command line before it asks anybody", async () => {
    for (
      const [argv, message] of [
        [["bogus"], /"bogus" is no command: node, cluster, /],
        [["put"], /^KEY is missing/],
        [["put", "k"], /^put takes either VALUE/],
        [["put", "k", "v", "--file", "f"], /^put takes either VALUE/],
        [["put", "k", "--file", "/nonexistent"], /^--file takes a file/],
        [["put", "k", "v", "--if-absent", "--if-present"], /exclude each other$/],
        [["get", ".."], /^KEY takes/],
        [["get", "k", "--max-stale", "1s"], /^--max-stale takes effect/],
        [["get", "k", "--endpoints", "nowhere"], /^--endpoints takes URLs/],
        [["del"], /^del takes either/],
        [["del", "--prefix", "p", "--if-absent"], /^a range .* takes no condition/],
        [["list", "--limit", "0"], /^--limit takes/],
        [["load", "/nonexistent"], /^DIR takes a directory/],
        [["load", "/tmp", "--concurrency", "999"], /^--concurrency takes/],
        [["cluster", "--runtime", "x"], /^--runtime takes/],
        [["cluster", "--id", "n1"], /^--id is not a flag/],
        [["cluster", "--heartbeat-interval", "1s"], /^--heartbeat-interval takes/],
        [["demo", "extra"], /one word too many/],
      ] as const
    ) {
      await assert.rejects(run(argv), (error) => {
        assert.equal(statusOf(error), 2);
        assert.match(String(error instanceof Error ? error.message : error), message);
        return true;
      });
    }
  });

  it("has a help text that begins with its name and tells its exit statuses", () => {
    for (const [name, { help, syntax }] of Object.entries(commands)) {
      assert.match(help, new RegExp(`^holdfast ${name}`));
      assert.match(help, name === "lock" ? /Exit status: COMMAND's / : /Exit status: 0 /);
      // `config` takes all that a node does.
      const own = Object.keys(syntax.flags).filter((flag) =>
        name !== "config" || !Object.hasOwn(nodeOptions, flag)
      );
      for (const flag of own) assert.ok(help.includes(flagOf(flag)), flag);
    }
  });
});

describe("the command line", { timeout: 120_000 }, () => {
  let directory = "";
  let endpoint = "";
  let node: Running | null = null;
  let remove = async (): Promise<void> => {};

  before(async () => {
    ({ path: directory, remove } = await temporaryDirectory());
    const port = await freePort();
    endpoint = `http://127.0.0.1:${port}`;
    node = startNode(["--listen", `127.0.0.1:${port}`, "--storage", "memory"]);
    await node.line(/listening/);
  });
  after(async () => {
    node?.kill("SIGTERM");
    await node?.ended;
    await remove();
  });

  const cli = (args: readonly string[], input = ""): Promise<Ended> =>
    startCli(args, { input, env: { HOLDFAST_ENDPOINTS: endpoint } }).ended;
  const ok = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await cli(args);
    assert.equal(status, 0, stderr);
    return stdout;
  };

  it("puts, gets, lists and deletes", async () => {
    assert.equal(await ok("put", "greeting", "hello"), "created: revision 1, version 1\n");
    assert.equal(
      await ok("put", "greeting", "hello", "--json"),
      '{"revision":2,"version":2,"created":false}\n',
    );
    assert.equal(await ok("get", "greeting"), "hello");
    assert.equal((await cli(["put", "raw/ä b", "-"], "\u0000\n")).status, 0);
    assert.equal(
      await ok("list"),
      "greeting\t2\t5\ttext/plain; charset=utf-8\nraw/ä b\t3\t2\tapplication/octet-stream\n",
    );
    assert.equal(await ok("list", "--keys-only", "--reverse", "--limit", "1"), "raw/ä b\n");
    const { revision, items } = JSON.parse(await ok("list", "--prefix", "raw/", "--json"));
    assert.deepEqual([revision, items.length, items[0].value], [3, 1, "\u0000\n"]);
    assert.equal(await ok("del", "greeting"), "deleted 1: revision 4\n");
    assert.equal(await ok("del", "greeting"), "deleted 0: revision 4\n");
    assert.equal(await ok("del", "--prefix", "raw/"), "deleted 1: revision 5\n");
  });

  it("moves bytes from file to file as they are", async () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index * 31 % 256);
    await writeFile(`${directory}/in.png`, bytes);
    await ok("put", "picture", "--file", `${directory}/in.png`);
    await ok("get", "picture", "--output", `${directory}/out`, "--consistency", "lease");
    assert.ok(bytes.every((byte, index) => byte === index * 31 % 256));
    assert.deepEqual(new Uint8Array(await readFile(`${directory}/out`)), bytes);
    const item = await connect({ endpoints: [endpoint] }).get("picture");
    assert.equal(item?.contentType, "image/png");
  });

  it("tells by its exit status what became of a request", async () => {
    const absent = await cli(["get", "absent"]);
    assert.deepEqual([absent.status, absent.stdout], [1, ""]);
    assert.equal((await cli(["put", "absent", "v", "--if-present"])).status, 1);
    const usage = await cli(["put", "k", "v", "--if-revision", "x"]);
    assert.equal(usage.status, 2);
    assert.match(usage.stderr, /^holdfast: --if-revision takes [^\n]+\n$/);
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const unserved = ["--timeout", "200ms", "--endpoints", nobody];
    // A read: a write's last attempt, cut off before it is refused, would be unknown.
    assert.equal((await cli(["get", "k", ...unserved])).status, 5);
    const large = `${directory}/large`;
    await writeFile(large, new Uint8Array(1024 * 1024 + 1));
    assert.equal((await cli(["put", "k", "--file", large])).status, 7);
  });

  it("shows the status of the nodes", async () => {
    const text = await ok("status");
    assert.match(text, /^ID +ROLE .*\nn1 +leader +1 +n1 /);
    assert.match(
      text,
      /VERSION +RUNTIME +URL\n.* \S+ \(2\) +/,
      "the release, and the cluster's version",
    );
    const [seen] = JSON.parse(await ok("status", "--json"));
    assert.equal(seen.status.role, "leader");
    const nobody = `http://127.0.0.1:${await freePort()}`;
    assert.equal((await cli(["status", "--endpoints", nobody])).status, 5);
  });

  it("loads every file below a directory, under its path and with its type", async () => {
    const tree = `${directory}/tree`;
    await mkdir(`${tree}/a/b`, { recursive: true });
    const files = { "empty": "", "a/x.json": "{}", "a/b/ü y.txt": "text", "a/b/.hidden": "h" };
    for (const [path, text] of Object.entries(files)) await writeFile(`${tree}/${path}`, text);
    const first = await ok("load", tree, "--prefix", "tree/");
    assert.match(first, /^loaded 4 files, 7 bytes in [\d.]+ s, 0 retries\n$/);
    await writeFile(`${tree}/empty`, "no more");
    assert.match(
      await ok("load", tree, "--prefix", "tree/", "--concurrency", "1"),
      /loaded 4 files/,
    );
    const client = connect({ endpoints: [endpoint] });
    const { items } = await client.list({ prefix: "tree/" });
    assert.deepEqual(
      items.map((
        { key, value, contentType },
      ) => [key, new TextDecoder().decode(value), contentType]),
      [
        ["tree/a/b/.hidden", "h", "application/octet-stream"],
        ["tree/a/b/ü y.txt", "text", "text/plain; charset=utf-8"],
        ["tree/a/x.json", "{}", "application/json"],
        ["tree/empty", "no more", "application/octet-stream"],
      ],
    );
    await writeFile(`${tree}/large`, new Uint8Array(1024 * 1024 + 1));
    const { status, stdout, stderr } = await cli(["load", tree, "--prefix", "tree/"]);
    assert.equal(status, 7);
    assert.match(stderr, /large: /);
    assert.match(stdout, /loaded 4 files, .*, 1 failed/);
  });

  it("plays the demonstration to its end", async () => {
    const told = await ok("demo");
    for (const step of [/is leader/, /→ 201/, /dies/, /comes back/, /That is all/]) {
      assert.match(told, step);
    }
  });
});
