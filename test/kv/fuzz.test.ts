/**
 * Commands, results and snapshots from outside, made to hurt. What is not valid is `MalformedBytes` and leaves the state
 * as it was; what is taken is sound, whatever was done to the bytes on their way.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeCbor } from "../../src/cbor.ts";
import { MalformedBytes } from "../../src/errors.ts";
import {
  type Command,
  type Condition,
  decodeCommand,
  defaultContentType,
  encodeCommand,
} from "../../src/kv/command.ts";
import { keyToBytes } from "../../src/kv/key.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import { cborLike, decodes, overwritten, spoiled } from "../adapters/byte-arbitraries.ts";

/** Few of them, so that commands meet. */
const keys = fc.oneof(
  fc.constantFrom("a", "a/b", "b", "\x00", "\xff", "__proto__"),
  fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => String.fromCharCode(...bytes)),
);
const revisions = fc.array(fc.oneof(fc.nat(5), fc.maxSafeNat()), { maxLength: 4 });
const conditions: fc.Arbitrary<Condition[]> = fc.array(
  fc.oneof(
    fc.constantFrom({ type: "exists" as const }, { type: "absent" as const }),
    fc.tuple(fc.constantFrom("revision" as const, "notRevision" as const), revisions)
      .map(([type, revisions]) => ({ type, revisions })),
  ),
  { maxLength: 2 },
);
const puts: fc.Arbitrary<Command> = fc.tuple(
  keys,
  fc.uint8Array({ maxLength: 200 }),
  fc.constantFrom(defaultContentType, "text/plain", "a"),
  conditions,
).map(([key, value, contentType, conditions]) => {
  return { type: "put", key, value, contentType, conditions };
});
const commands: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: puts },
  fc.tuple(keys, conditions).map(([key, conditions]) => ({
    type: "delete" as const,
    key,
    conditions,
  })),
  fc.tuple(keys, fc.option(keys)).map(([start, end]) => ({
    type: "deleteRange" as const,
    start,
    end,
  })),
);

/** Nearly commands: the right words, and anything in the wrong places. */
const parts: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(1, 0, -1, 2 ** 53 - 1, 0.5, NaN, null, undefined, true, "", "a", "put", "exists"),
  fc.uint8Array({ maxLength: 5 }),
  fc.constantFrom(new Uint8Array(2049), new Uint8Array(2050), [], [[]], {}, { a: 1 }),
  fc.constantFrom([["exists"]], [["absent"], ["revision", [1]]], [["revision", 1]], [[["exists"]]]),
  fc.constantFrom([["notRevision", [-1]]], [["revision", Array.from({ length: 17 }, () => 1)]]),
);
const nearly = fc.tuple(
  fc.constantFrom(1, 1, 1, 2, "1", null),
  fc.constantFrom("put", "delete", "deleteRange", "increment", 1),
  fc.array(parts, { maxLength: 5 }),
).map(([version, type, rest]) => Uint8Array.from(encodeCbor([version, type, ...rest])));

const nearlyDelete = fc.tuple(keys, parts).map(([key, conditions]) => {
  return Uint8Array.from(encodeCbor([1, "delete", keyToBytes(key), conditions]));
});
const encoded = commands.map((command) => encodeCommand(command).slice());
const anything: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 12, arbitrary: overwritten(encoded) },
  { weight: 2, arbitrary: spoiled(encoded) },
  { weight: 3, arbitrary: nearly },
  { weight: 3, arbitrary: nearlyDelete },
  cborLike,
  fc.uint8Array({ maxLength: 64 }),
);

function machineAfter(run: readonly Command[]): KvMachine {
  const machine = new KvMachine();
  for (const command of run) machine.apply({ payload: encodeCommand(command) });
  return machine;
}

function contents({ store }: KvMachine): unknown[] {
  const items = [...store.list({ start: "", end: null })].map(([key, item]) => {
    const { value, contentType, created, revision, version } = item;
    return [key, value.slice(), contentType, created, revision, version];
  });
  return [store.revision, store.size, ...items];
}

