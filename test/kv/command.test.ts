import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCbor } from "../../src/cbor.ts";
import { MalformedBytes } from "../../src/errors.ts";
import { type Command, defaultContentType, isContentType } from "../../src/kv/command.ts";
import { decodeCommand, encodeCommand } from "../../src/kv/command-codec.ts";
import { randomFrom } from "./random.ts";

const value = Uint8Array.of(1, 2, 3);
const key = Uint8Array.of(97);

describe("a command", () => {
  const commands: Command[] = [
    { type: "put", key: "a/\x00\xff", value, contentType: "text/plain", conditions: [] },
    {
      type: "put",
      key: "a",
      value,
      contentType: defaultContentType,
      conditions: [{ type: "absent" }],
    },
    {
      type: "put",
      key: "a",
      value: new Uint8Array(),
      contentType: "a/b",
      conditions: [{ type: "revision", revisions: [1, 2 ** 40] }, {
        type: "notRevision",
        revisions: [],
      }],
    },
    { type: "delete", key: "__proto__", conditions: [{ type: "exists" }] },
    { type: "deleteRange", start: "", end: null },
    { type: "deleteRange", start: "a", end: "b" + "\xff".repeat(2048) },
  ];
  for (const command of commands) {
    it(`comes back as it was: ${JSON.stringify(command).slice(0, 80)}`, () => {
      assert.deepEqual(decodeCommand(encodeCommand(command)), command);
    });
  }

  it("costs little more than its key and value", () => {
    const bytes = encodeCommand({
      type: "put",
      key: "0123456789abcdef",
      value: new Uint8Array(256),
      contentType: defaultContentType,
      conditions: [],
    });
    assert.ok(bytes.length <= 16 + 256 + 16, `${bytes.length} bytes`);
  });
});

describe("a command that is not one", () => {
  const cases: [string, unknown][] = [
    ["another version", [2, "put", key, value, null, []]],
    ["an unknown type", [1, "increment", key]],
    ["too many items", [1, "delete", key, [], 1]],
    ["too few items", [1, "put", key, value]],
    ["a map", { type: "put" }],
    ["an empty key", [1, "delete", new Uint8Array(), []]],
    ["a key too long", [1, "delete", new Uint8Array(2049), []]],
    ["a key that is text", [1, "delete", "a", []]],
    ["a value that is text", [1, "put", key, "a", null, []]],
    ["a content type that breaks a header", [1, "put", key, value, "a\r\nx: y", []]],
    ["an empty content type", [1, "put", key, value, "", []]],
    ["a content type too long", [1, "put", key, value, "a".repeat(257), []]],
    ["a bound too long", [1, "deleteRange", new Uint8Array(2050), null]],
    ["a range without an end", [1, "deleteRange", key, undefined]],
    ["conditions that are no list", [1, "delete", key, "exists"]],
    ["too many conditions", [1, "delete", key, [["exists"], ["exists"], ["exists"]]]],
    ["an unknown condition", [1, "delete", key, [["older"]]]],
    ["a condition with too much", [1, "delete", key, [["exists", 1]]]],
    ["revisions that are no list", [1, "delete", key, [["revision", 1]]]],
    ["a revision that is not whole", [1, "delete", key, [["revision", [1.5]]]]],
    ["a negative revision", [1, "delete", key, [["revision", [-1]]]]],
    ["too many revisions", [1, "delete", key, [["revision", Array.from({ length: 17 }, () => 1)]]]],
  ];
  for (const [name, command] of cases) {
    it(`is refused: ${name}`, () => {
      assert.throws(() => decodeCommand(encodeCbor(command)), MalformedBytes);
    });
  }

  it("is refused with a typed error, whatever its bytes", () => {
    const random = randomFrom(7);
    const sound = encodeCommand({
      type: "put",
      key: "key",
      value,
      contentType: "text/plain",
      conditions: [{ type: "revision", revisions: [5] }],
    });
    for (let i = 0; i < 5000; i++) {
      const bytes = sound.slice(0, random(4) === 0 ? random(sound.length) : sound.length);
      for (let flips = random(4); flips >= 0; flips--) bytes[random(bytes.length)] = random(256);
      try {
        decodeCommand(bytes);
      } catch (error) {
        assert.ok(error instanceof MalformedBytes, String(error));
      }
    }
  });
});

describe("a content type", () => {
  it("is what a header can carry", () => {
    assert.ok(isContentType('text/plain; charset="utf-8"'));
    for (const bad of ["", "a\nb", "a\x00", "é", "a".repeat(257)]) assert.ok(!isContentType(bad));
  });
});
