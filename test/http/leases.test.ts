/** `/v1/leases`. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NotApplied, OutcomeUnknown } from "../../src/errors.ts";
import { assertProblem, type Fixture, fixture, json } from "./fixture.ts";

async function granted(made: Fixture, ttl = "10s"): Promise<string> {
  const response = await made.post("/v1/leases", { ttl });
  assert.equal(response.status, 201);
  const { id } = await json(response);
  assert.ok(typeof id === "string");
  return id;
}

const keepAlive = ({ send }: Fixture, id: string) => send("POST", `/v1/leases/${id}/keepalive`);

describe("a lease", () => {
  it("is granted, with an id that is a string of digits", async () => {
    const made = fixture();
    const response = await made.post("/v1/leases", { ttl: "30s" });
    assert.equal(response.status, 201);
    assert.equal(response.headers.get("holdfast-revision"), "0");
    const { id, ...rest } = await json(response);
    assert.match(String(id), /^[1-9]\d*$/);
    assert.deepEqual(rest, { ttlMs: 30_000 });
    assert.notEqual(await granted(made), id);
  });

  it("shows what is left of it, and its keys in order", async () => {
    const made = fixture();
    const id = await granted(made);
    for (const key of ["b", "a"]) await made.send("PUT", `/v1/kv/${key}?lease=${id}`);
    await made.put("c");
    made.replica.now += 2500;
    assert.deepEqual(await json(await made.send("GET", `/v1/leases/${id}`)), {
      id,
      ttlMs: 10_000,
      remainingMs: 7500,
      keyCount: 2,
      keys: ["a", "b"],
    });
    await made.send("PUT", `/v1/kv/%FF?lease=${id}`);
    const { keys, keyEncoding } = await json(await made.send("GET", `/v1/leases/${id}`));
    assert.equal(keyEncoding, "base64");
    assert.deepEqual(keys, ["a", "b", "\xff"].map(btoa));
  });

  it("shows a thousand keys, and says how many there are", async () => {
    const made = fixture();
    const id = await granted(made);
    for (const from of [0, 1000]) {
      const ops = Array.from({ length: from === 0 ? 1000 : 5 }, (_, at) => ({
        put: { key: `k${from + at}`, value: "", lease: id },
      }));
      assert.equal((await made.post("/v1/batch", { ops })).status, 200);
    }
    const { keys, keyCount } = await json(await made.send("GET", `/v1/leases/${id}`));
    assert.equal(keyCount, 1005);
    assert.equal((keys as unknown[]).length, 1000);
  });

  it("has all of its time again when it is kept alive", async () => {
    const made = fixture();
    const id = await granted(made);
    made.replica.pass(9999);
    const response = await keepAlive(made, id);
    assert.equal(response.status, 200);
    assert.deepEqual(await json(response), { id, ttlMs: 10_000 });
    made.replica.pass(9999);
    assert.equal((await made.send("GET", `/v1/leases/${id}`)).status, 200);
    made.replica.pass(1);
    await assertProblem(await keepAlive(made, id), 404, "not_found", "not_applied");
  });

  it("takes its keys with it, by one revision, when it is deleted or ends", async () => {
    const made = fixture();
    for (const end of ["delete", "time"]) {
      const id = await granted(made);
      await made.put("kept");
      for (const key of ["a", "b"]) await made.send("PUT", `/v1/kv/${key}?lease=${id}`);
      const before = made.replica.machine.store.revision;
      if (end === "time") made.replica.pass(10_000);
      else {
        const response = await made.send("DELETE", `/v1/leases/${id}`);
        assert.equal(response.status, 200);
        assert.deepEqual(await json(response), { revision: before + 1, deleted: 2 });
      }
      const { revision, items } = await json(await made.send("GET", "/v1/kv?values=false"));
      assert.equal(revision, before + 1);
      assert.deepEqual((items as { key: string }[]).map(({ key }) => key), ["kept"]);
      await assertProblem(await made.send("GET", `/v1/leases/${id}`), 404, "not_found");
    }
  });

  it("that is not there is not found, whatever is asked of it", async () => {
    const made = fixture();
    assert.equal(await granted(made), "1");
    for (const id of ["7", "0", "01", "x", "", "99999999999999999", "1/8", "1/", "%31"]) {
      await assertProblem(await made.send("GET", `/v1/leases/${id}`), 404, "not_found");
      await assertProblem(
        await made.send("DELETE", `/v1/leases/${id}`),
        404,
        "not_found",
        "not_applied",
      );
      await assertProblem(await keepAlive(made, id), 404, "not_found", "not_applied");
    }
  });

  it("is read as linearizably as a key, unless the request says otherwise", async () => {
    const made = fixture();
    const id = await granted(made);
    for (const target of [`/v1/leases/${id}`, "/v1/leases"]) {
      made.replica.reads.length = 0;
      await made.send("GET", target);
      assert.deepEqual(made.replica.reads, ["linearizable"]);
      made.replica.refusal = new NotApplied("no_leader", "none");
      await assertProblem(await made.send("GET", target), 503, "no_leader");
      const stale = await made.send("GET", `${target}?consistency=stale`);
      assert.equal(stale.status, 200);
      assert.equal(stale.headers.get("holdfast-staleness-ms"), "0");
      made.replica.refusal = null;
    }
  });

  it("says what became of a write where the replica fails", async () => {
    const made = fixture();
    const id = await granted(made);
    made.replica.loss = new OutcomeUnknown("lost");
    await assertProblem(await keepAlive(made, id), 504, "outcome_unknown", "unknown");
    await assertProblem(
      await made.post("/v1/leases", { ttl: "1s" }),
      504,
      "outcome_unknown",
      "unknown",
    );
    await assertProblem(
      await made.send("DELETE", `/v1/leases/${id}`),
      504,
      "outcome_unknown",
      "unknown",
    );
  });
});

describe("a listing of leases", () => {
  it("has them by id, page by page", async () => {
    const made = fixture();
    const ids: string[] = [];
    for (let at = 0; at < 12; at++) ids.push(await granted(made));
    const found: unknown[] = [];
    let cursor = "";
    do {
      const response = await made.send("GET", `/v1/leases?limit=5${cursor}`);
      const page = await json(response);
      const leases = page["leases"] as Record<string, unknown>[];
      assert.deepEqual(Object.keys(leases[0] ?? {}), ["id", "ttlMs", "remainingMs"]);
      found.push(...leases.map(({ id }) => id));
      const { cursor: next } = page;
      cursor = typeof next === "string" ? `&cursor=${next}` : "";
    } while (cursor !== "");
    assert.deepEqual(found, ids);
    assert.deepEqual(await json(await fixture().send("GET", "/v1/leases")), {
      revision: 0,
      leases: [],
    });
  });

  it("refuses what is no limit and no cursor of its own", async () => {
    const made = fixture();
    for (const query of ["limit=0", "limit=1001", "cursor=", "cursor=a", "cursor=!", "cursor=MA"]) {
      await assertProblem(await made.send("GET", `/v1/leases?${query}`), 400, "bad_request");
    }
  });
});
