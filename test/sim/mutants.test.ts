import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mutants, waiting } from "./mutants/catalog.ts";
import { planted } from "./mutants/mutant.ts";
import { plant, root } from "./mutants/tree.ts";

describe("mutants", () => {
  it("finds the text of every defect exactly once in the sources", async () => {
    for (const mutant of mutants) {
      const changed = await plant(root, mutant);
      assert(changed.size > 0, mutant.name);
    }
  });
  it("names each defect once", () => {
    const names = [...mutants, ...waiting].map(({ name }) => name);
    assert.deepEqual(names.filter((name, i) => names.indexOf(name) !== i), []);
  });
  it("refuses a defect whose text is gone, or stands twice", () => {
    const edit = { file: "a.ts", find: "b", replace: "c" };
    assert.equal(planted("m", "abd", edit), "acd");
    assert.throws(() => planted("m", "ad", edit), /mutant m: its text stands 0 times in a.ts/);
    assert.throws(() => planted("m", "bb", edit), /stands 2 times/);
  });
});