function snapshotOf(machine: KvMachine): Uint8Array {
  const chunks = Array.from(machine.snapshot().chunks(), (chunk) => chunk.slice());
  const whole = new Uint8Array(chunks.reduce((bytes, chunk) => bytes + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

/** Restores over a state. Whether that was taken; if not, the state is as it was. */
async function restores(bytes: Uint8Array, size: number): Promise<KvMachine | null> {
  const machine = machineAfter([{ type: "put", key: "old", value: bytes, ...plain }]);
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
const plain = { contentType: defaultContentType, conditions: [] };

/** What no run of commands can leave fails the test. */
function assertSound({ store }: KvMachine): void {
  let before = "";
  let count = 0;
  for (const [key, { created, revision, version, contentType }] of store.list(everything)) {
    assert.ok(key > before && key.length <= 2048, "keys out of order");
    assert.ok(created >= 1 && created <= revision && revision <= store.revision, "revisions");
    assert.ok(version >= 1 && revision - created >= version - 1, "versions");
    assert.match(contentType, /^[\x20-\x7e]{1,256}$/);
    before = key;
    count++;
  }
  assert.equal(store.size, count);
}
const everything = { start: "", end: null };

/** What no command may say fails the test. */
function assertKnown(command: Command): void {
  const isBound = (key: string | null) => key === null || key.length <= 2049;
  if (command.type === "deleteRange") {
    assert.ok(isBound(command.start) && isBound(command.end), "bounds");
    return;
  }
  assert.ok(command.key.length >= 1 && command.key.length <= 2048, "a key");
  for (const condition of command.conditions) {
    if (!("revisions" in condition)) continue;
    const { revisions } = condition;
    assert.ok(revisions.length <= 16 && revisions.every((at) => Number.isSafeInteger(at)));
    assert.ok(revisions.every((at) => at >= 0), "a revision below 0");
  }
}

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
        assert.equal(result.type === "malformed", decoded === null);
        if (decoded === null) {
          assert.deepEqual(contents(machine), before);
          seen.malformed++;
          return;
        }
        assertKnown(decoded);
        // It means the same to who takes it from another's hands.
        const twin = machineAfter(run);
        assert.deepEqual(twin.apply({ payload: encodeCommand(decoded) }), result);
        assert.deepEqual(contents(machine), contents(twin));
        assertSound(machine);
        seen.taken++;
      }),
      { numRuns: 3000 },
    );
    console.log("commands from outside:", JSON.stringify(seen));
    assert.ok(Math.min(seen.taken, seen.malformed) > 300);
  });

  it("do not keep what was done to their bytes after they were applied", () => {
    fc.assert(fc.property(fc.array(commands, { maxLength: 8 }), (run) => {
      const machine = new KvMachine();
      for (const command of run) {
        const payload = encodeCommand(command).slice();
        machine.apply({ payload });
        payload.fill(0xee);
      }
      const values = run.map((command) => command.type === "put" ? command.value : null);
      for (const [, { value }] of machine.store.list(everything)) {
        assert.ok(values.some((put) => put !== null && Buffer.compare(put, value) === 0));
      }
    }));
  });
});

describe("results from outside", () => {
  it("are decoded to what encodes to the same, or are malformed", () => {
    const machine = new KvMachine();
    const results = commands.map((command) => {
      return machine.encodeResult(machine.apply({ payload: encodeCommand(command) })).slice();
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

describe("snapshots from outside", () => {
  const runs = fc.array(commands, { maxLength: 30 });
  const snapshots = runs.map((run) => snapshotOf(machineAfter(run)));
  const sizes = fc.constantFrom(1, 7, 64, 65_536);

  it("come back as they were where nothing was done to them", async () => {
    await fc.assert(fc.asyncProperty(runs, sizes, async (run, size) => {
      const machine = machineAfter(run);
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
        if (machine === null) return;
        assertSound(machine);
        const again = await restores(snapshotOf(machine), 65_536);
        assert.ok(again !== null);
        assert.deepEqual(contents(again), contents(machine));
        assert.equal(machine.apply({ payload: encodeCommand(next) }).type, "put");
      }),
      { numRuns: 1000 },
    );
    console.log("snapshots from outside:", JSON.stringify(seen));
    assert.ok(Math.min(seen.taken, seen.malformed) > 100);
  });
  const next: Command = { type: "put", key: "next", value: new Uint8Array(), ...plain };

  it("end with bombs behind a sound beginning, whatever lengths they claim", async () => {
    const sound = snapshotOf(machineAfter([{ ...next, value: new Uint8Array(100) }]));
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
