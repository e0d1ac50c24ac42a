/** What a reader is shown of the store: the keys at a revision, and what a revision changed. */
import type { Key } from "./key.ts";
import type { KeyRange } from "./ordered-map.ts";
import type { Item } from "./record.ts";

/** What to list: a range of keys, in key order or against it. */
export interface ListRange extends KeyRange {
  readonly reverse?: boolean;
}

/** The keys at one revision. It holds for this turn of the event loop: the store must not change meanwhile. */
export interface View {
  readonly revision: number;
  get(key: Key): Item | undefined;
  /** Read lazily. */
  list(range: ListRange): Iterable<readonly [Key, Item]>;
}

/** What one revision changed. */
export interface Change {
  readonly revision: number;
  /** In key order, one for each key that isn't as before. */
  readonly events: readonly ChangeEvent[];
}
export interface ChangeEvent {
  readonly key: Key;
  /** What was put; null where the key was deleted. */
  readonly item: Item | null;
  /** What the key held before; null where it was absent. */
  readonly previous: Item | null;
}
