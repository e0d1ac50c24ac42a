/** Replicas that applied the same hold the same: what the model holds, and byte for byte what the others do. */
import { crc32 } from "node:zlib";
import type { KvMachine } from "../../src/kv/machine.ts";
import type { Reference } from "./reference.ts";
import { stateHash } from "./state-hash.ts";

/** Applied commands between two comparisons of the whole state. */
const comparedEvery = 64;

export class States {
  readonly #reference: Reference;
  /** Of snapshots, by the index of the last command in them. */
  readonly #snapshots = new Map<number, number>();

  constructor(reference: Reference) {
    this.#reference = reference;
  }

  /** What is wrong with a state that reflects the log up to `index`, or null. */
  wrong(index: number, machine: KvMachine, when: "always" | "sometimes"): string | null {
    const isEvery = index % comparedEvery === 0;
    if (when === "sometimes" && !isEvery) return null;
    const expected = this.#reference.stateHashAt(index);
    if (expected !== stateHash(machine)) return `has another state at ${index} than was committed`;
    // Where all come by.
    if (!isEvery && index < this.#reference.lastIndex) return null;
    const at = this.#reference.commandAt(index);
    const bytes = snapshotHash(machine);
    const known = this.#snapshots.get(at);
    if (known === undefined) this.#snapshots.set(at, bytes);
    return known === undefined || known === bytes
      ? null
      : `has another snapshot at ${index} than others had`;
  }
}

function snapshotHash(machine: KvMachine): number {
  let hash = 0;
  for (const chunk of machine.snapshot().chunks()) hash = crc32(chunk, hash);
  return hash;
}
