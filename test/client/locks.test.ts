import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "./fake-fetch.ts";
import { aborted, gate, World } from "./world.ts";

/** Resolves when a request of this client waits for the lock. */
function waiting(world: World): Promise<void> {
  const { opened, open } = gate();
  world.before = ({ target }) => {
    if (target.startsWith("/v1/watch")) open();
    return Promise.resolve();
  };
  return opened;
}

describe("a lock", () => {
  it("is held by one at a time, each with a higher token than the one before", async () => {
    const world = new World();
    const tokens: number[] = [];
    let holders = 0;
    await Promise.all(Array.from({ length: 8 }, async () => {
      const client = world.client();
      for (let round = 0; round < 3; round++) {
        await using lock = await client.lock("locks/a");
        assert.equal(++holders, 1);
        tokens.push(lock.fencingToken);
        const item = await client.list({ prefix: "locks/a" });
        assert.deepEqual(item.items.map(({ created }) => created), [lock.fencingToken]);
        holders--;
      }
    }));
    assert.equal(tokens.length, 24);
    assert.deepEqual(tokens, tokens.toSorted((a, b) => a - b));
    assert.equal(new Set(tokens).size, 24);
    assert.equal([...world.fixture.replica.machine.leases()].length, 0);
  });

  it("goes to who waits when its holder dies", async () => {
    const world = new World();
    const death = new AbortController();
    const held = await world.client({ signal: death.signal }).lock("l", { ttlMs: 60_000 });
    const isWaiting = waiting(world);
    const next = world.client().lock("l", { ttlMs: 120_000 });
    await isWaiting;
    death.abort();
    await aborted(held.lost);
    world.fixture.replica.pass(60_001);
    await using lock = await next;
    assert.ok(lock.fencingToken > held.fencingToken);
    assert.equal(lock.lost.aborted, false);
  });

  it("is waited for until it is called off, and leaves nothing behind", async () => {
    const world = new World();
    await using held = await world.client().lock("l");
    const isWaiting = waiting(world);
    const abort = new AbortController();
    const { opened, open } = gate();
    const next = failure(world.client().lock("l", { signal: abort.signal }));
    await isWaiting;
    world.before = ({ method }) => {
      if (method === "DELETE") open();
      return Promise.resolve();
    };
    abort.abort();
    assert.equal((await next).code, "aborted");
    await opened;
    assert.equal(held.lost.aborted, false);
    const client = world.client();
    await client.put("other", "v");
    assert.equal([...world.fixture.replica.machine.leases()].length, 1);
  });

  it("is bid for anew where its bidder's lease ends while it waits", async () => {
    const world = new World();
    const held = await world.client().lock("l", { ttlMs: 600_000 });
    const isWaiting = waiting(world);
    const next = world.client().lock("l", { ttlMs: 60 });
    await isWaiting;
    const again = waiting(world);
    world.fixture.replica.pass(61);
    await again;
    await held.release();
    await using lock = await next;
    assert.ok(lock.fencingToken > held.fencingToken);
  });

  it("is taken once, whatever happens to the requests", async () => {
    const world = new World();
    world.fault = ({ number, target }) =>
      target.startsWith("/v1/watch") || number % 2 === 0 ? null : "lose";
    const first = await world.client().lock("l");
    const second = world.client().lock("l");
    await first.release();
    await using lock = await second;
    assert.ok(lock.fencingToken > first.fencingToken);
  });
});
