import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Client, ClientError, createClient } from "../../src/client/mod.ts";
import {
  answer,
  type Asked,
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
  return { client: createClient({ endpoints, fetch, timeoutMs: 2_000 }), asked };
}

async function failure(doing: Promise<unknown>): Promise<ClientError> {
  const error = await doing.then(() => null, (reason: unknown) => reason);
  assert.ok(error instanceof ClientError, `no ClientError: ${String(error)}`);
  return error;
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

  it("never repeats a write without a condition once its fate is unknown", async () => {
    for (const step of [reset, unknown, answer(200, {}), () => new Response("", { status: 502 })]) {
      const { client, asked } = clientOf(step, created);
      const error = await failure(client.put("k", "v"));
      assert.equal(error.outcome, "unknown");
      assert.equal(asked.length, 1);
    }
  });

  it("repeats a write with a condition, under the same condition", async () => {
    const { client, asked } = clientOf(unknown, reset, created);
    await client.put("k", "v", { condition: { ifRevision: 6 } });
    assert.deepEqual(asked.map(({ headers }) => headers.get("if-match")), ['"6"', '"6"', '"6"']);
  });

  it("calls the outcome unknown where a condition fails behind an attempt whose fate is unknown", async () => {
    const failed = problem(412, "precondition_failed", { outcome: "not_applied", etag: '"7"' });
    const { client } = clientOf(unknown, failed);
    const error = await failure(client.put("k", "v", { condition: { ifAbsent: true } }));
    assert.equal(error.outcome, "unknown");
    const certain = clientOf(failed);
    const other = await failure(certain.client.put("k", "v", { condition: { ifAbsent: true } }));
    assert.deepEqual([other.outcome, other.code, other.revision], [
      "not_applied",
      "precondition_failed",
      7,
    ]);
  });

  it("keeps an unknown outcome when later attempts find nobody", async () => {
    const { fetch } = scripted(unknown, refused);
    const client = createClient({ endpoints: ["http://a"], fetch, timeoutMs: 300 });
    const error = await failure(client.delete("k", { ifPresent: true }));
    assert.equal(error.outcome, "unknown");
  });

  it("gives up when its time is over, and says that nothing was applied", async () => {
    const { fetch } = scripted(refused);
    const client = createClient({ endpoints: ["http://a"], fetch, timeoutMs: 300 });
    const error = await failure(client.put("k", "v"));
    assert.deepEqual([error.outcome, error.code], ["not_applied", "unreachable"]);
  });

  it("ends an attempt that is not answered, and asks another node for a read", async () => {
    let asked = 0;
    const client = createClient({
      endpoints: ["http://a", "http://b"],
      attemptTimeoutMs: 20,
      fetch: async (url, { signal }) => {
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
    for (const key of ["", ".", "..", "\ud800"]) await assert.rejects(client.get(key), TypeError);
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

describe("client.ensure", () => {
  const bytes = new TextEncoder().encode("new");
  const taken = problem(412, "precondition_failed", { outcome: "not_applied", etag: '"5"' });
  const conditions = (asked: readonly Asked[]): (string | null)[] =>
    asked.map(({ method, headers }) =>
      method === "GET" ? "read" : headers.get("if-none-match") ?? headers.get("if-match")
    );

  it("creates, or replaces what it finds, each time under a condition", async () => {
    const fresh = clientOf(created);
    assert.equal((await fresh.client.ensure("k", bytes, "text/plain")).revision, 7);
    assert.deepEqual(conditions(fresh.asked), ["*"]);

    const existing = clientOf(taken, answer(200, { revision: 8, version: 2 }));
    assert.equal((await existing.client.ensure("k", bytes, "text/plain")).revision, 8);
    assert.deepEqual(conditions(existing.asked), ["*", '"5"']);
  });

  it("finds out by reading whether an uncertain attempt took effect", async () => {
    const { client, asked } = clientOf(unknown, taken, value("new", 5));
    assert.equal((await client.ensure("k", bytes, "text/plain")).revision, 5);
    assert.deepEqual(conditions(asked), ["*", "*", "read"]);
  });

  it("replaces what another put there, also behind an uncertain attempt", async () => {
    for (const found of [value("old", 5), value("new", 5, "image/png")]) {
      const { client, asked } = clientOf(
        reset,
        taken,
        found,
        answer(200, { revision: 6, version: 2 }),
      );
      assert.equal((await client.ensure("k", bytes, "text/plain")).revision, 6);
      assert.deepEqual(conditions(asked), ["*", "*", "read", '"5"']);
    }
  });

  it("begins anew where the key was deleted in between", async () => {
    const gone = problem(412, "precondition_failed", { outcome: "not_applied" });
    const { client, asked } = clientOf(taken, gone, created);
    await client.ensure("k", bytes, "text/plain");
    assert.deepEqual(conditions(asked), ["*", '"5"', "*"]);
  });

  it("stops at a refusal, and says unknown where it can't find out", async () => {
    const refusedForGood = clientOf(problem(413, "too_large", { outcome: "not_applied" }));
    const refusal = await failure(refusedForGood.client.ensure("k", bytes, "text/plain"));
    assert.equal(refusal.code, "too_large");

    const { fetch } = scripted(unknown, taken, refused);
    const client = createClient({ endpoints: ["http://a"], fetch, timeoutMs: 300 });
    const error = await failure(client.ensure("k", bytes, "text/plain"));
    assert.equal(error.outcome, "unknown");
  });
});
