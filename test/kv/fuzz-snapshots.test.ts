/**
 * Snapshots from outside, made to hurt. What is not valid is `MalformedBytes` and leaves the state as it was; what is
 * taken is sound, whatever was done to the bytes on their way.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MalformedBytes } from "../../src/errors.ts";
import type { Command } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KvResult } from "../../src/kv/result.ts";
import { overwritten, spoiled } from "../adapters/byte-arbitraries.ts";
import { payloads } from "./command-arbitraries.ts";
import {
  addOf,
  contents,
  grant,
  inPieces,
  keyed,
  put,
  putOf,
  remove,
  snapshotOf,
  transact,
} from "./machines.ts";
import { assertSound } from "./soundness.ts";

function machineOf(run: readonly Uint8Array[]): KvMachine {
  const machine = new KvMachine();
  for (const payload of run) machine.apply({ payload });
  return machine;
}

/** Restores over a state. Null where that was not taken: then the state is as it was. */
async function restores(bytes: Uint8Array, size: number): Promise<KvMachine | null> {
  const machine = new KvMachine();
  put(machine, "old", { value: bytes });
  const before = contents(machine);
  try {
    await machine.restore(inPieces(bytes, size));
    return machine;
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, String(error));
    assert.ok(error.offset >= 0 && error.offset <= bytes.length, error.message);
    assert.deepEqual(contents(machine), before);
    return null;
  }
}

/** It goes on as any other: sound, restored to the same, and ready for commands. */
async function assertGoesOn(machine: KvMachine): Promise<void> {
  assertSound(machine);
  const snapshot = snapshotOf(machine);
  const again = await restores(snapshot, 65_536);
  assert.ok(again !== null);
  assert.deepEqual(contents(again), contents(machine));
  for (const each of [machine, again]) {
    const time = each.housekeeping.time();
    assert.equal(put(each, "next").type, "put");
    assert.equal(transact(each, [putOf("a", "1"), addOf("a", 1n)]).type, "transaction");
    for (const session of ["s", "t"]) {
      const { type } = keyed(each, { type: "grant", ttlMs: 5 }, { session, time });
      assert.ok(["lease", "keyReused", "keyDone", "leasesFull"].includes(type), type);
    }
    each.apply({ payload: machineOf([]).housekeeping.next()?.command() ?? new Uint8Array() });
    assertSound(each);
  }
  assert.deepEqual(snapshotOf(again), snapshotOf(machine));
}

/** A small one with everything in it. */
function small(): KvMachine {
  const machine = new KvMachine();
  put(machine, "a", { metadata: Uint8Array.of(7), ttlMs: 900 });
  const lease = grant(machine, 500);
  put(machine, "b", { lease });
  remove(machine, "a");
  transact(machine, [putOf("a", "2"), putOf("c", "3"), { type: "delete", key: "b" }]);
  put(machine, "b", { lease });
  ask(machine, 70);
  return machine;
}

function ask(machine: KvMachine, time: number): KvResult {
  const command: Command = { type: "delete", key: "c", conditions: [] };
  return keyed(machine, command, { number: 3, done: 2, time });
}

describe("snapshots from outside", () => {
  const runs = fc.array(payloads, { maxLength: 30 });
  const snapshots = runs.map((run) => snapshotOf(machineOf(run)));
  const sizes = fc.constantFrom(1, 7, 64, 65_536);

  it("come back as they were where nothing was done to them", async () => {
    await fc.assert(fc.asyncProperty(runs, sizes, async (run, size) => {
      const machine = machineOf(run);
      const restored = await restores(snapshotOf(machine), size);
      assert.ok(restored !== null);
      assert.deepEqual(contents(restored), contents(machine));
    }));
  });

  it("leave the state as it was, or one that commands could have left, whatever was done to them", async () => {
    const crossed = fc.tuple(snapshots, snapshots, fc.double({ min: 0, max: 1, noNaN: true })).map(
      ([a, b, at]) => {
        const cut = Math.floor(at * a.length);
        return Uint8Array.from([...a.subarray(0, cut), ...b.subarray(cut)]);
      },
    );
    const bytes = fc.oneof(
      { weight: 4, arbitrary: overwritten(snapshots) },
      { weight: 2, arbitrary: spoiled(snapshots) },
      crossed,
      fc.uint8Array({ maxLength: 64 }),
    );
    const seen = { taken: 0, malformed: 0 };
    await fc.assert(
      fc.asyncProperty(bytes, sizes, async (bytes, size) => {
        const machine = await restores(bytes, size);
        seen[machine === null ? "malformed" : "taken"]++;
        if (machine !== null) await assertGoesOn(machine);
      }),
      { numRuns: 600 },
    );
    console.log("snapshots from outside:", JSON.stringify(seen));
    assert.ok(Math.min(seen.taken, seen.malformed) > 60);
  });

  it("are refused, or sound, with any bit of them turned", async () => {
    const sound = snapshotOf(small());
    let taken = 0;
    for (let at = 0; at < 8 * sound.length; at++) {
      const turned = sound.slice();
      turned[at >> 3]! ^= 1 << (at & 7);
      const machine = new KvMachine();
      try {
        await machine.restore(inPieces(turned));
      } catch (error) {
        assert.ok(error instanceof MalformedBytes, String(error));
        continue;
      }
      // The answer that it keeps, where that is still the one.
      assert.ok(["deleted", "keyReused", "keyDone"].includes(ask(machine, 70).type));
      if (taken % 4 === 0) assertSound(machine);
      if (taken % 64 === 0) await assertGoesOn(machine);
      taken++;
    }
    assert.ok(taken > 0 && taken < 4 * sound.length, `${taken} of ${8 * sound.length}`);
  });

  it("are refused with any number of bytes missing at their end", async () => {
    const sound = snapshotOf(small());
    for (let length = 0; length < sound.length; length++) {
      assert.equal(await restores(sound.subarray(0, length), 1 + length % 70), null);
    }
  });

  it("end with bombs behind a sound beginning, whatever lengths they claim", async () => {
    const sound = snapshotOf(small());
    const units = [
      [0xff],
      [0],
      [1, 0, 0, 0],
      [0, 0, 0, 1],
      [0, 0x80, 0, 0],
      [0, 0, 0x80, 0],
      [
        0x9f,
      ],
      [0x81],
      [0xa1, 0x61],
    ];
    for (const unit of units) {
      for (const kept of [0, 12, 28, sound.length - 20, sound.length]) {
        const bomb = Uint8Array.from({ length: 1 << 16 }, (_, i) => unit[i % unit.length] ?? 0);
        bomb.set(sound.subarray(0, kept));
        assert.equal(await restores(bomb, 4096), null);
      }
    }
  });
});
