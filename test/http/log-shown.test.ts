/** Commands of the data model as `/v1/log` shows them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { commandShown } from "../../src/http/log-shown.ts";
import type { Command } from "../../src/kv/command.ts";
import { encodeCommand, stampCommand } from "../../src/kv/command-codec.ts";
import { fixture, json } from "./fixture.ts";

const shown = (command: Command) => commandShown(encodeCommand(command), 8);

async function logged(
  request: (made: ReturnType<typeof fixture>) => Promise<unknown>,
): Promise<unknown> {
  const made = fixture();
  await request(made);
  const { entries } = await json(await made.send("GET", "/v1/log"));
  assert.ok(Array.isArray(entries));
  return entries.at(-1)?.command;
}

describe("/v1/log", () => {
  it("shows transactions and batches, with how many parts they have", async () => {
    const transaction = await logged(({ post }) =>
      post("/v1/txn", {
        if: [{ key: "a", exists: false }, { key: "b", version: 3, op: "<" }],
        then: [
          { put: { key: "a", value: "/w==", encoding: "base64", metadata: "YQ==" } },
          { add: { key: "n", delta: 1, max: 9 } },
          { delete: { prefix: "p" } },
          { list: { start: "q", values: false } },
        ],
        else: [{ get: { key: "a" } }],
      })
    );
    assert.deepEqual(transaction, {
      type: "transaction",
      if: {
        count: 2,
        shown: [
          { type: "exists", key: "a", exists: false },
          { type: "version", key: "b", op: "<", operand: 3 },
        ],
      },
      then: {
        count: 4,
        shown: [
          {
            type: "put",
            key: "a",
            valueBytes: 1,
            value: { base64: "/w==" },
            contentType: "application/octet-stream",
            metadata: "YQ==",
          },
          { type: "add", key: "n", delta: "1", max: "9" },
          { type: "deleteRange", start: "p", end: "q" },
          { type: "list", start: "q", end: null, reverse: false, limit: 100, values: false },
        ],
      },
      else: { count: 1, shown: [{ type: "get", key: "a" }] },
    });
    const put = { put: { key: "a", value: "x".repeat(1000) }, if: [{ key: "a", value: "v" }] };
    const batch = await logged(({ post }) => post("/v1/batch", { ops: Array(50).fill(put) }));
    const { type, ops } = batch as { type: string; ops: { count: number; shown: object[] } };
    assert.deepEqual([type, ops.count, ops.shown.length], ["batch", 50, 16]);
    assert.deepEqual(ops.shown[0], {
      type: "put",
      key: "a",
      valueBytes: 1000,
      contentType: "application/octet-stream",
      if: { count: 1, shown: [{ type: "value", key: "a", op: "=", valueBytes: 1, value: "v" }] },
    });
  });

  it("shows whose a command is that takes effect once, and the leader's time", async () => {
    const command = await logged(({ send }) =>
      send("PUT", "/v1/kv/a?ttl=5s&lease=3", {
        headers: {
          "idempotency-key": "me",
          "holdfast-sequence": "7;done=5",
          "content-type": "a/b",
        },
        body: "v",
      })
    );
    assert.deepEqual(command, {
      type: "keyed",
      session: "me",
      number: 7,
      done: 5,
      command: {
        type: "put",
        key: "a",
        valueBytes: 1,
        value: "v",
        contentType: "a/b",
        ttlMs: 5000,
        lease: 3,
        conditions: [],
      },
      time: 1_000_000,
    });
  });

  it("shows leases, and what leaders do of their own", () => {
    const grant = encodeCommand({ type: "grant", ttlMs: 9 });
    stampCommand(grant, 77);
    assert.deepEqual(commandShown(grant, 8), { type: "grant", ttlMs: 9, time: 77 });
    assert.deepEqual(shown({ type: "revoke", lease: 4 }), { type: "revoke", lease: 4 });
    assert.deepEqual(shown({ type: "expire" }), { type: "expire" });
    const history = { revisionsMax: 5, bytesMax: 6 };
    assert.deepEqual(shown({ type: "configure", history }), { type: "configure", history });
  });

  it("does not follow commands that are put into one another", () => {
    let command = encodeCommand({ type: "expire" });
    for (let depth = 0; depth < 1000; depth++) {
      command = encodeCommand({ type: "keyed", session: "s", number: 0, done: 0, command });
    }
    const { command: inner } = commandShown(command, 8) as { command: unknown };
    assert.deepEqual(inner, { type: "malformed" });
  });
});
