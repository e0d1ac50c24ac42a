/**
 * Commands and results from outside, made to hurt. What is not valid is `MalformedBytes` and leaves the state as it was;
 * what is taken means the same on every replica.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeCommand, encodeCommand, stampCommand, timeOf } from "../../src/kv/command-codec.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { cborLike, decodes, overwritten, spoiled } from "../adapters/byte-arbitraries.ts";
import { commands, nearly, payloads } from "./command-arbitraries.ts";
import { contents, machineAfter } from "./machines.ts";
import { assertSound } from "./soundness.ts";

const anything: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 12, arbitrary: overwritten(payloads) },
  { weight: 2, arbitrary: spoiled(payloads) },
  { weight: 6, arbitrary: nearly },
  cborLike,
  fc.uint8Array({ maxLength: 64 }),
);

describe("commands from outside", () => {
  it("come back as they were where nothing was done to them", () => {
    fc.assert(fc.property(commands, (command) => {
      assert.deepEqual(decodeCommand(encodeCommand(command)), command);
    }));
  });

  it("are applied, or are malformed and change nothing, whatever their bytes are", () => {
    const seen = { taken: 0, malformed: 0 };
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 8 }), anything, (run, payload) => {
        const machine = machineAfter(run);
        const before = contents(machine);
        const decoded = decodes(payload, decodeCommand);
        const result = machine.apply({ payload });
        if (decoded === null) {
          assert.equal(result.type, "malformed");
          assert.deepEqual(contents(machine), before);
          seen.malformed++;
          return;
        }
        // It means the same to who takes it from another's hands.
        const twin = machineAfter(run);
        const again = encodeCommand(decoded);
        stampCommand(again, timeOf(payload));
        // But for a time that nothing depends on.
        if (timeOf(again) !== timeOf(payload)) return;
        assert.deepEqual(twin.apply({ payload: again }), result);
        assert.deepEqual(contents(machine), contents(twin));
        assertSound(machine);
        seen.taken++;
      }),
      { numRuns: 2000 },
    );
    console.log("commands from outside:", JSON.stringify(seen));
    assert.ok(Math.min(seen.taken, seen.malformed) > 200);
  });

  it("do not keep what was done to their bytes after they were applied", () => {
    fc.assert(fc.property(fc.array(commands, { maxLength: 8 }), (run) => {
      const machine = new KvMachine();
      for (const command of run) {
        const payload = encodeCommand(command).slice();
        machine.apply({ payload });
        payload.fill(0xee);
      }
      assert.deepEqual(contents(machine), contents(machineAfter(run)));
    }));
  });
});

describe("results from outside", () => {
  it("are decoded to what encodes to the same, or are malformed", () => {
    const machine = new KvMachine();
    const results = payloads.map((payload) => {
      return machine.encodeResult(machine.apply({ payload })).slice();
    });
    const bytes = fc.oneof(
      overwritten(results),
      spoiled(results),
      cborLike,
      fc.uint8Array({ maxLength: 32 }),
    );
    let taken = 0;
    fc.assert(
      fc.property(bytes, (bytes) => {
        const result = decodes(bytes, (each) => machine.decodeResult(each));
        if (result === null) return;
        assert.deepEqual(machine.decodeResult(machine.encodeResult(result)), result);
        taken++;
      }),
      { numRuns: 2000 },
    );
    assert.ok(taken > 50, `only ${taken} were taken`);
  });
});
