import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeCommand, encodeCommand, stampCommand } from "../../src/kv/command-codec.ts";
import { timeMsMax, ttlMsMax } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import {
  addOf,
  contents,
  grant,
  put,
  remove,
  restoredFrom,
  run,
  snapshotOf,
  transact,
} from "./machines.ts";

function expire(machine: KvMachine, time: number): KvResult {
  return run(machine, { type: "expire" }, time);
}

/** What each revision from `from` on deleted. */
function deletedFrom({ store }: KvMachine, from: number): string[][] {
  const revisions = Array.from({ length: store.revision - from + 1 }, (_, i) => from + i);
  return revisions.map((at) => store.change(at)?.events.map(({ key }) => key) ?? []);
}

describe("expiry", () => {
  it("deletes what is due, in the order in which it is, each key by a revision of its own", () => {
    const machine = new KvMachine();
    for (const [key, ttlMs] of [["c", 30], ["a", 50], ["b", 30], ["z", 10], ["y", 51]] as const) {
      put(machine, key, { ttlMs, time: 100 });
    }
    const none = { type: "expired", revision: 5, deleted: 0, more: false };
    assert.deepEqual(expire(machine, 109), none);
    assert.deepEqual(expire(machine, 150), { ...none, revision: 9, deleted: 4 });
    assert.deepEqual(deletedFrom(machine, 6), [["z"], ["b"], ["c"], ["a"]]);
    assert.equal(machine.store.firstDue, 151);
  });

  it("deletes a lease's keys by one revision, in turn with keys that are due", () => {
    const machine = new KvMachine();
    const [first, second, empty] = [30, 20, 25].map((ttlMs) => grant(machine, ttlMs));
    assert.ok(first !== undefined && second !== undefined && empty !== undefined);
    put(machine, "k", { ttlMs: 30 });
    put(machine, "j", { ttlMs: 29 });
    for (const key of ["b", "a"]) put(machine, key, { lease: first });
    put(machine, "c", { lease: second, ttlMs: 60 });
    put(machine, "d", { lease: first, ttlMs: 5 });
    assert.equal(expire(machine, 30).revision, 11);
    assert.deepEqual(deletedFrom(machine, 7), [["d"], ["c"], ["j"], ["a", "b"], ["k"]]);
    assert.deepEqual([[...machine.leases()], machine.store.firstDue], [[], null]);
    assert.equal(put(machine, "x", { lease: empty }).type, "noLease");
  });

  it("is of a thousand changes at most, and says whether there is more", () => {
    for (const count of [999, 1000, 1001]) {
      const machine = new KvMachine();
      for (let i = 0; i < count; i++) put(machine, `k${i}`, { ttlMs: 5 });
      const { deleted, more } = expire(machine, 5) as { deleted?: number; more?: boolean };
      assert.deepEqual([deleted, more], [Math.min(count, 1000), count > 1000]);
      expire(machine, 5);
      assert.equal(machine.store.size, 0);
    }
  });

  it("is off for a key that is put without it, or deleted, and stays through an add", () => {
    const machine = new KvMachine();
    for (const key of ["put", "deleted"]) put(machine, key, { ttlMs: 5 });
    put(machine, "added", { value: Uint8Array.of(0x31), ttlMs: 5 });
    put(machine, "put");
    remove(machine, "deleted");
    put(machine, "deleted");
    transact(machine, [addOf("added", 1n)], 3);
    assert.equal(machine.store.firstDue, 5);
    expire(machine, 1000);
    assert.deepEqual([machine.store.get("added"), machine.store.size], [undefined, 2]);
  });

  it("goes by the highest time that was told", () => {
    const machine = new KvMachine();
    put(machine, "a", { ttlMs: 5, time: 100 });
    put(machine, "b", { ttlMs: 5, time: 50 });
    assert.equal(machine.store.get("b")?.due, 105);
    assert.equal(machine.housekeeping.time(), 100);
    assert.equal(expire(machine, 0).revision, 2);
  });

  it("takes no time so late that an end could not be told", async () => {
    const late = encodeCommand({ type: "grant", ttlMs: ttlMsMax });
    stampCommand(late, timeMsMax + 1);
    assert.throws(() => decodeCommand(late));
    const machine = new KvMachine();
    put(machine, "a", { ttlMs: ttlMsMax, time: timeMsMax });
    grant(machine, ttlMsMax);
    assert.equal(machine.store.get("a")?.due, Number.MAX_SAFE_INTEGER);
    assert.deepEqual(contents(await restoredFrom(snapshotOf(machine))), contents(machine));
  });
});

describe("a lease", () => {
  it("is kept alive from when that was asked for, and ends with all of its keys", () => {
    const machine = new KvMachine();
    const lease = grant(machine, 100, 1000);
    put(machine, "a", { lease });
    put(machine, "b", { lease });
    put(machine, "b");
    put(machine, "c", { lease });
    run(machine, { type: "keepAlive", lease }, 1050);
    assert.deepEqual(machine.lease(lease), { id: lease, ttlMs: 100, due: 1150 });
    assert.equal(expire(machine, 1149).revision, 4);
    const revoked = run(machine, { type: "revoke", lease });
    assert.deepEqual(revoked, { type: "revoked", revision: 5, deleted: 2 });
    assert.deepEqual(deletedFrom(machine, 5), [["a", "c"]]);
    for (const type of ["revoke", "keepAlive"] as const) {
      assert.deepEqual(run(machine, { type, lease }), { type: "noLease", revision: 5, lease });
    }
  });

  it("gets an id that none had before, also after a restore", async () => {
    const machine = new KvMachine();
    const first = grant(machine, 5);
    run(machine, { type: "revoke", lease: first });
    const other = await restoredFrom(snapshotOf(machine));
    assert.equal(grant(other, 5), first + 1);
  });

  it("and its keys are in a snapshot as they were when it was taken", async () => {
    const machine = new KvMachine();
    const [kept, lost] = [grant(machine, 50), grant(machine, 70)];
    put(machine, "a", { lease: kept, ttlMs: 60 });
    put(machine, "b", { lease: lost, metadata: Uint8Array.of(1) });
    const before = contents(machine);
    const chunks = machine.snapshot().chunks();
    run(machine, { type: "keepAlive", lease: kept }, 40);
    run(machine, { type: "revoke", lease: lost });
    put(machine, "a");
    const other = new KvMachine();
    await other.restore(async function* () {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
    }());
    assert.deepEqual(contents(other), before);
    assert.deepEqual(expire(other, 60), { type: "expired", revision: 3, deleted: 1, more: false });
    assert.deepEqual([other.keysOf(lost), other.store.firstDue], [["b"], null]);
  });
});

describe("what the leader is to do next", () => {
  it("is to say how much history there is, once, then to look after what is due", () => {
    const history = { revisionsMax: 7, bytesMax: 1000 };
    const machine = new KvMachine({ history });
    const duty = machine.housekeeping.next();
    assert.equal(duty?.at, 0);
    machine.apply({ payload: duty.command() });
    assert.deepEqual(machine.store.historyLimits, history);
    assert.equal(machine.housekeeping.next(), null);
    put(machine, "a", { ttlMs: 300, time: 50 });
    assert.equal(machine.housekeeping.next()?.at, 350);
    grant(machine, 100, 60);
    assert.equal(machine.housekeeping.next()?.at, 160);
    const command = machine.housekeeping.next()?.command() ?? new Uint8Array();
    machine.housekeeping.stamp(command, 350);
    assert.deepEqual(machine.apply({ payload: command }).revision, 2);
    assert.equal(machine.housekeeping.next(), null);
  });
});
