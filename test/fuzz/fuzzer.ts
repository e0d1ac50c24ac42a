/**
 * Feeds a target with inputs made of earlier ones. What shows an outcome that none showed before is kept and changed
 * further: outcomes stand in for coverage, which no two runtimes measure alike.
 */
import { Random } from "../sim/random.ts";
import { mutated } from "./mutate.ts";
import type { Target } from "./target.ts";

/** Inputs that are kept for a target. */
const keptMax = 1000;
/** An input that takes longer is a defect, in milliseconds: none has more than 16 KiB. */
const inputMsMax = 2000;

/** An input that met a defect. */
export class Finding extends Error {
  readonly target: string;
  readonly input: Uint8Array;

  constructor(target: string, input: Uint8Array, cause: unknown) {
    const why = cause instanceof Error ? cause.stack ?? cause.message : String(cause);
    super(`${target}: ${why}`, { cause });
    this.target = target;
    this.input = input;
  }
}

export class Fuzzer {
  readonly target: Target;
  readonly #random: Random;
  readonly #words: readonly Uint8Array[];
  readonly #kept: Uint8Array[] = [];
  /** By outcome; of inputs that show the same the shortest stays. */
  readonly #places = new Map<string, number>();
  readonly #before: (input: Uint8Array) => void;
  inputs = 0;

  /** `before` hears of each input before it is run. */
  constructor(target: Target, seed: bigint, before: (input: Uint8Array) => void = () => {}) {
    this.target = target;
    this.#random = new Random(seed, `fuzz ${target.name}`);
    this.#words = target.words.map((word) => new TextEncoder().encode(word));
    this.#before = before;
  }

  /** Different outcomes that were seen. */
  get outcomes(): number {
    return this.#places.size;
  }

  /** An input for each outcome, in the order of the outcomes' texts. */
  corpus(): readonly Uint8Array[] {
    return [...this.#places].toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, place]) => this.#kept[place] ?? new Uint8Array(0));
  }

  /** Runs these as they are. @throws {Finding} */
  async replay(inputs: Iterable<Uint8Array>): Promise<void> {
    for (const input of inputs) await this.#feed(input);
  }

  /** Runs so many new ones. @throws {Finding} */
  async explore(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      const input = this.#kept[this.#random.below(this.#kept.length)] ?? new Uint8Array(0);
      const other = this.#kept[this.#random.below(this.#kept.length)] ?? new Uint8Array(0);
      await this.#feed(mutated(this.#random, input, other, this.#words));
    }
  }

  async #feed(input: Uint8Array): Promise<void> {
    this.inputs++;
    this.#before(input);
    const since = performance.now();
    let outcome: string;
    try {
      const running = this.target.run(input.slice());
      outcome = typeof running === "string" ? running : await running;
    } catch (error) {
      throw new Finding(this.target.name, input, error);
    }
    const ms = performance.now() - since;
    if (ms > inputMsMax) throw new Finding(this.target.name, input, `it took ${Math.round(ms)} ms`);
    const place = this.#places.get(outcome);
    if (place === undefined) {
      if (this.#kept.length < keptMax) this.#places.set(outcome, this.#kept.push(input) - 1);
    } else if (input.length < (this.#kept[place]?.length ?? 0)) {
      this.#kept[place] = input;
    }
  }
}
