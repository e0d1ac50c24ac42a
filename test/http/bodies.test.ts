import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertProblem, type Fixture, fixture } from "./fixture.ts";

/** A body that comes in these pieces, and then ends, breaks off, or says no more. */
function streamOf(
  pieces: number[],
  end: "closed" | "broken" | "silent",
): ReadableStream<Uint8Array> {
  let next = 0;
  return new ReadableStream({
    async pull(controller) {
      const size = pieces[next++];
      if (size !== undefined) return controller.enqueue(new Uint8Array(size));
      if (end === "closed") return controller.close();
      if (end === "broken") return controller.error(new Error("connection reset"));
      await new Promise(() => {});
    },
  });
}

async function putStream(
  { app }: Fixture,
  body: ReadableStream<Uint8Array>,
  headers: Record<string, string> = {},
): Promise<Response> {
  const init = { method: "PUT", body, headers, duplex: "half" as const };
  return await app.request("/v1/kv/a", init);
}

describe("a body", () => {
  const limits = {
    valueBytesMax: 1000,
    bodyTimeoutMs: 60_000,
    drainBytesMax: 5000,
    drainTimeoutMs: 5,
  };

  it("may be as large as the limit, whether or not its length is said", async () => {
    const { app, send } = fixture({ limits });
    const headers = { "content-length": "1000" };
    const said = { method: "PUT", body: new Uint8Array(1000), headers };
    assert.equal((await app.request("/v1/kv/a", said)).status, 201);
    assert.equal((await send("PUT", "/v1/kv/b", { body: new Uint8Array(1000) })).status, 201);
    assert.equal((await (await send("GET", "/v1/kv/b")).arrayBuffer()).byteLength, 1000);
  });

  it("is refused where it says that it is larger, also before it comes", async () => {
    const made = fixture({ limits });
    for (const length of ["1001", "4000", "99999999999999999999"]) {
      const response = await putStream(made, streamOf([], "silent"), { "content-length": length });
      const problem = await assertProblem(response, 413, "too_large", "not_applied");
      assert.equal(problem["limit"], 1000);
    }
  });

  it("is refused where it turns out to be larger, also before all of it came", async () => {
    const made = fixture({ limits });
    for (const end of ["silent", "broken", "closed"] as const) {
      const response = await putStream(made, streamOf([600, 600], end));
      const problem = await assertProblem(response, 413, "too_large", "not_applied");
      assert.equal(problem["limit"], 1000);
    }
    assert.equal(made.replica.log.length, 0);
  });

  it("that is too large is taken off the wire before the answer, up to a bound", async () => {
    const made = fixture({ limits: { ...limits, drainTimeoutMs: 60_000 } });
    let pulled = 0;
    const endless = () => {
      pulled = 0;
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          pulled += 500;
          if (pulled > 50_000) throw new Error("read on and on");
          controller.enqueue(new Uint8Array(500));
        },
      });
    };
    await assertProblem(await putStream(made, endless()), 413, "too_large", "not_applied");
    assert.ok(pulled >= 6000 && pulled < 10_000, `${pulled} bytes`);
    const said = await putStream(made, endless(), { "content-length": "4000" });
    await assertProblem(said, 413, "too_large", "not_applied");
    assert.ok(pulled >= 4000 && pulled < 10_000, `${pulled} bytes`);
    const beyond = await putStream(made, endless(), { "content-length": "5001" });
    await assertProblem(beyond, 413, "too_large", "not_applied");
    assert.ok(pulled <= 1000, `${pulled} bytes`);
  });

  it("is put together where it comes in pieces", async () => {
    const made = fixture({ limits });
    assert.equal((await putStream(made, streamOf([1, 0, 2, 3], "closed"))).status, 201);
    assert.equal((await (await made.send("GET", "/v1/kv/a")).arrayBuffer()).byteLength, 6);
  });

  it("that breaks off applies nothing", async () => {
    const made = fixture({ limits });
    const response = await putStream(made, streamOf([10], "broken"));
    await assertProblem(response, 400, "bad_request", "not_applied");
    const said = await putStream(made, streamOf([10], "broken"), { "content-length": "20" });
    await assertProblem(said, 400, "bad_request", "not_applied");
    assert.equal(made.replica.log.length, 0);
  });

  it("that is not as long as it said applies nothing", async () => {
    const made = fixture({ limits });
    const response = await putStream(made, streamOf([10], "closed"), { "content-length": "20" });
    await assertProblem(response, 400, "bad_request", "not_applied");
    assert.equal(made.replica.log.length, 0);
  });

  it("that comes too slowly is refused", async () => {
    const made = fixture({ limits: { ...limits, bodyTimeoutMs: 20 } });
    for (const headers of [{}, { "content-length": "20" }]) {
      const response = await putStream(made, streamOf([10], "silent"), headers);
      await assertProblem(response, 408, "request_timeout", "not_applied");
    }
    assert.equal(made.replica.log.length, 0);
  });

  it("waits for no other, but together they are bounded", async () => {
    const made = fixture({ limits: { ...limits, arrivingBytesMax: 1500 } });
    let finish: () => void = () => {};
    const slow = new ReadableStream<Uint8Array>({
      start(controller) {
        finish = () => controller.close();
      },
    });
    const first = putStream(made, slow);
    const second = await putStream(made, streamOf([1], "closed"));
    assert.equal(second.headers.get("retry-after"), "1");
    await assertProblem(second, 429, "overloaded", "not_applied");
    finish();
    assert.equal((await first).status, 201);
    assert.equal((await putStream(made, streamOf([1], "closed"))).status, 200);
  });
});

describe("open requests", () => {
  it("are bounded; what is over is refused, and health still answers", async () => {
    const made = fixture({ limits: { openRequestsMax: 2 } });
    const gate = Promise.withResolvers<void>();
    made.replica.before = () => gate.promise;
    const open = [made.send("PUT", "/v1/kv/a"), made.send("PUT", "/v1/kv/b")];
    const third = await made.send("PUT", "/v1/kv/c");
    assert.equal(third.headers.get("retry-after"), "1");
    await assertProblem(third, 429, "overloaded", "not_applied");
    await assertProblem(await made.send("GET", "/v1/kv/a"), 429, "overloaded");
    for (const target of ["/livez", "/v1/status", "/metrics"]) {
      assert.equal((await made.send("GET", target)).status, 200);
    }
    gate.resolve();
    for (const response of await Promise.all(open)) assert.equal(response.status, 201);
    assert.equal((await made.send("GET", "/v1/kv/a")).status, 200);
  });
});
