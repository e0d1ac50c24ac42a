/** The README's recipe for a lock, run as it stands there. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { type Client, connect } from "../../src/client/mod.ts";
import { temporaryDirectory } from "./processes.ts";
import { ServedNode } from "./served-node.ts";

type Publish = (compose: () => Promise<string>) => Promise<void>;

const readme = new URL("../../README.md", import.meta.url);
const library = new URL("../../src/client/mod.ts", import.meta.url);
const lockKey = "locks/report";

describe("the README's recipe for a lock", { timeout: 120_000 }, () => {
  let node: ServedNode;
  let client: Client;
  let publish: Publish;
  let remove = async (): Promise<void> => {};

  before(async () => {
    node = await ServedNode.start();
    client = connect({ endpoints: [node.url] });
    const temporary = await temporaryDirectory();
    remove = temporary.remove;
    const [, section = ""] = (await readFile(readme, "utf8")).split("\n## Locks\n");
    const [, recipe = ""] = /```ts\n([^]*?)```/.exec(section) ?? [];
    const source = recipe
      .replace('"holdfast/client"', JSON.stringify(library.href))
      .replace(/endpoints: \[[^\]]*\]/, `endpoints: ["${node.url}"]`);
    const path = `${temporary.path}/recipe.ts`;
    await writeFile(path, source);
    const module: { readonly publish: Publish } = await import(pathToFileURL(path).href);
    publish = module.publish;
  });
  after(async () => {
    await remove();
    await node.stop();
  });

  const report = async (): Promise<string> =>
    new TextDecoder().decode((await client.get("report"))?.value);

  it("lets one in at a time, and gives the lock back", async () => {
    let inside = 0;
    const compose = (text: string) => async () => {
      assert.equal(++inside, 1);
      assert.notEqual(await client.get(lockKey), null);
      inside--;
      return text;
    };
    await Promise.all(["a", "b", "c"].map((text) => publish(compose(text))));
    assert.equal(await client.get(lockKey), null);
    assert.match(await report(), /^[abc]$/);
  });

  it("refuses what a holder writes that was paused until the lock was another's", async () => {
    const paused = publish(async () => {
      // What the holder doesn't see in its pause: its lease ends, and another comes and goes.
      const { lease } = await client.get(lockKey) ?? {};
      await client.revokeLease(lease ?? "");
      await publish(() => Promise.resolve("another's"));
      return "too late";
    });
    await assert.rejects(paused, /the lock was lost: nothing was written/);
    assert.equal(await report(), "another's");
  });

  it("refuses it also while the other still holds the lock", async () => {
    await using stack = new AsyncDisposableStack();
    const paused = publish(async () => {
      const { lease } = await client.get(lockKey) ?? {};
      await client.revokeLease(lease ?? "");
      stack.use(await client.lock(lockKey));
      return "too late";
    });
    await assert.rejects(paused, /the lock was lost: nothing was written/);
    assert.notEqual(await client.get(lockKey), null);
    assert.equal(await report(), "another's");
  });
});
