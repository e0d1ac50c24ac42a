import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { keyOf, valueOf } from "../../bench/workload.ts";
import { Written, WrongData, wroteOf } from "../../bench/written.ts";

const valueBytes = 32;
const value = (n: number, stamp: string): string => valueOf(n, stamp, valueBytes);

/** Two nodes that hold the same. */
function storeOf(entries: Iterable<readonly [number, string]>) {
  const values = new Map([...entries].map(([n, text]) => [keyOf(n), text]));
  return {
    label: "a store",
    values,
    read: (key: string) => Promise.resolve([values.get(key) ?? null, values.get(key) ?? null]),
  };
}

const all = (stamp: string) => Array.from({ length: 10 }, (_, n) => [n, value(n, stamp)] as const);

describe("reading back", () => {
  it("takes a value of the last run that wrote all keys", async () => {
    const written = new Written();
    written.add({ stamp: "w1", valueBytes, wrote: { type: "all", keys: 10 } });
    written.add({ stamp: "w2", valueBytes, wrote: { type: "all", keys: 10 } });
    await written.verify(storeOf(all("w2")), 10);
    await assert.rejects(written.verify(storeOf(all("w1")), 10), WrongData);
  });

  it("takes either value where a run wrote some of the keys", async () => {
    const written = new Written();
    written.add({ stamp: "w1", valueBytes, wrote: { type: "all", keys: 10 } });
    written.add({ stamp: "w2", valueBytes, wrote: { type: "some", keys: 10 } });
    await written.verify(storeOf([...all("w1").slice(0, 5), ...all("w2").slice(5)]), 10);
  });

  it("refuses a key that is gone, another key's value, and a value cut short", async () => {
    const written = new Written();
    written.add({ stamp: "w1", valueBytes, wrote: { type: "all", keys: 10 } });
    const broken = (text: string | null) => {
      const store = storeOf(all("w1"));
      if (text === null) store.values.delete(keyOf(4));
      else store.values.set(keyOf(4), text);
      return written.verify(store, 10);
    };
    await assert.rejects(broken(null), /nothing under key-000000000004/);
    await assert.rejects(broken(value(5, "w1")), WrongData);
    await assert.rejects(broken(value(4, "w1").slice(0, -1)), WrongData);
  });

  it("looks at every key that a run hit alone", async () => {
    const written = new Written();
    written.add({ stamp: "w1", valueBytes, wrote: { type: "all", keys: 1000 } });
    written.add({ stamp: "w2", valueBytes, wrote: { type: "one", key: 1 } });
    const entries = Array.from({ length: 1000 }, (_, n) => [n, value(n, "w1")] as const);
    await assert.rejects(written.verify(storeOf(entries), 1000), /under key-000000000001/);
    const store = storeOf(entries);
    store.values.set(keyOf(1), value(1, "w2"));
    await written.verify(store, 1000);
  });

  it("looks at every node", async () => {
    const written = new Written();
    written.add({ stamp: "w1", valueBytes, wrote: { type: "all", keys: 10 } });
    const store = storeOf(all("w1"));
    const behind = {
      label: "a store",
      read: async (key: string) => [...await store.read(key), null],
    };
    await assert.rejects(written.verify(behind, 10), /node 3 has nothing/);
  });

  it("is sure of a run only where it got round and nothing failed", () => {
    assert.equal(wroteOf(100, { succeeded: 300, failed: 0 }).type, "all");
    assert.equal(wroteOf(100, { succeeded: 299, failed: 0 }).type, "some");
    assert.equal(wroteOf(100, { succeeded: 900, failed: 1 }).type, "some");
  });
});
