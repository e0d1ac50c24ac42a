import assert from "node:assert/strict";
import { it } from "node:test";
import type { Command, Operation } from "../../src/kv/command.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import { isFrugal } from "../../src/kv/frugal.ts";

const value = new TextEncoder().encode("v");
const put = { type: "put", key: "a", value, contentType: "text/plain" } as const;
const remove = { type: "delete", key: "a" } as const;
const get = { type: "get", key: "a" } as const;
const add = { type: "add", key: "a", delta: 1n, min: null, max: null } as const;
const transaction = (then: readonly Operation[], other: readonly Operation[]): Command => ({
  type: "transaction",
  checks: [],
  then,
  else: other,
});
const batch = (...operations: readonly Operation[]): Command => ({
  type: "batch",
  items: operations.map((operation) => ({ checks: [], operation })),
});
const keyed = (command: Command): Command => ({
  type: "keyed",
  session: "s",
  number: 0,
  done: 0,
  command: encodeCommand(command),
});

it("takes for frugal what makes the state no larger, however it is wrapped, and nothing else", () => {
  const frugal: readonly Command[] = [
    { ...remove, conditions: [] },
    { type: "deleteRange", start: "a", end: null },
    { type: "keepAlive", lease: 1 },
    { type: "revoke", lease: 1 },
    { type: "expire" },
    transaction([remove, get], [get]),
    batch(remove, get),
    keyed({ ...remove, conditions: [] }),
    { type: "as", token: null, command: encodeCommand(keyed({ ...remove, conditions: [] })) },
  ];
  const others: readonly Command[] = [
    { ...put, conditions: [] },
    { type: "grant", ttlMs: 1000 },
    transaction([remove], [put]),
    transaction([add], []),
    batch(remove, put),
    keyed({ ...put, conditions: [] }),
    { type: "as", token: null, command: encodeCommand({ ...put, conditions: [] }) },
  ];
  for (const command of frugal) assert.ok(isFrugal(encodeCommand(command)), command.type);
  for (const command of others) assert.ok(!isFrugal(encodeCommand(command)), command.type);
  assert.ok(!isFrugal(new Uint8Array([1, 2, 3])), "what can't be read is not");
});
