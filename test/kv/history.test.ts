import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KvMachine } from "../../src/kv/machine.ts";
import {
  bytes,
  contents,
  everything,
  inPieces,
  put,
  putOf,
  remove,
  restoredFrom,
  run,
  snapshotOf,
  transact,
  withHistory,
} from "./machines.ts";

/** A past change, by keys and texts. */
function events({ store }: KvMachine, revision: number): unknown {
  const text = (item: { readonly value: Uint8Array } | null) =>
    item === null ? null : new TextDecoder().decode(item.value);
  return store.change(revision)?.events.map(({ key, item, previous }) => [
    key,
    text(item),
    text(previous),
  ]);
}

function texts({ store }: KvMachine, revision: number): string[] | undefined {
  const view = store.at(revision);
  return view === null
    ? undefined
    : [...view.list(everything)].map(([key, { value }]) =>
      `${key}=${new TextDecoder().decode(value)}`
    );
}

function putText(machine: KvMachine, key: string, text: string): void {
  put(machine, key, { value: bytes(text) });
}

describe("the past", () => {
  it("is what it was, through deletions and what came after them", async () => {
    const machine = new KvMachine();
    putText(machine, "a", "1");
    remove(machine, "a");
    putText(machine, "b", "1");
    putText(machine, "a", "2");
    run(machine, { type: "deleteRange", ...everything });
    putText(machine, "a", "3");
    for (const each of [machine, await restoredFrom(snapshotOf(machine))]) {
      assert.deepEqual(Array.from({ length: 7 }, (_, revision) => texts(each, revision)), [
        [],
        ["a=1"],
        [],
        ["b=1"],
        ["a=2", "b=1"],
        [],
        ["a=3"],
      ]);
      assert.deepEqual(events(each, 1), [["a", "1", null]]);
      assert.deepEqual(events(each, 2), [["a", null, "1"]]);
      assert.deepEqual(events(each, 4), [["a", "2", null]]);
      assert.deepEqual(events(each, 5), [["a", null, "2"], ["b", null, "1"]]);
      assert.deepEqual(events(each, 6), [["a", "3", null]]);
      assert.deepEqual([each.store.at(7), each.store.change(7), each.store.change(0)], [
        null,
        null,
        null,
      ]);
    }
  });

  it("reaches back by revisions", () => {
    const machine = withHistory({ revisionsMax: 3, bytesMax: 100_000 });
    putText(machine, "gone", "1");
    remove(machine, "gone");
    for (let i = 1; i <= 4; i++) putText(machine, "a", `${i}`);
    assert.deepEqual([machine.store.floor, machine.store.revision], [3, 6]);
    assert.deepEqual([texts(machine, 2), texts(machine, 3)], [undefined, ["a=1"]]);
    assert.deepEqual([events(machine, 3), events(machine, 4)], [undefined, [["a", "2", "1"]]]);
    putText(machine, "gone", "2");
    assert.deepEqual(events(machine, 7), [["gone", "2", null]]);
    assert.deepEqual(texts(machine, 6), ["a=4"]);
  });

  it("reaches back by bytes, and shrinks at once where there may be less of it", () => {
    const machine = withHistory({ revisionsMax: 1000, bytesMax: 2000 });
    for (let i = 0; i < 100; i++) put(machine, `k${i % 7}`, { value: new Uint8Array(100).fill(i) });
    const { floor } = machine.store;
    assert.ok(floor > 80 && floor < 92, `${floor}`);
    run(machine, { type: "configure", history: { revisionsMax: 5, bytesMax: 2000 } });
    assert.equal(machine.store.floor, 95);
    run(machine, { type: "configure", history: { revisionsMax: 5, bytesMax: 0 } });
    assert.equal(machine.store.floor, 100);
    put(machine, "a");
    assert.deepEqual([machine.store.floor, machine.store.change(101)], [101, null]);
  });

  it("ends with a change that is larger than all of it may be", async () => {
    const history = { revisionsMax: 1000, bytesMax: 20_000 };
    const large = new Uint8Array(30_000).fill(1);
    const ways: ((machine: KvMachine) => void)[] = [
      (machine) => putText(machine, "large", "small"),
      (machine) => remove(machine, "large"),
      (machine) => run(machine, { type: "deleteRange", ...everything }),
      (machine) => transact(machine, [{ type: "delete", key: "large" }, putOf("b")]),
      (machine) => transact(machine, [putOf("b"), { type: "deleteRange", ...everything }]),
    ];
    for (const way of ways) {
      const machine = withHistory(history);
      put(machine, "a");
      put(machine, "large", { value: large });
      remove(machine, "a");
      assert.equal(machine.store.floor, 0);
      way(machine);
      assert.deepEqual([machine.store.floor, machine.store.revision], [4, 4]);
      putText(machine, "a", "1");
      assert.deepEqual(events(machine, 5), [["a", "1", null]]);
      assert.deepEqual(contents(await restoredFrom(snapshotOf(machine))), contents(machine));
    }
  });

  it("holds a range of many keys that went at once", () => {
    const machine = new KvMachine();
    const keys = Array.from({ length: 3000 }, (_, i) => `k${10_000 + i}`);
    for (const key of keys) putText(machine, key, key);
    run(machine, { type: "deleteRange", start: "k1", end: "k12" });
    putText(machine, "k10000", "again");
    const change = machine.store.change(3001);
    assert.equal(change?.events.length, 2000);
    assert.deepEqual(change.events.map(({ key }) => key), keys.slice(0, 2000));
    assert.equal(texts(machine, 3000)?.length, 3000);
    assert.equal(texts(machine, 3001)?.length, 1000);
    assert.deepEqual(events(machine, 3002), [["k10000", "again", null]]);
    assert.deepEqual(machine.store.at(2999)?.get("k10000")?.value, bytes("k10000"));
  });

  it("goes on where its columns and slabs come round and are replaced", async () => {
    const machine = withHistory({ revisionsMax: 3000, bytesMax: 2_000_000 });
    for (let i = 1; i <= 9000; i++) {
      if (i % 11 === 0) remove(machine, `k${(i - 1) % 50}`);
      else put(machine, `k${i % 50}`, { value: new Uint8Array(i % 700).fill(i) });
      if (i % 3500 === 0) {
        run(machine, { type: "configure", history: { revisionsMax: 3, bytesMax: 2_000_000 } });
        run(machine, { type: "configure", history: { revisionsMax: 3000, bytesMax: 2_000_000 } });
      }
    }
    const { floor, revision } = machine.store;
    assert.equal(revision - floor, 2003);
    const other = await restoredFrom(snapshotOf(machine));
    for (let at = floor; at <= revision; at += 97) {
      assert.deepEqual(other.store.change(at), machine.store.change(at));
      assert.deepEqual(texts(other, at), texts(machine, at));
    }
    assert.deepEqual(snapshotOf(other), snapshotOf(machine));
  });

  it("that was handed out stays as it was, whatever is changed and dropped then", () => {
    const machine = withHistory({ revisionsMax: 2, bytesMax: 1000 });
    putText(machine, "a", "1");
    putText(machine, "a", "2");
    const held = [machine.store.change(2), machine.store.at(1)?.get("a")];
    const before = structuredClone(held);
    for (let i = 0; i < 500; i++) putText(machine, "a", `${i}`.repeat(5));
    assert.deepEqual(held, before);
  });
});

describe("a snapshot of the past", () => {
  it("is of the moment when it was taken", async () => {
    const machine = withHistory({ revisionsMax: 10, bytesMax: 5000 });
    for (let i = 0; i < 20; i++) put(machine, `k${i % 4}`, { value: new Uint8Array(200).fill(i) });
    const before = contents(machine);
    const snapshot = machine.snapshot();
    const pieces: Uint8Array[] = [];
    for (const chunk of snapshot.chunks()) {
      pieces.push(chunk.slice());
      for (let i = 0; i < 300; i++) put(machine, `k${i % 5}`, { value: new Uint8Array(i) });
      run(machine, { type: "deleteRange", ...everything });
    }
    const other = new KvMachine();
    await other.restore(inPieces(Buffer.concat(pieces)));
    assert.deepEqual(contents(other), before);
  });
});
