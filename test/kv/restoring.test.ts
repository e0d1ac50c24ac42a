/** A state that comes by commands takes effect whole or not at all, the same on every replica. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import type { Command, RestoreCommand } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import { restoreMsMax } from "../../src/kv/restoring.ts";
import { digestWith, firstDigest } from "../../src/kv/staging.ts";
import { contents, grant, keyed, put, remove, restoredFrom, run, snapshotOf } from "./machines.ts";

function as(token: string, command: Command): Command {
  return { type: "as", token, command: encodeCommand(command) };
}

/** Of a store that has been used for an hour. */
function source(): KvMachine {
  const machine = new KvMachine();
  const time = 3_600_000;
  put(machine, "a", { time });
  put(machine, "a", { ttlMs: 10_000, time });
  put(machine, "b", { time });
  const lease = grant(machine, 60_000, time);
  put(machine, "leased", { lease, time });
  put(machine, "leased", { lease, ttlMs: 30_000, time });
  put(machine, "a", { ttlMs: 20_000, time });
  remove(machine, "b");
  keyed(machine, { type: "delete", key: "none", conditions: [] }, { session: "mine", time });
  return machine;
}

function upgraded(): KvMachine {
  const machine = new KvMachine();
  run(machine, { type: "upgrade", version: 2 });
  return machine;
}

function restoring(
  machine: KvMachine,
  step: RestoreCommand["step"],
  id = "r1",
  time = 0,
): KvResult {
  return run(machine, { type: "restore", id, step }, time);
}

/** All steps but the first. */
function steps(snapshot: Uint8Array, size = 100): RestoreCommand["step"][] {
  const all: RestoreCommand["step"][] = [];
  let digest = firstDigest;
  for (let offset = 0; offset < snapshot.length; offset += size) {
    const bytes = snapshot.slice(offset, offset + size);
    digest = digestWith(digest, bytes);
    all.push({ type: "piece", offset, bytes });
  }
  return [...all, { type: "commit", bytes: snapshot.length, digest }];
}

/** All that there is, but when. */
function timeless(machine: KvMachine): unknown {
  const by = machine.housekeeping.time();
  return JSON.parse(
    JSON.stringify(
      contents(machine),
      (name, value: unknown) =>
        name === "due" && typeof value === "number" ? value - by : name === "time" ? null : value,
    ),
  );
}

