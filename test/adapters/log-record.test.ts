import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { decodeRecords, RECORD_HEADER_BYTES, sealEntry } from "../../src/adapters/log-record.ts";
import { MalformedBytes } from "../../src/errors.ts";
import type { Entry, EntryDraft } from "../../src/raft/types.ts";

const LIMITS = { payloadBytesMax: 1024, entriesMax: 100 };
const START = { previousIndex: 0, previousTerm: 0, previousCrc: 0 };

function draft(index: number, term: number, text = `entry ${index}`): EntryDraft {
  return { index, term, kind: "command", payload: new TextEncoder().encode(text) };
}

function sealAll(drafts: readonly EntryDraft[], crc = 0): Entry[] {
  return drafts.map((each) => {
    const entry = sealEntry(each, crc);
    crc = entry.crc;
    return entry;
  });
}

function join(entries: readonly Entry[]): Uint8Array {
  return new Uint8Array(Buffer.concat(entries.map((entry) => entry.record)));
}

function malformed(text: RegExp, offset: number): (error: unknown) => boolean {
  return (error) => {
    assert(error instanceof MalformedBytes, String(error));
    assert.match(error.message, text);
    assert.equal(error.offset, offset);
    return true;
  };
}

describe("log record", () => {
  it("has the bytes that its grammar says", () => {
    const entry = sealEntry({
      index: 0x0102_0304_0506,
      term: 7,
      kind: "configuration",
      payload: Uint8Array.of(0xaa, 0xbb),
    }, 0);
    const hex = Buffer.from(entry.record).toString("hex");
    assert.equal(hex.slice(0, 8), "1b000000");
    assert.equal(hex.slice(16), "0605040302010000" + "0700000000000000" + "02" + "aabb");
    assert.equal(entry.record.length, RECORD_HEADER_BYTES + 2);
  });

  it("keeps the checksum that every release must compute", () => {
    assert.equal(sealEntry(draft(1, 1, "hello"), 0).crc, 0x7b25_80a9);
  });

  it("takes no buffer of its own, where it is small", () => {
    const entries = sealAll(
      Array.from({ length: 100 }, (_, i) => draft(i + 1, 1, "x".repeat(300))),
    );
    const buffers = new Set(entries.map(({ record }) => record.buffer));
    assert.ok(buffers.size <= 2, `${buffers.size} buffers for 100 records`);
    assert.ok(entries.every(({ record, payload }) => record.buffer === payload.buffer));
  });

  it("decodes what was sealed, in place", () => {
    const entries = sealAll([draft(1, 1), draft(2, 1), draft(3, 4)]);
    const bytes = join(entries);
    const decoded = decodeRecords(bytes, START, LIMITS);
    assert.deepEqual(decoded, entries.map((entry) => ({ ...entry })));
    assert(decoded.every((entry) => entry.record.buffer === bytes.buffer));
    assert.deepEqual(decodeRecords(new Uint8Array(0), START, LIMITS), []);
  });

  it("gives the same history the same checksum, and another history another", () => {
    const [, a] = sealAll([draft(1, 1, "x"), draft(2, 1, "y")]);
    const [, b] = sealAll([draft(1, 1, "z"), draft(2, 1, "y")]);
    assert.notEqual(a?.crc, b?.crc);
  });

  it("tells apart the same bytes cut into other records", () => {
    const first = sealEntry(draft(1, 1, "ab"), 0);
    const second = sealEntry(draft(2, 1, "c"), first.crc);
    const tail = second.record.subarray(8);
    const joined = new Uint8Array([...first.payload, ...tail]);
    const merged = sealEntry({ index: 1, term: 1, kind: "command", payload: joined }, 0);
    assert.notEqual(merged.crc, second.crc);
  });

  it("refuses a record behind another entry than its own", () => {
    const bytes = join(sealAll([draft(5, 2)], 99));
    const position = { previousIndex: 4, previousTerm: 2, previousCrc: 99 };
    assert.equal(decodeRecords(bytes, position, LIMITS).length, 1);
    const refused = (change: object, text: RegExp) =>
      assert.throws(
        () => decodeRecords(bytes, { ...position, ...change }, LIMITS),
        malformed(text, 0),
      );
    refused({ previousCrc: 98 }, /checksum/);
    refused({ previousIndex: 3 }, /record 5 follows 3/);
    refused({ previousTerm: 3 }, /term 2 follows term 3/);
  });

  it("says at which byte the first bad record begins", () => {
    const entries = sealAll([draft(1, 1), draft(2, 1), draft(3, 1)]);
    const bytes = join(entries);
    const second = entries[0]?.record.length ?? 0;
    bytes[second + 30] = (bytes[second + 30] ?? 0) ^ 1;
    assert.throws(() => decodeRecords(bytes, START, LIMITS), malformed(/checksum/, second));
  });

  it("refuses kinds, indices and terms that do not exist, sealed as they may be", () => {
    const forge = (at: number, value: number): Uint8Array => {
      const bytes = sealEntry(draft(1, 1), 0).record.slice();
      bytes[at] = value;
      return reseal(bytes);
    };
    assert.throws(() => decodeRecords(forge(24, 3), START, LIMITS), malformed(/kind/, 0));
    assert.throws(() => decodeRecords(forge(15, 1), START, LIMITS), malformed(/2\^53/, 0));
    assert.throws(() => decodeRecords(forge(22, 0x20), START, LIMITS), malformed(/2\^53/, 0));
  });

  it("bounds sizes before anything else", () => {
    const bytes = join(sealAll([draft(1, 1), draft(2, 1)]));
    const limited = (limits: object) => () => decodeRecords(bytes, START, { ...LIMITS, ...limits });
    assert.throws(limited({ payloadBytesMax: 3 }), malformed(/over the limit/, 0));
    assert.throws(limited({ entriesMax: 1 }), malformed(/more than 1 /, bytes.length / 2));
    const huge = bytes.slice();
    huge.fill(0xff, 0, 4);
    assert.throws(() => decodeRecords(huge, START, LIMITS), malformed(/4294967295 bytes/, 0));
  });

  it("refuses every flipped bit and every cut that is not between records", () => {
    const entries = sealAll([draft(1, 1), draft(2, 1, ""), draft(3, 2)]);
    const bytes = join(entries);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => decodeRecords(flipped, START, LIMITS), MalformedBytes, `bit ${bit}`);
    }
    const ends = [0, ...entries.map((_, i) => join(entries.slice(0, i + 1)).length)];
    for (let length = 0; length <= bytes.length; length++) {
      const decode = () => decodeRecords(bytes.subarray(0, length), START, LIMITS);
      const whole = ends.indexOf(length);
      if (whole < 0) assert.throws(decode, MalformedBytes);
      else assert.equal(decode().length, whole);
    }
  });

  it("answers any bytes with entries that seal to the same bytes, or with MalformedBytes", () => {
    const anyEntries = fc.array(
      fc.record({
        kind: fc.constantFrom("empty", "command", "configuration"),
        payload: fc.uint8Array({ maxLength: 64 }),
        step: fc.nat(2),
      }),
      { maxLength: 8 },
    ).map((parts) => {
      let term = 1;
      return sealAll(parts.map(({ kind, payload, step }, i) => {
        term += step;
        return { index: i + 1, term, kind, payload };
      }));
    });
    const edit = fc.record({ at: fc.nat(), value: fc.nat(255), insert: fc.boolean() });
    fc.assert(
      fc.property(anyEntries, fc.array(edit, { maxLength: 3 }), (entries, edits) => {
        const bytes = [...join(entries)];
        for (const { at, value, insert } of edits) {
          bytes.splice(at % (bytes.length + 1), insert ? 0 : 1, value);
        }
        const input = new Uint8Array(bytes);
        try {
          const decoded = decodeRecords(input, START, LIMITS);
          assert.deepEqual(join(sealAll(decoded)), input);
        } catch (error) {
          if (!(error instanceof MalformedBytes)) throw error;
          assert(edits.length > 0, "untouched records were refused");
        }
      }),
      { numRuns: 1000, seed: 1 },
    );
  });
});

/** Makes a forged record's checksum right, so that only its meaning is wrong. */
function reseal(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(4, crc32(bytes.subarray(8), bytes.length), true);
  return bytes;
}
