import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "./fake-fetch.ts";
import { aborted, gate, type Sent, World } from "./world.ts";

const isKeepAlive = ({ target }: Sent): boolean => target.endsWith("/keepalive");

describe("a lease", () => {
  it("is kept alive until it is released, and takes its keys along", async () => {
    const world = new World();
    const client = world.client();
    const { opened, open } = gate();
    world.before = () => {
      // Without being kept alive it would have ended by then.
      world.fixture.replica.pass(700);
      if (world.sent.filter(isKeepAlive).length === 3) open();
      return Promise.resolve();
    };
    {
      await using lease = await client.lease({ ttlMs: 1_500 });
      await client.put("k", "v", { lease: lease.id });
      await opened;
      assert.equal((await client.getLease(lease.id))?.keyCount, 1);
      assert.equal(lease.lost.aborted, false);
    }
    assert.equal(await client.get("k"), null);
    assert.equal([...world.fixture.replica.machine.leases()].length, 0);
  });

  it("is kept alive no more often than it has to be, however long it is", async () => {
    const world = new World();
    const client = world.client();
    await using lease = await client.lease({ ttlMs: 100 * 86_400_000 });
    // A timer that can't run for so long would go off at once, before this one.
    await new Promise((resolve) => setTimeout(resolve, 2));
    await client.put("k", "v", { lease: lease.id });
    assert.equal(world.sent.filter(isKeepAlive).length, 0);
  });

  it("is lost when the cluster says that it has ended", async () => {
    const world = new World();
    const lease = await world.client().lease({ ttlMs: 30 });
    world.fixture.replica.pass(31);
    await aborted(lease.lost);
    await lease.release();
  });

  it("is lost when it can't be kept alive in time", async () => {
    const world = new World();
    const lease = await world.client().lease({ ttlMs: 60 });
    world.fault = (sent) => (isKeepAlive(sent) ? "hang" : null);
    await aborted(lease.lost);
    // The cluster hasn't ended it yet.
    await lease.release();
    assert.equal([...world.fixture.replica.machine.leases()].length, 0);
  });

  it("is lost at once where its grant was under way until its end", async () => {
    const world = new World();
    const now = performance.now.bind(performance);
    let passed = 0;
    performance.now = () => now() + passed;
    try {
      world.before = (sent) => {
        if (sent.target === "/v1/leases") passed += 59_000;
        return Promise.resolve();
      };
      const lease = await world.client().lease({ ttlMs: 60_000 });
      await aborted(lease.lost);
      await lease.release();
    } finally {
      performance.now = now;
    }
  });

  it("is lost with its client", async () => {
    const world = new World();
    const abort = new AbortController();
    const lease = await world.client({ signal: abort.signal }).lease({ ttlMs: 60_000 });
    abort.abort();
    await aborted(lease.lost);
    assert.equal((await failure(lease.release())).code, "aborted");
  });

  it("is not kept alive once it is closed, and not lost either", async () => {
    const world = new World();
    const client = world.client();
    const lease = await client.lease({ ttlMs: 60_000 });
    lease.close();
    world.fixture.replica.pass(60_001);
    assert.equal(await client.getLease(lease.id), null);
    assert.equal((await failure(client.keepLease(lease.id))).code, "not_found");
    assert.equal((await failure(client.revokeLease(lease.id))).code, "not_found");
    assert.equal(lease.lost.aborted, false);
  });

  it("is needed by a put that names it", async () => {
    const world = new World();
    const client = world.client();
    const calls = [
      () => client.put("k", "v", { lease: "77" }),
      () => Promise.all([client.put("j", "v"), client.put("k", "v", { lease: "77" })]),
    ];
    for (const call of calls) {
      const error = await failure(call());
      assert.deepEqual([error.code, error.outcome, error.status], [
        "not_found",
        "not_applied",
        404,
      ]);
    }
    assert.equal(await client.get("k"), null);
  });
});