describe("a restore", () => {
  it("shows nothing before its last step, and then all of it", () => {
    const from = source();
    const machine = upgraded();
    let told = 0;
    machine.watch(() => told++);
    assert.deepEqual(restoring(machine, { type: "begin" }), {
      type: "restoring",
      revision: 0,
      bytes: 0,
    });
    const all = steps(snapshotOf(from));
    assert.ok(all.length > 5);
    for (const step of all.slice(0, -1)) {
      assert.equal(restoring(machine, step).type, "restoring");
      assert.equal(machine.store.revision + machine.store.size, 0);
    }
    assert.equal(told, 0);
    const revision = from.store.revision;
    assert.deepEqual(restoring(machine, all.at(-1)!), { type: "restored", revision });
    assert.deepEqual(contents(machine), contents(from));
    assert.equal(machine.version, 2);
    assert.equal(told, 1);
    assert.equal(put(machine, "next").revision, revision + 1);
    // Answers that were kept still are.
    const repeated = keyed(machine, { type: "delete", key: "none", conditions: [] }, {
      session: "mine",
      time: 3_600_000,
    });
    assert.deepEqual(repeated, { type: "deleted", revision, deleted: 0 });
  });

  it("takes each step once, however often it comes", () => {
    const machine = upgraded();
    const snapshot = snapshotOf(source());
    for (const step of [{ type: "begin" } as const, ...steps(snapshot)]) {
      const first = restoring(machine, step);
      assert.deepEqual(restoring(machine, step), first);
      assert.notEqual(first.type, "restoreRefused");
    }
    assert.deepEqual(contents(machine), contents(source()));
  });

  it("goes on from a snapshot in its midst, and all replicas come to the same bytes", async () => {
    const snapshot = snapshotOf(source());
    const machine = upgraded();
    let other = upgraded();
    for (const step of [{ type: "begin" } as const, ...steps(snapshot)]) {
      other = await restoredFrom(snapshotOf(other));
      assert.deepEqual(restoring(other, step), restoring(machine, step));
      assert.deepEqual(snapshotOf(other), snapshotOf(machine));
    }
    assert.equal(machine.store.revision, source().store.revision);
  });

  it("leaves leases and keys what they had left, under a clock that is behind or ahead", () => {
    const from = source();
    for (const now of [5, 3_599_000, 3_600_000, 90_000_000]) {
      const machine = upgraded();
      restoring(machine, { type: "begin" }, "r1", now);
      // As long as it may take.
      for (const step of steps(snapshotOf(from))) {
        assert.notEqual(
          restoring(machine, step, "r1", now + restoreMsMax - 1).type,
          "restoreRefused",
        );
      }
      assert.deepEqual(timeless(machine), timeless(from));
      const time = machine.housekeeping.time();
      assert.ok(time >= now + restoreMsMax && time >= 3_600_000);
      // Whoever stamps what it counted before gives nobody less.
      run(machine, { type: "expire" }, now + restoreMsMax);
      assert.equal(machine.store.size, from.store.size);
      run(machine, { type: "expire" }, time + 20_000);
      assert.equal(machine.store.get("a"), undefined);
      assert.notEqual(machine.store.get("leased"), undefined);
      assert.deepEqual(machine.leases()[Symbol.iterator]().next().value, {
        id: 1,
        ttlMs: 60_000,
        due: time + 60_000,
      });
    }
  });

  it("is refused where the store has or had anything, and then nothing of it stays", async () => {
    const snapshot = snapshotOf(source());
    for (const use of [(m: KvMachine) => put(m, "k"), (m: KvMachine) => grant(m, 1000)]) {
      for (const at of [0, 1, 3]) {
        const machine = upgraded();
        const all = [{ type: "begin" } as const, ...steps(snapshot)];
        for (const step of all.slice(0, at)) restoring(machine, step);
        use(machine);
        const before = machine.store.size;
        const results = all.slice(at).map((step) => restoring(machine, step));
        for (const result of results) {
          assert.ok(result.type === "restoreRefused" && result.reason === "notEmpty");
        }
        assert.equal(machine.store.size, before);
        const again = await restoredFrom(snapshotOf(machine));
        assert.deepEqual(snapshotOf(again), snapshotOf(machine));
        assert.ok(snapshotOf(machine).length < 300);
      }
    }
  });

  it("is refused where not all of it came, or it is no state", () => {
    const snapshot = snapshotOf(source());
    const all = steps(snapshot);
    const other = snapshot.slice();
    other[200]! ^= 1;
    const wrong: readonly (readonly RestoreCommand["step"][])[] = [
      all.filter((_, at) => at !== 2),
      all.filter((_, at) => at !== all.length - 2),
      [...all.slice(0, -1), { type: "commit", bytes: snapshot.length, digest: [1, 2] }],
      [...steps(other).slice(0, -1), ...all.slice(-1)],
      steps(snapshot.slice(0, -1)),
      steps(new Uint8Array(500)),
      [{ type: "commit", bytes: 0, digest: firstDigest }],
    ];
    for (const each of wrong) {
      const machine = upgraded();
      restoring(machine, { type: "begin" });
      const results = each.map((step) => restoring(machine, step));
      const last = results.at(-1);
      assert.ok(last?.type === "restoreRefused", JSON.stringify(last));
      assert.deepEqual(snapshotOf(machine), snapshotOf(upgraded()));
    }
  });

  it("gives way to one that begins later, to its own end, and to time", () => {
    const snapshot = snapshotOf(source());
    const [piece, ...rest] = steps(snapshot, 200);
    const over = (result: KvResult) => result.type === "restoreRefused" && result.reason === "over";
    const machine = upgraded();
    assert.ok(over(restoring(machine, piece!)));
    restoring(machine, { type: "begin" });
    restoring(machine, { type: "begin" }, "r2");
    assert.ok(over(restoring(machine, piece!)));
    restoring(machine, { type: "abort" });
    assert.equal(restoring(machine, piece!, "r2").type, "restoring");
    restoring(machine, { type: "abort" }, "r2");
    assert.ok(over(restoring(machine, rest[0]!, "r2")));

    restoring(machine, { type: "begin" }, "r3", 1000);
    const due = machine.housekeeping.next();
    assert.ok(due !== null && due.at > 1000 && due.at <= 2000, "the time is told now and then");
    run(machine, { type: "expire" }, 1000 + restoreMsMax - 1);
    assert.equal(restoring(machine, piece!, "r3").type, "restoring");
    run(machine, { type: "expire" }, 1000 + restoreMsMax);
    assert.ok(over(restoring(machine, rest[0]!, "r3")));
    assert.equal(machine.housekeeping.next(), null);
  });

  it("brings the backup's roles and tokens beside the cluster's own, which stay as they are", () => {
    const role = (name: string, start: string) =>
      ({ name, grants: [{ verbs: ["read"], start, end: null }] }) as const;
    const token = (id: string, byte: number, roles: readonly string[]) =>
      ({ id, name: id, hash: new Uint8Array(32).fill(byte), roles }) as const;
    const secured = (by: string, byte: number): KvMachine => {
      const machine = upgraded();
      const root = token(`${by}${"0".repeat(16 - by.length)}`, byte, ["root"]);
      const steps: readonly Command[] = [
        { type: "putToken", token: root, first: true },
        as(root.id, { type: "putRole", role: role("both", by) }),
        as(root.id, { type: "putRole", role: role(by, by) }),
        as(root.id, {
          type: "putToken",
          token: token(`${by}${"1".repeat(16 - by.length)}`, byte, [by]),
          first: false,
        }),
      ];
      for (const step of steps) assert.equal(run(machine, step).type, "accessChanged");
      return machine;
    };
    const from = secured("bb", 1);
    const root = `bb${"0".repeat(14)}`;
    run(
      from,
      as(root, {
        type: "put",
        key: "k",
        value: new Uint8Array(),
        contentType: "a/b",
        conditions: [],
      }),
    );
    const snapshot = snapshotOf(from);
    const own = secured("cc", 2);
    const asked = (machine: KvMachine, by: string | null): KvResult[] =>
      [{ type: "begin" } as const, ...steps(snapshot)].map((step) => {
        const command = { type: "restore", id: "r1", step } as const;
        return run(machine, by === null ? command : as(by, command));
      });
    assert.ok(asked(own, null).every(({ type }) => type === "unauthenticated"));
    assert.ok(asked(own, `cc${"1".repeat(14)}`).every(({ type }) => type === "forbidden"));
    assert.equal(asked(own, `cc${"0".repeat(14)}`).at(-1)?.type, "restored");
    assert.deepEqual([...own.access.tokens()].map(({ id }) => id.slice(0, 3)), [
      "bb0",
      "bb1",
      "cc0",
      "cc1",
    ]);
    assert.deepEqual([...own.access.roles()].map(({ name }) => name), ["bb", "both", "cc"]);
    assert.equal(own.access.role("both")?.grants[0]?.start, "cc");
    assert.equal(own.store.size, 1);
    const open = upgraded();
    assert.equal(asked(open, null).at(-1)?.type, "restored");
    assert.ok(open.access.isRequired);
  });

  it("is none of a session's", () => {
    const machine = upgraded();
    const command = { type: "restore", id: "r1", step: { type: "begin" } } as const;
    assert.equal(keyed(machine, command).type, "malformed");
  });
});
