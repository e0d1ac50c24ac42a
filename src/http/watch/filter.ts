/** Which keys a watcher is told of. */
import { type Key, prefixEnd, rangeOfKey } from "../../kv/key.ts";
import type { KeyRange } from "../../kv/ordered-map.ts";

export type Filter =
  | { readonly type: "key"; readonly key: Key }
  /** An empty prefix is that of all keys. */
  | { readonly type: "prefix"; readonly prefix: Key }
  | { readonly type: "range"; readonly start: Key; readonly end: Key | null };

/** The keys that a filter lets through. */
export function rangeOf(filter: Filter): KeyRange {
  switch (filter.type) {
    case "key":
      return rangeOfKey(filter.key);
    case "prefix":
      return { start: filter.prefix, end: prefixEnd(filter.prefix) };
    case "range":
      return filter;
  }
}

/** The filter for a range: that of a prefix or of one key where it comes to that, which cost less. */
export function filterOf({ start, end }: KeyRange): Filter {
  if (end === prefixEnd(start)) return { type: "prefix", prefix: start };
  if (end === `${start}\0`) return { type: "key", key: start };
  return { type: "range", start, end };
}
