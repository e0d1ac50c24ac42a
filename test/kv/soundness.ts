/** What no run of commands can leave fails the test. */
import assert from "node:assert/strict";
import type { KvMachine } from "../../src/kv/machine.ts";
import { everything } from "./machines.ts";

export function assertSound(machine: KvMachine): void {
  const { store } = machine;
  const leases = new Set([...machine.leases()].map(({ id }) => id));
  const dues: number[] = [];
  let before = "";
  let count = 0;
  for (const [key, item] of store.list(everything)) {
    const { created, revision, version, contentType, metadata, lease, due } = item;
    assert.ok(key > before && key.length <= 2048, "keys out of order");
    assert.ok(created >= 1 && created <= revision && revision <= store.revision, "revisions");
    assert.ok(version === 1 ? created === revision : version > 1, "versions");
    assert.match(contentType, /^[\x20-\x7e]{1,256}$/);
    assert.ok(metadata === null || (metadata.length >= 1 && metadata.length <= 1024), "metadata");
    assert.ok(lease === null || leases.has(lease), "a lease that there isn't");
    assert.ok(lease === null || machine.keysOf(lease).includes(key), "keys of a lease");
    if (due !== null) dues.push(due);
    before = key;
    count++;
  }
  assert.equal(store.size, count);
  assert.equal(store.firstDue, dues.length === 0 ? null : Math.min(...dues));
  assertPast(machine);
}

/** All that is kept can be read, and each revision is the one before it with its changes. */
function assertPast({ store }: KvMachine): void {
  const keys = new Map(store.at(store.floor)?.list(everything));
  for (let revision = store.floor + 1; revision <= store.revision; revision++) {
    const change = store.change(revision);
    assert.equal(change?.revision, revision);
    for (const { key, item, previous } of change.events) {
      assert.deepEqual(keys.get(key) ?? null, previous);
      if (item === null) keys.delete(key);
      else keys.set(key, item);
    }
    const items = [...store.at(revision)?.list(everything) ?? []];
    assert.deepEqual(items, [...keys].toSorted(([a], [b]) => a < b ? -1 : 1));
  }
}
