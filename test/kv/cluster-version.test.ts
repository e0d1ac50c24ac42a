import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InvariantViolation } from "../../src/assert.ts";
import { MalformedBytes } from "../../src/errors.ts";
import { newestVersion, releaseOf } from "../../src/kv/cluster-version.ts";
import { decodeCommand, encodeCommand } from "../../src/kv/command-codec.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { joined, put, run } from "./machines.ts";

const formatAt = "holdfast-kv".length;

async function* asStream(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

function snapshotOf(machine: KvMachine): Uint8Array {
  return joined(machine.snapshot().chunks());
}

describe("the cluster's version", () => {
  it("is 1 until a command raises it, and never goes back", () => {
    const machine = new KvMachine();
    put(machine, "a");
    assert.equal(machine.version, 1);
    const upgraded = run(machine, { type: "upgrade", version: 2 });
    assert.deepEqual(upgraded, { type: "upgraded", revision: 1, version: 2 });
    run(machine, { type: "upgrade", version: 1 });
    assert.equal(machine.version, 2);
  });

  it("is raised by a duty of the leader's, once all members speak more", () => {
    let spoken = 1;
    const machine = new KvMachine({ spokenByAll: () => spoken });
    assert.equal(machine.housekeeping.next(), null);
    spoken = 2;
    const duty = machine.housekeeping.next();
    assert.equal(duty?.at, 0);
    assert.deepEqual(decodeCommand(duty?.command() ?? new Uint8Array()), {
      type: "upgrade",
      version: 2,
    });
    machine.apply({ payload: duty?.command() ?? new Uint8Array() });
    assert.equal(machine.version, 2);
    assert.equal(machine.housekeeping.next(), null, "and then no more");
  });

  it("is raised no further than what this software speaks", () => {
    const machine = new KvMachine({ spokenByAll: () => 99 });
    machine.apply({ payload: machine.housekeeping.next()?.command() ?? new Uint8Array() });
    assert.equal(machine.version, newestVersion);
    assert.equal(machine.housekeeping.next(), null);
  });

  it("stops a replica that doesn't speak what it became, rather than let it come apart", () => {
    const payload = encodeCommand({ type: "upgrade", version: newestVersion + 1 });
    assert.throws(() => new KvMachine().apply({ payload }), InvariantViolation);
  });

  it("is told by a snapshot's format: 3 is version 1, byte for byte what 0.1.0 wrote, and 4 is 2", async () => {
    const machine = new KvMachine();
    put(machine, "a");
    const first = snapshotOf(machine);
    run(machine, { type: "upgrade", version: 2 });
    const second = snapshotOf(machine);
    assert.deepEqual([first[formatAt], second[formatAt]], [3, 4]);
    for (const [bytes, version] of [[first, 1], [second, 2]] as const) {
      const restored = new KvMachine();
      await restored.restore(asStream(bytes));
      assert.equal(restored.version, version);
      assert.deepEqual(snapshotOf(restored), bytes);
    }
  });

  it("refuses a snapshot of a version to come, and says so", async () => {
    const bytes = snapshotOf(new KvMachine());
    bytes[formatAt] = 3 + newestVersion;
    await assert.rejects(new KvMachine().restore(asStream(bytes)), (error) => {
      assert.ok(error instanceof MalformedBytes);
      assert.match(error.message, /format 5, of the cluster's version 3: 2 is the last one/);
      return true;
    });
  });

  it("is named by the release that speaks it", () => {
    assert.deepEqual([1, 2, 3].map(releaseOf), [
      "0.1.0",
      "0.2.0",
      "a release that speaks version 3",
    ]);
  });
});
