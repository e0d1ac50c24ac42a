/** Fuzzes one target in a thread of its own, so that whoever started it can end a hang, and bound its memory. */
import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../../src/assert.ts";
import { readCorpus } from "./corpus.ts";
import { Finding, Fuzzer } from "./fuzzer.ts";
import { inputBytesMax } from "./mutate.ts";
import { targets } from "./targets.ts";

export interface Order {
  readonly target: string;
  readonly seed: string;
  readonly inputs: number;
  /** The input under way: its length in 4 bytes, then itself. */
  readonly current: SharedArrayBuffer;
}

export type Report =
  | { readonly type: "progress"; readonly inputs: number; readonly outcomes: number }
  | { readonly type: "found"; readonly text: string; readonly input: Uint8Array }
  | { readonly type: "done"; readonly outcomes: number; readonly corpus: readonly Uint8Array[] };

const inputsPerReport = 200;
const { target: name, seed, inputs, current }: Order = workerData;
const target = targets.find((one) => one.name === name);
invariant(target !== undefined && parentPort !== null, "a worker is given a target");
const report = (what: Report): void => parentPort?.postMessage(what);

const length = new DataView(current);
const place = new Uint8Array(current, 4);
const fuzzer = new Fuzzer(target, BigInt(seed), (input) => {
  const shown = input.subarray(0, inputBytesMax);
  length.setUint32(0, shown.length);
  place.set(shown);
});
try {
  await fuzzer.replay([...target.samples(), ...readCorpus(name)]);
  while (fuzzer.inputs < inputs) {
    await fuzzer.explore(Math.min(inputsPerReport, inputs - fuzzer.inputs));
    const { outcomes } = fuzzer;
    report({ type: "progress", inputs: fuzzer.inputs, outcomes });
    // What was reported leaves in between.
    await new Promise((resolve) => setImmediate(resolve));
  }
  report({ type: "done", outcomes: fuzzer.outcomes, corpus: fuzzer.corpus() });
} catch (error) {
  if (!(error instanceof Finding)) throw error;
  report({ type: "found", text: error.message, input: error.input });
}
