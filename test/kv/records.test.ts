import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pageBytes } from "../../src/kv/page.ts";
import { type Draft, type Item, itemAt, keyAt, lengthAt } from "../../src/kv/record.ts";
import { Records } from "../../src/kv/records.ts";
import { randomFrom } from "./random.ts";

type Random = (below: number) => number;
/** What is put, and comes out again. */
type Held = Draft & Item;
type Model = Map<string, Held>;

function keyOf(random: Random): string {
  return String.fromCharCode(...Array.from({ length: 1 + random(3) }, () => 250 + random(6)));
}

/** Mostly nothing. */
function attachedOf(random: Random): Pick<Held, "attached" | "metadata" | "lease" | "due"> {
  const none = { metadata: null, lease: null, due: null };
  if (random(4) > 0) return { attached: null, ...none };
  const metadata = random(2) > 0 ? new Uint8Array(1 + random(1024)).fill(7) : null;
  const lease = random(2) > 0 ? 1 + random(2 ** 31) * 2 ** 20 : null;
  const due = metadata === null && lease === null || random(2) > 0 ? 2 ** 52 + random(99) : null;
  const attached = { metadata, lease, due };
  return { attached, ...attached };
}

/** Mostly small values; some are as long as a page, or longer. */
function draftOf(random: Random, revision: number, past?: Held): Held {
  const length = random(20) > 0 ? random(400) : random(3 * pageBytes);
  return {
    value: new Uint8Array(length).fill(revision),
    contentType: random(2) > 0 ? "application/octet-stream" : "text/plain",
    created: past?.created ?? 2 ** 40 + revision,
    revision: 2 ** 40 + revision,
    version: (past?.version ?? 0) + 1,
    ...attachedOf(random),
  };
}

function sorted(model: Model, start = "", end: string | null = null): [string, Held][] {
  return [...model].filter(([key]) => key >= start && (end === null || key < end))
    .toSorted(([a], [b]) => a < b ? -1 : 1);
}

function itemOf(held: Held): Item {
  const { value, contentType, created, revision, version, metadata, lease, due } = held;
  return { value, contentType, created, revision, version, metadata, lease, due };
}

function assertSame(records: Records, model: Model, random: Random): void {
  const start = random(3) === 0 ? "" : keyOf(random);
  const end = random(3) === 0 ? null : keyOf(random);
  const expected = sorted(model, start, end).map(([key, held]) => [key, itemOf(held)]);
  assert.equal(records.size, model.size);
  assert.equal(records.bytes, [...records.runs()].reduce((sum, run) => sum + run.length, 0));
  assert.deepEqual([...records.ascending({ start, end })], expected);
  assert.deepEqual([...records.descending({ start, end })], expected.toReversed());
}

function put(records: Records, key: string, value: Uint8Array, revision = 1): void {
  records.put(key, { revision, value, contentType: "text/plain", attached: null }, () => {});
}

const all = { start: "", end: null };

describe("records", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    it(`are what a sorted list holds, and clones stay as they were (seed ${seed})`, () => {
      const random = randomFrom(seed);
      const model: Model = new Map();
      const records = Records.empty();
      const clones: { records: Records; model: Model; random: Random }[] = [];
      for (let i = 1; i < 3000; i++) {
        const key = keyOf(random);
        const choice = random(100);
        if (choice < 65) {
          const draft = draftOf(random, i, model.get(key));
          const before = records.get(key);
          let replaced: unknown;
          const { created, version } = records.put(key, draft, (previous) => {
            replaced = previous === null ? undefined : itemAt(previous.slice(), 0);
          });
          assert.deepEqual(replaced, before);
          assert.deepEqual([created, version], [draft.created, draft.version]);
          model.set(key, draft);
        } else if (choice < 90) {
          assert.equal(records.delete(key), model.delete(key));
        } else if (choice < 92) {
          const end = random(4) === 0 ? null : keyOf(random);
          const doomed = sorted(model, key, end);
          for (const [gone] of doomed) model.delete(gone);
          const shown: string[] = [];
          const note = (record: Uint8Array) => shown.push(keyAt(record, 0));
          assert.equal(records.deleteRange({ start: key, end }, note), doomed.length);
          assert.deepEqual(shown, doomed.map(([gone]) => gone));
        } else if (choice < 94) {
          clones.push({ records: records.clone(), model: new Map(model), random });
        } else {
          const held = model.get(key);
          assert.deepEqual(records.get(key), held && itemOf(held));
          assertSame(records, model, random);
        }
      }
      for (const clone of clones) assertSame(clone.records, clone.model, clone.random);
    });
  }

  it("let a clone be changed on its own", () => {
    const records = Records.empty();
    for (let i = 0; i < 100; i++) put(records, `k${i}`, new Uint8Array(300).fill(i));
    const clone = records.clone();
    put(clone, "k7", new Uint8Array(300).fill(255));
    put(records, "k8", new Uint8Array(300).fill(255));
    assert.deepEqual([records.get("k7")?.value[0], clone.get("k8")?.value[0]], [7, 8]);
    clone.deleteRange(all, () => {});
    assert.deepEqual([clone.size, records.size], [0, 100]);
    assert.equal(clone.bytes, 0);
  });

  for (const size of [1, 300, pageBytes - 100, pageBytes, 100_000]) {
    it(`hand out values of ${size} bytes that later puts leave alone`, () => {
      const records = Records.empty();
      const value = new Uint8Array(size).fill(1);
      put(records, "a", value);
      const held: (Item | undefined)[] = [records.get("a"), [...records.ascending(all)][0]?.[1]];
      put(records, "a", new Uint8Array(size).fill(2), 2);
      put(records, "0", new Uint8Array(10), 2);
      records.delete("a");
      for (const item of held) assert.deepEqual(item?.value, value);
    });
  }

  it("lie in pages that are full after puts in order, and joined after deletes", () => {
    const records = Records.empty();
    for (let i = 10_000; i < 12_000; i++) put(records, `k${i}`, new Uint8Array(200));
    const runs = () => [...records.runs()];
    const total = runs().reduce((sum, run) => sum + run.length, 0);
    assert.ok(runs().length <= Math.ceil(total / (pageBytes - 300)), `${runs().length} pages`);
    for (let i = 10_000; i < 12_000; i++) if (i % 100 > 0) records.delete(`k${i}`);
    assert.equal(records.size, 20);
    assert.ok(runs().length <= 4, `${runs().length} pages`);
  });

  it("lie in pages of bounded size, but for values that are larger", () => {
    const random = randomFrom(7);
    const records = Records.empty();
    for (let i = 1; i < 2000; i++) put(records, keyOf(random), draftOf(random, i).value, i);
    for (const run of records.runs()) {
      assert.ok(run.length <= pageBytes || run.length === lengthAt(run, 0));
    }
  });
});
