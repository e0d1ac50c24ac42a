/** A state as one number, by which replicas and the model compare. */
import { crc32 } from "node:zlib";
import type { LeaseId } from "../../src/kv/command.ts";
import type { Key } from "../../src/kv/key.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import type { ModelItem, ModelLease } from "./model.ts";

/** Items and leases, whatever the order in which they came there, how far back the past reaches, and the version. */
export function stateHash(machine: Pick<KvMachine, "store" | "leases" | "version">): number {
  let hash = plus(floorHash(machine.store.floor), versionHash(machine.version));
  for (const [key, item] of machine.store.list({ start: "", end: null })) {
    hash = plus(hash, itemHash(key, { ...item, crc: crc32(item.value) }));
  }
  for (const { id, ...lease } of machine.leases()) hash = plus(hash, leaseHash(id, lease));
  return hash;
}

export function itemHash(
  key: Key,
  { crc, contentType, created, revision, version, metadata, lease, due }: ModelItem,
): number {
  let hash = crc | 0;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  const attached = metadata === null ? -1 : crc32(metadata);
  return mixed(hash, [
    crc32(contentType),
    created,
    revision,
    version,
    attached,
    lease ?? -1,
    due === null ? -1 : due,
    (due ?? 0) / 0x1_0000_0000,
  ]);
}

export function leaseHash(id: LeaseId, { ttlMs, due }: ModelLease): number {
  return mixed(0x2545f491, [id, ttlMs, due, due / 0x1_0000_0000]);
}

export function floorHash(floor: number): number {
  return mixed(0x27d4eb2f, [floor]);
}

export function versionHash(version: number): number {
  return mixed(0x3c6ef372, [version]);
}

function mixed(seed: number, parts: readonly number[]): number {
  let hash = seed;
  for (const part of parts) {
    hash = Math.imul(hash ^ part, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

export function plus(a: number, b: number): number {
  return (a + b) >>> 0;
}

export function minus(a: number, b: number): number {
  return (a - b) >>> 0;
}
