import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MalformedBytes } from "../../src/errors.ts";
import type { Command, Condition } from "../../src/kv/command.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import type { StateMachine } from "../../src/ports.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function run(machine: KvMachine, command: Command): KvResult {
  return machine.apply({ payload: encodeCommand(command) });
}

function put(machine: KvMachine, key: string, text = "v", conditions: Condition[] = []): KvResult {
  return run(machine, {
    type: "put",
    key,
    value: bytes(text),
    contentType: "text/plain",
    conditions,
  });
}

function remove(machine: KvMachine, key: string, conditions: Condition[] = []): KvResult {
  return run(machine, { type: "delete", key, conditions });
}

describe("revisions", () => {
  it("begin at 0 and go up by one with each change", () => {
    const machine = new KvMachine();
    assert.equal(machine.store.revision, 0);
    assert.deepEqual(put(machine, "a"), { type: "put", revision: 1, version: 1, created: 1 });
    assert.deepEqual(put(machine, "b"), { type: "put", revision: 2, version: 1, created: 2 });
    assert.deepEqual(put(machine, "a"), { type: "put", revision: 3, version: 2, created: 1 });
    assert.deepEqual(remove(machine, "a"), { type: "deleted", revision: 4, deleted: 1 });
    assert.deepEqual(put(machine, "a"), { type: "put", revision: 5, version: 1, created: 5 });
  });

  it("stay where nothing changes", () => {
    const machine = new KvMachine();
    put(machine, "a");
    assert.deepEqual(remove(machine, "absent"), { type: "deleted", revision: 1, deleted: 0 });
    assert.deepEqual(put(machine, "a", "w", [{ type: "absent" }]), {
      type: "conditionFailed",
      revision: 1,
      current: 1,
    });
    const nothing: Command = { type: "deleteRange", start: "x", end: "y" };
    assert.deepEqual(run(machine, nothing), { type: "deleted", revision: 1, deleted: 0 });
    assert.equal(put(machine, "b").revision, 2);
  });

  it("go up by one for a whole range", () => {
    const machine = new KvMachine();
    for (const key of ["a", "b", "b/1", "b/2", "c"]) put(machine, key);
    const range: Command = { type: "deleteRange", start: "b", end: "c" };
    assert.deepEqual(run(machine, range), { type: "deleted", revision: 6, deleted: 3 });
    const rest: Command = { type: "deleteRange", start: "", end: null };
    assert.deepEqual(run(machine, rest), { type: "deleted", revision: 7, deleted: 2 });
    assert.equal(machine.store.size, 0);
  });

  it("stand on the key: what changed it, what created it, how often it was put", () => {
    const machine = new KvMachine();
    put(machine, "other");
    put(machine, "a", "1");
    put(machine, "a", "2");
    assert.deepEqual(machine.store.get("a"), {
      value: bytes("2"),
      contentType: "text/plain",
      created: 2,
      revision: 3,
      version: 2,
      metadata: null,
      lease: null,
      due: null,
    });
  });
});

describe("conditions", () => {
  const revision = (...revisions: number[]): Condition => ({ type: "revision", revisions });
  const notRevision = (...revisions: number[]): Condition => ({ type: "notRevision", revisions });
  const cases: [Condition[], { present: boolean; absent: boolean }][] = [
    [[{ type: "exists" }], { present: true, absent: false }],
    [[{ type: "absent" }], { present: false, absent: true }],
    [[revision(2)], { present: true, absent: false }],
    [[revision(1, 2)], { present: true, absent: false }],
    [[revision(1)], { present: false, absent: false }],
    [[revision()], { present: false, absent: false }],
    [[revision(0)], { present: false, absent: false }],
    [[notRevision(2)], { present: false, absent: true }],
    [[notRevision(1)], { present: true, absent: true }],
    [[{ type: "exists" }, notRevision(2)], { present: false, absent: false }],
    [[{ type: "exists" }, { type: "absent" }], { present: false, absent: false }],
  ];
  for (const [conditions, expected] of cases) {
    it(JSON.stringify(conditions), () => {
      for (const [key, holds] of [["here", expected.present], ["gone", expected.absent]] as const) {
        for (const change of [put, removeAs]) {
          const machine = new KvMachine();
          put(machine, "x");
          put(machine, "here");
          const before = machine.store.get(key);
          const result = change(machine, key, "w", conditions);
          if (holds) assert.notEqual(result.type, "conditionFailed");
          else {
            const current = key === "here" ? 2 : 0;
            assert.deepEqual(result, { type: "conditionFailed", revision: 2, current });
            assert.deepEqual(machine.store.get(key), before);
          }
        }
      }
    });
  }
  function removeAs(machine: KvMachine, key: string, _: string, conditions: Condition[]): KvResult {
    return remove(machine, key, conditions);
  }
});

describe("the machine", () => {
  it("is a state machine of the ports", () => {
    const machine: StateMachine<KvResult> = new KvMachine();
    assert.ok(machine);
  });

  it("answers a command that it can't read with a result, and changes nothing", () => {
    const machine = new KvMachine();
    put(machine, "a");
    for (const payload of [new Uint8Array(), bytes("junk"), Uint8Array.of(0x81, 2)]) {
      const result = machine.apply({ payload });
      assert.equal(result.type, "malformed");
      assert.equal(result.revision, 1);
    }
    assert.equal(put(machine, "b").revision, 2);
  });

  it("keeps values that own their bytes", () => {
    const machine = new KvMachine();
    const batch = new Uint8Array(64 * 1024);
    const command = encodeCommand({
      type: "put",
      key: "a",
      value: bytes("value"),
      contentType: "text/plain",
      conditions: [],
    });
    batch.set(command, 1000);
    machine.apply({ payload: batch.subarray(1000, 1000 + command.length) });
    batch.fill(0);
    const { value } = machine.store.get("a") ?? { value: null };
    assert.deepEqual(value, bytes("value"));
    assert.equal(value?.buffer.byteLength, 5);
  });

  it("treats keys as bytes: no name is special", () => {
    const machine = new KvMachine();
    const keys = ["\x00", "..", "__proto__", "a", "a\x00", "constructor", "\xff\xff"];
    for (const key of keys) put(machine, key, key);
    const listed = [...machine.store.list({ start: "", end: null })].map(([key]) => key);
    assert.deepEqual(listed, keys);
  });

  it("sends results over the wire as they are", () => {
    const machine = new KvMachine();
    const results: KvResult[] = [
      { type: "put", revision: 2 ** 40, version: 3, created: 1 },
      { type: "deleted", revision: 5, deleted: 0 },
      { type: "conditionFailed", revision: 5, current: 0 },
      { type: "malformed", revision: 0, detail: "why" },
    ];
    for (const result of results) {
      assert.deepEqual(machine.decodeResult(machine.encodeResult(result)), result);
    }
    for (const bad of [bytes("{}"), Uint8Array.of(0xa0), Uint8Array.of(0xf6), new Uint8Array()]) {
      assert.throws(() => machine.decodeResult(bad), MalformedBytes);
    }
  });
});
