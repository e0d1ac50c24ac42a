import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import type { Command } from "../../src/kv/command.ts";
import {
  type Fingerprint,
  fingerprintOf,
  Idempotency,
  sessionMs,
} from "../../src/kv/idempotency.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import {
  addOf,
  bytes,
  everything,
  grant,
  keyed,
  put,
  putOf,
  restoredFrom,
  run,
  snapshotOf,
} from "./machines.ts";

const minute = 60_000;
const add: Command = { type: "transaction", checks: [], then: [addOf("n", 1n)], else: [] };
const other: Command = { ...add, then: [addOf("n", 2n)] };

function count(machine: KvMachine): number {
  return Number(new TextDecoder().decode(machine.store.get("n")?.value));
}

describe("a keyed command", () => {
  it("takes effect once, and answers the same each time, also after a restore", async () => {
    let machine = new KvMachine();
    const first = keyed(machine, add);
    assert.equal(first.type, "transaction");
    put(machine, "n", { value: bytes("7") });
    for (let i = 0; i < 5; i++) {
      assert.deepEqual(keyed(machine, add, { time: i * minute }), first);
      machine = await restoredFrom(snapshotOf(machine));
    }
    assert.deepEqual([count(machine), machine.store.revision], [7, 2]);
  });

  it("repeats every kind of answer as it was", () => {
    const machine = new KvMachine();
    put(machine, "t", { value: bytes("x"), metadata: bytes("m"), ttlMs: 90 });
    const lease = grant(machine, 50);
    const plain = { conditions: [], contentType: "a/b", value: bytes("v") };
    const commands: Command[] = [
      { type: "put", key: "a", ...plain },
      { type: "put", key: "a", ...plain, conditions: [{ type: "absent" }] },
      { type: "delete", key: "a", conditions: [] },
      { type: "deleteRange", start: "q", end: null },
      { ...add, then: [{ type: "get", key: "t" }, putOf("b"), addOf("n", -4n)] },
      { ...add, then: [{ type: "list", ...everything, reverse: true, limit: 2, values: false }] },
      { ...add, then: [addOf("t", 1n)] },
      { type: "batch", items: [{ checks: [], operation: { type: "get", key: "none" } }] },
      { type: "keepAlive", lease },
      { type: "keepAlive", lease: 99 },
      { type: "revoke", lease },
      { type: "grant", ttlMs: 5 },
    ];
    const results = commands.map((command, number) => keyed(machine, command, { number }));
    const before = snapshotOf(machine);
    for (const [number, command] of commands.entries()) {
      assert.deepEqual(keyed(machine, command, { number }), results[number]);
    }
    assert.deepEqual(snapshotOf(machine), before);
  });

  it("is refused where another came with its number, and nothing changes", () => {
    const machine = new KvMachine();
    keyed(machine, add);
    assert.deepEqual(keyed(machine, other), { type: "keyReused", revision: 1 });
    assert.equal(keyed(machine, other, { number: 1 }).type, "transaction");
    assert.equal(keyed(machine, other, { session: "t" }).type, "transaction");
    assert.equal(count(machine), 5);
  });

  it("is void once its session said that it has the answer", async () => {
    const machine = new KvMachine();
    for (let number = 0; number < 4; number++) keyed(machine, add, { number });
    keyed(machine, add, { number: 4, done: 3 });
    for (const each of [machine, await restoredFrom(snapshotOf(machine))]) {
      for (const number of [0, 1, 2]) {
        assert.deepEqual(keyed(each, add, { number }), { type: "keyDone", revision: 5 });
      }
      for (const number of [3, 4]) assert.equal(keyed(each, add, { number }).type, "transaction");
      assert.equal(count(each), 5);
    }
  });

  it("is not done by its own word", () => {
    const machine = new KvMachine();
    const first = keyed(machine, add, { number: 5, done: 9 });
    assert.deepEqual(keyed(machine, add, { number: 5 }), first);
    assert.equal(keyed(machine, add, { number: 4 }).type, "keyDone");
    assert.equal(keyed(machine, add, { number: 6 }).type, "transaction");
  });

  it("is kept for 12 minutes after its session's last one", () => {
    const machine = new KvMachine();
    keyed(machine, add, { time: 0 });
    keyed(machine, add, { session: "t", time: 5 * minute });
    keyed(machine, add, { time: 12 * minute });
    keyed(machine, add, { session: "t", time: 17 * minute });
    keyed(machine, add, { time: 24 * minute });
    assert.equal(count(machine), 2);
    keyed(machine, add, { session: "t", time: 29 * minute + 1 });
    assert.equal(count(machine), 3);
    keyed(machine, add, { time: 36 * minute });
    assert.equal(count(machine), 3);
    keyed(machine, add, { time: 48 * minute + 1 });
    assert.equal(count(machine), 4);
  });

  it("reads little where half of what can be kept is, so that a few can't shut out all others", () => {
    const machine = new KvMachine();
    for (let i = 0; i < 7; i++) put(machine, `big/${i}`, { value: new Uint8Array(1024 * 1024) });
    const list = { type: "list", ...everything, reverse: false, limit: 7, values: true } as const;
    const large: Command = { ...add, then: [addOf("n", 1n), list] };
    let number = 0;
    while (keyed(machine, large, { number }).type === "transaction") number++;
    assert.ok(number > 15 && number < 20, `${number} large answers`);
    const { revision } = machine.store;
    assert.deepEqual(keyed(machine, large, { number }), { type: "keysFull", revision });
    assert.equal(count(machine), number, "nothing of it was done");
    assert.equal(keyed(machine, add, { number }).type, "transaction", "nor kept");
    assert.equal(run(machine, large).type, "transaction", "without a key it is nobody's concern");
  });

  it("is none of the leader's own, and no keyed one", () => {
    const machine = new KvMachine();
    const bad: Command[] = [
      { type: "expire" },
      { type: "configure", history: { revisionsMax: 1, bytesMax: 1 } },
      { type: "keyed", session: "t", number: 0, done: 0, command: encodeCommand(add) },
    ];
    for (const command of bad) assert.equal(keyed(machine, command).type, "malformed");
    const command = bytes("junk");
    const junk = run(machine, { type: "keyed", session: "s", number: 0, done: 0, command });
    assert.equal(junk.type, "malformed");
    assert.equal(keyed(machine, add).type, "transaction");
  });

  it("keeps nothing of the buffer that it came in", () => {
    const machine = new KvMachine();
    const payload = encodeCommand({
      type: "keyed",
      session: "session",
      number: 1,
      done: 0,
      command: encodeCommand(add),
    }).slice();
    const first = machine.apply({ payload });
    const copy = payload.slice();
    payload.fill(0xee);
    assert.deepEqual(machine.apply({ payload: copy }), first);
  });
});

