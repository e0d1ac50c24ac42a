/**
 * Plain batches go a way of their own through the codec, which has to give what the general one gives: for encoding
 * `encodeCbor`, for decoding the same array with a head that is longer than it need be.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeCbor } from "../../src/cbor.ts";
import { MalformedBytes } from "../../src/errors.ts";
import {
  type BatchCommand,
  type BatchItem,
  type Command,
  defaultContentType,
} from "../../src/kv/command.ts";
import { decodeCommand, encodeCommand } from "../../src/kv/command-codec.ts";
import { keyBytesMax, keyToBytes } from "../../src/kv/key.ts";
import { overwritten, spoiled } from "../adapters/byte-arbitraries.ts";

const types = [
  defaultContentType,
  "text/plain",
  "a",
  "é",
  "",
  "a\n",
  "x".repeat(256),
  "y".repeat(257),
];
const keys = [0, 1, 23, 24, 255, 256, keyBytesMax, keyBytesMax + 1].map((length) =>
  "k".repeat(length)
);

const plainItem = (sizes: readonly number[]): fc.Arbitrary<BatchItem> =>
  fc.record({
    checks: fc.constant([]),
    operation: fc.record({
      type: fc.constant("put"),
      key: fc.constantFrom(...keys),
      value: fc.constantFrom(...sizes).map((size) => new Uint8Array(size).fill(7)),
      contentType: fc.constantFrom(...types),
    }),
  });
const other: fc.Arbitrary<BatchItem> = fc.constantFrom<BatchItem>(
  { checks: [], operation: { type: "delete", key: "a" } },
  { checks: [{ type: "exists", key: "a", exists: true }], operation: { type: "get", key: "a" } },
);
const batchesOf = (...items: fc.Arbitrary<BatchItem>[]): fc.Arbitrary<BatchCommand> =>
  fc.record({ type: fc.constant("batch"), items: fc.array(fc.oneof(...items), { maxLength: 30 }) });

function generally({ items }: BatchCommand): Uint8Array {
  return encodeCbor([
    1,
    "batch",
    items.map(({ operation }) => {
      assert.equal(operation.type, "put");
      const { key, value, contentType } = operation;
      const type = contentType === defaultContentType ? null : contentType;
      return [[], ["put", keyToBytes(key), value, type, null]];
    }),
  ]);
}

function outcome(bytes: Uint8Array): Command | "malformed" {
  try {
    return decodeCommand(bytes);
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, String(error));
    return "malformed";
  }
}

/** The array of three in `bytes`, decoded the general way. */
function general(bytes: Uint8Array): Command | "malformed" {
  return outcome(Uint8Array.of(0x98, 3, ...bytes.subarray(1)));
}

describe("a plain batch", () => {
  it("has the bytes that CBOR in general gives it", () => {
    fc.assert(fc.property(batchesOf(plainItem([0, 1, 23, 24, 256, 70_000])), (batch) => {
      assert.equal(Buffer.compare(encodeCommand(batch), generally(batch)), 0);
    }));
  });

  it("is decoded as CBOR in general is, and refused where that refuses", () => {
    const short = batchesOf(plainItem([0, 1, 24])).map((batch) => generally(batch).slice());
    const mixed = batchesOf(plainItem([0, 256]), other).map((batch) =>
      encodeCommand(batch).slice()
    );
    const inputs = fc.oneof(
      short,
      mixed,
      overwritten(short),
      spoiled(short),
      fc.tuple(short, fc.nat(200)).map(([bytes, left]) => bytes.subarray(0, left)),
      short.map((bytes) => Uint8Array.of(...bytes, 0xf6)),
    );
    let batches = 0;
    fc.assert(
      fc.property(inputs, (bytes) => {
        if (bytes[0] !== 0x83) return;
        const decoded = outcome(bytes);
        assert.deepEqual(decoded, general(bytes));
        if (decoded !== "malformed") batches++;
      }),
      { numRuns: 3000 },
    );
    assert.ok(batches > 100, `only ${batches} were commands`);
  });

  it("is decoded where it lies in a larger buffer, and beyond it nothing is read", () => {
    const operation = {
      type: "put",
      key: "key",
      value: new Uint8Array(30),
      contentType: "a/b",
    } as const;
    const batch: BatchCommand = { type: "batch", items: [{ checks: [], operation }] };
    const bytes = encodeCommand(batch);
    const larger = new Uint8Array(bytes.length + 20).fill(0xf6);
    larger.set(bytes, 7);
    assert.deepEqual(outcome(larger.subarray(7, 7 + bytes.length)), batch);
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(outcome(larger.subarray(7, 7 + length)), "malformed");
    }
    assert.equal(outcome(larger.subarray(7, 8 + bytes.length)), "malformed");
  });

  it("holds a copy of its values", () => {
    const value = Uint8Array.of(1, 2, 3);
    const operation = { type: "put", key: "k", value, contentType: "a/b" } as const;
    const bytes = encodeCommand({ type: "batch", items: [{ checks: [], operation }] });
    value.fill(9);
    const decoded = outcome(bytes);
    assert.ok(decoded !== "malformed" && decoded.type === "batch");
    const [item] = decoded.items;
    assert.ok(item?.operation.type === "put");
    assert.deepEqual(item.operation.value, Uint8Array.of(1, 2, 3));
  });
});
