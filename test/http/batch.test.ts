/** `POST /v1/batch`: independent operations, each with an outcome of its own. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

async function batch(made: Fixture, ops: readonly object[]): Promise<Record<string, unknown>> {
  const response = await made.post("/v1/batch", { ops });
  assert.equal(response.status, 200, await response.clone().text());
  return await json(response);
}

describe("a batch", () => {
  it("answers each operation as it would have been answered by itself", async () => {
    const made = fixture();
    await made.put("old", "1");
    await made.put("text", "no number");
    const { results, revision } = await batch(made, [
      { put: { key: "a", value: "A" } },
      { put: { key: "old", value: "2" }, if: [{ key: "old", revision: 1 }] },
      { put: { key: "old", value: "3" }, if: [{ key: "old", revision: 1 }] },
      { delete: { key: "b" }, if: [{ key: "b", exists: true }] },
      { put: { key: "b", value: "" }, if: [{ key: "a", exists: false }, { key: "b", version: 1 }] },
      { get: { key: "a" } },
      { get: { key: "b" } },
      { add: { key: "n", delta: 3 } },
      { add: { key: "text", delta: 3 } },
      { put: { key: "c", value: "", lease: "77" } },
      { delete: { prefix: "" } },
      { list: {} },
    ]);
    const failed = { outcome: "not_applied", status: 412, code: "precondition_failed" };
    const item = { key: "a", value: "A", revision: 3, created: 3, version: 1 };
    assert.equal(revision, 6);
    assert.deepEqual(results, [
      { status: 201, revision: 3, version: 1 },
      { status: 200, revision: 4, version: 2 },
      { ...failed, detail: "the key is at revision 4", revision: 4 },
      { ...failed, detail: "the key is absent", revision: 0 },
      { ...failed, detail: "several conditions do not hold", revision: null },
      { status: 200, revision: 4, item: { ...item, contentType: "application/octet-stream" } },
      { status: 404, code: "not_found", detail: "the key is absent", revision: 4 },
      { status: 200, revision: 5, version: 1, value: "3" },
      { ...failed, detail: '"text" holds something else than a 64-bit integer', revision: null },
      {
        status: 404,
        code: "not_found",
        detail: "there is no lease 77",
        outcome: "not_applied",
        revision: null,
      },
      { status: 200, revision: 6, deleted: 4 },
      { status: 200, revision: 6, items: [], more: false },
    ]);
  });

  it("is one entry in the log", async () => {
    const made = fixture();
    const ops = Array.from({ length: 1000 }, (_, at) => ({ put: { key: `k${at}`, value: "" } }));
    const { results } = await batch(made, ops);
    assert.equal((results as unknown[]).length, 1000);
    assert.equal(made.replica.log.length, 1);
    assert.equal(made.replica.machine.store.revision, 1000);
  });

  it("of reads alone asks a leader once, and leaves the log alone", async () => {
    const made = fixture();
    await made.put("a", "A");
    const { results, revision } = await batch(made, [
      { get: { key: "a" } },
      { get: { key: "b" }, if: [{ key: "b", exists: true }] },
      { list: { limit: 1, values: false } },
    ]);
    assert.equal(revision, 1);
    assert.deepEqual((results as { status: number }[]).map(({ status }) => status), [
      200,
      412,
      200,
    ]);
    assert.equal(made.replica.log.length, 1);
    assert.deepEqual(made.replica.reads, ["linearizable"]);
  });

  it("may be empty", async () => {
    const made = fixture();
    assert.deepEqual(await batch(made, []), { revision: 0, results: [] });
  });

  it("says of a listing that is too much that nothing of it was applied", async () => {
    const made = fixture();
    for (let at = 0; at < 9; at++) await made.put(`k${at}`, "x".repeat(1024 * 1024));
    const { results } = await batch(made, [{ list: {} }, { get: { key: "k0" } }]);
    const [list, get] = results as Record<string, unknown>[];
    assert.equal(list?.["status"], 413);
    assert.equal(list?.["code"], "too_large");
    assert.equal(list?.["outcome"], "not_applied");
    assert.equal(get?.["status"], 200);
  });

  it("is refused as a whole where an operation is malformed, before anything is proposed", async () => {
    const made = fixture();
    const response = await made.post("/v1/batch", {
      ops: [{ put: { key: "a", value: "" } }, { put: { key: "", value: "" } }],
    });
    const problem = await assertProblem(response, 400, "bad_request", "not_applied");
    assert.equal(problem["detail"], "body: ops[1].put.key: is empty");
    assert.equal(made.replica.log.length, 0);
  });
});
