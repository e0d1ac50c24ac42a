import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "../../src/client/mod.ts";
import { answer, problem, scripted, value } from "./fake-fetch.ts";

const endpoints = ["http://a"];

describe("a client's token", () => {
  it("goes with every request, beside its other headers", async () => {
    const { fetch, asked } = scripted(
      value("v", 1),
      answer(201, { revision: 2, version: 1 }),
      answer(200, { revision: 2, members: [], change: null }),
      problem(403, "forbidden"),
    );
    const client = connect({ endpoints, token: "hf_1_abc", fetch, timeoutMs: 1000 });
    await client.get("k", { consistency: "stale" });
    await client.put("k", "v", { contentType: "text/plain" });
    await client.members().catch(() => {});
    const watch = client.watch({ from: 1 }).next();
    await assert.rejects(watch, { code: "forbidden" });
    assert.ok(asked.length >= 4);
    for (const { headers } of asked) assert.equal(headers.get("authorization"), "Bearer hf_1_abc");
    assert.equal(asked[1]?.headers.get("content-type")?.startsWith("text/plain"), true);
    assert.equal(asked.at(-1)?.headers.get("accept"), "text/event-stream");
  });

  it("may be another one with each request", async () => {
    const { fetch, asked } = scripted(value("v", 1));
    let token = "first";
    const client = connect({ endpoints, token: () => token, fetch });
    await client.get("k", { consistency: "stale" });
    token = "second";
    await client.get("k", { consistency: "stale" });
    const said = asked.map(({ headers }) => headers.get("authorization"));
    assert.deepEqual(said, ["Bearer first", "Bearer second"]);
  });

  it("is no header where there is none, and refused where it could be another header", async () => {
    const { fetch, asked } = scripted(value("v", 1));
    await connect({ endpoints, fetch }).get("k", { consistency: "stale" });
    assert.equal(asked[0]?.headers.has("authorization"), false);
    for (const token of ["", "a b", "a\r\nx: y", "a,b"]) {
      assert.throws(() => connect({ endpoints, token }), TypeError);
    }
  });

  it("that is refused ends a call at once, and nothing was changed", async () => {
    for (const [status, code] of [[401, "unauthenticated"], [403, "forbidden"]] as const) {
      const { fetch, asked } = scripted(problem(status, code));
      const client = connect({ endpoints, token: "t", fetch });
      await assert.rejects(client.deletePrefix("a/"), { code, outcome: "not_applied" });
      assert.equal(asked.length, 1);
    }
  });
});
