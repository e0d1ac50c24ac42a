import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Client, connect } from "../../src/client/mod.ts";
import {
  answer,
  type Asked,
  failure,
  problem,
  refused,
  reset,
  scripted,
  type Step,
  value,
} from "./fake-fetch.ts";

const created = answer(201, { revision: 7, version: 1 });
const noLeader = problem(503, "no_leader", { outcome: "not_applied" });
const unknown = problem(504, "outcome_unknown", { outcome: "unknown" });

function clientOf(...steps: Step[]): { client: Client; asked: Asked[] } {
  const { fetch, asked } = scripted(...steps);
  const endpoints = ["http://a", "http://b/"];
  return { client: connect({ endpoints, fetch, timeoutMs: 2_000 }), asked };
}

const urls = (asked: readonly Asked[]): string[] => asked.map(({ url }) => url);

describe("client", () => {
  it("goes to the next endpoint where one refuses, and stays with what works", async () => {
    const { client, asked } = clientOf(refused, created, created);
    assert.deepEqual(await client.put("k", "v"), { revision: 7, version: 1, created: true });
    await client.put("k", "v");
    assert.deepEqual(urls(asked), ["http://a/v1/kv/k", "http://b/v1/kv/k", "http://b/v1/kv/k"]);
    assert.deepEqual(asked[1]?.body, "v");
  });

  it("repeats a write that was not applied", async () => {
    const { client, asked } = clientOf(noLeader, problem(429, "overloaded"), created);
    await client.put("k", "v");
    assert.equal(asked.length, 3);
  });

  it("repeats a write whose fate is unknown, under the same number", async () => {
    for (const step of [reset, unknown]) {
      const { client, asked } = clientOf(step, created);
      await client.put("k", "v");
      const [first, second] = asked.map(({ headers }) => [
        headers.get("idempotency-key"),
        headers.get("holdfast-sequence"),
      ]);
      assert.deepEqual(second, first);
      assert.match(String(first?.[0]), /^[0-9a-f]{32}$/);
      assert.equal(first?.[1], "1;done=1");
    }
  });

  it("does not repeat what no node answers, and calls its outcome unknown", async () => {
    for (const step of [answer(200, {}), () => new Response("", { status: 502 })]) {
      const { client, asked } = clientOf(step, created);
      const error = await failure(client.put("k", "v"));
      assert.deepEqual([error.code, error.outcome, asked.length], ["bad_answer", "unknown", 1]);
    }
  });

  it("gives each write a number, and says below which it has all answers", async () => {
    const { client, asked } = clientOf(created);
    await client.put("a", "v");
    await client.put("b", "v");
    await client.get("c").catch(() => {});
    await client.delete("d").catch(() => {});
    const numbers = asked.map(({ headers }) => headers.get("holdfast-sequence"));
    assert.deepEqual(numbers, ["1;done=1", "2;done=2", null, "3;done=3"]);
    assert.equal(new Set(asked.map(({ headers }) => headers.get("idempotency-key"))).size, 2);
  });

  it("knows what a failed condition says of an attempt before it", async () => {
    const failed = problem(412, "precondition_failed", { outcome: "not_applied", etag: '"7"' });
    for (const steps of [[failed], [unknown, failed]]) {
      const { client, asked } = clientOf(...steps);
      const error = await failure(client.put("k", "v", { condition: { ifRevision: 6 } }));
      assert.deepEqual([error.outcome, error.code, error.revision], [
        "not_applied",
        "precondition_failed",
        7,
      ]);
      assert.equal(asked.at(-1)?.headers.get("if-match"), '"6"');
    }
  });

  it("keeps an unknown outcome when later attempts find nobody", async () => {
    const { fetch } = scripted(unknown, refused);
    const client = connect({ endpoints: ["http://a"], fetch, timeoutMs: 300 });
    const error = await failure(client.delete("k", { condition: { ifPresent: true } }));
    assert.equal(error.outcome, "unknown");
  });

  it("gives up when its time is over, and says that nothing was applied", async () => {
    const { fetch } = scripted(refused);
    const client = connect({ endpoints: ["http://a"], fetch, timeoutMs: 300 });
    const error = await failure(client.put("k", "v"));
    assert.deepEqual([error.outcome, error.code], ["not_applied", "unreachable"]);
  });

  it("ends an attempt that is not answered, and asks another node for a read", async () => {
    let asked = 0;
    const client = connect({
      endpoints: ["http://a", "http://b"],
      attemptTimeoutMs: 20,
      fetch: async (url, { signal }) => {
        if (url.endsWith("/v1/status")) throw new Error("nobody");
        asked++;
        if (url.startsWith("http://a")) {
          await new Promise((_, reject) =>
            signal?.addEventListener("abort", () => reject(signal.reason))
          );
        }
        return value("v", 1)({ url, method: "GET", headers: new Headers(), body: "" }) as Response;
      },
    });
    assert.equal((await client.get("k"))?.revision, 1);
    assert.equal(asked, 2);
  });

  it("does not repeat what is refused for good", async () => {
    for (const [status, code] of [[413, "too_large"], [400, "bad_request"]] as const) {
      const { client, asked } = clientOf(problem(status, code, { outcome: "not_applied" }));
      const error = await failure(client.put("k", "v"));
      assert.deepEqual([error.code, error.outcome, asked.length], [code, "not_applied", 1]);
    }
  });

  it("knows an absent key from an answer that no node gives", async () => {
    assert.equal(await clientOf(problem(404, "not_found")).client.get("k"), null);
    const stranger = clientOf(() => new Response("nginx", { status: 404 }));
    assert.equal((await failure(stranger.client.get("k"))).code, "bad_answer");
    const proxy = clientOf(() => new Response("welcome", { status: 200 }));
    assert.equal((await failure(proxy.client.get("k"))).code, "bad_answer");
    assert.equal((await failure(stranger.client.put("k", "v"))).outcome, "unknown");
  });

  it("spells any key in a URL", async () => {
    const { client, asked } = clientOf(value("", 1));
    for (
      const key of [
        "a/b c",
        "ü%",
        "a/../b",
        "./x",
        "a?b#c",
        "a//b/",
        new Uint8Array([0xff, 0x2f, 0]),
      ]
    ) await client.get(key);
    assert.deepEqual(urls(asked).map((url) => url.replace("http://a/v1/kv/", "")), [
      "a/b%20c",
      "%C3%BC%25",
      "a%2F..%2Fb",
      ".%2Fx",
      "a%3Fb%23c",
      "a//b/",
      "%FF/%00",
    ]);
    for (const url of urls(asked)) assert.equal(new URL(url).href, url);
    for (const key of ["", "\ud800"]) await assert.rejects(client.get(key), TypeError);
  });

  it("lists pages, with keys and values as they were put", async () => {
    const item = { revision: 1, created: 1, version: 1, contentType: "text/plain" };
    const { client, asked } = clientOf(answer(200, {
      revision: 9,
      items: [
        { ...item, key: "a", value: "ü" },
        { ...item, key: "/w==", keyEncoding: "base64", value: "/wA=", encoding: "base64" },
      ],
      cursor: "c+/=",
    }));
    const page = await client.list({ prefix: "a&b+", limit: 2, reverse: true, cursor: "x+y" });
    assert.deepEqual(urls(asked), [
      "http://a/v1/kv?prefix=a%26b%2B&limit=2&reverse=true&cursor=x%2By",
    ]);
    assert.deepEqual(page.items.map(({ key, value }) => [key, value]), [
      ["a", new TextEncoder().encode("ü")],
      [new Uint8Array([0xff]), new Uint8Array([0xff, 0])],
    ]);
    assert.equal(page.cursor, "c+/=");
  });
});
