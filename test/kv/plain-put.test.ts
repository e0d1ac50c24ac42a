/**
 * Plain puts go a way of their own through the codec, which has to give what the general one gives. The general one is
 * `encodeCbor` for encoding; for decoding it is the same array with a head that is longer than it need be, which only
 * the general way takes.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeCbor } from "../../src/cbor.ts";
import { MalformedBytes } from "../../src/errors.ts";
import { type Command, defaultContentType, type PutCommand } from "../../src/kv/command.ts";
import { decodeCommand, encodeCommand } from "../../src/kv/command-codec.ts";
import { keyToBytes } from "../../src/kv/key.ts";
import { cborLike, overwritten, spoiled } from "../adapters/byte-arbitraries.ts";

const lengths = [1, 2, 23, 24, 31, 32, 33, 63, 64, 255, 256, 257, 2047, 2048, 2049];
const keyOf = (length: number): string =>
  String.fromCharCode(...Array.from({ length }, (_, i) => (i * 37 + length) & 0xff));
const valueOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 31);
const types = [
  defaultContentType,
  "",
  "é",
  "a\n",
  "\x1f",
  " ",
  "\x7e",
  "\x7f",
  ...lengths.map(typeOf),
];
function typeOf(length: number): string {
  return "text/plain".repeat(Math.ceil(length / 10)).slice(0, length);
}

function putsOf(keys: readonly number[], values: readonly number[]): fc.Arbitrary<PutCommand> {
  return fc.record({
    type: fc.constant("put"),
    key: fc.constantFrom(...keys).map(keyOf),
    value: fc.constantFrom(...values).map(valueOf),
    contentType: fc.constantFrom(...types),
    conditions: fc.constant([]),
  });
}

function generally({ key, value, contentType }: PutCommand): Uint8Array {
  const type = contentType === defaultContentType ? null : contentType;
  return encodeCbor([1, "put", keyToBytes(key), value, type, []]);
}

function outcome(bytes: Uint8Array): Command | "malformed" {
  try {
    return decodeCommand(bytes);
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, String(error));
    assert.ok(error.offset >= 0 && error.offset <= bytes.length, error.message);
    return "malformed";
  }
}

/** The array of six in `bytes`, decoded the general way. */
function general(bytes: Uint8Array): Command | "malformed" {
  return outcome(Uint8Array.of(0x98, 6, ...bytes.subarray(1)));
}

describe("a plain put", () => {
  it("has the bytes that CBOR in general gives it", () => {
    const puts = putsOf(lengths, [0, ...lengths, 4000, 4096, 65535, 65536]);
    fc.assert(fc.property(puts, (put) => {
      assert.equal(Buffer.compare(encodeCommand(put), generally(put)), 0);
    }));
  });

  it("is decoded as CBOR in general is, and refused where that refuses", () => {
    const long = putsOf(lengths, [0, 255, 256, 4096]).map((put) => generally(put).slice());
    // Few bytes, so that what is changed is mostly a head or a content type.
    const short = putsOf([0, 1, 2, 23, 24], [0, 1, 23, 24]).map((put) => generally(put).slice());
    const inputs = fc.oneof(
      long,
      overwritten(short),
      spoiled(short),
      fc.tuple(short, fc.nat(100)).map(([bytes, left]) => bytes.subarray(0, left)),
      cborLike.map((rest) => Uint8Array.of(0x86, 1, 0x63, 0x70, 0x75, 0x74, ...rest, 0x80)),
    );
    let plain = 0;
    fc.assert(
      fc.property(inputs, (bytes) => {
        if (bytes[0] !== 0x86) return;
        const decoded = outcome(bytes);
        assert.deepEqual(decoded, general(bytes));
        if (decoded !== "malformed") plain++;
      }),
      { numRuns: 4000 },
    );
    assert.ok(plain > 500, `only ${plain} were commands`);
  });

  it("is decoded from lengths that are longer than they need be", () => {
    const head = [0x86, 1, 0x63, 0x70, 0x75, 0x74];
    const bytes = [0x5a, 0, 0, 0, 1, 97, 0x59, 0, 1, 7, 0x79, 0, 1, 97, 0x80];
    const put = { type: "put", key: "a", value: Uint8Array.of(7), contentType: "a" };
    assert.deepEqual(outcome(Uint8Array.from([...head, ...bytes])), { ...put, conditions: [] });
  });

  it("has one content type after another", () => {
    for (const contentType of ["a/b", "a/c", "a/c", defaultContentType, "a/b", "a/bc", "a"]) {
      const put: PutCommand = {
        type: "put",
        key: "k",
        value: keyToBytes("v"),
        contentType,
        conditions: [],
      };
      assert.deepEqual(outcome(encodeCommand(put)), put);
    }
  });

  it("holds a copy of its value", () => {
    const value = Uint8Array.of(1, 2, 3);
    const put: PutCommand = { type: "put", key: "k", value, contentType: "a/b", conditions: [] };
    const bytes = encodeCommand(put);
    value.fill(9);
    encodeCommand(put);
    assert.deepEqual(outcome(bytes), { ...put, value: Uint8Array.of(1, 2, 3) });
  });

  it("is decoded where it lies in a larger buffer, and beyond it nothing is read", () => {
    const put: PutCommand = {
      type: "put",
      key: "key",
      value: valueOf(30),
      contentType: "a/b",
      conditions: [],
    };
    const bytes = encodeCommand(put);
    const larger = new Uint8Array(bytes.length + 20).fill(0x80);
    larger.set(bytes, 7);
    assert.deepEqual(outcome(larger.subarray(7, 7 + bytes.length)), put);
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(outcome(larger.subarray(7, 7 + length)), "malformed");
    }
    assert.equal(outcome(larger.subarray(7, 8 + bytes.length)), "malformed");
  });

  it("takes no buffer of its own, neither encoded nor decoded", () => {
    const value = valueOf(256);
    const buffers = new Set<ArrayBufferLike>();
    for (let i = 0; i < 100; i++) {
      const put: PutCommand = {
        ...{ type: "put", key: `key-${i}`, contentType: "a/b", conditions: [] },
        value,
      };
      const bytes = encodeCommand(put);
      const decoded = decodeCommand(bytes);
      assert.ok(decoded.type === "put" && decoded.value.buffer === bytes.buffer);
      buffers.add(bytes.buffer);
    }
    assert.ok(buffers.size <= 2, `${buffers.size} buffers for 100 puts`);
  });
});
