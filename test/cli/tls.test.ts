/** A node that serves https and wants certificates, and command lines that have them. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { run } from "../../src/cli/run.ts";
import { Authority } from "../adapters/certificates.ts";
import { freePort, runBatch, type Running, startNode, temporaryDirectory } from "./processes.ts";

describe("the command line over TLS", { timeout: 120_000 }, () => {
  let directory = "";
  let remove = async (): Promise<void> => {};
  let node: Running;
  let env: Record<string, string> = {};
  const at = (name: string): string => join(directory, name);
  const mine = (): string[] => ["--tls-cert", at("cert.pem"), "--tls-key", at("key.pem")];

  before(async () => {
    ({ path: directory, remove } = await temporaryDirectory());
    const authority = new Authority("ours");
    const { cert, key } = authority.issue("n1");
    const files = { ca: authority.ca, cert, key, strange: new Authority("theirs").ca };
    for (const [name, text] of Object.entries(files)) await writeFile(at(`${name}.pem`), text);
    const port = await freePort();
    const flags = ["--tls-client-ca", at("ca.pem"), "--tls-ca", at("ca.pem"), ...mine()];
    node = startNode(["--listen", `127.0.0.1:${port}`, "--storage", "memory", ...flags]);
    assert.match(await node.line(/./), new RegExp(`listening on https://127\\.0\\.0\\.1:${port} `));
    env = { HOLDFAST_ENDPOINTS: `https://127.0.0.1:${port}`, HOLDFAST_TLS_CA: at("ca.pem") };
  });
  after(async () => {
    node.kill("SIGTERM");
    assert.equal((await node.ended).status, 0);
    await remove();
  });

  it("reaches a node by its roots, and with a certificate of its own", async () => {
    const lines = [
      ["put", "k", "v"],
      ["get", "k"],
      ["status"],
      ["leader"],
      ["member", "list"],
    ];
    const ended = await runBatch(lines.map((line) => [...line, ...mine()]), env);
    assert.deepEqual(ended.map(({ status }) => status), lines.map(() => 0), JSON.stringify(ended));
    assert.equal(ended[1]?.stdout, "v");
    assert.match(ended[3]?.stdout ?? "", /^n1 leads/);
  });

  it("gets nowhere without them", async () => {
    const timeout = ["--timeout", "1s"];
    const [without, strange] = await runBatch([
      ["get", "k", ...timeout],
      ["get", "k", ...timeout, ...mine(), "--tls-ca", at("strange.pem")],
    ], env);
    assert.deepEqual([without?.status, strange?.status], [5, 5]);
  });

  it("says which file it can't read, and shows no token", async () => {
    const wrong = [
      [
        ["get", "k", "--tls-ca", at("none.pem")],
        /^--tls-ca takes a file in PEM; .*none\.pem.*ENOENT/,
      ],
      [
        ["get", "k", "--tls-ca", at("ca.pem"), "--tls-key", at("key.pem")],
        /^--tls-cert and --tls-key/,
      ],
      [["get", "k", "--token", "hunter 2"], /^--token takes a token, such as hf_/],
    ] as const;
    for (const [argv, words] of wrong) {
      await assert.rejects(run(argv), (error) => {
        assert.ok(error instanceof Error);
        assert.match(error.message, words);
        assert.doesNotMatch(error.message, /hunter/);
        return true;
      });
    }
  });
});
