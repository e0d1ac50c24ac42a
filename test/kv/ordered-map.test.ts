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
  assert.deepEqual([...map.ascending({ start, end })], expected);
  assert.deepEqual([...map.descending({ start, end })], expected.toReversed());
  const all = sortedPairs(model, "", null);
  assert.deepEqual(map.atOrBefore(start), all.findLast(([key]) => key <= start));
  assert.deepEqual(map.before(start), all.findLast(([key]) => key < start));
  assert.deepEqual(map.after(start), all.find(([key]) => key > start));
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
        } else if (choice < 94) {
          clones.push({ map: map.clone(), model: new Map(model) });
        } else {
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
    for (let i = 0; i < 100; i++) clone.delete(`k${i}`);
    clone.set("only", 1);
    const everything = { start: "", end: null };
    assert.deepEqual([...clone.ascending(everything)], [["only", 1]]);
    assert.equal([...map.ascending(everything)].length, 100);
    assert.deepEqual(map.atOrBefore("k99"), ["k99", 99]);
  });
});
