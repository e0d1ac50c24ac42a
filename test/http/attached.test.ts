/** What is attached to a key over HTTP: metadata, a time to live, a lease. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertProblem, fixture, json } from "./fixture.ts";

const metadata = btoa("\x00opaque\xff");

describe("a key with something attached", () => {
  it("shows it with GET and HEAD, and in listings", async () => {
    const { send, post, replica } = fixture();
    const { id } = await json(await post("/v1/leases", { ttl: "10s" }));
    const put = await send("PUT", `/v1/kv/a?ttl=5s&lease=${String(id)}`, {
      headers: { "holdfast-metadata": metadata },
      body: "x",
    });
    assert.equal(put.status, 201);
    replica.now += 1500;
    for (const method of ["GET", "HEAD"]) {
      const { headers } = await send(method, "/v1/kv/a");
      assert.equal(headers.get("holdfast-metadata"), metadata);
      assert.equal(headers.get("holdfast-ttl-ms"), "3500");
      assert.equal(headers.get("holdfast-lease"), id);
    }
    const { items } = await json(await send("GET", "/v1/kv"));
    const [item] = items as Record<string, unknown>[];
    assert.equal(item?.["metadata"], metadata);
    assert.equal(item?.["lease"], id);
  });

  it("never says that less than nothing is left", async () => {
    const { send, replica } = fixture();
    await send("PUT", "/v1/kv/a?ttl=1ms");
    replica.now += 100;
    const { headers } = await send("GET", "/v1/kv/a");
    assert.equal(headers.get("holdfast-ttl-ms"), "0");
  });

  it("is gone when it is due, by a revision of its own", async () => {
    const { send, replica } = fixture();
    await send("PUT", "/v1/kv/a?ttl=2s");
    replica.pass(1999);
    assert.equal((await send("GET", "/v1/kv/a")).status, 200);
    replica.pass(1);
    const gone = await send("GET", "/v1/kv/a");
    assert.equal(gone.status, 404);
    assert.equal(gone.headers.get("holdfast-revision"), "2");
  });

  it("loses what a later put does not say, and keeps it over an add", async () => {
    const { send, post } = fixture();
    await send("PUT", "/v1/kv/n?ttl=1h", { headers: { "holdfast-metadata": metadata }, body: "1" });
    await post("/v1/txn", { then: [{ add: { key: "n", delta: 1 } }] });
    const kept = await send("GET", "/v1/kv/n");
    assert.equal(await kept.text(), "2");
    assert.equal(kept.headers.get("holdfast-metadata"), metadata);
    assert.ok(kept.headers.has("holdfast-ttl-ms"));
    await send("PUT", "/v1/kv/n", { body: "3" });
    const bare = await send("GET", "/v1/kv/n");
    for (const name of ["holdfast-metadata", "holdfast-ttl-ms", "holdfast-lease"]) {
      assert.equal(bare.headers.has(name), false, name);
    }
  });

  it("comes with operations as well", async () => {
    const { send, post } = fixture();
    const { id } = await json(await post("/v1/leases", { ttl: "10s" }));
    const put = { key: "a", value: "", metadata, ttl: "1m", lease: id };
    const { results } = await json(
      await post("/v1/txn", { then: [{ put }, { get: { key: "a" } }] }),
    );
    const { item } = (results as { item?: Record<string, unknown> }[])[1] ?? {};
    assert.equal(item?.["metadata"], metadata);
    assert.equal(item?.["lease"], id);
    assert.equal((await send("HEAD", "/v1/kv/a")).headers.get("holdfast-ttl-ms"), "60000");
  });

  it("has metadata of up to 1 KiB; empty ones are none", async () => {
    const { send } = fixture();
    const put = (text: string) =>
      send("PUT", "/v1/kv/a", { headers: { "holdfast-metadata": btoa(text) } });
    assert.equal((await put("x".repeat(1024))).status, 201);
    const problem = await assertProblem(
      await put("x".repeat(1025)),
      413,
      "too_large",
      "not_applied",
    );
    assert.equal(problem["limit"], 1024);
    await put("");
    assert.equal((await send("GET", "/v1/kv/a")).headers.has("holdfast-metadata"), false);
  });

  const bad: readonly (readonly [string, RegExp])[] = [
    ["?ttl=", /^query: ttl takes a duration from 1ms/],
    ["?ttl=5", /^query: ttl takes a duration/],
    ["?ttl=0s", /^query: ttl takes a duration/],
    ["?ttl=-1s", /^query: ttl takes a duration/],
    ["?ttl=3651d", /^query: ttl takes a duration/],
    ["?ttl=1s&ttl=2s", /^query: ttl comes twice$/],
    ["?lease=", /^query: lease takes the id of a lease/],
    ["?lease=a", /^query: lease takes/],
    ["?lease=01", /^query: lease takes/],
  ];
  for (const [query, detail] of bad) {
    it(`is refused with ${query}`, async () => {
      const { send, replica } = fixture();
      const response = await send("PUT", `/v1/kv/a${query}`, { body: "x" });
      const problem = await assertProblem(response, 400, "bad_request", "not_applied");
      assert.match(String(problem["detail"]), detail);
      assert.equal(replica.log.length, 0);
    });
  }

  it("is refused with metadata that are not base64, and with a lease that is not there", async () => {
    const { send, replica } = fixture();
    const headers = { "holdfast-metadata": "no base64" };
    await assertProblem(
      await send("PUT", "/v1/kv/a", { headers }),
      400,
      "bad_request",
      "not_applied",
    );
    assert.equal(replica.log.length, 0);
    const problem = await assertProblem(
      await send("PUT", "/v1/kv/a?lease=7"),
      404,
      "not_found",
      "not_applied",
    );
    assert.equal(problem["detail"], "there is no lease 7");
    assert.equal((await send("GET", "/v1/kv/a")).status, 404);
  });
});
