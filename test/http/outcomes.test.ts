import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KvResult } from "../../src/kv/result.ts";
import { InvariantViolation } from "../../src/assert.ts";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import { assertProblem, fixture } from "./fixture.ts";

const writes = [["PUT", "/v1/kv/a"], ["DELETE", "/v1/kv/a"], [
  "DELETE",
  "/v1/kv?prefix=a",
]] as const;
const reads = ["/v1/kv/a", "/v1/kv?prefix=a", "/v1/kv/a?consistency=lease"];

describe("a write that is not answered with 2xx", () => {
  for (const reason of ["no_leader", "not_ready"] as const) {
    it(`says not_applied with 503 ${reason}, and when to come again`, async () => {
      const { send, replica } = fixture();
      replica.refusal = new NotApplied(reason, "why");
      for (const [method, target] of writes) {
        const response = await send(method, target);
        assert.equal(response.headers.get("retry-after"), "1");
        const body = await assertProblem(response, 503, reason, "not_applied");
        assert.equal(body["detail"], "why");
      }
    });
  }

  it("counts what it refuses before anything is done for it as it does all refusals", async () => {
    const { send } = fixture({ limits: { openRequestsMax: 0 } });
    for (const method of ["PUT", "GET", "HEAD"]) {
      assert.equal((await send(method, "/v1/kv/a")).status, 429);
    }
    const text = await (await send("GET", "/metrics")).text();
    assert.match(text, /^holdfast_http_refusals_total\{code="overloaded"\} 3$/m);
    assert.match(text, /^holdfast_http_overloaded_total\{bound="open_requests"\} 3$/m);
  });

  it("says not_applied with 429 where the replica is overloaded", async () => {
    const { send, replica } = fixture();
    replica.refusal = new NotApplied("overloaded", "full");
    for (const [method, target] of writes) {
      const response = await send(method, target);
      assert.equal(response.headers.get("retry-after"), "1");
      await assertProblem(response, 429, "overloaded", "not_applied");
    }
  });

  it("says unknown with 504 where its fate was not learned, also where it was applied", async () => {
    const { send, replica } = fixture();
    replica.loss = new OutcomeUnknown("lost");
    for (const [method, target] of writes) {
      await assertProblem(await send(method, target), 504, "outcome_unknown", "unknown");
    }
    assert.equal(replica.machine.store.revision, 2);
  });

  it("says unknown with 500 where a defect was met, and logs it without showing it", async () => {
    const { send, replica, logged, defects } = fixture();
    replica.loss = new Error("secret detail");
    const body = await assertProblem(
      await send("PUT", "/v1/kv/a", { body: "x" }),
      500,
      "internal",
      "unknown",
    );
    assert.doesNotMatch(JSON.stringify(body), /secret detail/);
    assert.equal(logged.length, 1);
    assert.equal(defects.length, 0);
  });

  it("reports a broken invariant, which has to stop the node", async () => {
    const { send, replica, defects } = fixture();
    const broken = new InvariantViolation("match is beyond the log's end");
    replica.loss = broken;
    await assertProblem(await send("PUT", "/v1/kv/a"), 500, "internal", "unknown");
    replica.read = () => Promise.reject(broken);
    await assertProblem(await send("GET", "/v1/kv/a"), 500, "internal");
    assert.deepEqual(defects, [broken, broken]);
  });

  it("says not_applied with 500 where the command is in the log and void", async () => {
    const { send, replica } = fixture();
    replica.propose = () =>
      Promise.resolve({
        index: 1,
        term: 1,
        result: { type: "malformed", revision: 3, detail: "version 2" },
      });
    await assertProblem(await send("PUT", "/v1/kv/a"), 500, "internal", "not_applied");
  });
});

describe("a read", () => {
  it("is 503 where no leader confirms it, without an outcome", async () => {
    const { app, replica } = fixture();
    replica.refusal = new NotApplied("no_leader", "none");
    for (const target of reads) {
      const response = await app.request(target);
      assert.equal(response.headers.get("retry-after"), "1");
      await assertProblem(response, 503, "no_leader");
    }
  });

  it("asks the replica for what its consistency promises", async () => {
    const { app, put, replica } = fixture();
    await put("a");
    for (
      const query of ["", "?consistency=linearizable", "?consistency=lease", "?consistency=stale"]
    ) {
      const response = await app.request(`/v1/kv/a${query}`);
      assert.equal(response.status, 200);
      assert.equal(response.headers.has("holdfast-staleness-ms"), query.includes("stale"));
    }
    assert.deepEqual(replica.reads, ["linearizable", "linearizable", "lease"]);
  });

  it("that is linearizable is served from the lease where the node was told so", async () => {
    const { app, put, replica } = fixture({ leaseReads: true });
    await put("a");
    await app.request("/v1/kv/a");
    await app.request("/v1/kv");
    assert.deepEqual(replica.reads, ["lease", "lease"]);
  });

  it("looks at the store only once it was confirmed", async () => {
    const { app, put, replica } = fixture();
    replica.read = async () => {
      await put("late", "seen");
    };
    assert.equal(await (await app.request("/v1/kv/late")).text(), "seen");
  });
});

