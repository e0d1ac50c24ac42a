/**
 * Feeds a target with inputs made of earlier ones. What shows an outcome that none showed before is kept and changed
 * further: outcomes stand in for coverage, which no two runtimes measure alike.
 */
import { Random } from "../sim/random.ts";
import { mutated } from "./mutate.ts";
import type { Target } from "./target.ts";

/** Inputs that others are made of. */
const poolMax = 4000;
/** An input that takes longer is a defect, in milliseconds, also where much else runs: none has more than 16 KiB. */
const inputMsMax = 10_000;

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
  /** What was given, and what showed something new, as it was then: what is short has little to change. */
  readonly #pool: Uint8Array[] = [];
  /** By outcome; of inputs that show the same the shortest stays. */
  readonly #shortest = new Map<string, Uint8Array>();
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
    return this.#shortest.size;
  }

  /** An input for each outcome, in the order of the outcomes' texts. */
  corpus(): readonly Uint8Array[] {
    return [...this.#shortest].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, input]) => input);
  }

  /** Runs these as they are. @throws {Finding} */
  async replay(inputs: Iterable<Uint8Array>): Promise<void> {
    for (const input of inputs) {
      this.#pool.push(input);
      await this.#feed(input);
    }
  }

  /** Runs so many new ones. @throws {Finding} */
  async explore(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      const input = this.#pool[this.#random.below(this.#pool.length)] ?? new Uint8Array(0);
      const other = this.#pool[this.#random.below(this.#pool.length)] ?? new Uint8Array(0);
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
    const shortest = this.#shortest.get(outcome);
    if (shortest === undefined && this.#pool.length < poolMax) this.#pool.push(input);
    if (input.length < (shortest?.length ?? Infinity)) this.#shortest.set(outcome, input);
  }
}
