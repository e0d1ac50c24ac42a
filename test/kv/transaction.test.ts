import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { type BatchItem, integerMax, integerMin, type Operation } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { type KvResult, resultBytesMax } from "../../src/kv/result.ts";
import {
  addOf,
  bytes,
  contents,
  everything,
  grant,
  keyed,
  put,
  putOf,
  run,
  snapshotOf,
  transact,
} from "./machines.ts";

const listAll: Operation = {
  type: "list",
  ...everything,
  reverse: false,
  limit: 1000,
  values: true,
};

function batch(machine: KvMachine, items: readonly BatchItem[]): KvResult {
  return run(machine, { type: "batch", items });
}

/** What an `add` makes of a key with this value. */
function added(text: string, operation: Operation): unknown {
  const machine = new KvMachine();
  put(machine, "n", { value: bytes(text) });
  const result = transact(machine, [operation]);
  return result.type === "transaction" ? result.results[0] : result.type;
}

describe("a transaction", () => {
  it("is one revision, and shows the net effect on each key", () => {
    const machine = new KvMachine();
    put(machine, "b");
    const result = transact(machine, [
      putOf("c", "1"),
      putOf("a", "1"),
      putOf("a", "2"),
      { type: "delete", key: "b" },
      putOf("d", "gone"),
      { type: "deleteRange", start: "d", end: null },
      { type: "get", key: "a" },
    ]);
    assert.equal(result.revision, 2);
    assert.equal(machine.store.get("a")?.version, 2);
    const change = machine.store.change(2);
    assert.deepEqual(change?.events.map(({ key, item }) => [key, item?.value]), [
      ["a", bytes("2")],
      ["b", undefined],
      ["c", bytes("1")],
    ]);
  });

  it("takes no revision where it changes no key on balance", () => {
    for (const bytesMax of [0, 10_000]) {
      const machine = new KvMachine();
      run(machine, { type: "configure", history: { revisionsMax: 9, bytesMax } });
      put(machine, "b");
      const result = transact(machine, [putOf("a"), { type: "delete", key: "a" }]);
      assert.deepEqual([result.revision, machine.store.revision], [1, 1]);
    }
  });

  it("leaves nothing where one of its operations is impossible", () => {
    const machine = new KvMachine();
    const lease = grant(machine, 1000);
    put(machine, "text", { value: bytes("x"), lease, ttlMs: 50 });
    put(machine, "b", { ttlMs: 70, lease });
    const before = [contents(machine), snapshotOf(machine)];
    const changes = [
      putOf("text", "5"),
      putOf("b", "1", { ttlMs: 5 }),
      putOf("new", "1", { ttlMs: 1, lease }),
      { type: "deleteRange", start: "b", end: "c" } as const,
      putOf("b", "2", { lease }),
    ];
    const result = transact(machine, [...changes, putOf("text", "x"), addOf("text", 1n)]);
    assert.deepEqual(result, { type: "notInteger", revision: 2, key: "text" });
    assert.deepEqual([contents(machine), snapshotOf(machine)], before);
    assert.deepEqual(machine.keysOf(lease), ["b", "text"]);
    assert.equal(machine.store.firstDue, 50);
    assert.equal(transact(machine, [...changes, addOf("text", 1n)]).type, "transaction");
    assert.deepEqual(machine.keysOf(lease), ["b", "new"]);
  });

  it("may read only so much, and changes nothing where that is more", () => {
    const machine = new KvMachine();
    const value = new Uint8Array(1024 * 1024);
    put(machine, "big", { value });
    const before = snapshotOf(machine);
    const gets = Array.from({ length: 9 }, (): Operation => ({ type: "get", key: "big" }));
    const result = transact(machine, [putOf("a"), ...gets]);
    assert.deepEqual(result, { type: "tooMuch", revision: 1, limit: resultBytesMax });
    assert.deepEqual(snapshotOf(machine), before);
    const inner = { type: "transaction", checks: [], then: gets, else: [] } as const;
    assert.deepEqual(keyed(machine, inner), result);
    const items = gets.map((operation) => ({ checks: [], operation }));
    const each = batch(machine, items);
    assert.ok(each.type === "batch");
    assert.deepEqual(each.results.map(({ type }) => type), [
      ...Array.from({ length: 7 }, () => "got"),
      "tooMuch",
      "tooMuch",
    ]);
    assert.deepEqual(each.results[8], { type: "tooMuch", revision: 1, limit: resultBytesMax });
  });

  it("answers with what a follower that forwarded it can take, however small the items are", () => {
    const machine = new KvMachine();
    for (let from = 0; from < 1000; from += 500) {
      transact(machine, Array.from({ length: 500 }, (_, i) => putOf(`${from + i}`, "")));
    }
    const lists = Array.from({ length: 500 }, () => ({ ...listAll, values: false }));
    assert.equal(transact(machine, lists).type, "tooMuch");
    const some = transact(machine, lists.slice(0, 30));
    assert.equal(some.type, "transaction");
    const encoded = machine.encodeResult(some).slice();
    assert.equal(Buffer.compare(machine.encodeResult(machine.decodeResult(encoded)), encoded), 0);
  });

  it("holds the longest value also in a keyed put", () => {
    const machine = new KvMachine();
    const value = new Uint8Array(8 * 1024 * 1024);
    const inner = { type: "put", key: "a", value, contentType: "a/b", conditions: [] } as const;
    assert.equal(keyed(machine, inner).type, "put");
    assert.equal(machine.store.get("a")?.value.length, value.length);
  });
});

