/**
 * Whether a store holds what it acknowledged. Each system has a list of the runs that wrote to it; a sample of keys is
 * read from every node after each round, and must hold a value of the last run that certainly wrote the key, or of a
 * later one that may have.
 */
import { keyOf, valueOf } from "./workload.ts";

/** A store answered with other data than it acknowledged. Ends the bench with status 1. */
export class WrongData extends Error {
  override readonly name = "WrongData";
}

/** Which keys a run wrote: each of the first so many, one alone, or some of the first so many. */
export type Wrote =
  | { readonly type: "all" | "some"; readonly keys: number }
  | { readonly type: "one"; readonly key: number };

/** Keys that are read back after a round. */
const SAMPLE = 60;
/** A run that got round this often wrote each key, whatever was under way when it ended. */
const TIMES_ROUND = 3;

/** What is certain of a run that walks through `keys` keys in order. */
export function wroteOf(keys: number, { succeeded, failed }: {
  readonly succeeded: number;
  readonly failed: number;
}): Wrote {
  return { type: failed === 0 && succeeded >= TIMES_ROUND * keys ? "all" : "some", keys };
}

interface WritingRun {
  readonly stamp: string;
  readonly valueBytes: number;
  readonly wrote: Wrote;
}

/** The part of a store that reading back needs. */
export interface Readable {
  readonly label: string;
  /** What each running node answers to a linearizable read; null where the key is absent. */
  read(key: string): Promise<readonly (string | null)[]>;
}

export class Written {
  readonly #runs: WritingRun[] = [];

  add(run: WritingRun): void {
    this.#runs.push(run);
  }

  /** Every value that key `n` may have now. Empty where no run can have written it. */
  allowed(n: number): readonly string[] {
    const values: string[] = [];
    for (const { stamp, valueBytes, wrote } of this.#runs.toReversed()) {
      const touched = wrote.type === "one" ? wrote.key === n : n < wrote.keys;
      if (!touched) continue;
      values.push(valueOf(n, stamp, valueBytes));
      if (wrote.type !== "some") break;
    }
    return values;
  }

  /** @throws {WrongData} where a sample of `keys` keys, with those that were hit alone, is not as acknowledged. */
  async verify(store: Readable, keys: number): Promise<void> {
    const alone = this.#runs.flatMap(({ wrote }) => wrote.type === "one" ? [wrote.key] : []);
    const step = Math.max(1, Math.floor(keys / SAMPLE));
    const sample = new Set(alone.slice(-SAMPLE));
    for (let n = keys - 1; n >= 0; n -= step) sample.add(n);
    for (const n of sample) {
      const allowed = this.allowed(n);
      for (const [at, value] of (await store.read(keyOf(n))).entries()) {
        if (value !== null && allowed.includes(value)) continue;
        const found = value === null ? "nothing" : shown(value);
        const wanted = allowed.map(shown).join(" or ");
        throw new WrongData(
          `${store.label}: node ${at + 1} has ${found} under ${keyOf(n)}, not ${wanted}`,
        );
      }
    }
  }
}

function shown(value: string): string {
  return `${JSON.stringify(value.slice(0, 40))} (${value.length} bytes)`;
}
