/** Every input that was kept, and some new ones: whatever they are, the answer is one of those that may be. */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { readCorpus } from "./corpus.ts";
import { Finding, Fuzzer } from "./fuzzer.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets.ts";

/** The same run every time; `npm run fuzz` goes further. */
const seed = BigInt(process.env["FUZZ_SEED"] ?? 1);
const inputs = 600;

describe("fuzzing", () => {
  for (const target of targets) {
    it(`finds nothing in what is kept for ${target.name}, and in ${inputs} inputs made of it`, async () => {
      const kept = readCorpus(target.name);
      assert.ok(kept.length > 0);
      const fuzzer = new Fuzzer(target, seed);
      await fuzzer.replay([...target.samples(), ...kept]);
      await fuzzer.explore(inputs);
      assert.equal(fuzzer.inputs, target.samples().length + kept.length + inputs);
    });
  }

  it("finds what only a change of a change shows, and gives the input", async () => {
    const target: Target = {
      name: "a lock of three digits",
      words: [],
      samples: () => [Uint8Array.of(0, 0, 0)],
      run: ([a, b, c]) => {
        if (a !== 0x7f) return "closed";
        if (b !== 0x80) return "first";
        if (c !== 0xff) return "second";
        throw new Error("open");
      },
    };
    const fuzzer = new Fuzzer(target, 1n);
    await fuzzer.replay(target.samples());
    await assert.rejects(fuzzer.explore(100_000), (error) => {
      assert.ok(error instanceof Finding);
      assert.deepEqual([...error.input.subarray(0, 3)], [0x7f, 0x80, 0xff]);
      return true;
    });
  });
});
