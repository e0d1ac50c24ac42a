/** The judge is judged first: histories that no one copy of the store could have given, and one that it could. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { History } from "./harness/history.ts";

type Step = readonly [
  written: string | null,
  revision: number | null | "notApplied" | "unknown",
  value?: string,
];

/** Records operations one after the other; a pause between them makes their order in time certain. */
async function historyOf(steps: readonly Step[]): Promise<History> {
  const history = new History();
  for (const [written, revision, value = written] of steps) {
    await history.record("key", written, () => {
      if (revision === "notApplied" || revision === "unknown") {
        return Promise.resolve({ type: revision });
      }
      return Promise.resolve({ type: "done", revision, value });
    });
    await sleep(1);
  }
  return history;
}

describe("the check of histories", () => {
  const sound: readonly (readonly [string, readonly Step[]])[] = [
    ["writes and reads in order", [["a", 1], [null, 1, "a"], ["b", 4], [null, 4, "b"]]],
    ["a read before any write", [[null, null], ["a", 1]]],
    ["a write of unknown fate that shows later", [["a", 1], ["b", "unknown"], ["c", 3], [
      null,
      5,
      "b",
    ]]],
    ["a write of unknown fate that never shows", [["a", "unknown"], ["b", 2], [null, 2, "b"]]],
  ];
  for (const [what, steps] of sound) {
    it(`lets pass ${what}`, async () => assert.equal((await historyOf(steps)).flaw(), null));
  }

  const broken: readonly (readonly [string, readonly Step[], RegExp])[] = [
    ["a stale read", [["a", 1], ["b", 2], [null, 1, "a"]], /a read saw revision 1 after 2/],
    ["a lost write", [["a", 1], [null, null]], /a read saw revision 0 after 1/],
    [
      "reads that go back",
      [["a", 1], ["b", "unknown"], [null, 2, "b"], [null, 1, "a"]],
      /saw revision 1/,
    ],
    ["a write below what was acknowledged", [["a", 2], ["b", 1]], /the write of b got revision 1/],
    ["a revision given twice", [["a", 1], ["b", 1]], /revision 1 is/],
    ["a revision with two values", [["a", 1], [null, 1, "b"]], /both a and b/],
    ["a value from nowhere", [[null, 1, "a"]], /never written/],
    ["what was called not applied", [["a", "notApplied"], [null, 1, "a"]], /called not applied/],
    ["a write applied twice", [["a", 1], ["b", 2], [null, 3, "a"]], /applied twice/],
    [
      "a write of unknown fate that was applied before it began",
      [["a", 3], ["b", "unknown"], [null, 2, "b"]],
      /revision 2 after 3/,
    ],
  ];
  for (const [what, steps, words] of broken) {
    it(`finds ${what}`, async () => {
      assert.match((await historyOf(steps)).flaw() ?? "nothing", words);
    });
  }
});
