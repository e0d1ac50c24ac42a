/** Stores to back up, and backups of them as bytes. */
import { backupPieces } from "../../src/backup/format.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import type { Command } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";

/** Applies a command at a time of the cluster's. */
export function apply(machine: KvMachine, command: Command, time: number = 1000): void {
  const payload = encodeCommand(command);
  machine.housekeeping.stamp(payload, time);
  machine.apply({ payload });
}

/** A put of text. */
export function put(key: string, text: string): Command {
  const value = new TextEncoder().encode(text);
  return { type: "put", key, value, contentType: "text/plain", conditions: [] };
}

/** A little of everything: values old and new, a deletion, a lease with a key, a time to live, a kept answer. */
export function smallMachine(): KvMachine {
  const machine = new KvMachine();
  apply(machine, put("a", "one"));
  apply(machine, put("a", "two"));
  apply(machine, put("b", "three"));
  apply(machine, { type: "delete", key: "b", conditions: [] });
  apply(machine, { type: "grant", ttlMs: 60_000 });
  const extras = { metadata: new Uint8Array([1, 2]), ttlMs: null, lease: 1 };
  apply(machine, { ...putOf("leased", "four"), extras });
  apply(machine, {
    ...putOf("short", "five"),
    extras: { metadata: null, ttlMs: 5000, lease: null },
  });
  const command = encodeCommand(put("keyed", "six"));
  apply(machine, { type: "keyed", session: "s", number: 0, done: 0, command });
  return machine;
}

function putOf(key: string, text: string): Extract<Command, { type: "put" }> {
  const command = put(key, text);
  if (command.type !== "put") throw new TypeError("a put");
  return command;
}

/** The backup of `machine`, whole. */
export function backupOf(machine: KvMachine): Uint8Array {
  const { revision } = machine.store;
  const header = {
    clusterId: "c1",
    node: "n1",
    revision,
    takenAt: 1_700_000_000_000,
    software: "0.2.0",
  };
  return joined([...copies(backupPieces(header, machine.snapshot().chunks()))]);
}

/** A stream of `bytes`, cut into pieces of `size`. */
export async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

/** All chunks of a machine's snapshot, as one. */
export function stateOf(machine: KvMachine): Uint8Array {
  return joined([...copies(machine.snapshot().chunks())]);
}

/** One behind the other. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function* copies(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const piece of pieces) yield piece.slice();
}
