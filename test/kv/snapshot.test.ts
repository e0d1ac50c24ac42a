import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MalformedBytes } from "../../src/errors.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { recordBytes, writeRecord, writeU32, writeU64 } from "../../src/kv/record.ts";
import { chunkBytes } from "../../src/kv/snapshot-format.ts";
import { bytes, contents, copied, joined, put, remove, run } from "./machines.ts";
import { randomFrom } from "./random.ts";

/** A store with a history: replaced, deleted and large values, keys of any bytes. */
function filled(seed: number): KvMachine {
  const random = randomFrom(seed);
  const machine = new KvMachine();
  for (let i = 0; i < 3000; i++) {
    const key = String.fromCharCode(random(256), random(8), random(256));
    if (random(5) === 0) remove(machine, key);
    else {
      const value = new Uint8Array(random(200)).fill(i);
      put(machine, key, { value, contentType: random(2) > 0 ? "text/x" : "text/plain" });
    }
  }
  put(machine, "large", { value: new Uint8Array(300_000).fill(7) });
  return machine;
}

async function* asStream(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

const defaultType = "application/octet-stream";
type Times = readonly [created: number, revision: number, version: number];

/** Of a store that keeps no history. */
function header(revision: number, size: number, name = "holdfast-kv", version = 3): Uint8Array {
  const head = new Uint8Array(name.length + 57);
  head.set(bytes(name));
  head[name.length] = version;
  for (const [i, number] of [revision, size, revision, 0, 1, 10, 10_000].entries()) {
    writeU64(head, name.length + 1 + 8 * i, number);
  }
  return head;
}

/** Behind all that a snapshot holds. */
const end = new Uint8Array(4);

function record(key: string, times: Times = [1, 1, 1], contentType = defaultType): Uint8Array {
  const [created, revision, version] = times;
  const draft = { value: bytes("v"), contentType, created, revision, version, attached: null };
  const written = new Uint8Array(recordBytes(key, draft));
  writeRecord(written, 0, key, draft);
  return written;
}

/** A sound record, with its length or that of its key changed. */
function misshapen(change: { readonly length?: number; readonly keyLength?: number }): Uint8Array {
  const written = record("a");
  if (change.length !== undefined) writeU32(written, 0, change.length);
  if (change.keyLength !== undefined) written[4] = change.keyLength;
  return written;
}

describe("a snapshot", () => {
  it("restores the same state, which gives the same bytes again", async () => {
    const machine = filled(1);
    const chunks = copied(machine.snapshot().chunks());
    const other = new KvMachine();
    put(other, "gone");
    await other.restore(asStream(chunks));
    assert.deepEqual(contents(other), contents(machine));
    assert.deepEqual(joined(other.snapshot().chunks()), joined(chunks));
    put(machine, "next");
    put(other, "next");
    assert.deepEqual(other.store.get("next"), machine.store.get("next"));
  });

  it("comes in chunks of bounded size, also where a value is larger", () => {
    const sizes = [...filled(1).snapshot().chunks()].map((chunk) => chunk.length);
    assert.ok(sizes.length > 5);
    assert.ok(Math.max(...sizes) <= chunkBytes);
  });

  it("is of the moment it was taken, whatever is applied while it is read", () => {
    const machine = filled(2);
    const expected = joined(machine.snapshot().chunks());
    const snapshot = machine.snapshot();
    const pieces: Uint8Array[] = [];
    for (const chunk of snapshot.chunks()) {
      pieces.push(chunk.slice());
      run(machine, { type: "deleteRange", start: "", end: "\x80" });
      put(machine, `new${pieces.length % 3}`);
    }
    assert.deepEqual(joined(pieces), expected);
  });

  it("does not depend on where its bytes are cut", async () => {
    const machine = new KvMachine();
    for (let i = 0; i < 40; i++) {
      put(machine, `key${i}`, { value: new Uint8Array(i * 300).fill(i) });
    }
    const whole = joined(machine.snapshot().chunks());
    for (const size of [1, 5, 4096, whole.length]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < whole.length; at += size) pieces.push(whole.subarray(at, at + size));
      const other = new KvMachine();
      await other.restore(asStream(pieces));
      assert.deepEqual(contents(other), contents(machine), `pieces of ${size}`);
    }
  });

  it("of an empty store keeps its revision", async () => {
    const machine = new KvMachine();
    put(machine, "a");
    remove(machine, "a");
    const other = new KvMachine();
    await other.restore(asStream(machine.snapshot().chunks()));
    assert.deepEqual([other.store.revision, other.store.size], [2, 0]);
  });

  it("is not tied to the buffers that it came in", async () => {
    const machine = new KvMachine();
    put(machine, "a", { value: bytes("kept") });
    const whole = joined(machine.snapshot().chunks());
    const other = new KvMachine();
    await other.restore(asStream([whole]));
    whole.fill(0);
    assert.deepEqual(other.store.get("a")?.value, bytes("kept"));
  });
});

