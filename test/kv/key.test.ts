import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  isKeyAt,
  keyFromBytes,
  keyFromRange,
  keyToBytes,
  prefixEnd,
  writeKey,
} from "../../src/kv/key.ts";

describe("keys", () => {
  it("keep every byte, and any length", () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    assert.deepEqual(keyToBytes(keyFromBytes(all)), all);
    const long = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) & 0xff);
    assert.deepEqual(keyToBytes(keyFromBytes(long)), long);
    assert.equal(keyFromBytes(new Uint8Array()), "");
  });

  it("are read and written in the midst of other bytes", () => {
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i * 7);
    for (const [from, to] of [[0, 0], [3, 4], [5, 37], [5, 38], [1, 300]] as const) {
      const key = keyFromRange(bytes, from, to);
      assert.deepEqual(keyToBytes(key), bytes.slice(from, to));
      assert.ok(isKeyAt(bytes, from, to, key));
      assert.ok(!isKeyAt(bytes, from, to, `${key}a`));
      assert.equal(isKeyAt(bytes, from + 1, to + 1, key), from === to);
      const written = new Uint8Array(302);
      assert.equal(writeKey(written, 1, key), 1 + key.length);
      assert.deepEqual(written.slice(1, 1 + key.length), bytes.slice(from, to));
    }
  });

  it("sort as their bytes do", () => {
    const keys = [[0], [0, 0], [0, 255], [127], [128], [128, 0], [194, 128], [255], [255, 0]];
    const sorted = keys.map((bytes) => keyFromBytes(Uint8Array.from(bytes))).toSorted();
    assert.deepEqual(sorted.map((key) => [...keyToBytes(key)]), keys);
  });
});

describe("the end of a prefix", () => {
  it("is the prefix with its last byte raised", () => {
    assert.equal(prefixEnd("a/"), "a0");
    assert.equal(prefixEnd("\x00"), "\x01");
  });

  it("drops bytes that can't be raised", () => {
    assert.equal(prefixEnd("a\xff\xff"), "b");
    assert.equal(prefixEnd("\xfe\xff"), "\xff");
  });

  it("is none where every longer key belongs to it", () => {
    assert.equal(prefixEnd(""), null);
    assert.equal(prefixEnd("\xff\xff"), null);
  });
});
