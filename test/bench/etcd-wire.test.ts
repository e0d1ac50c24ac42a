import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { putFrame, rangeFrame, readAnswer } from "../../bench/etcd-wire.ts";

const bytes = (text: string): number[] => [...new TextEncoder().encode(text)];

describe("etcd's wire", () => {
  it("frames a put as gRPC and protobuf have it", () => {
    const message = [0x0a, 1, ...bytes("k"), 0x12, 3, ...bytes("abc")];
    assert.deepEqual([...putFrame("k", "abc")], [0, 0, 0, 0, message.length, ...message]);
  });

  it("writes a length of over 127 bytes in two", () => {
    const frame = putFrame("k", "x".repeat(256));
    assert.deepEqual([...frame.subarray(0, 11)], [0, 0, 0, 1, 6, 0x0a, 1, 0x6b, 0x12, 0x80, 0x02]);
    assert.equal(frame.length, 5 + 262);
  });

  it("frames a read of one key", () => {
    assert.deepEqual([...rangeFrame("k")], [0, 0, 0, 0, 3, 0x0a, 1, 0x6b]);
  });

  it("reads revision and value of a range's answer, whatever else it carries", () => {
    const header = [0x08, 0xff, 0xff, 0x03, 0x18, 0xac, 0x02, 0x20, 2];
    const pair = [0x0a, 1, 0x6b, 0x10, 2, 0x2a, 2, ...bytes("hi")];
    const message = [0x0a, header.length, ...header, 0x12, pair.length, ...pair, 0x20, 1];
    const answer = readAnswer(Uint8Array.from([0, 0, 0, 0, message.length, ...message]));
    assert.deepEqual(answer, { revision: 300, value: "hi" });
  });

  it("tells an absent key from an empty value", () => {
    const header = [0x0a, 2, 0x18, 7];
    const absent = readAnswer(Uint8Array.from([0, 0, 0, 0, header.length, ...header]));
    assert.deepEqual(absent, { revision: 7, value: null });
    const empty = [...header, 0x12, 3, 0x0a, 1, 0x6b];
    const found = readAnswer(Uint8Array.from([0, 0, 0, 0, empty.length, ...empty]));
    assert.deepEqual(found, { revision: 7, value: "" });
  });

  it("refuses what broke off", () => {
    for (const frame of [[], [0, 0, 0, 0, 3, 0x0a], [0, 0, 0, 0, 2, 0x0a, 9], [1, 0, 0, 0, 0]]) {
      assert.throws(() => readAnswer(Uint8Array.from(frame)));
    }
  });
});
