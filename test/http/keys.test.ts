import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keyToBytes } from "../../src/kv/key.ts";
import { targetOf } from "../../src/http/target.ts";
import { assertProblem, fixture, json } from "./fixture.ts";

describe("PUT, GET, HEAD and DELETE of a key", () => {
  it("create with 201, replace with 200, and say revision and version", async () => {
    const { send } = fixture();
    const created = await send("PUT", "/v1/kv/greeting", { body: "hello" });
    assert.equal(created.status, 201);
    assert.equal(created.headers.get("etag"), '"1"');
    assert.equal(created.headers.get("content-type"), "application/json");
    assert.deepEqual(await json(created), { revision: 1, version: 1 });
    await send("PUT", "/v1/kv/other", { body: "x" });
    const replaced = await send("PUT", "/v1/kv/greeting", { body: "hello again" });
    assert.equal(replaced.status, 200);
    assert.equal(replaced.headers.get("etag"), '"3"');
    assert.deepEqual(await json(replaced), { revision: 3, version: 2 });
  });

  it("give back the bytes and the content type that were put", async () => {
    const { send } = fixture();
    const body = Uint8Array.from({ length: 256 }, (_, i) => i);
    await send("PUT", "/v1/kv/a", { body, headers: { "content-type": "image/x; a=b" } });
    const got = await send("GET", "/v1/kv/a");
    assert.equal(got.status, 200);
    assert.equal(got.headers.get("content-type"), "image/x; a=b");
    assert.equal(got.headers.get("etag"), '"1"');
    assert.deepEqual(new Uint8Array(await got.arrayBuffer()), body);
  });

  it("take a value without a content type for bytes, and an empty one for a value", async () => {
    const { send } = fixture();
    assert.equal((await send("PUT", "/v1/kv/a", { body: new Uint8Array(3) })).status, 201);
    const bytes = await send("GET", "/v1/kv/a");
    assert.equal(bytes.headers.get("content-type"), "application/octet-stream");
    assert.equal((await send("PUT", "/v1/kv/b")).status, 201);
    const empty = await send("GET", "/v1/kv/b");
    assert.equal(empty.status, 200);
    assert.equal(await empty.text(), "");
  });

  it("answer HEAD as GET, with its length and without its body", async () => {
    const { send, put } = fixture();
    await put("a", "12345");
    const head = await send("HEAD", "/v1/kv/a");
    assert.equal(head.status, 200);
    assert.equal(await head.text(), "");
    for (const [name, value] of [["content-length", "5"], ["etag", '"1"']] as const) {
      assert.equal(head.headers.get(name), value);
    }
    for (const target of ["/v1/kv/absent", "/v1/kv", "/livez"]) {
      const length = (await (await send("GET", target)).arrayBuffer()).byteLength;
      const bare = await send("HEAD", target);
      assert.equal(bare.headers.get("content-length"), String(length), target);
      assert.equal(await bare.text(), "");
    }
    const absent = await send("HEAD", "/v1/kv/absent");
    assert.equal(absent.status, 404);
  });

  it("delete once, and say 0 where the key was absent", async () => {
    const { send, put } = fixture();
    await put("a");
    assert.deepEqual(await json(await send("DELETE", "/v1/kv/a")), { revision: 2, deleted: 1 });
    const again = await send("DELETE", "/v1/kv/a");
    assert.equal(again.status, 200);
    assert.deepEqual(await json(again), { revision: 2, deleted: 0 });
    await assertProblem(await send("GET", "/v1/kv/a"), 404, "not_found");
  });

  it("carry node, revision and term on every answer", async () => {
    const { send, put } = fixture();
    await put("a");
    await put("b");
    for (
      const [method, target] of [
        ["GET", "/v1/kv/a"],
        ["HEAD", "/v1/kv/a"],
        ["GET", "/v1/kv/absent"],
        ["HEAD", "/v1/kv/absent"],
        ["GET", "/v1/kv"],
        ["GET", "/v1/kv?limit=0"],
        ["GET", "/nowhere"],
        ["PATCH", "/v1/kv/a"],
        ["DELETE", "/v1/kv/absent"],
        ["GET", "/v1/status"],
        ["GET", "/livez"],
        ["GET", "/metrics"],
        ["GET", "/v1/log"],
      ] as const
    ) {
      const { headers } = await send(method, target);
      const found = ["node", "revision", "term"].map((name) => headers.get(`holdfast-${name}`));
      assert.deepEqual(found, ["n1", "2", "7"], `${method} ${target}`);
      assert.equal(headers.get("cache-control"), "no-cache");
    }
  });

  it("carry the revision that a write was answered at, not this node's own", async () => {
    const { send, replica } = fixture();
    // A follower hears of the leader's result before it applied the entry itself.
    replica.propose = () =>
      Promise.resolve({
        index: 9,
        term: 7,
        result: { type: "put", revision: 41, version: 3, created: 5 },
      });
    const response = await send("PUT", "/v1/kv/a", { body: "x" });
    assert.equal(response.headers.get("holdfast-revision"), "41");
    assert.equal(response.headers.get("etag"), '"41"');
    assert.equal(response.status, 200);
  });
});

