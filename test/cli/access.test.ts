/** Tokens and roles on the command line. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { credentials } from "../../src/adapters/access-tokens.ts";
import { run } from "../../src/cli/run.ts";
import { type Ended, runBatch } from "./processes.ts";
import { ServedNode } from "./served-node.ts";

describe("tokens and roles on the command line", { timeout: 120_000 }, () => {
  const root = credentials.draw().text;
  let node: ServedNode;
  before(async () => {
    node = await ServedNode.start("--auth", "on", "--root-token", root);
  });
  after(() => node.stop());

  const all = (
    token: string,
    ...lines: readonly string[]
  ): Promise<readonly Ended[]> =>
    runBatch(lines.map((line) => line.split(" ")), {
      HOLDFAST_ENDPOINTS: node.url,
      HOLDFAST_TOKEN: token,
    });

  it("refuses a wrong command line before it asks anybody", async () => {
    for (
      const [line, message] of [
        ["token", /^ACTION is missing/],
        ["token make x", /^token takes create, list, delete, show, generate; got "make"/],
        ["token create", /^NAME is missing/],
        ["token create x", /^--roles is missing/],
        ["token create x --roles a,,b", /^--roles takes names of roles/],
        ["token create a/b --roles r", /^NAME takes 1 to 64/],
        ["token delete", /^ID is missing/],
        ["token delete X", /^ID takes a token's id/],
        ["token list x", /^token list: "x" is one word too many/],
        ["token list --roles r", /^token list takes no --roles/],
        ["role grant x", /^role takes set, list, delete; got "grant"/],
        ["role set x", /^role set takes --verbs, --grants or --none/],
        ["role set x --verbs fly", /^--verbs takes some of read,write/],
        ["role set x --verbs read --none", /^role set takes --verbs, --grants or --none/],
        ["role set x --none --prefix p", /^--prefix goes with --verbs only/],
        ["role set x --verbs read --key k --prefix p", /^--key and --prefix/],
        ["role set x --grants /nonexistent", /^--grants takes a file/],
        ["role list --verbs read", /^role list takes no --verbs/],
      ] as const
    ) {
      await assert.rejects(run(line.split(" ")), (error: Error) => {
        assert.match(error.message, message, line);
        return true;
      });
    }
  });

  it("makes a token of a role, which may do as much and no more, until it is deleted", async () => {
    const [set, made, wrong] = await all(
      root,
      "role set app --verbs read,write --prefix a/",
      "token create app --roles app --json",
      "token create app --roles nope",
    );
    assert.equal(set?.stdout, "app\tread,write prefix a/\n");
    const { id, token } = JSON.parse(made?.stdout ?? "{}");
    assert.equal(wrong?.status, 1, wrong?.stderr);
    assert.match(wrong?.stderr ?? "", /no such role/);

    const [put, refused, txn, lease, show, roles] = await all(
      token,
      "put a/k v",
      "put b/k v",
      "get a/k",
      "lease list",
      "token show",
      "role list",
    );
    assert.equal(put?.status, 0, put?.stderr);
    assert.equal(refused?.status, 7);
    assert.match(refused?.stderr ?? "", /roles don't allow it/);
    assert.equal(txn?.stdout, "v");
    assert.equal(lease?.status, 7);
    assert.equal(show?.stdout, `${id}\tapp\tapp\nread,write prefix a/\n`);
    assert.equal(roles?.status, 7);

    const [added, listed, inUse, gone, again, left] = await all(
      root,
      "role set app --verbs lease --add",
      "role list",
      "role delete app",
      `token delete ${id}`,
      `token delete ${id}`,
      "role delete app",
    );
    assert.equal(added?.stdout, "app\tread,write prefix a/\napp\tlease all keys\n");
    assert.equal(listed?.stdout, added?.stdout);
    assert.equal(inUse?.status, 1, inUse?.stderr);
    assert.equal(gone?.stdout, `deleted ${id}\n`);
    assert.equal(again?.status, 1);
    assert.equal(left?.status, 0);
    const [late] = await all(token, "get a/k");
    assert.equal(late?.status, 7);
    assert.match(late?.stderr ?? "", /not one of this cluster's/);
  });

  it("lists tokens, keeps the last of root's, and makes one for another cluster without asking", async () => {
    const [list, generated] = await all(root, "token list --json", "token generate");
    const { tokens } = JSON.parse(list?.stdout ?? "{}");
    assert.deepEqual(tokens.map(({ name }: { name: string }) => name), ["root"]);
    const [last] = await all(root, `token delete ${tokens[0].id}`);
    assert.equal(last?.status, 1, last?.stderr);
    assert.match(last?.stderr ?? "", /last token of the role root/);
    assert.match(generated?.stdout ?? "", /^hf_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n$/);
    const [nobody] = await node.all(["get", "k"]);
    assert.equal(nobody?.status, 7);
    assert.match(nobody?.stderr ?? "", /a token is needed/);
  });
});
