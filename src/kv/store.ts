/**
 * The store: keys in order, and one revision for all. A change takes the next revision; what changes no key takes
 * none (api.md, section 2).
 */
import { invariant } from "../assert.ts";
import type { Key } from "./key.ts";
import { type KeyRange, OrderedMap } from "./ordered-map.ts";

/** What a key holds. Items are never changed, only replaced, so that clones may share them. */
export interface Item {
  /** Owned by the item: not a view into a larger buffer. Nobody writes to it. */
  readonly value: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** The revision that created the key. */
  readonly created: number;
  /** The revision that last changed it. */
  readonly revision: number;
  /** 1 at creation, and up by one with each put. */
  readonly version: number;
}

/** What to list: a range of keys, in key order or against it. */
export interface ListRange extends KeyRange {
  readonly reverse?: boolean;
}

export class Store {
  readonly #items: OrderedMap<Item>;
  #revision: number;

  /** An empty store is at revision 0. `items` and `revision` are a clone's or a snapshot's. */
  constructor(items: OrderedMap<Item> = new OrderedMap(), revision = 0) {
    this.#items = items;
    this.#revision = revision;
  }

  /** The revision of the latest change; 0 before the first. */
  get revision(): number {
    return this.#revision;
  }

  /** Keys held. */
  get size(): number {
    return this.#items.size;
  }

  get(key: Key): Item | undefined {
    return this.#items.get(key);
  }

  /** Read lazily: the store must not change until it was read, or a clone is listed. */
  list({ start, end, reverse }: ListRange): Iterable<readonly [Key, Item]> {
    return reverse === true
      ? this.#items.descending({ start, end })
      : this.#items.ascending({ start, end });
  }

  /** Takes over `value`, which must not be a view that keeps a larger buffer alive. */
  put(key: Key, value: Uint8Array<ArrayBuffer>, contentType: string): Item {
    const before = this.#items.get(key);
    const revision = this.#next();
    const item = {
      value,
      contentType,
      created: before?.created ?? revision,
      revision,
      version: (before?.version ?? 0) + 1,
    };
    this.#items.set(key, item);
    return item;
  }

  /** How many keys were deleted, 0 or 1. */
  delete(key: Key): number {
    if (!this.#items.delete(key)) return 0;
    this.#next();
    return 1;
  }

  /** How many keys were deleted, all by one revision. */
  deleteRange(range: KeyRange): number {
    const deleted = this.#items.deleteRange(range);
    if (deleted > 0) this.#next();
    return deleted;
  }

  /** Takes O(1). The clone and this may both change on, each for itself. */
  clone(): Store {
    return new Store(this.#items.clone(), this.#revision);
  }

  #next(): number {
    invariant(this.#revision < Number.MAX_SAFE_INTEGER, "revisions are exhausted");
    return ++this.#revision;
  }
}
