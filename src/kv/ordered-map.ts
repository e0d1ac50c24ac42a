/**
 * An ordered map of keys that clones in O(1) by copy-on-write: `sorted-btree`, behind the few operations that the
 * store needs. The package is CommonJS: what its default import is differs between runtimes, and that stays in here.
 */
import * as sortedBtree from "sorted-btree";
import type { Key } from "./key.ts";

type BTree<Value> = InstanceType<typeof sortedBtree.default.default<Key, Value>>;

/** Bun hands out the class itself where Node and Deno hand out `module.exports`. */
const imported: unknown = sortedBtree.default;
const BTree =
  (typeof imported === "function"
    ? imported
    : sortedBtree.default.default) as typeof sortedBtree.default.default;

function compareKeys(a: Key, b: Key): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Half-open: `start` ≤ key < `end`; a null `end` is "no end". */
export interface KeyRange {
  readonly start: Key;
  readonly end: Key | null;
}

export class OrderedMap<Value> {
  readonly #tree: BTree<Value>;

  constructor(tree: BTree<Value> = new BTree<Key, Value>([], compareKeys)) {
    this.#tree = tree;
  }

  /** Pairs held. */
  get size(): number {
    return this.#tree.size;
  }

  /** The pair of the first key; undefined where there is none. */
  get first(): readonly [Key, Value] | undefined {
    const key = this.#tree.minKey();
    return key === undefined ? undefined : this.#tree.getPairOrNextHigher(key);
  }

  get(key: Key): Value | undefined {
    return this.#tree.get(key);
  }

  set(key: Key, value: Value): void {
    this.#tree.set(key, value);
  }

  /** Whether `key` was there. */
  delete(key: Key): boolean {
    return this.#tree.delete(key);
  }

  /** The pair of the last key that is not behind `key`. */
  atOrBefore(key: Key): readonly [Key, Value] | undefined {
    return this.#tree.getPairOrNextLower(key);
  }

  /** The pair of the last key before `key`. */
  before(key: Key): readonly [Key, Value] | undefined {
    return this.#tree.nextLowerPair(key);
  }

  /** The pair of the first key behind `key`. */
  after(key: Key): readonly [Key, Value] | undefined {
    return this.#tree.nextHigherPair(key);
  }

  /** In key order. The map must not change while this is read; a clone may. */
  *ascending({ start, end }: KeyRange): Generator<readonly [Key, Value], void> {
    for (const [key, value] of this.#tree.entries(start)) {
      if (end !== null && key >= end) return;
      yield [key, value];
    }
  }

  /** In reverse key order, otherwise as {@link ascending}. */
  *descending({ start, end }: KeyRange): Generator<readonly [Key, Value], void> {
    for (const [key, value] of this.#tree.entriesReversed(end ?? undefined, undefined, true)) {
      if (key < start) return;
      yield [key, value];
    }
  }

  /** Takes O(1): what is shared is copied when either changes it. */
  clone(): OrderedMap<Value> {
    return new OrderedMap(this.#tree.clone());
  }
}