describe("a key in a path", () => {
  const cases: [path: string, bytes: number[]][] = [
    ["a/b", [97, 47, 98]],
    ["a%2Fb", [97, 47, 98]],
    ["a%2fb", [97, 47, 98]],
    ["/", [47]],
    ["/a", [47, 97]],
    ["a//b", [97, 47, 47, 98]],
    ["a/", [97, 47]],
    ["%00", [0]],
    ["%FF%fe", [255, 254]],
    ["%C3%A9", [195, 169]],
    ["a+b", [97, 43, 98]],
    ["a%20b", [97, 32, 98]],
    ["a%2Bb", [97, 43, 98]],
    ["a%3Fb%23c", [97, 63, 98, 35, 99]],
    ["%25", [37]],
    ["%2541", [37, 52, 49]],
    [".", [46]],
    ["..", [46, 46]],
    ["a/../b", [97, 47, 46, 46, 47, 98]],
    ["%2e%2E", [46, 46]],
    ["a?b=c", [97]],
    ["a#b", [97]],
    ["~!$&'()*,;=:@-_", [...new TextEncoder().encode("~!$&'()*,;=:@-_")]],
  ];
  for (const [path, bytes] of cases) {
    it(`is the bytes that /v1/kv/${path} spells`, async () => {
      const { send, replica } = fixture();
      assert.equal((await send("PUT", `/v1/kv/${path}`, { body: "x" })).status, 201);
      const keys = [...replica.machine.store.list({ start: "", end: null })].map(([key]) => key);
      assert.deepEqual(keys.map((key) => [...keyToBytes(key)]), [bytes]);
      assert.equal(await (await send("GET", `/v1/kv/${path}`)).text(), "x");
    });
  }

  for (const name of ["__proto__", "constructor", "key", "toString"]) {
    it(`may be ${name}`, async () => {
      const { send, put } = fixture();
      await assertProblem(await send("GET", `/v1/kv/${name}`), 404, "not_found");
      await put(name, "x");
      assert.equal(await (await send("GET", `/v1/kv/${name}`)).text(), "x");
    });
  }

  it("is taken from the URL where the server hands in nothing else", async () => {
    const { app, replica } = fixture();
    for (const path of ["a//b", "%FF", "x%2Fy", "q?consistency=stale"]) {
      await app.request(`/v1/kv/${path}`, { method: "PUT", body: "x" });
    }
    const keys = [...replica.machine.store.list({ start: "", end: null })].map(([key]) => key);
    assert.deepEqual(keys, ["a//b", "q", "x/y", "\xff"]);
  });

  it("is taken from the URL where the target is absolute", async () => {
    const { app } = fixture();
    const url = "http://localhost/v1/kv/a";
    const target = { incoming: { url: "http://localhost/v1/kv/a" } };
    const response = await app.request(url, { method: "PUT", body: "x" }, target);
    assert.equal(response.status, 201);
  });

  for (const path of ["%", "a%", "a%2", "%zz", "%f", "a%%", "% 0", "%+1"]) {
    it(`is refused where its percent-encoding is bad: ${path}`, async () => {
      const { send, replica } = fixture();
      for (const method of ["PUT", "DELETE"]) {
        await assertProblem(
          await send(method, `/v1/kv/${path}`),
          400,
          "bad_request",
          "not_applied",
        );
      }
      await assertProblem(await send("GET", `/v1/kv/${path}`), 400, "bad_request");
      assert.equal(replica.log.length, 0);
    });
  }

  it("is refused where a byte of it should have been percent-encoded", async () => {
    const { send } = fixture();
    for (const path of ["é", "a b", "a\x7f"]) {
      await assertProblem(await send("GET", `/v1/kv/${path}`), 400, "bad_request");
    }
  });

  it("has one byte at least", async () => {
    const { send } = fixture();
    await assertProblem(await send("PUT", "/v1/kv/"), 400, "bad_request", "not_applied");
    await assertProblem(await send("GET", "/v1/kv/?limit=1"), 400, "bad_request");
    await assertProblem(await send("DELETE", "/v1/kv/"), 400, "bad_request", "not_applied");
  });

  it("has 2048 bytes at most, however they are spelled", async () => {
    const { send, put } = fixture();
    await put("k".repeat(2048));
    await put("%FF".repeat(2048));
    for (const path of ["k".repeat(2049), "%FF".repeat(2049), "k".repeat(100_000)]) {
      const problem = await assertProblem(
        await send("PUT", `/v1/kv/${path}`, { body: "x" }),
        413,
        "too_large",
        "not_applied",
      );
      assert.equal(problem["limit"], 2048);
    }
  });
});

describe("a content type", () => {
  it("is refused where it is too long to keep", async () => {
    const { send } = fixture();
    const headers = { "content-type": "a".repeat(257) };
    await assertProblem(
      await send("PUT", "/v1/kv/a", { headers, body: "x" }),
      400,
      "bad_request",
      "not_applied",
    );
    assert.equal(
      (await send("PUT", "/v1/kv/a", { headers: { "content-type": "a".repeat(256) } })).status,
      201,
    );
  });
});

describe("a request's target", () => {
  it("is all that follows the host, and all there is where no host was named", () => {
    for (const target of ["/v1/kv/a/b?x=/", "/", "/v1/kv/http://a/b"]) {
      assert.equal(targetOf(`http://127.0.0.1:4001${target}`, undefined), target);
      assert.equal(targetOf(target, undefined), target);
    }
  });
});
