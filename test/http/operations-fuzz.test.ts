/** Documents of all kinds: each is carried out, or refused with nothing changed; none of them is a defect. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import "../adapters/byte-arbitraries.ts";
import { encodeCbor } from "../../src/cbor.ts";
import { fixture, json } from "./fixture.ts";

const key = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("a", "b", "a/1", "n") },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 5 }) },
);
const value = fc.oneof(fc.string({ maxLength: 5 }), fc.constantFrom("1", "-7", "YQ=="));
const mark = fc.constantFrom("base64", undefined);
/** What is there, or is left out: JSON and CBOR know no other way to say undefined. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { requiredKeys: [] });

const compared = { key, op: fc.constantFrom("=", "!=", "<", ">") };
const check = fc.oneof(
  fc.record({ key, exists: fc.boolean() }),
  fc.record({ ...compared, revision: fc.nat(30) }),
  fc.record({ ...compared, created: fc.nat(30) }),
  fc.record({ ...compared, version: fc.nat(3) }),
  fc.record({ ...compared, value, encoding: mark }),
);
const range = fc.oneof(
  record({ prefix: key }),
  record({ start: key, end: key }),
  record({ prefix: key, end: key }),
);
const extras = record({
  encoding: mark,
  keyEncoding: mark,
  contentType: fc.constantFrom("text/plain", "", "ä"),
  ttl: fc.constantFrom("1s", "0s", "9d"),
  lease: fc.constantFrom("1", "2", "x"),
  metadata: fc.constantFrom("YQ==", "a"),
});
const operation = fc.oneof(
  fc.tuple(fc.record({ key, value }), fc.oneof(fc.constant({}), extras)).map(([put, extra]) => ({
    put: { ...put, ...extra },
  })),
  fc.oneof(range, fc.record({ key })).map((fields) => ({ delete: fields })),
  fc.record({ key }).map((fields) => ({ get: fields })),
  fc.tuple(range, record({ limit: fc.nat(3), reverse: fc.boolean(), values: fc.boolean() }))
    .map(([fields, more]) => ({ list: { ...fields, ...more } })),
  fc.tuple(
    fc.record({ key, delta: fc.oneof(fc.integer(), value) }),
    record({ min: fc.integer(), max: fc.integer() }),
  )
    .map(([fields, bounds]) => ({ add: { ...fields, ...bounds } })),
);
/** Mostly what is meant, now and then anything. */
const mostly = <T>(meant: fc.Arbitrary<T>) =>
  fc.oneof(
    { weight: 30, arbitrary: meant as fc.Arbitrary<unknown> },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  );
const checks = mostly(fc.array(mostly(check), { maxLength: 3 }));
const operations = mostly(fc.array(mostly(operation), { maxLength: 4 }));
const batched = fc.tuple(operation, fc.option(checks, { nil: undefined }))
  .map(([one, only]) => only === undefined ? one : { ...one, if: only });
const request = fc.oneof(
  mostly(record({ if: checks, then: operations, else: operations }))
    .map((document) => ({ target: "/v1/txn", document })),
  mostly(fc.record({ ops: mostly(fc.array(mostly(batched), { maxLength: 5 })) }))
    .map((document) => ({ target: "/v1/batch", document })),
);

const statuses: ReadonlySet<number> = new Set([200, 400, 404, 412, 413]);

describe("a document of operations", () => {
  it("is carried out, or refused with nothing changed, in JSON as in CBOR", async () => {
    const seen = { done: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 8 }), async (requests) => {
        const [inJson, inCbor] = [fixture(), fixture()];
        for (const made of [inJson, inCbor]) await made.post("/v1/leases", { ttl: "1h" });
        for (const { target, document } of requests) {
          const before = inJson.replica.machine.store.revision;
          // As JSON has it: what is undefined is not there.
          const text = JSON.stringify(document);
          const plain: unknown = JSON.parse(text);
          const body = encodeCbor(plain);
          const headers = { "content-type": "application/cbor" };
          const first = await inJson.send("POST", target, { body: text });
          const second = await inCbor.send("POST", target, { body, headers });
          assert.ok(statuses.has(first.status), `${first.status} for ${text}`);
          const answer = await json(first);
          assert.equal(second.status, first.status);
          assert.deepEqual(await json(second), answer);
          seen[first.status === 200 ? "done" : "refused"]++;
          if (first.status === 200) continue;
          assert.equal(answer["outcome"], "not_applied");
          assert.equal(inJson.replica.machine.store.revision, before);
        }
        assert.deepEqual(inJson.logged, []);
        assert.deepEqual(inJson.defects, []);
        const payloads = ({ replica }: typeof inJson) => replica.log.map(({ payload }) => payload);
        assert.deepEqual(payloads(inCbor), payloads(inJson));
        assert.equal((await inJson.send("GET", "/v1/log")).status, 200);
      }),
      { numRuns: 100 },
    );
    assert.ok(Math.min(seen.done, seen.refused) > 50, JSON.stringify(seen));
  });
});
