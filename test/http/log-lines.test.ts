/** What requests leave in the log. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { fixture } from "./fixture.ts";

describe("a request that meets a defect", () => {
  it("is told of by method and route: no key, id, query, header or value", async () => {
    const lines: string[] = [];
    const { replica, send } = fixture({
      log: (level, message, fields) => lines.push(JSON.stringify({ level, message, ...fields })),
    });
    replica.refusal = new TypeError("not foreseen");
    const headers = { authorization: "Bearer marker", "idempotency-key": "marker" };
    const body = "marker";
    assert.equal((await send("PUT", "/v1/kv/marker/more", { body, headers })).status, 500);
    assert.equal((await send("GET", "/v1/kv?prefix=marker", { headers })).status, 500);
    assert.equal((await send("DELETE", "/v1/leases/77777777", { headers })).status, 500);
    assert.equal(lines.length, 3);
    assert.ok(lines.every((line) => line.includes("not foreseen")), lines.join("\n"));
    assert.ok(!/marker|77777777/.test(lines.join("\n")), lines.join("\n"));
    const targets = lines.map((line) => /"target":"([^"]*)"/.exec(line)?.[1]);
    assert.deepEqual(targets, ["/v1/kv/…", "/v1/kv", "/v1/leases/…"]);
  });
});
