/**
 * The store: keys in order, and one revision for all. A change takes the next revision; what changes no key takes
 * none (api.md, section 2).
 */
import { invariant } from "../assert.ts";
import type { Key } from "./key.ts";
import type { KeyRange } from "./ordered-map.ts";
import type { Item } from "./record.ts";
import { type Past, Records } from "./records.ts";

export type { Item } from "./record.ts";

/** What to list: a range of keys, in key order or against it. */
export interface ListRange extends KeyRange {
  readonly reverse?: boolean;
}

export class Store {
  readonly #records: Records;
  #revision: number;

  /** An empty store is at revision 0. `records` and `revision` are a clone's or a snapshot's. */
  constructor(records: Records = Records.empty(), revision = 0) {
    this.#records = records;
    this.#revision = revision;
  }

  /** The revision of the latest change; 0 before the first. */
  get revision(): number {
    return this.#revision;
  }

  /** Keys held. */
  get size(): number {
    return this.#records.size;
  }

  /** Of now: later changes don't show in it. */
  get(key: Key): Item | undefined {
    return this.#records.get(key);
  }

  /** The revision that `key` is at, 0 where it is absent. */
  revisionOf(key: Key): number {
    return this.#records.past(key)?.revision ?? 0;
  }

  /** Read lazily: the store must not change until it was read, or a clone is listed. */
  list({ start, end, reverse }: ListRange): Iterable<readonly [Key, Item]> {
    return reverse === true
      ? this.#records.descending({ start, end })
      : this.#records.ascending({ start, end });
  }

  /** All records in key order, as `record.ts` has them, in pieces; read as {@link list} is. */
  runs(): Iterable<Uint8Array> {
    return this.#records.runs();
  }

  /** Keeps a copy of `value`. */
  put(key: Key, value: Uint8Array, contentType: string): Past {
    return this.#records.put(key, this.#next(), value, contentType);
  }

  /** How many keys were deleted, 0 or 1. */
  delete(key: Key): number {
    if (!this.#records.delete(key)) return 0;
    this.#next();
    return 1;
  }

  /** How many keys were deleted, all by one revision. */
  deleteRange(range: KeyRange): number {
    const deleted = this.#records.deleteRange(range);
    if (deleted > 0) this.#next();
    return deleted;
  }

  /** Takes O(1). The clone and this may both change on, each for itself. */
  clone(): Store {
    return new Store(this.#records.clone(), this.#revision);
  }

  #next(): number {
    invariant(this.#revision < Number.MAX_SAFE_INTEGER, "revisions are exhausted");
    return ++this.#revision;
  }
}
