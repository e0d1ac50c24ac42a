/** Bytes from outside for fast-check, and the one way in which decoders may refuse them. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { MalformedBytes } from "../../src/errors.ts";

// The same run every time; FUZZ_SEED explores another one.
fc.configureGlobal({ seed: Number(process.env["FUZZ_SEED"] ?? 1) });

/** Runs `decode`; anything but a result or a `MalformedBytes` within the bytes fails the test. */
export function decodes<Value>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => Value,
): Value | null {
  try {
    return decode(bytes);
  } catch (error) {
    assert.ok(error instanceof MalformedBytes, String(error));
    assert.ok(error.offset >= 0 && error.offset <= bytes.length, error.message);
    return null;
  }
}

/** First bytes of every kind of item, with arguments of every width, and what strings are made of. */
const headers = fc.oneof(
  fc.integer({ min: 0, max: 255 }).map((byte) => [byte]),
  fc.constantFrom(0x18, 0x38, 0x58, 0x78, 0x98, 0xb8, 0xd8, 0xf8).chain((byte) =>
    fc.nat(255).map((argument) => [byte, argument])
  ),
  fc.constantFrom(0x19, 0x59, 0x79, 0x99, 0xb9, 0xd9, 0xf9).chain((byte) =>
    fc.tuple(fc.nat(2), fc.nat(255)).map((argument) => [byte, ...argument])
  ),
  fc.constantFrom(0x1a, 0x5a, 0x7a, 0x9a, 0xba, 0xda, 0xfa).chain((byte) =>
    fc.nat(0xffff).map((argument) => [byte, 0, 0, argument >> 8, argument & 255])
  ),
  fc.constantFrom(0x1b, 0x3b, 0x5b, 0x7b, 0x9b, 0xbb, 0xdb, 0xfb).chain((byte) =>
    fc.uint8Array({ minLength: 8, maxLength: 8 }).map((argument) => [byte, ...argument])
  ),
  fc.constantFrom([0x61, 0x61], [0x63, 0xef, 0xbb, 0xbf], [0x62, 0xc3, 0xa9], [0x41, 0xff]),
);
/** Items of CBOR that need not fit together. */
export const cborLike: fc.Arbitrary<Uint8Array> = fc.array(headers, { maxLength: 40 }).map((
  items,
) => Uint8Array.from(items.flat()));

/** Valid bytes with some changed, put in, and taken out. */
export function spoiled(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.nat(3),
    insert: fc.array(fc.nat(255), { maxLength: 3 }),
  });
  return fc.tuple(valid, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([body, edits]) => {
    const bytes = Array.from(body);
    for (const { at, remove, insert } of edits) {
      bytes.splice(Math.floor(at * bytes.length), remove, ...insert);
    }
    return Uint8Array.from(bytes);
  });
}

/** Valid bytes with some replaced, so that lengths stay what they were. */
export function overwritten(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const edit = fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255));
  return fc.tuple(valid, fc.array(edit, { maxLength: 3 })).map(([whole, edits]) => {
    const bytes = Uint8Array.from(whole);
    for (const [at, byte] of edits) bytes[Math.floor(at * bytes.length)] = byte;
    return bytes;
  });
}
