import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Hono } from "hono";
import { mountable } from "../../src/http/mount.ts";

/** Answers with the method and the target that it was given. */
const echo = mountable(async ({ method }, { incoming }) =>
  new Response(`${method} ${incoming?.url}`, { headers: { "x-method": method } })
);

describe("an app that is mounted", () => {
  const app = new Hono();
  app.use("*", async (_, next) => await next());
  app.route("/kv", echo);
  app.route("/tenants/:tenant/kv", echo);
  app.route("/api", new Hono().route("/deep/kv", echo));

  const seen = async (target: string): Promise<string> => {
    const response = await app.request(target);
    return await response.text();
  };

  it("is given targets as they came, without the path that it is mounted below", async () => {
    for (const base of ["/kv", "/api/deep/kv", "/tenants/a%2Fb/kv", "/%6Bv"]) {
      for (
        const target of [
          "/v1/kv/a",
          "/v1/kv//a//",
          "/v1/kv/a%0Ab%E2%80%A8%FF%2F%25",
          "/v1/kv/kv/kv?prefix=/kv/&start=a%2Fb",
          "/v1/kv?end=/",
          "/",
        ]
      ) assert.equal(await seen(base + target), `GET ${target}`, base);
    }
  });

  it("has a root with and without a slash at its end, and leaves others alone", async () => {
    assert.equal(await seen("/kv"), "GET /");
    assert.equal(await seen("/kv?a=/b"), "GET /?a=/b");
    assert.equal((await app.request("/kvs/v1/kv/a")).status, 404);
    assert.equal(
      await (await new Hono().route("/", echo).request("/v1/kv/a?b")).text(),
      "GET /v1/kv/a?b",
    );
    assert.equal(await (await echo.request("/v1/kv/a")).text(), "GET /v1/kv/a");
  });

  it("is given every method, and answers HEAD without a body", async () => {
    for (const method of ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"]) {
      assert.equal(await (await app.request("/kv/a", { method })).text(), `${method} /a`);
    }
    const head = await app.request("/kv/a", { method: "HEAD" });
    assert.equal(head.headers.get("x-method"), "HEAD");
    assert.equal(await head.text(), "");
  });

  it("takes a server's raw target before the request's URL", async () => {
    const incoming = { url: "/kv/v1/kv/a/../b/%2e" };
    const response = await app.request("/kv/v1/kv/b/", {}, { incoming });
    assert.equal(await response.text(), "GET /v1/kv/a/../b/%2e");
  });
});
