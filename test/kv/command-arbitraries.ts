/** Commands for fast-check: sound ones, and what nearly is one. */
import fc from "fast-check";
import { encodeCbor } from "../../src/cbor.ts";
import { newestVersion } from "../../src/kv/cluster-version.ts";
import { encodeCommand, stampCommand } from "../../src/kv/command-codec.ts";
import {
  type BatchItem,
  type Check,
  type Command,
  comparisonOps,
  type Condition,
  defaultContentType,
  integerMax,
  integerMin,
  type Operation,
  type PutExtras,
  type PutOperation,
  ttlMsMax,
} from "../../src/kv/command.ts";
import { keyToBytes } from "../../src/kv/key.ts";

/** Objects as literals make them. */
function record<T>(model: { [Name in keyof T]: fc.Arbitrary<T[Name]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

/** Few of them, so that commands meet. */
export const keys: fc.Arbitrary<string> = fc.oneof(
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
const leases = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 3 }) }, fc.maxSafeNat())
  .map((lease) => Math.max(1, lease));
const extras: fc.Arbitrary<PutExtras> = record({
  metadata: fc.option(fc.uint8Array({ maxLength: 20 })),
  ttlMs: fc.option(fc.integer({ min: 1, max: ttlMsMax })),
  lease: fc.option(leases),
});
const values = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.constantFrom("0", "-1", "9223372036854775807", "007").map((text) =>
    new TextEncoder().encode(text)
  ),
);
const puts: fc.Arbitrary<PutOperation> = fc.tuple(
  keys,
  values,
  fc.constantFrom(defaultContentType, "text/plain", "a"),
  fc.option(extras),
).map(([key, value, contentType, attached]) => {
  const put = { type: "put" as const, key, value, contentType };
  return attached === null ? put : { ...put, extras: attached };
});
const ranges = fc.tuple(keys, fc.option(keys)).map(([start, end]) => ({ start, end }));
const integers = fc.oneof(
  fc.integer({ min: -3, max: 3 }).map(BigInt),
  fc.bigInt({ min: integerMin, max: integerMax }),
  fc.constantFrom(integerMin, integerMax),
);
const operations: fc.Arbitrary<Operation> = fc.oneof(
  puts,
  keys.map((key) => ({ type: "delete" as const, key })),
  ranges.map((range) => ({ type: "deleteRange" as const, ...range })),
  record({
    type: fc.constant("add" as const),
    key: keys,
    delta: integers,
    min: fc.option(integers),
    max: fc.option(integers),
  }),
  keys.map((key) => ({ type: "get" as const, key })),
  fc.tuple(ranges, fc.boolean(), fc.integer({ min: 1, max: 1000 }), fc.boolean()).map(
    ([range, reverse, limit, values]) => ({
      type: "list" as const,
      ...range,
      reverse,
      limit,
      values,
    }),
  ),
);
const checks: fc.Arbitrary<Check[]> = fc.array(
  fc.oneof(
    fc.tuple(keys, fc.boolean()).map(([key, exists]) => ({ type: "exists" as const, key, exists })),
    fc.tuple(
      fc.constantFrom("revision" as const, "created" as const, "version" as const),
      keys,
      fc.constantFrom(...comparisonOps),
      fc.oneof(fc.nat(5), fc.maxSafeNat()),
    ).map(([type, key, op, operand]) => ({ type, key, op, operand })),
    fc.tuple(keys, fc.constantFrom(...comparisonOps), values).map(([key, op, operand]) => ({
      type: "value" as const,
      key,
      op,
      operand,
    })),
  ),
  { maxLength: 3 },
);
const items: fc.Arbitrary<BatchItem> = record({ checks, operation: operations });