describe("a stale read", () => {
  it("needs no leader, and says how old it is at most", async () => {
    const { app, put, replica } = fixture();
    await put("a");
    replica.refusal = new NotApplied("no_leader", "none");
    replica.staleness = 1234;
    for (const target of ["/v1/kv/a?consistency=stale", "/v1/kv?consistency=stale"]) {
      const response = await app.request(target);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("holdfast-staleness-ms"), "1234");
    }
    const absent = await app.request("/v1/kv/absent?consistency=stale");
    assert.equal(absent.status, 404);
    assert.equal(absent.headers.get("holdfast-staleness-ms"), "1234");
  });

  it("is 503 rather than older than max_stale", async () => {
    const { app, put, replica } = fixture();
    await put("a");
    const get = (max: string) => app.request(`/v1/kv/a?consistency=stale&max_stale=${max}`);
    replica.staleness = 500;
    for (const max of ["500ms", "1s", "1m", "1h", "1d"]) assert.equal((await get(max)).status, 200);
    for (const max of ["499ms", "0s"]) {
      const response = await get(max);
      assert.equal(response.headers.get("retry-after"), "1");
      await assertProblem(response, 503, "too_stale");
    }
  });

  it("before the first contact with a quorum has no age, and no bound is kept", async () => {
    const { app, put, replica } = fixture();
    await put("a");
    replica.staleness = null;
    const response = await app.request("/v1/kv/a?consistency=stale");
    assert.equal(response.status, 200);
    assert.equal(response.headers.has("holdfast-staleness-ms"), false);
    const bounded = await app.request("/v1/kv/a?consistency=stale&max_stale=9d");
    await assertProblem(bounded, 503, "too_stale");
  });
});

describe("a path or method that is not there", () => {
  it("is 404, and for a write not_applied", async () => {
    const { send } = fixture();
    for (
      const target of ["/", "/v1", "/v1/", "/v1/kvx", "/v1/status/", "/v1/kv%2Fa", "//v1/kv/a"]
    ) {
      await assertProblem(await send("GET", target), 404, "no_such_route");
      await assertProblem(await send("PUT", target), 404, "no_such_route", "not_applied");
    }
  });

  it("is 405 with what is allowed, also for OPTIONS, without a word about origins", async () => {
    const { send } = fixture();
    const cases = [
      ["POST", "/v1/kv/a", "DELETE, GET, HEAD, PUT"],
      ["OPTIONS", "/v1/kv/a", "DELETE, GET, HEAD, PUT"],
      ["PUT", "/v1/kv", "DELETE, GET, HEAD"],
      ["PATCH", "/v1/kv", "DELETE, GET, HEAD"],
      ["POST", "/v1/status", "GET, HEAD"],
      ["DELETE", "/livez", "GET, HEAD"],
      ["POST", "/v1/leader", "PUT"],
    ] as const;
    for (const [method, target, allow] of cases) {
      const headers = { origin: "http://evil.example" };
      const response = await send(method, target, { headers });
      assert.equal(response.headers.get("allow"), allow);
      assert.equal(response.headers.has("access-control-allow-origin"), false);
      await assertProblem(response, 405, "no_such_route", "not_applied");
    }
    await assertProblem(await send("GET", "/v1/leader"), 405, "no_such_route");
  });
});

describe("a command that changed nothing", () => {
  const revision = 9;
  const results: readonly (readonly [KvResult, number, string])[] = [
    [{ type: "conditionFailed", revision, current: 4 }, 412, "precondition_failed"],
    [{ type: "conditionFailed", revision, current: null }, 412, "precondition_failed"],
    [{ type: "notInteger", revision, key: "\xff" }, 412, "precondition_failed"],
    [{ type: "noLease", revision, lease: 4 }, 404, "not_found"],
    [{ type: "tooMuch", revision, limit: 8 }, 413, "too_large"],
    [{ type: "keyReused", revision }, 422, "idempotency_mismatch"],
    [{ type: "keyDone", revision }, 422, "idempotency_mismatch"],
    [{ type: "keysFull", revision }, 429, "overloaded"],
    [{ type: "leasesFull", revision }, 429, "overloaded"],
    [{ type: "malformed", revision, detail: "x" }, 500, "internal"],
  ];
  const writes: readonly (readonly [string, string, string])[] = [
    ["PUT", "/v1/kv/a", "v"],
    ["DELETE", "/v1/kv/a", ""],
    ["DELETE", "/v1/kv?prefix=a", ""],
    ["POST", "/v1/txn", '{"then":[{"delete":{"key":"a"}}]}'],
    ["POST", "/v1/batch", '{"ops":[{"delete":{"key":"a"}}]}'],
    ["POST", "/v1/leases", '{"ttl":"1s"}'],
    ["POST", "/v1/leases/4/keepalive", ""],
    ["DELETE", "/v1/leases/4", ""],
  ];
  for (const [result, status, code] of results) {
    it(`is answered with ${status} ${code} where it is ${JSON.stringify(result)}`, async () => {
      const { send, replica } = fixture();
      replica.propose = () => Promise.resolve({ index: 1, term: 7, result });
      for (const [method, target, text] of writes) {
        const response = await send(method, target, text === "" ? {} : { body: text });
        await assertProblem(response, status, code, "not_applied");
        assert.equal(response.headers.get("holdfast-revision"), "9", target);
        assert.equal(response.headers.has("retry-after"), status === 429);
      }
    });
  }
});

describe("an Idempotency-Key for which there is no room", () => {
  it("is refused with the seconds until the session goes that was used longest ago", async () => {
    const { send, replica } = fixture();
    Object.defineProperty(replica.machine, "keysFreeAt", { value: replica.time() + 41_500 });
    const result: KvResult = { type: "keysFull", revision: 9 };
    replica.propose = () => Promise.resolve({ index: 1, term: 7, result });
    const headers = { "idempotency-key": "k" };
    const response = await send("PUT", "/v1/kv/a", { body: "v", headers });
    await assertProblem(response, 429, "overloaded", "not_applied");
    assert.equal(response.headers.get("retry-after"), "42");
  });
});
