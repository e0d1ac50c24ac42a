/** `POST /v1/txn`: conditions, operations, one revision, all or nothing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

async function txn(made: Fixture, document: object): Promise<Record<string, unknown>> {
  const response = await made.post("/v1/txn", document);
  assert.equal(response.status, 200, await response.clone().text());
  const body = await json(response);
  assert.equal(response.headers.get("holdfast-revision"), String(body["revision"]));
  return body;
}

const put = (key: string, value = "v") => ({ put: { key, value } });

describe("a transaction", () => {
  it("takes a key that is not text as base64, said with either name where there is no value", async () => {
    for (const said of ["encoding", "keyEncoding"]) {
      const made = fixture();
      const key = { key: "/w==", [said]: "base64" };
      await txn(made, { then: [{ put: { key: "/w==", keyEncoding: "base64", value: "v" } }] });
      const { succeeded, results } = await txn(made, {
        if: [{ ...key, exists: true }, { ...key, version: 1 }],
        then: [
          { list: { start: "/w==", [said]: "base64", values: false } },
          { delete: key },
          { add: { ...key, delta: 1 } },
          { get: key },
        ],
      });
      assert.equal(succeeded, true);
      const [listed, deleted, added, got] = results as Record<string, unknown>[];
      assert.deepEqual([deleted?.["deleted"], added?.["value"]], [1, "1"]);
      for (const item of [(listed?.["items"] as unknown[] | undefined)?.[0], got?.["item"]]) {
        assert.equal((item as Record<string, unknown> | undefined)?.["keyEncoding"], "base64");
      }
    }
  });

  it("does all of it by one revision, and answers each operation in order", async () => {
    const made = fixture();
    await made.put("old", "1");
    const answer = await txn(made, {
      then: [
        { put: { key: "a", value: "A", contentType: "text/plain" } },
        { put: { key: "old", value: "2" } },
        { get: { key: "a" } },
        { add: { key: "n", delta: "9007199254740993" } },
        { delete: { key: "nothing" } },
        { list: { prefix: "", values: false, limit: 2 } },
      ],
    });
    const item = { key: "a", revision: 2, created: 2, version: 1, contentType: "text/plain" };
    assert.deepEqual(answer, {
      revision: 2,
      succeeded: true,
      results: [
        { revision: 2, version: 1 },
        { revision: 2, version: 2 },
        { item: { ...item, value: "A" } },
        { revision: 2, version: 1, value: "9007199254740993" },
        { deleted: 0 },
        { items: [item, { ...item, key: "n" }], more: true },
      ],
    });
    const { revision } = await json(await made.send("GET", "/v1/kv"));
    assert.equal(revision, 2);
  });

  it("does else where a condition does not hold, and says so", async () => {
    const made = fixture();
    const document = { if: [{ key: "a", revision: 0 }], then: [put("a")], else: [put("b")] };
    assert.equal((await txn(made, document))["succeeded"], true);
    const second = await txn(made, document);
    assert.deepEqual(second, {
      revision: 2,
      succeeded: false,
      results: [{ revision: 2, version: 1 }],
    });
    assert.deepEqual(await txn(made, { ...document, else: [] }), {
      revision: 2,
      succeeded: false,
      results: [],
    });
  });

  it("shows items of else as else asks for them", async () => {
    const made = fixture();
    await made.put("a", "A");
    const { results } = await txn(made, {
      if: [{ key: "a", exists: false }],
      then: [{ list: {} }],
      else: [{ list: { values: false } }, put("b")],
    });
    const [listed] = results as { items?: object[] }[];
    assert.equal("value" in (listed?.items?.[0] ?? {}), false);
  });

  const held: readonly (readonly [object, boolean])[] = [
    [{ key: "a", revision: 2 }, true],
    [{ key: "a", revision: 1 }, false],
    [{ key: "a", revision: 1, op: ">" }, true],
    [{ key: "a", revision: 2, op: "!=" }, false],
    [{ key: "absent", revision: 0 }, true],
    [{ key: "a", created: 1 }, true],
    [{ key: "a", created: 2, op: "<" }, true],
    [{ key: "a", version: 2 }, true],
    [{ key: "a", version: 2, op: "<" }, false],
    [{ key: "absent", version: 0 }, true],
    [{ key: "a", value: "two" }, true],
    [{ key: "a", value: "dHdv", encoding: "base64" }, true],
    [{ key: "a", value: "tw", op: ">" }, true],
    [{ key: "a", value: "two", op: "!=" }, false],
    [{ key: "absent", value: "two", op: "!=" }, true],
    [{ key: "absent", value: "", op: "=" }, false],
    [{ key: "a", exists: true }, true],
    [{ key: "a", exists: false }, false],
    [{ key: "absent", exists: false }, true],
    [{ key: "YQ==", keyEncoding: "base64", exists: true }, true],
  ];
  for (const [check, holds] of held) {
    it(`finds that ${JSON.stringify(check)} ${holds ? "holds" : "does not hold"}`, async () => {
      const made = fixture();
      await made.put("a", "one");
      await made.put("a", "two");
      const writes = await txn(made, { if: [check], then: [put("then")], else: [put("else")] });
      assert.equal(writes["succeeded"], holds);
      const reads = await txn(made, { if: [check] });
      assert.equal(reads["succeeded"], holds, "also where nothing is written");
    });
  }

  it("needs all of its conditions", async () => {
    const made = fixture();
    await made.put("a");
    const checks = [{ key: "a", exists: true }, { key: "b", exists: true }];
    assert.equal((await txn(made, { if: checks, then: [put("c")] }))["succeeded"], false);
  });

  it("deletes a range, and keys that are not UTF-8", async () => {
    const made = fixture();
    for (const key of ["a/1", "a/2", "%FF", "b"]) await made.put(key);
    const { results, revision } = await txn(made, {
      then: [
        { delete: { prefix: "a/" } },
        { delete: { key: "/w==", keyEncoding: "base64" } },
        { delete: { start: "b", end: "b" } },
      ],
    });
    assert.deepEqual(results, [{ deleted: 2 }, { deleted: 1 }, { deleted: 0 }]);
    assert.equal(revision, 5);
    assert.equal((await json(await made.send("GET", "/v1/kv")))["revision"], 5);
  });

  it("adds within bounds", async () => {
    const made = fixture();
    const add = async (add: object) =>
      ((await txn(made, { then: [{ add: { key: "n", ...add } }] }))["results"] as unknown[])[0];
    assert.deepEqual(await add({ delta: 5 }), { revision: 1, version: 1, value: "5" });
    assert.deepEqual(await add({ delta: -7, min: 0 }), { revision: 2, version: 2, value: "0" });
    assert.deepEqual(await add({ delta: "9", max: "3" }), { revision: 3, version: 3, value: "3" });
    assert.equal(await (await made.send("GET", "/v1/kv/n")).text(), "3");
  });

  it("changes nothing where an operation turns out to be impossible", async () => {
    const made = fixture();
    await made.put("text", "no number");
    const response = await made.post("/v1/txn", {
      then: [put("a"), { add: { key: "text", delta: 1 } }],
    });
    const problem = await assertProblem(response, 412, "precondition_failed", "not_applied");
    assert.match(String(problem["detail"]), /"text" holds something else than a 64-bit integer/);
    assert.equal((await made.send("GET", "/v1/kv/a")).status, 404);
    const lease = await made.post("/v1/txn", { then: [{ put: { ...put("a").put, lease: "9" } }] });
    await assertProblem(lease, 404, "not_found", "not_applied");
    assert.equal(lease.headers.get("holdfast-revision"), "1");
  });

  it("is refused where what it reads is too much", async () => {
    const made = fixture();
    const megabyte = "x".repeat(1024 * 1024);
    for (let at = 0; at < 9; at++) await made.put(`k${at}`, megabyte);
    const list = { list: { prefix: "k" } };
    for (const then of [[list], [put("a"), list]]) {
      const response = await made.post("/v1/txn", { then });
      const problem = await assertProblem(response, 413, "too_large", "not_applied");
      assert.equal(problem["limit"], 8 * 1024 * 1024);
    }
    assert.equal((await made.send("GET", "/v1/kv/a")).status, 404);
  });

  it("is read without the log where it only reads", async () => {
    const made = fixture();
    await made.put("a", "A");
    const entries = made.replica.log.length;
    const answer = await txn(made, {
      if: [{ key: "a", exists: true }],
      then: [{ get: { key: "a" } }],
    });
    assert.equal(answer["revision"], 1);
    assert.equal(made.replica.log.length, entries);
    assert.deepEqual(made.replica.reads, ["linearizable"]);
  });

  it("says what became of it where the replica fails", async () => {
    const made = fixture();
    made.replica.refusal = new NotApplied("no_leader", "none");
    await assertProblem(
      await made.post("/v1/txn", { then: [put("a")] }),
      503,
      "no_leader",
      "not_applied",
    );
    made.replica.refusal = null;
    made.replica.loss = new OutcomeUnknown("lost");
    const lost = await made.post("/v1/txn", { then: [put("a")] });
    await assertProblem(lost, 504, "outcome_unknown", "unknown");
    assert.equal((await made.send("GET", "/v1/kv/a")).status, 200);
  });

  it("says unknown of an answer that cannot be", async () => {
    const made = fixture();
    made.replica.propose = () =>
      Promise.resolve({ index: 1, term: 1, result: { type: "configured", revision: 1 } });
    for (const target of ["/v1/txn", "/v1/batch"]) {
      const document = target === "/v1/txn" ? { then: [put("a")] } : { ops: [put("a")] };
      await assertProblem(await made.post(target, document), 500, "internal", "unknown");
    }
    await assertProblem(await made.send("PUT", "/v1/kv/a"), 500, "internal", "unknown");
    await assertProblem(await made.post("/v1/leases", { ttl: "1s" }), 500, "internal", "unknown");
  });
});
