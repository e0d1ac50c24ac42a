import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NotApplied } from "../../src/errors.ts";
import { failure } from "./fake-fetch.ts";
import { gate, type Sent, World } from "./world.ts";

const routes = (sent: readonly Sent[]): string[] =>
  sent.map(({ method, target }) => `${method} ${target}`);
const operations = ({ body }: Sent): unknown[] => JSON.parse(body).ops;
const keys = (count: number): string[] => Array.from({ length: count }, (_, at) => `k${at}`);

describe("calls of one turn", () => {
  it("travel as one batch", async () => {
    const world = new World();
    const client = world.client();
    const results = await Promise.all(keys(1000).map((key) => client.put(key, `of ${key}`)));
    assert.deepEqual(routes(world.sent), ["POST /v1/batch"]);
    assert.deepEqual(results[999], { revision: 1000, version: 1, created: true });
    world.sent.length = 0;
    const items = await Promise.all(keys(1000).map((key) => client.get(key)));
    assert.deepEqual(routes(world.sent), ["POST /v1/batch"]);
    assert.equal(world.sent[0]?.headers.get("idempotency-key"), null);
    assert.deepEqual(
      items.map((item) => new TextDecoder().decode(item?.value)),
      keys(1000).map((key) => `of ${key}`),
    );
  });

  it("take as many batches as they have to: 1000 calls in each, and 4 MiB", async () => {
    const world = new World();
    const client = world.client();
    await Promise.all(keys(2500).map((key) => client.put(key, "v")));
    assert.deepEqual(world.sent.map((sent) => operations(sent).length), [1000, 1000, 500]);
    world.sent.length = 0;
    await Promise.all(keys(100).map((key) => client.put(key, "x".repeat(100 * 1024))));
    assert.equal(world.sent.length, 3);
    assert.ok(world.sent.every(({ body }) => body.length <= 4 * 1024 * 1024));
  });

  it("take the plain route where there is one of them", async () => {
    const world = new World();
    const client = world.client();
    const value = new Uint8Array([0xff, 0]);
    const metadata = new Uint8Array([1, 2]);
    await client.put("a/b", value, { contentType: "image/png", ttlMs: 60_000, metadata });
    const item = await client.get("a/b");
    await client.delete("a/b", { condition: { ifRevision: 1 } });
    assert.deepEqual(routes(world.sent), [
      "PUT /v1/kv/a/b?ttl=60000ms",
      "GET /v1/kv/a/b",
      "DELETE /v1/kv/a/b",
    ]);
    assert.deepEqual(item, {
      value,
      contentType: "image/png",
      revision: 1,
      metadata,
      lease: null,
      stalenessMs: null,
    });
  });

  it("come to the same in a batch as by themselves", async () => {
    const world = new World();
    const client = world.client();
    const { id } = await client.grantLease({ ttlMs: 60_000 });
    const value = new Uint8Array([0xff, 0]);
    const metadata = new Uint8Array([1, 2]);
    const byte = new Uint8Array([0xff]);
    const [put, failed, sum, gone] = await Promise.allSettled([
      client.put(byte, value, { contentType: "image/png", lease: id, metadata }),
      client.put(byte, "other", { condition: { ifAbsent: true } }),
      client.add("n", 2n ** 62n, { max: 10 }),
      client.delete("absent"),
    ]);
    assert.deepEqual(put, {
      status: "fulfilled",
      value: { revision: 1, version: 1, created: true },
    });
    assert.deepEqual(sum, { status: "fulfilled", value: { revision: 2, version: 1, value: 10n } });
    assert.deepEqual(gone, { status: "fulfilled", value: { revision: 2, deleted: 0 } });
    assert.ok(failed.status === "rejected");
    const { code, status, outcome, revision } = failed.reason;
    assert.deepEqual({ code, status, outcome, revision }, {
      code: "precondition_failed",
      status: 412,
      outcome: "not_applied",
      revision: 1,
    });
    const together = await Promise.all([client.get(byte), client.get("absent")]);
    assert.deepEqual(together, [await client.get(byte), null]);
    assert.equal(together[0]?.lease, id);
  });

  it("can be about keys that no URL spells", async () => {
    const world = new World();
    const client = world.client();
    for (const key of [".", ".."]) await client.put(key, key);
    assert.equal(new TextDecoder().decode((await client.get(".."))?.value), "..");
    await assert.rejects(client.get(".", { revision: 1 }), TypeError);
  });

  it("fail by themselves where their arguments can't be sent", async () => {
    const client = new World().client();
    // A caller without types.
    const condition = { ifRevision: 0n as unknown as number };
    const [wrong, right] = await Promise.allSettled([
      client.put("a", "1", { condition }),
      client.put("b", "1"),
    ]);
    assert.equal(wrong.status === "rejected" && wrong.reason instanceof TypeError, true);
    assert.equal(right.status, "fulfilled");
    await assert.rejects(client.put("..", "\ud800"), TypeError);
    await assert.rejects(client.put("a", "1", { contentType: "text/\u2028" }), TypeError);
  });

  it("leave the plain way where a read asks for more than now", async () => {
    const world = new World();
    const client = world.client();
    await client.put("k", "1");
    await client.put("k", "2");
    const [past, now, stale] = await Promise.all([
      client.get("k", { revision: 1 }),
      client.get("k"),
      client.get("k", { consistency: "stale" }),
    ]);
    assert.deepEqual([past?.revision, now?.revision, stale?.revision], [1, 2, 2]);
    assert.equal(stale?.stalenessMs, 0);
  });
});

