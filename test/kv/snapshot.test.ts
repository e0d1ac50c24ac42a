import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MalformedBytes } from "../../src/errors.ts";
import { encodeCommand } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { recordBytes, writeRecord, writeU32, writeU64 } from "../../src/kv/record.ts";
import { chunkBytes } from "../../src/kv/snapshot.ts";
import { randomFrom } from "./random.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function put(machine: KvMachine, key: string, value: Uint8Array, contentType = "text/plain"): void {
  machine.apply({
    payload: encodeCommand({ type: "put", key, value, contentType, conditions: [] }),
  });
}

/** A store with a history: replaced, deleted and large values, keys of any bytes. */
function filled(seed: number): KvMachine {
  const random = randomFrom(seed);
  const machine = new KvMachine();
  for (let i = 0; i < 3000; i++) {
    const key = String.fromCharCode(random(256), random(8), random(256));
    if (random(5) === 0) {
      machine.apply({ payload: encodeCommand({ type: "delete", key, conditions: [] }) });
    } else {
      put(machine, key, new Uint8Array(random(200)).fill(i), random(2) ? "text/x" : undefined);
    }
  }
  put(machine, "large", new Uint8Array(300_000).fill(7));
  return machine;
}

async function* asStream(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

/** Each chunk holds only until the next is asked for. */
function copied(chunks: Iterable<Uint8Array>): Uint8Array[] {
  return Array.from(chunks, (chunk) => chunk.slice());
}

function joined(chunks: Iterable<Uint8Array>): Uint8Array {
  const pieces = copied(chunks);
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function contents(machine: KvMachine): unknown {
  return [machine.store.revision, ...machine.store.list({ start: "", end: null })];
}

const defaultType = "application/octet-stream";
type Times = readonly [created: number, revision: number, version: number];

function header(revision: number, size: number, name = "holdfast-kv", version = 2): Uint8Array {
  const head = new Uint8Array(name.length + 17);
  head.set(bytes(name));
  head[name.length] = version;
  writeU64(head, name.length + 1, revision);
  writeU64(head, name.length + 9, size);
  return head;
}

function record(key: string, times: Times = [1, 1, 1], contentType = defaultType): Uint8Array {
  const [created, revision, version] = times;
  const draft = { value: bytes("v"), contentType, created, revision, version };
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
    put(other, "gone", bytes("x"));
    await other.restore(asStream(chunks));
    assert.deepEqual(contents(other), contents(machine));
    assert.deepEqual(joined(other.snapshot().chunks()), joined(chunks));
    put(machine, "next", bytes("1"));
    put(other, "next", bytes("1"));
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
      machine.apply({ payload: encodeCommand({ type: "deleteRange", start: "", end: "\x80" }) });
      put(machine, `new${pieces.length % 3}`, bytes("x"));
    }
    assert.deepEqual(joined(pieces), expected);
  });

  it("does not depend on where its bytes are cut", async () => {
    const machine = new KvMachine();
    for (let i = 0; i < 40; i++) put(machine, `key${i}`, new Uint8Array(i * 300).fill(i));
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
    put(machine, "a", bytes("1"));
    machine.apply({ payload: encodeCommand({ type: "delete", key: "a", conditions: [] }) });
    const other = new KvMachine();
    await other.restore(asStream(machine.snapshot().chunks()));
    assert.deepEqual(contents(other), [2]);
  });

  it("is not tied to the buffers that it came in", async () => {
    const machine = new KvMachine();
    put(machine, "a", bytes("kept"));
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
    ["another version", [header(0, 0, "holdfast-kv", 1)]],
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
    ["more versions than revisions", [header(9, 1), record("a", [4, 5, 3])]],
    ["version 0", [header(9, 1), record("a", [4, 4, 0])]],
    ["created at 0", [header(9, 1), record("a", [0, 0, 1])]],
    ["a bad content type", [header(9, 1), record("a", [1, 1, 1], "a\n")]],
    ["a record of no bytes", [header(9, 1), misshapen({ length: 0 })]],
    ["a record too long", [header(9, 1), misshapen({ length: 2 ** 31 })]],
    ["a key longer than its record", [header(9, 1), misshapen({ keyLength: 9 })]],
    ["bytes behind the records", [header(9, 1), record("a"), Uint8Array.of(0)]],
  ];
  for (const [name, pieces] of cases) {
    it(name, async () => {
      const machine = new KvMachine();
      put(machine, "old", bytes("state"));
      const before = contents(machine);
      await assert.rejects(machine.restore(asStream(pieces)), MalformedBytes);
      await assert.rejects(machine.restore(asStream([joined(pieces)])), MalformedBytes);
      assert.deepEqual(contents(machine), before);
    });
  }

  it("but one of sound records is taken", async () => {
    const machine = new KvMachine();
    const pieces = [header(9, 2), record("a", [4, 9, 2]), record("ab", [1, 1, 1], "text/x")];
    await machine.restore(asStream(pieces));
    assert.deepEqual([machine.store.revision, machine.store.size], [9, 2]);
  });

  it("one that ends too soon, at any byte", async () => {
    const machine = new KvMachine();
    put(machine, "a", bytes("1"));
    put(machine, "b", bytes("2"));
    const whole = joined(machine.snapshot().chunks());
    for (let length = 0; length < whole.length; length++) {
      const other = new KvMachine();
      await assert.rejects(other.restore(asStream([whole.subarray(0, length)])), MalformedBytes);
    }
  });

  it("one whose stream fails", async () => {
    const machine = new KvMachine();
    put(machine, "old", bytes("state"));
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(header(1, 1));
      throw new Error("disk");
    }
    await assert.rejects(machine.restore(failing()), /disk/);
    assert.equal(machine.store.size, 1);
  });
});
