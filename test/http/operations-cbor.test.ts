/** Transactions, batches and leases in CBOR: byte strings as they are, and the same command as from JSON. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CborLimits, decodeCbor, encodeCbor } from "../../src/cbor.ts";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

const limits: CborLimits = {
  totalBytesMax: 1e8,
  depthMax: 9,
  itemsMax: 1e6,
  textBytesMax: 1e6,
  byteStringBytesMax: 1e7,
};
const cbor = { "content-type": "application/cbor", accept: "application/cbor" };
const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

async function post({ send }: Fixture, target: string, document: object): Promise<unknown> {
  const response = await send("POST", target, { headers: cbor, body: encodeCbor(document) });
  assert.ok(response.ok, String(response.status));
  assert.equal(response.headers.get("content-type"), "application/cbor");
  return decodeCbor(new Uint8Array(await response.arrayBuffer()), limits);
}

const key = bytes("\xff\x00");
const value = bytes("\x00\xfe");
const metadata = bytes("\x80");

describe("CBOR", () => {
  it("carries a transaction's bytes both ways", async () => {
    const made = fixture();
    const answer = await post(made, "/v1/txn", {
      if: [{ key, exists: false }, { key, value, op: "!=" }],
      then: [
        { put: { key, value, metadata } },
        { get: { key } },
        { list: { prefix: key, limit: 1 } },
        { add: { key: "n", delta: "-9223372036854775808" } },
        { delete: { start: bytes("\xff"), end: bytes("\xff\x00") } },
      ],
    });
    const item = {
      key,
      value,
      revision: 1,
      created: 1,
      version: 1,
      contentType: "application/octet-stream",
      metadata,
    };
    assert.deepEqual(answer, {
      revision: 1,
      succeeded: true,
      results: [
        { revision: 1, version: 1 },
        { item },
        { items: [item], more: false },
        { revision: 1, version: 1, value: "-9223372036854775808" },
        { deleted: 0 },
      ],
    });
  });

  it("carries a batch's bytes both ways", async () => {
    const made = fixture();
    const { results } = await post(made, "/v1/batch", {
      ops: [
        { put: { key, value, contentType: "a/b" }, if: [{ key, revision: 0 }] },
        { get: { key } },
        { get: { key: "absent" } },
        { delete: { prefix: bytes("\xff") } },
      ],
    }) as { results: Record<string, unknown>[] };
    const item = { key, value, revision: 1, created: 1, version: 1, contentType: "a/b" };
    assert.deepEqual(results, [
      { status: 201, revision: 1, version: 1 },
      { status: 200, revision: 1, item },
      { status: 404, code: "not_found", detail: "the key is absent", revision: 1 },
      { status: 200, revision: 2, deleted: 1 },
    ]);
  });

  it("carries a batch of a thousand operations, and values of megabytes", async () => {
    const made = fixture();
    const puts = Array.from({ length: 1000 }, (_, at) => ({
      put: { key: `k${at}`, value, contentType: "a/b", ttl: "1h", metadata },
      if: [{ key: `k${at}`, revision: 0, op: "=" }, { key: "other", exists: false }],
    }));
    const { results } = await post(made, "/v1/batch", { ops: puts }) as { results: unknown[] };
    assert.equal(results.length, 1000);
    assert.equal(made.replica.machine.store.size, 1000);
    const large = Array.from({ length: 7 }, (_, at) => ({
      put: { key: `large${at}`, value: new Uint8Array(1024 * 1024).fill(at) },
    }));
    await post(made, "/v1/txn", { then: large });
    assert.equal(made.replica.machine.store.get("large6")?.value.at(-1), 6);
  });

  it("makes the same command as JSON", async () => {
    const made = fixture();
    await post(made, "/v1/txn", {
      if: [{ key: bytes("a"), value: bytes("b"), op: "!=" }],
      then: [{ put: { key: bytes("a"), value: bytes("\xff"), metadata } }],
    });
    await made.post("/v1/txn", {
      if: [{ key: "YQ==", keyEncoding: "base64", value: "b", op: "!=" }],
      then: [{ put: { key: "a", value: "/w==", encoding: "base64", metadata: "gA==" } }],
    });
    const [first, second] = made.replica.log;
    assert.deepEqual(first?.payload, second?.payload);
  });

  it("carries leases, and their keys", async () => {
    const made = fixture();
    assert.deepEqual(await post(made, "/v1/leases", { ttl: "10s" }), { id: "1", ttlMs: 10_000 });
    await post(made, "/v1/txn", { then: [{ put: { key, value, lease: "1" } }] });
    const response = await made.send("GET", "/v1/leases/1", { headers: cbor });
    assert.deepEqual(decodeCbor(new Uint8Array(await response.arrayBuffer()), limits), {
      id: "1",
      ttlMs: 10_000,
      remainingMs: 10_000,
      keyCount: 1,
      keys: [key],
    });
  });

  it("is refused beyond the body's bounds", async () => {
    const { send } = fixture();
    const items = encodeCbor({ ops: Array(600_000).fill(0) });
    const many = await send("POST", "/v1/batch", { headers: cbor, body: items });
    assert.equal(many.status, 400);
    const body = new Uint8Array(8 * 1024 * 1024 + 1);
    const large = await send("POST", "/v1/batch", {
      headers: { "content-type": "application/cbor" },
      body,
    });
    await assertProblem(large, 413, "too_large", "not_applied");
  });
});

describe("a document's form", () => {
  it("of the request and of the answer are each their own", async () => {
    const { send } = fixture();
    const document = { then: [{ put: { key: "a", value: "b" } }, { get: { key: "a" } }] };
    const asked = await send("POST", "/v1/txn", {
      headers: { "content-type": "application/cbor" },
      body: encodeCbor(document),
    });
    assert.equal(asked.headers.get("content-type"), "application/json");
    assert.equal((await json(asked))["revision"], 1);
    const answered = await send("POST", "/v1/txn", {
      headers: { accept: "application/cbor" },
      body: JSON.stringify(document),
    });
    assert.equal(answered.headers.get("content-type"), "application/cbor");
  });
});