describe("calls behind others", () => {
  it("gather while as many requests as may be are on their way", async () => {
    const world = new World();
    const client = world.client();
    const { opened, open } = gate();
    world.before = () => opened;
    const done: Promise<unknown>[] = [];
    for (let turn = 0; turn < 40; turn++) {
      done.push(client.put(`k${turn}`, "v"));
      await Promise.resolve();
      await Promise.resolve();
    }
    assert.equal(world.sent.length, 4);
    open();
    await Promise.all(done);
    assert.deepEqual(world.sent.slice(4).map((sent) => operations(sent).length), [36]);
  });

  it("aren't sent once they are aborted, and then weren't applied", async () => {
    const world = new World();
    const client = world.client();
    const { opened, open } = gate();
    world.before = () => opened;
    const first: Promise<unknown>[] = [];
    for (let turn = 0; turn < 4; turn++) {
      first.push(client.put("first", String(turn)));
      await Promise.resolve();
      await Promise.resolve();
    }
    const abort = new AbortController();
    const waiting = client.put("aborted", "v", { signal: abort.signal });
    const other = client.put("other", "v");
    abort.abort(new Error("enough"));
    const error = await failure(waiting);
    assert.deepEqual([error.code, error.outcome], ["aborted", "not_applied"]);
    assert.equal(error.cause, abort.signal.reason);
    open();
    await Promise.all([...first, other]);
    assert.equal(await client.get("aborted"), null);
  });
});

describe("a batch on its way", () => {
  it("goes on without a call that is aborted, whose outcome is unknown then", async () => {
    const world = new World();
    const client = world.client();
    const { opened, open } = gate();
    world.before = () => opened;
    const abort = new AbortController();
    const calls = [client.put("a", "v", { signal: abort.signal }), client.put("b", "v")];
    await Promise.resolve();
    await Promise.resolve();
    assert.equal(world.sent.length, 1);
    abort.abort();
    const error = await failure(calls[0] ?? Promise.resolve());
    assert.deepEqual([error.code, error.outcome], ["aborted", "unknown"]);
    open();
    assert.deepEqual(await calls[1], { revision: 2, version: 1, created: true });
  });

  it("goes on with a call that is aborted between two attempts, whose outcome is unknown then", async () => {
    const world = new World();
    const abort = new AbortController();
    const { replica } = world.fixture;
    replica.refusal = new NotApplied("no_leader", "nobody leads");
    const onRetry = (): void => {
      replica.refusal = null;
      abort.abort();
    };
    const client = world.client({ onRetry });
    const [left, kept] = await Promise.all([
      failure(client.put("left", "1", { signal: abort.signal })),
      client.put("kept", "1"),
    ]);
    assert.deepEqual([left.code, left.outcome, kept.version], ["aborted", "unknown", 1]);
    assert.equal(world.sent.length, 2);
    assert.notEqual(await client.get("left"), null);
  });

  it("is not sent again where the last of its calls is aborted between two attempts", async () => {
    const world = new World();
    const abort = new AbortController();
    world.fixture.replica.refusal = new NotApplied("no_leader", "nobody leads");
    const client = world.client({ onRetry: () => abort.abort() });
    const { signal } = abort;
    const calls = ["a", "b"].map((key) => failure(client.put(key, "1", { signal })));
    const outcomes = (await Promise.all(calls)).map(({ outcome }) => outcome);
    // Of the first nobody knew yet that the second goes, too.
    assert.deepEqual(outcomes, ["unknown", "not_applied"]);
    assert.equal(world.sent.length, 1);
  });

  it("ends with its last call", async () => {
    const world = new World();
    const client = world.client();
    world.fault = () => "hang";
    const abort = new AbortController();
    const calls = ["a", "b"].map((key) => failure(client.put(key, "v", { signal: abort.signal })));
    await Promise.resolve();
    await Promise.resolve();
    abort.abort();
    for (const error of await Promise.all(calls)) assert.equal(error.outcome, "unknown");
    world.fault = () => null;
    await client.put("c", "v");
    await client.put("d", "v");
    assert.equal(world.sent.at(-1)?.headers.get("holdfast-sequence"), "3;done=3");
  });

  it("is taken apart where one of its calls is too large, and the others come through", async () => {
    const world = new World();
    const client = world.client();
    const calls = keys(20).map((key) =>
      client.put(key, "v", key === "k7" ? { metadata: new Uint8Array(1025) } : {})
    );
    const results = await Promise.allSettled(calls);
    const failed = results.flatMap((one, at) => (one.status === "rejected" ? [at] : []));
    assert.deepEqual(failed, [7]);
    const [bad] = results.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    assert.deepEqual([bad.code, bad.outcome], ["too_large", "not_applied"]);
    assert.equal(world.fixture.replica.machine.store.size, 19);
  });

  it("is read again in parts where it comes to too much", async () => {
    const world = new World();
    const client = world.client();
    const names = keys(20);
    for (const key of names) await client.put(key, "x".repeat(1024 * 1024));
    world.sent.length = 0;
    const items = await Promise.all(names.map((key) => client.get(key)));
    assert.ok(items.every((item) => item?.value.length === 1024 * 1024));
    assert.ok(world.sent.length <= 8, `${world.sent.length} requests`);
  });
});
