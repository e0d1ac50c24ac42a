import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CborLimits, decodeCbor, encodeCbor, wellFormed } from "../../src/cbor.ts";
import { MalformedBytes } from "../../src/errors.ts";

const limits: CborLimits = {
  totalBytesMax: 1 << 20,
  depthMax: 8,
  itemsMax: 10_000,
  textBytesMax: 4096,
  byteStringBytesMax: 1 << 16,
};

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function refused(bytes: Uint8Array, message: RegExp, offset: number): void {
  assert.throws(
    () => decodeCbor(bytes, limits),
    (error) => {
      assert.ok(error instanceof MalformedBytes, String(error));
      assert.match(error.message, message);
      assert.equal(error.offset, offset);
      return true;
    },
  );
}

describe("CBOR encoding", () => {
  // One row for each form; the runtimes all run this file, so they agree with it and with each other.
  const fixture: [unknown, string][] = [
    [0, "00"],
    [-0, "00"],
    [23, "17"],
    [24, "1818"],
    [255, "18ff"],
    [256, "190100"],
    [65535, "19ffff"],
    [65536, "1a00010000"],
    [2 ** 32 - 1, "1affffffff"],
    [2 ** 32, "fb41f0000000000000"],
    [2 ** 53 - 1, "fb433fffffffffffff"],
    [-1, "20"],
    [-25, "3818"],
    [-(2 ** 31), "3a7fffffff"],
    [-(2 ** 32), "3affffffff"],
    [-(2 ** 53 - 1), "fbc33fffffffffffff"],
    [0.5, "fb3fe0000000000000"],
    [Infinity, "fb7ff0000000000000"],
    [true, "f5"],
    [false, "f4"],
    [null, "f6"],
    [undefined, "f7"],
    ["", "60"],
    ["é→😀", "69c3a9e28692f09f9880"],
    ["ü".repeat(60), "7878" + "c3bc".repeat(60)],
    ["x".repeat(300), "79012c" + "78".repeat(300)],
    [new Uint8Array([]), "40"],
    [new Uint8Array([1, 2]), "420102"],
    [[1, [2]], "82018102"],
    [
      { b: 1, a: { type: "put", key: new Uint8Array([0]) } },
      "a2616201" + "6161" + "a2" + "6474797065" + "63707574" + "636b6579" + "4100",
    ],
    [Array.from({ length: 24 }, () => null), "9818" + "f6".repeat(24)],
  ];

  it("gives these bytes on every runtime, and gets the value back", () => {
    for (const [value, expected] of fixture) {
      const encoded = encodeCbor(value);
      assert.equal(toHex(encoded), expected);
      assert.deepEqual(decodeCbor(encoded, limits), Object.is(value, -0) ? 0 : value);
    }
  });

  it("leaves earlier results alone", () => {
    const results = Array.from(
      { length: 3000 },
      (_, i) => encodeCbor({ i, pad: "p".repeat(i % 50) }),
    );
    results.forEach((bytes, i) => {
      assert.deepEqual(decodeCbor(bytes, limits), { i, pad: "p".repeat(i % 50) });
    });
  });

  it("writes a small bigint as a 64-bit integer, which comes back as a number", () => {
    assert.equal(toHex(encodeCbor(10n)), "1b000000000000000a");
    assert.equal(decodeCbor(encodeCbor(10n), limits), 10);
    assert.equal(decodeCbor(encodeCbor(2n ** 53n - 1n), limits), 2 ** 53 - 1);
    refused(encodeCbor(2n ** 53n), /out of range/, 0);
  });
});

