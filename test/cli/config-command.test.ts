import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { freePort, runBatch, startCli, startNode, temporaryDirectory } from "./processes.ts";

const secret = "0123456789abcdef0123456789abcdef";

describe("config", { timeout: 120_000 }, () => {
  let directory = "";
  let remove = async (): Promise<void> => {};
  before(async () => {
    ({ path: directory, remove } = await temporaryDirectory());
  });
  after(() => remove());
  const put = async (name: string, ...lines: string[]): Promise<string> => {
    const path = `${directory}/${name}`;
    await writeFile(path, `${lines.join("\n")}\n`);
    await chmod(path, 0o600);
    return path;
  };

  it("check prints every option, its place, and all that is wrong", async () => {
    const path = await put(
      "bad.yaml",
      "id: n2",
      "colour: red",
      "logLevel: loud",
      `secret: ${secret}`,
    );
    const check = startCli(["config", "check", path, "--priority", "200"], {
      env: { HOLDFAST_STORAGE: "memory" },
    });
    const { status, stdout, stderr } = await check.ended;
    assert.equal(status, 2);
    assert.match(stdout, new RegExp(`^id: n2 +# ${path}:1$`, "m"));
    assert.match(stdout, /^storage: memory +# HOLDFAST_STORAGE$/m);
    assert.match(stdout, /^electionTimeout: 500ms +# default$/m);
    assert.match(stdout, /^secret: \(32 characters\) +# /m);
    const lines = stderr.trimEnd().split("\n");
    assert.equal(lines.length, 3, stderr);
    assert.match(lines[0] ?? "", /bad\.yaml:2:1: colour is no option/);
    assert.match(lines[1] ?? "", /--priority takes .*; got "200"$/);
    assert.match(lines[2] ?? "", /--log-level takes .*; \S*bad\.yaml:3:11 has "loud"$/);
    assert.ok(!(stdout + stderr).includes(secret));
  });

  it("check --json is one document without secrets, and says that all is right", async () => {
    const path = await put("good.yaml", "id: n2", `secret: ${secret}`);
    const { status, stdout } = await startCli(["config", "check", "--json", "--config", path])
      .ended;
    assert.equal(status, 0);
    assert.ok(!stdout.includes(secret));
    const { valid, problems, options } = JSON.parse(stdout);
    assert.deepEqual([valid, problems], [true, []]);
    assert.deepEqual(options.secret, {
      value: null,
      set: true,
      source: { from: "file", path, line: 2, column: 9 },
    });
    assert.equal(options.data.value, "./data/n2");
  });

  it("check reads the files that options name as well", async () => {
    const own = await put("own.pem", "no certificate");
    const few = await put("secrets", "short");
    const pems = ["--tls-cert", own, "--tls-key", own];
    const none = ["--tls-cert", "/none/c", "--tls-key", "/none/k", "--tls-ca", "/none/a"];
    const [missing, wrong] = await runBatch([
      ["config", "check", ...none, "--secret-file", "/none/s"],
      ["config", "check", ...pems, "--secret-file", few, "--json"],
    ], {});
    assert.deepEqual([missing?.status, wrong?.status], [2, 2]);
    for (const flag of ["tls-cert", "tls-key", "tls-ca", "secret-file"]) {
      const told = new RegExp(`^holdfast config check: --${flag}: "/none/.*ENOENT$`, "m");
      assert.match(missing?.stderr ?? "", told);
    }
    const { valid, problems } = JSON.parse(wrong?.stdout ?? "");
    assert.equal(valid, false);
    assert.match(problems.join("\n"), /^--tls-cert: .*no certificate.*\n--secret-file: .*line 1/);
  });

  it("is what a node starts with", async () => {
    const port = await freePort();
    const path = await put("node.yaml", "id: filed", "storage: memory", "listen: 127.0.0.1:1");
    const node = startNode(["--listen", `127.0.0.1:${port}`], { HOLDFAST_CONFIG: path });
    assert.match(await node.line(/./), new RegExp(`^holdfast filed listening on \\S+:${port} `));
    node.kill("SIGTERM");
    assert.equal((await node.ended).status, 0);
    const bad = await put("wrong.yaml", "id: n1", "peer: x");
    const { status, stderr } = await startNode(["--config", bad]).ended;
    assert.equal(status, 2);
    assert.match(
      stderr,
      /^holdfast: \S+wrong\.yaml:2:1: peer is no option: did you mean peers\?\n$/,
    );
  });
});
