/** What tests do with machines: run commands, take snapshots, and look at all that is told outside. */
import assert from "node:assert/strict";
import { encodeCommand, stampCommand } from "../../src/kv/command-codec.ts";
import type { Command, HistoryLimits, Operation, PutExtras } from "../../src/kv/command.ts";
import { KvMachine } from "../../src/kv/machine.ts";
import type { KeyRange } from "../../src/kv/ordered-map.ts";
import type { KvResult } from "../../src/kv/result.ts";

export const everything: KeyRange = { start: "", end: null };

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Applies `command`, with the leader's time in it where it depends on that. */
export function run(machine: KvMachine, command: Command, time = 0): KvResult {
  const payload = encodeCommand(command);
  stampCommand(payload, time);
  return machine.apply({ payload });
}

export function put(
  machine: KvMachine,
  key: string,
  { value = bytes("v"), contentType = "text/plain", time = 0, ...extras }: Partial<PutExtras> & {
    readonly value?: Uint8Array;
    readonly contentType?: string;
    readonly time?: number;
  } = {},
): KvResult {
  const attached = { metadata: null, ttlMs: null, lease: null, ...extras };
  const isPlain = Object.values(attached).every((each) => each === null);
  const plain: Command = { type: "put", key, value, contentType, conditions: [] };
  return run(machine, isPlain ? plain : { ...plain, extras: attached }, time);
}

export function remove(machine: KvMachine, key: string): KvResult {
  return run(machine, { type: "delete", key, conditions: [] });
}

export function transact(machine: KvMachine, then: readonly Operation[], time = 0): KvResult {
  return run(machine, { type: "transaction", checks: [], then, else: [] }, time);
}

/** Of a result that is a lease. */
export function grant(machine: KvMachine, ttlMs: number, time = 0): number {
  const result = run(machine, { type: "grant", ttlMs }, time);
  assert.ok(result.type === "lease");
  return result.lease;
}

export function keyed(
  machine: KvMachine,
  command: Command,
  { session = "s", number = 0, done = 0, time = 0 }: {
    readonly session?: string;
    readonly number?: number;
    readonly done?: number;
    readonly time?: number;
  } = {},
): KvResult {
  const inner = encodeCommand(command);
  return run(machine, { type: "keyed", session, number, done, command: inner }, time);
}

export function withHistory(history: HistoryLimits): KvMachine {
  const machine = new KvMachine();
  run(machine, { type: "configure", history });
  return machine;
}

export function machineAfter(commands: readonly Command[]): KvMachine {
  const machine = new KvMachine();
  for (const command of commands) run(machine, command);
  return machine;
}

/** Each chunk holds only until the next is asked for. */
export function copied(chunks: Iterable<Uint8Array>): Uint8Array[] {
  return Array.from(chunks, (chunk) => chunk.slice());
}

export function joined(chunks: Iterable<Uint8Array>): Uint8Array<ArrayBuffer> {
  const pieces = copied(chunks);
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export function snapshotOf(machine: KvMachine): Uint8Array<ArrayBuffer> {
  return joined(machine.snapshot().chunks());
}

export async function* inPieces(
  whole: Uint8Array,
  size = 65_536,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < whole.length; at += size) {
    yield await Promise.resolve(whole.slice(at, at + size));
  }
}

/** A new machine of the snapshot. */
export async function restoredFrom(snapshot: Uint8Array, size?: number): Promise<KvMachine> {
  const machine = new KvMachine();
  await machine.restore(inPieces(snapshot, size));
  return machine;
}

/** All that readers are told. */
export function contents(machine: KvMachine): unknown {
  const { store } = machine;
  const { revision, floor, size, historyLimits } = store;
  const leases = [...machine.leases()].map((lease) => [lease, machine.keysOf(lease.id)]);
  const past: unknown[] = [];
  for (let at = floor; at <= revision; at++) past.push(store.change(at));
  const oldest = [...store.at(floor)?.list(everything) ?? []];
  const now = [...store.list(everything)];
  const time = machine.housekeeping.time();
  return { revision, floor, size, historyLimits, leases, past, oldest, now, time };
}

/** A put of a transaction or a batch. */
export function putOf(key: string, text = "v", extras?: Partial<PutExtras>): Operation {
  const operation = { type: "put", key, value: bytes(text), contentType: "text/plain" } as const;
  if (extras === undefined) return operation;
  return { ...operation, extras: { metadata: null, ttlMs: null, lease: null, ...extras } };
}

export function addOf(key: string, delta: bigint, min?: bigint, max?: bigint): Operation {
  return { type: "add", key, delta, min: min ?? null, max: max ?? null };
}