describe("CBOR decoding", () => {
  it("takes the longer encodings that other encoders write", () => {
    assert.deepEqual(decodeCbor(hex("1900ff"), limits), 255);
    assert.deepEqual(decodeCbor(hex("1b000000010000002a"), limits), 2 ** 32 + 42);
    assert.deepEqual(decodeCbor(hex("f93c00"), limits), 1);
    assert.deepEqual(decodeCbor(hex("fa3fc00000"), limits), 1.5);
    assert.deepEqual(decodeCbor(hex("5b000000000000000107"), limits), new Uint8Array([7]));
    assert.deepEqual(decodeCbor(hex("ba00000001616b9b000000000000000101"), limits), { k: [1] });
  });

  it("gives byte strings as plain Uint8Array views, and leaves its input as it was", () => {
    const input = Buffer.from("820142aabb", "hex");
    const [, bytes] = decodeCbor(input, limits) as [number, Uint8Array];
    assert.equal(bytes.constructor, Uint8Array);
    assert.equal(bytes.buffer, input.buffer);
    assert.equal(bytes.byteOffset, input.byteOffset + 3);
    assert.deepEqual(Object.keys(input), Object.keys(Buffer.alloc(5)));
  });

  it("keeps names of Object.prototype from doing harm", () => {
    refused(hex("a1695f5f70726f746f5f5f01"), /__proto__/, 2);
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
    const decoded = decodeCbor(hex("a1686e6f5f70726f746f01"), limits);
    assert.deepEqual(decoded, { no_proto: 1 });
    assert.equal(decodeCbor(hex("695f5f70726f746f5f5f"), limits), "__proto__");
  });

  const malformed: [string, string, RegExp, number][] = [
    ["nothing", "", /too soon/, 0],
    ["bytes behind the item", "0000", /after the end/, 1],
    ["a tag", "c000", /a tag/, 0],
    ["a record tag of cbor-x", "d9dfff83190001816161" + "01", /a tag/, 0],
    ["an indefinite array", "9fff", /indefinite/, 0],
    ["an indefinite map", "bfff", /indefinite/, 0],
    ["an indefinite byte string", "5f4101ff", /indefinite/, 0],
    ["an indefinite text string", "7f6161ff", /indefinite/, 0],
    ["a break", "ff", /simple/, 0],
    ["an unassigned simple value", "e0", /simple/, 0],
    ["a two-byte simple value", "f8ff", /simple/, 0],
    ["a simple value in the wrong form", "f814", /simple/, 0],
    ["a reserved float", "fc", /simple/, 0],
    ["a reserved length", "1c", /reserved/, 0],
    ["a cut integer", "1a000000", /too soon/, 4],
    ["a cut float", "fb00000000000000", /too soon/, 8],
    ["a cut byte string", "4401", /longer than the bytes/, 0],
    ["a cut array", "8201", /more items than bytes/, 0],
    ["an array of 2^32 - 1 items", "9affffffff", /more items than bytes/, 0],
    ["an array of 2^64 - 1 items", "9bffffffffffffffff", /more items than bytes/, 0],
    ["a map of 2^63 pairs", "bb8000000000000000", /more items than bytes/, 0],
    ["a map of half a pair", "a16161", /too soon/, 3],
    ["a byte string of 2^64 - 1 bytes", "5bffffffffffffffff", /longer than the bytes/, 0],
    ["a number for a key", "a10101", /key that is not/, 1],
    ["an array for a key", "a2616101800100", /key that is not/, 4],
    ["a number past 2^53", "1b0020000000000000", /out of range/, 0],
    ["a negative number of eight bytes", "3b0000000000000000", /out of range/, 0],
    ["nesting over the limit", "81".repeat(9) + "00", /deeper/, 8],
    ["a lone surrogate", "63eda080", /UTF-8/, 1],
    ["an overlong slash", "62c0af", /UTF-8/, 1],
    ["an overlong three-byte form", "63e08080", /UTF-8/, 1],
    ["a character past U+10FFFF", "64f4908080", /UTF-8/, 1],
    ["a lone continuation byte", "626180", /UTF-8/, 2],
    ["a character cut by its string's end", "8261c361a9", /UTF-8/, 2],
    ["a byte order mark", "64efbbbf61", /byte order/, 1],
  ];
  for (const [what, bytes, message, offset] of malformed) {
    it(`refuses ${what}`, () => refused(hex(bytes), message, offset));
  }

  it("refuses arrays that promise everything that is left, over and over", () => {
    const bomb = new Uint8Array(8192);
    for (let at = 0; at + 3 < bomb.length; at += 3) {
      new DataView(bomb.buffer).setUint16(at + 1, Math.min(0xffff, bomb.length - at - 3));
      bomb[at] = 0x99;
    }
    refused(bomb, /more items than bytes/, 3);
  });

  it("keeps its limits", () => {
    refused(encodeCbor("x".repeat(4097)), /4097 bytes, over 4096/, 0);
    refused(encodeCbor(new Uint8Array(65_537)), /65537 bytes, over 65536/, 0);
    refused(encodeCbor(Array.from({ length: 10_000 }, () => 0)), /over 10000 items/, 0);
    refused(new Uint8Array((1 << 20) + 1), /limit/, 0);
    wellFormed(encodeCbor(Array.from({ length: 9999 }, () => 0)), limits);
    wellFormed(hex("81".repeat(8) + "00"), limits);
  });

  it("does not recurse: a megabyte of array headers ends in a refusal", () => {
    const headers = new Uint8Array(1 << 20).fill(0x81);
    const deep = { ...limits, depthMax: Infinity, itemsMax: Infinity };
    assert.throws(() => wellFormed(headers, deep), MalformedBytes);
  });
});