/** Those that may come in a keyed one. */
const single: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(puts, conditions).map(([put, all]) => ({ ...put, conditions: all })),
  },
  record({ type: fc.constant("delete" as const), key: keys, conditions }),
  ranges.map((range) => ({ type: "deleteRange" as const, ...range })),
  record({
    type: fc.constant("transaction" as const),
    checks,
    then: fc.array(operations, { maxLength: 4 }),
    else: fc.array(operations, { maxLength: 2 }),
  }),
  fc.array(items, { maxLength: 4 }).map((each) => ({ type: "batch" as const, items: each })),
  fc.integer({ min: 1, max: ttlMsMax }).map((ttlMs) => ({ type: "grant" as const, ttlMs })),
  record({ type: fc.constantFrom("keepAlive" as const, "revoke" as const), lease: leases }),
);
export const commands: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: single },
  {
    weight: 2,
    arbitrary: single.map((command) => encodeCommand(command).slice()).chain((inner) =>
      record({
        type: fc.constant("keyed" as const),
        session: fc.constantFrom("s", "s t", "~".repeat(64)),
        number: fc.oneof(fc.nat(3), fc.maxSafeNat()),
        done: fc.oneof(fc.constant(0), fc.nat(3), fc.maxSafeNat()),
        command: fc.constant(inner),
      })
    ),
  },
  fc.constant({ type: "expire" as const }),
  record({
    type: fc.constant("configure" as const),
    history: record({
      revisionsMax: fc.integer({ min: 1, max: 20 }),
      bytesMax: fc.integer({ min: 0, max: 2000 }),
    }),
  }),
  record({
    type: fc.constant("restore" as const),
    id: fc.constantFrom("r1", "r2"),
    step: fc.oneof(
      record({ type: fc.constantFrom("begin" as const, "abort" as const) }),
      record({ type: fc.constant("piece" as const), offset: fc.nat(9), bytes: fc.uint8Array() }),
      record({
        type: fc.constant("commit" as const),
        bytes: fc.nat(99),
        digest: fc.tuple(fc.nat(), fc.nat()),
      }),
    ),
  }),
  record({ type: fc.constant("upgrade" as const), version: fc.constantFrom(1, newestVersion) }),
);
const times = fc.oneof(fc.nat(100_000), fc.constantFrom(0, 2 ** 32, 2 ** 53 - 1 - ttlMsMax));

/** As they stand in the log. */
export const payloads: fc.Arbitrary<Uint8Array> = fc.tuple(commands, times).map(
  ([command, time]) => {
    const payload = encodeCommand(command).slice();
    stampCommand(payload, time);
    return payload;
  },
);

/** The right words, and anything in the wrong places. */
const parts: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(1, 0, -1, 2 ** 53 - 1, 0.5, NaN, null, undefined, true, "", "a", "put", "exists"),
  fc.uint8Array({ maxLength: 5 }),
  fc.constantFrom(new Uint8Array(2049), new Uint8Array(2050), [], [[]], {}, { a: 1 }),
  fc.constantFrom([["exists"]], [["absent"], ["revision", [1]]], [["revision", 1]], [[["exists"]]]),
  fc.constantFrom([["notRevision", [-1]]], [["revision", Array.from({ length: 17 }, () => 1)]]),
  fc.constantFrom([["exists", Uint8Array.of(97), true]], [["version", Uint8Array.of(97), "=", 1]]),
  fc.constantFrom([["get", Uint8Array.of(97)]], [[[], ["delete", Uint8Array.of(97)]]]),
  fc.constantFrom([["add", Uint8Array.of(97), "1", null, "x"]], [null, 1, null], [null, 0, null]),
);
const types = [
  "put",
  "delete",
  "deleteRange",
  "transaction",
  "batch",
  "keyed",
  "grant",
  "keepAlive",
  "revoke",
  "expire",
  "configure",
  "increment",
  1,
];
export const nearly: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.tuple(
    fc.constantFrom(1, 1, 1, 2, "1", null),
    fc.constantFrom(...types),
    fc.array(parts, { maxLength: 5 }),
  ).map(([version, type, rest]) => Uint8Array.from(encodeCbor([version, type, ...rest]))),
  fc.tuple(keys, parts).map(([key, conditions]) =>
    Uint8Array.from(encodeCbor([1, "delete", keyToBytes(key), conditions]))
  ),
);
