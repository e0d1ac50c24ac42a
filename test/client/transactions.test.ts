import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "./fake-fetch.ts";
import { World } from "./world.ts";

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

describe("a transaction", () => {
  it("does all of it in one revision, and gives each operation's own result", async () => {
    const world = new World();
    const client = world.client();
    const byte = new Uint8Array([0xff, 1]);
    await client.put("old/1", "x");
    const { id } = await client.grantLease({ ttlMs: 60_000 });
    const result = await client.transaction()
      .if({ key: "old/1", version: 1 }, { key: "old/1", value: "x" })
      .if({ key: byte, exists: false }, { key: "old/1", revision: 2, op: "<" })
      .then(
        { put: { key: byte, value: byte, contentType: "image/png", ttlMs: 1e10, lease: id } },
        { add: { key: "n", delta: -3, min: -2n } },
        { get: { key: byte } },
      )
      .then({ delete: { prefix: "old/" } }, { list: { start: byte, limit: 1, keysOnly: true } })
      .else({ get: { key: "n" } })
      .commit();
    assert.ok(result.succeeded);
    assert.equal(result.revision, 2);
    const [put, added, got, deleted, listed] = result.results;
    assert.deepEqual(put, { revision: 2, version: 1 });
    assert.deepEqual(added, { revision: 2, version: 1, value: -2n });
    assert.deepEqual(got.item?.value, byte);
    assert.deepEqual([got.item?.contentType, got.item?.lease], ["image/png", id]);
    assert.deepEqual(deleted, { deleted: 1 });
    assert.deepEqual(listed.items.map(({ key, value }) => [key, value.length]), [[byte, 0]]);
    assert.equal(listed.more, false);
  });

  it("does the other thing where a check fails", async () => {
    const world = new World();
    const client = world.client();
    await client.put("k", "v");
    const result = await client.transaction()
      .if({ key: "k", exists: false })
      .then({ put: { key: "k", value: "w" } })
      .else({ get: { key: "k" } }, { get: { key: "absent" } })
      .commit();
    assert.ok(!result.succeeded);
    assert.equal(text(result.results[0].item?.value), "v");
    assert.equal(result.results[1].item, null);
    assert.equal(result.revision, 1);
  });

  it("takes no number where it only reads", async () => {
    const world = new World();
    await world.client().transaction().then({ get: { key: "k" } }).commit();
    assert.equal(world.sent[0]?.headers.get("idempotency-key"), null);
    assert.equal(world.fixture.replica.log.length, 0);
  });

  it("is a description that can be sent again, and built upon", async () => {
    const world = new World();
    const client = world.client();
    const once = client.transaction().then({ add: { key: "n", delta: 1 } });
    const twice = once.then({ add: { key: "n", delta: 1 } });
    assert.equal((await once.commit()).results.length, 1);
    const { results } = await twice.commit();
    assert.deepEqual(results.map((result) => "value" in result && result.value), [2n, 3n]);
    assert.equal((await once.commit()).results.length, 1);
  });

  it("refuses to be awaited instead of being sent", async () => {
    const world = new World();
    const built = world.client().transaction().then({ put: { key: "k", value: "v" } });
    const awaited: Promise<unknown> = Promise.resolve(built as unknown);
    await assert.rejects(awaited, /commit\(\)/);
    assert.equal(world.sent.length, 0);
  });

  it("changes nothing where an operation can't be done", async () => {
    const world = new World();
    const client = world.client();
    await client.put("text", "no number");
    const bad = [
      client.transaction().then({ put: { key: "k", value: "v" } }, {
        add: { key: "text", delta: 1 },
      }),
      client.transaction().then({ put: { key: "k", value: "v", lease: "99" } }),
      client.transaction().then({ put: { key: "k".repeat(3000), value: "v" } }),
    ];
    const codes = [];
    for (const transaction of bad) {
      const error = await failure(transaction.commit());
      assert.equal(error.outcome, "not_applied");
      codes.push(error.code);
    }
    assert.deepEqual(codes, ["precondition_failed", "not_found", "too_large"]);
    assert.equal(await client.get("k"), null);
  });
});

describe("the past", () => {
  it("is read as it was, page by page at one revision", async () => {
    const world = new World();
    const client = world.client();
    for (let at = 0; at < 5; at++) await client.put(`a/${at}`, "old");
    const seen: string[] = [];
    for await (const { key, value } of client.items({ prefix: "a/", limit: 2 })) {
      seen.push(`${String(key)} ${text(value)}`);
      await client.put("a/4", "new");
      await client.deletePrefix("a/3");
    }
    assert.deepEqual(seen, ["a/0 old", "a/1 old", "a/2 old", "a/3 old", "a/4 old"]);
    const then = await client.list({ prefix: "a/", revision: 4, reverse: true, keysOnly: true });
    assert.deepEqual(then.items.map(({ key }) => key), ["a/3", "a/2", "a/1", "a/0"]);
    assert.equal(text((await client.get("a/4", { revision: 5 }))?.value), "old");
    assert.equal(await client.get("a/4", { revision: 4 }), null);
  });
});
