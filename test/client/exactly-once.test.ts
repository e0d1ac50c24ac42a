import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OutcomeUnknown } from "../../src/errors.ts";
import { failure } from "./fake-fetch.ts";
import { draws, type Fault, gate, type Sent, World } from "./world.ts";

const sequence = ({ headers }: Sent): string | null => headers.get("holdfast-sequence");
const sum = async (world: World, key = "n"): Promise<bigint> => {
  const item = await world.client().get(key);
  return item === null ? 0n : BigInt(new TextDecoder().decode(item.value));
};

describe("a write", () => {
  it("takes effect once, whatever happens to its attempts", async () => {
    const faults: readonly Fault[] = ["refuse", "drop", "lose", "delay", "duplicate", null, null];
    for (let seed = 1; seed <= 5; seed++) {
      const world = new World();
      const client = world.client({ timeoutMs: 30_000 });
      const draw = draws(seed);
      world.fault = () => faults[Math.floor(draw() * faults.length)] ?? null;
      world.before = async () => {
        if (draw() < 0.2) await world.deliver();
      };
      let expected = 0n;
      for (let round = 0; round < 20; round++) {
        const count = draw() < 0.5 ? 1 : Math.ceil(draw() * 20);
        const adds = Array.from({ length: count }, () => client.add("n", 1));
        for (const result of await Promise.all(adds)) assert.equal(result.value, ++expected);
      }
      await world.deliver();
      world.fault = () => null;
      assert.equal(await sum(world), expected, `seed ${seed}`);
    }
  });

  it("takes effect once by every route", async () => {
    for (const fault of ["lose", "duplicate", "delay"] as const) {
      const world = new World();
      const client = world.client();
      world.fault = ({ number }) => (number % 2 === 1 ? fault : null);
      world.before = async ({ number }) => {
        if (number % 2 === 0) await world.deliver();
      };
      // A second attempt would find each of these done.
      const created = await client.put("a", "1", { condition: { ifAbsent: true } });
      assert.deepEqual(created, { revision: 1, version: 1, created: true });
      const { succeeded } = await client.transaction().if({ key: "b", exists: false })
        .then({ put: { key: "b", value: "1" } }).commit();
      assert.equal(succeeded, true);
      assert.equal((await client.add("n", 3)).value, 3n);
      assert.equal((await client.delete("a")).deleted, 1);
      const { id } = await client.grantLease({ ttlMs: 60_000 });
      await client.put("c", "1", { lease: id });
      assert.equal((await client.revokeLease(id)).deleted, 1);
      assert.equal((await client.deletePrefix("b")).deleted, 1);
      assert.equal([...world.fixture.replica.machine.leases()].length, 0);
    }
  });

  it("is told by the answer that was decided, whichever attempt got it", async () => {
    const world = new World();
    const client = world.client();
    await client.put("k", "1");
    world.fault = ({ number }) => (number === 2 ? "lose" : null);
    const error = await failure(client.put("k", "2", { condition: { ifAbsent: true } }));
    assert.deepEqual([error.code, error.outcome, error.revision], [
      "precondition_failed",
      "not_applied",
      1,
    ]);
    assert.equal(world.sent.length, 3);
  });

  it("is repeated where a node doesn't know what became of it", async () => {
    const world = new World();
    const client = world.client();
    const { replica } = world.fixture;
    replica.loss = new OutcomeUnknown("not learned in time");
    world.before = ({ number }) => {
      if (number === 3) replica.loss = null;
      return Promise.resolve();
    };
    assert.equal((await client.add("n", 5)).value, 5n);
    assert.equal(world.sent.length, 3);
    assert.equal(await sum(world), 5n);
  });

  it("has an unknown outcome only where its time is over without an answer", async () => {
    const world = new World();
    world.fault = () => "lose";
    const lost = await failure(world.client({ timeoutMs: 200 }).add("n", 1));
    assert.equal(lost.outcome, "unknown");
    world.fault = () => "hang";
    const late = await failure(world.client({ timeoutMs: 20 }).add("n", 1));
    assert.deepEqual([late.outcome, late.code], ["unknown", "no_answer"]);
    world.fault = () => "refuse";
    const refused = await failure(world.client({ timeoutMs: 200 }).add("n", 1));
    assert.deepEqual([refused.outcome, refused.code], ["not_applied", "unreachable"]);
    world.fault = ({ number }) => (number === 1 ? "lose" : "refuse");
    world.sent.length = 0;
    const hidden = await failure(world.client({ timeoutMs: 200 }).add("n", 1));
    assert.equal(hidden.outcome, "unknown");
  });

  it("is not sent again once the cluster may have forgotten its number", async () => {
    const world = new World();
    const now = Date.now;
    world.fault = ({ number }) => (number === 1 ? "lose" : null);
    try {
      // The machine falls asleep between two attempts.
      const onRetry = (): void => {
        Date.now = () => now() + 300_001;
      };
      const { code, outcome } = await failure(world.client({ onRetry }).add("n", 1));
      assert.deepEqual([code, outcome, world.sent.length], ["no_answer", "unknown", 1]);
    } finally {
      Date.now = now;
    }
    assert.equal(await sum(world), 1n);
  });

  it("that was given up is void when it arrives behind the next one", async () => {
    const world = new World();
    const client = world.client({ timeoutMs: 200 });
    world.fault = () => "delay";
    assert.equal((await failure(client.add("n", 1))).outcome, "unknown");
    world.fault = () => null;
    await client.add("n", 10);
    await world.deliver();
    assert.equal(await sum(world), 10n);
  });
});

describe("numbers of writes", () => {
  it("stay the same from attempt to attempt, and are closed with the answer", async () => {
    const world = new World();
    const client = world.client();
    const { opened, open } = gate();
    world.before = ({ number }) => (number === 1 ? opened : Promise.resolve());
    const first = client.add("a", 1);
    await Promise.resolve();
    await Promise.resolve();
    world.fault = ({ number }) => (number === 2 ? "lose" : null);
    await client.put("b", "v");
    await client.put("c", "v");
    open();
    await first;
    await client.put("d", "v");
    assert.deepEqual(world.sent.map(sequence), [
      "1;done=1",
      "2;done=1",
      "2;done=1",
      "3;done=1",
      "4;done=4",
    ]);
    const sessions = new Set(world.sent.map(({ headers }) => headers.get("idempotency-key")));
    assert.equal(sessions.size, 1);
  });

  it("are another client's own", async () => {
    const world = new World();
    const clients = [world.client(), world.client()];
    await Promise.all(clients.map((client) => client.add("n", 1)));
    const sessions = new Set(world.sent.map(({ headers }) => headers.get("idempotency-key")));
    assert.equal(sessions.size, 2);
    assert.equal(await sum(world), 2n);
  });
});