describe("an add", () => {
  it("keeps the sum within the bounds of the type, or its own", () => {
    const value = (result: unknown) => (result as { value?: bigint }).value;
    assert.equal(value(added("5", addOf("n", -7n))), -2n);
    assert.equal(value(added("5", addOf("absent", 3n))), 3n);
    assert.equal(value(added(String(integerMax), addOf("n", 1n))), integerMax);
    assert.equal(value(added(String(integerMin), addOf("n", integerMin))), integerMin);
    assert.equal(value(added("5", addOf("n", 3n, undefined, 6n))), 6n);
    assert.equal(value(added("5", addOf("n", -30n, 0n))), 0n);
    assert.equal(value(added("5", addOf("n", 0n, 9n, 7n))), 7n);
  });

  it("adds to whole numbers of 64 bits in decimal only", () => {
    const bad = ["", "-0", "007", "+1", " 1", "1.0", "1e3", "x", String(integerMax + 1n)];
    for (const text of [...bad, String(integerMin - 1n), "9".repeat(20), "1".repeat(5000)]) {
      assert.equal(added(text, addOf("n", 1n)), "notInteger", text);
    }
  });

  it("keeps what is attached to the key, and its content type", () => {
    const machine = new KvMachine();
    const lease = grant(machine, 1000);
    const attached = { metadata: bytes("m"), ttlMs: 10, lease };
    put(machine, "n", { value: bytes("1"), contentType: "a/b", ...attached });
    transact(machine, [addOf("n", 1n)], 5);
    const { value, contentType, metadata, due } = machine.store.get("n") ?? {};
    assert.deepEqual([value, contentType, metadata, due], [bytes("2"), "a/b", bytes("m"), 10]);
    assert.deepEqual(machine.keysOf(lease), ["n"]);
  });
});

describe("a batch", () => {
  it("gives each operation a revision and an outcome of its own", () => {
    const machine = new KvMachine();
    put(machine, "text", { value: bytes("x") });
    const exists = { type: "exists", key: "no", exists: true } as const;
    const result = batch(machine, [
      { checks: [], operation: putOf("a") },
      { checks: [], operation: addOf("text", 1n) },
      { checks: [exists], operation: putOf("b") },
      { checks: [exists, exists], operation: putOf("b") },
      { checks: [], operation: putOf("c", "v", { lease: 9 }) },
      { checks: [], operation: { type: "delete", key: "absent" } },
      { checks: [{ ...exists, key: "a" }], operation: { type: "delete", key: "a" } },
    ]);
    assert.deepEqual(result, {
      type: "batch",
      revision: 3,
      results: [
        { type: "put", version: 1, created: 2, revision: 2 },
        { type: "notInteger", revision: 2, key: "text" },
        { type: "conditionFailed", revision: 2, current: 0 },
        { type: "conditionFailed", revision: 2, current: null },
        { type: "noLease", revision: 2, lease: 9 },
        { type: "deleted", deleted: 0, revision: 2 },
        { type: "deleted", deleted: 1, revision: 3 },
      ],
    });
  });

  it("may be of as many operations as it says", () => {
    const items = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ checks: [], operation: putOf(`${i}`) }));
    const payload = (count: number) => encodeCommand({ type: "batch", items: items(count) });
    assert.equal(new KvMachine().apply({ payload: payload(1000) }).revision, 1000);
    assert.equal(new KvMachine().apply({ payload: payload(1001) }).type, "malformed");
  });
});
