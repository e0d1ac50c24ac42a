import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OrderedMap } from "../../src/kv/ordered-map.ts";
import { randomFrom } from "./random.ts";

type Model = Map<string, number>;

function keyOf(random: (below: number) => number): string {
  return String.fromCharCode(...Array.from({ length: 1 + random(3) }, () => 96 + random(8)));
}

function sortedPairs(model: Model, start: string, end: string | null): [string, number][] {
  return [...model].filter(([key]) => key >= start && (end === null || key < end))
    .toSorted(([a], [b]) => a < b ? -1 : 1);
}

function assertSame(map: OrderedMap<number>, model: Model, random: (below: number) => number) {
  const start = random(3) === 0 ? "" : keyOf(random);
  const end = random(3) === 0 ? null : keyOf(random);
  const expected = sortedPairs(model, start, end);
  assert.equal(map.size, model.size);
  assert.deepEqual([...map.ascending({ start, end })], expected);
  assert.deepEqual([...map.descending({ start, end })], expected.toReversed());
}

describe("the ordered map", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    it(`does what a sorted list does, and its clones stay as they were (seed ${seed})`, () => {
      const random = randomFrom(seed);
      const model: Model = new Map();
      const map = new OrderedMap<number>();
      const clones: { map: OrderedMap<number>; model: Model }[] = [];
      for (let i = 0; i < 4000; i++) {
        const key = keyOf(random);
        const choice = random(100);
        if (choice < 70) {
          map.set(key, i);
          model.set(key, i);
        } else if (choice < 90) {
          assert.equal(map.delete(key), model.delete(key));
        } else if (choice < 92) {
          const end = random(4) === 0 ? null : keyOf(random);
          const doomed = sortedPairs(model, key, end);
          for (const [gone] of doomed) model.delete(gone);
          assert.equal(map.deleteRange({ start: key, end }), doomed.length);
        } else if (choice < 94) {
          clones.push({ map: map.clone(), model: new Map(model) });
        } else {
          assert.equal(map.get(key), model.get(key));
          assertSame(map, model, random);
        }
      }
      for (const clone of clones) assertSame(clone.map, clone.model, random);
    });
  }

  it("lets a clone be changed on its own", () => {
    const map = new OrderedMap<number>();
    for (let i = 0; i < 100; i++) map.set(`k${i}`, i);
    const clone = map.clone();
    clone.deleteRange({ start: "", end: null });
    clone.set("only", 1);
    assert.deepEqual([clone.size, map.size, map.get("k99")], [1, 100, 99]);
  });
});
