import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CborLimits, decodeCbor } from "../../src/cbor.ts";
import { NotApplied } from "../../src/errors.ts";
import { assertProblem, fixture } from "./fixture.ts";

const limits: CborLimits = {
  totalBytesMax: 1e6,
  depthMax: 9,
  itemsMax: 1e5,
  textBytesMax: 1e5,
  byteStringBytesMax: 1e5,
};
const headers = { accept: "application/cbor" };

async function cbor(response: Response): Promise<unknown> {
  assert.equal(response.headers.get("content-type"), "application/cbor");
  return decodeCbor(new Uint8Array(await response.arrayBuffer()), limits);
}

describe("Accept: application/cbor", () => {
  it("turns answers to writes into CBOR", async () => {
    const { send } = fixture();
    const put = await send("PUT", "/v1/kv/a", { headers });
    assert.equal(put.status, 201);
    assert.deepEqual(await cbor(put), { revision: 1, version: 1 });
    const deleted = await send("DELETE", "/v1/kv/a", { headers });
    assert.deepEqual(await cbor(deleted), { revision: 2, deleted: 1 });
  });

  it("turns listings into CBOR, with keys and values as byte strings", async () => {
    const { send } = fixture();
    const type = { "content-type": "text/plain" };
    await send("PUT", "/v1/kv/a", { body: "text", headers: type });
    await send("PUT", "/v1/kv/%FF", { body: Uint8Array.of(255), headers: type });
    const item = { created: 1, revision: 1, version: 1, contentType: "text/plain" };
    assert.deepEqual(await cbor(await send("GET", "/v1/kv", { headers })), {
      revision: 2,
      items: [
        { key: Uint8Array.of(97), value: new TextEncoder().encode("text"), ...item },
        { key: Uint8Array.of(255), value: Uint8Array.of(255), ...item, created: 2, revision: 2 },
      ],
    });
    const bare = await cbor(await send("GET", "/v1/kv?values=false&limit=1", { headers }));
    assert.deepEqual(Object.keys(bare ?? {}), ["revision", "items", "cursor"]);
  });

  it("turns problems, status, health and the log into CBOR", async () => {
    const { send, replica, put } = fixture();
    await put("a");
    for (const target of ["/v1/status", "/livez", "/v1/log"]) {
      assert.equal(typeof await cbor(await send("GET", target, { headers })), "object");
    }
    replica.refusal = new NotApplied("no_leader", "none");
    const problem = await send("PUT", "/v1/kv/a", { headers });
    assert.equal(problem.status, 503);
    const body = await cbor(problem);
    assert.deepEqual(body, {
      type: "urn:holdfast:problem:no_leader",
      title: "No leader",
      status: 503,
      detail: "none",
      code: "no_leader",
      outcome: "not_applied",
    });
  });

  it("leaves a value as it was put", async () => {
    const { send, put } = fixture();
    await put("a", "text");
    assert.equal(await (await send("GET", "/v1/kv/a", { headers })).text(), "text");
  });

  for (
    const accept of [
      "application/cbor, */*",
      "application/json;q=0.5, application/cbor",
      "Application/CBOR;q=0.1",
      "text/html, application/cbor;q=0.9, application/json;q=0.9",
    ]
  ) {
    it(`is preferred: ${accept}`, async () => {
      const { app } = fixture();
      await cbor(await app.request("/v1/status", { headers: { accept } }));
    });
  }
  for (
    const accept of [
      "*/*",
      "application/json",
      "application/json, application/cbor;q=0.5",
      "application/cbor;q=0",
      "application/cborx",
      "",
    ]
  ) {
    it(`is not preferred: ${accept || "nothing"}`, async () => {
      const { app } = fixture();
      const response = await app.request("/v1/kv/absent", { headers: { accept } });
      await assertProblem(response, 404, "not_found");
    });
  }
});