describe("a snapshot that is not valid leaves the old state as it was", () => {
  const cases: [string, Uint8Array[]][] = [
    ["nothing", []],
    ["another format", [header(0, 0, "holdfast-xx")]],
    ["another version", [header(0, 0, "holdfast-kv", 2)]],
    ["a revision beyond 2^53", [header(2 ** 53, 0)]],
    ["fewer records than said", [header(9, 2), record("a")]],
    ["more records than said", [header(9, 1), record("a"), record("b")]],
    ["keys out of order", [header(9, 2), record("b"), record("a")]],
    ["a key behind the one that it begins with", [header(9, 2), record("ab"), record("a")]],
    ["a key twice", [header(9, 2), record("a"), record("a")]],
    ["an empty key", [header(9, 1), record("")]],
    ["a key too long", [header(9, 1), record("a".repeat(2049))]],
    ["a record beyond the store's revision", [header(9, 1), record("a", [10, 10, 1])]],
    ["a record created after its change", [header(9, 1), record("a", [5, 4, 2])]],
    ["a first version that was changed", [header(9, 1), record("a", [4, 5, 1])]],
    ["version 0", [header(9, 1), record("a", [4, 4, 0])]],
    ["created at 0", [header(9, 1), record("a", [0, 0, 1])]],
    ["a bad content type", [header(9, 1), record("a", [1, 1, 1], "a\n")]],
    ["a record of no bytes", [header(9, 1), misshapen({ length: 0 })]],
    ["a record too long", [header(9, 1), misshapen({ length: 2 ** 31 })]],
    ["a key longer than its record", [header(9, 1), misshapen({ keyLength: 9 })]],
    ["bytes behind the end", [header(9, 1), record("a"), end, Uint8Array.of(0)]],
    ["no end", [header(9, 1), record("a")]],
  ];
  for (const [name, pieces] of cases) {
    it(name, async () => {
      const machine = new KvMachine();
      put(machine, "old");
      const before = contents(machine);
      await assert.rejects(machine.restore(asStream(pieces)), MalformedBytes);
      await assert.rejects(machine.restore(asStream([joined(pieces)])), MalformedBytes);
      assert.deepEqual(contents(machine), before);
    });
  }

  it("but one of sound records is taken", async () => {
    const machine = new KvMachine();
    const pieces = [header(9, 2), record("a", [4, 9, 2]), record("ab", [1, 1, 1], "text/x"), end];
    await machine.restore(asStream(pieces));
    assert.deepEqual([machine.store.revision, machine.store.size], [9, 2]);
  });

  it("one that ends too soon, at any byte", async () => {
    const machine = new KvMachine();
    put(machine, "a");
    put(machine, "b");
    const whole = joined(machine.snapshot().chunks());
    for (let length = 0; length < whole.length; length++) {
      const other = new KvMachine();
      await assert.rejects(other.restore(asStream([whole.subarray(0, length)])), MalformedBytes);
    }
  });

  it("one whose stream fails", async () => {
    const machine = new KvMachine();
    put(machine, "old");
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(header(1, 1));
      throw new Error("disk");
    }
    await assert.rejects(machine.restore(failing()), /disk/);
    assert.equal(machine.store.size, 1);
  });
});