describe("the table of answers", () => {
  const fingerprint: Fingerprint = [1, 2];
  const answer = { fingerprint, result: new Uint8Array(100) };

  /** A table that is full with ten answers or so. */
  function table(): Idempotency {
    return new Idempotency(undefined, undefined, 7000);
  }

  function take(
    full: Idempotency,
    { session = "s", number = 0, done = 0, time = 0 },
  ): string {
    const { type } = full.begin(session, { number, done, fingerprint }, time);
    if (type === "first") full.keep(session, number, answer);
    return type;
  }

  function fill(full: Idempotency): number {
    let number = 0;
    while (take(full, { number }) === "first") number++;
    return number;
  }

  it("tells when there is room again: when the session goes that was used longest ago", () => {
    const full = table();
    assert.equal(full.freesAt, 0);
    take(full, { session: "first", time: 5 * minute });
    take(full, { session: "second", time: 6 * minute });
    assert.equal(full.freesAt, 5 * minute + sessionMs);
    take(full, { session: "first", number: 1, time: 7 * minute });
    assert.equal(full.freesAt, 6 * minute + sessionMs);
  });

  it("takes nothing new where it is full, and still knows what it has", () => {
    const full = table();
    const count = fill(full);
    assert.ok(count > 5 && count < 15, `${count} answers`);
    assert.equal(take(full, { session: "t" }), "full");
    assert.equal(take(full, { number: 0 }), "repeated");
    assert.equal(take(full, { number: count, time: 12 * minute }), "full");
    assert.equal(take(full, { session: "t", time: 24 * minute + 1 }), "first");
  });

  it("has room again for whoever says that it has its answers", () => {
    const full = table();
    const number = fill(full);
    assert.equal(take(full, { number, done: 3 }), "first");
    assert.equal(take(full, { number: 1 }), "done");
    assert.equal(take(full, { session: "t" }), "first");
  });

  it("goes on with a session that gives back as much as it takes, while others fill it", () => {
    const full = table();
    take(full, { session: "t", number: 1 });
    while (take(full, { session: `${full.freeze().sessions.size}` }) === "first");
    for (let number = 2; number < 50; number++) {
      assert.equal(take(full, { session: "t", number, done: number }), "first", `${number}`);
    }
    assert.equal(take(full, { session: "t", number: 50, done: 49 }), "full");
  });

  it("forgets the sessions whose last command is the oldest, a bounded number at once", () => {
    const full = new Idempotency();
    for (let i = 0; i < 250; i++) take(full, { session: `${i}`, time: 1 });
    take(full, { session: "0", time: 2 });
    const sessions = () => full.freeze().sessions.size;
    take(full, { session: "new", time: 12 * minute + 2 });
    assert.equal(sessions(), 151);
    assert.equal(take(full, { session: "0", time: 12 * minute + 2 }), "repeated");
    for (let i = 0; i < 2; i++) take(full, { session: "new", time: 12 * minute + 2 });
    assert.equal(sessions(), 2);
    assert.equal(full.freeze().answers.size, 2);
  });

  it("counts the same after a restore", async () => {
    const machine = new KvMachine();
    for (let number = 0; number < 20; number++) keyed(machine, add, { number, done: number - 3 });
    const restored = await restoredFrom(snapshotOf(machine));
    assert.deepEqual(snapshotOf(restored), snapshotOf(machine));
  });

  it("tells commands apart that differ in a bit, or in their length", () => {
    const seen = new Set<string>();
    const command = encodeCommand(add).slice();
    for (let bit = 0; bit < 8 * command.length; bit++) {
      command[bit >> 3]! ^= 1 << (bit & 7);
      seen.add(fingerprintOf(command).join());
      command[bit >> 3]! ^= 1 << (bit & 7);
    }
    for (let length = 0; length <= 64; length++) {
      seen.add(fingerprintOf(new Uint8Array(length)).join());
    }
    assert.equal(seen.size, 8 * command.length + 65);
  });
});
