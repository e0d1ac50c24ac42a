import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fetchInProcess, IN_PROCESS_URL } from "../../runtimes/in-process.ts";

describe("fetch in this process", () => {
  it("hands the target on as it was written", async () => {
    const fetch = fetchInProcess(async ({ method }, bindings) =>
      new Response(`${method} ${bindings?.incoming?.url}`)
    );
    const target = "/v1/kv/a/../b/.?x=%FF";
    const response = await fetch(IN_PROCESS_URL + target, { method: "DELETE" });
    assert.equal(await response.text(), `DELETE ${target}`);
  });

  it("rejects at an abort, without waiting for the answer", async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const fetch = fetchInProcess(() => new Promise(() => {}));
    const answer = fetch(IN_PROCESS_URL, { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(answer, reason);
    await assert.rejects(fetch(IN_PROCESS_URL, { signal: controller.signal }), reason);
  });

  it("ends a stream that is answered behind the abort", async () => {
    const cancelled = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<Response>();
    const controller = new AbortController();
    const asked = fetchInProcess(() => answer.promise)(IN_PROCESS_URL, {
      signal: controller.signal,
    });
    controller.abort();
    await assert.rejects(asked);
    answer.resolve(new Response(new ReadableStream({ cancel: () => cancelled.resolve() })));
    await cancelled.promise;
  });

  it("ends a stream of events at an abort, and tells who writes it", async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("id: 1\n\n")),
      cancel: (reason) => cancelled.resolve(reason),
    });
    const headers = { "content-type": "text/event-stream" };
    const fetch = fetchInProcess(async () => new Response(stream, { headers }));
    const controller = new AbortController();
    const { body, status } = await fetch(IN_PROCESS_URL, { signal: controller.signal });
    assert.equal(status, 200);
    const reader = body?.getReader();
    assert.equal(new TextDecoder().decode((await reader?.read())?.value), "id: 1\n\n");
    const reason = new Error("enough");
    controller.abort(reason);
    assert.equal(await cancelled.promise, reason);
    await assert.rejects(async () => await reader?.read(), reason);
  });
});
