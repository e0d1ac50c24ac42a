/** The keys as they were: the present, with what changed since taken back, key by key. */
import type { History } from "./history.ts";
import type { Key } from "./key.ts";
import type { Item } from "./record.ts";
import type { Records } from "./records.ts";
import type { ListRange, View } from "./view.ts";

export class PastView implements View {
  readonly revision: number;
  readonly #records: Records;
  readonly #history: History;

  /** @param revision not before the history's floor. */
  constructor(records: Records, history: History, revision: number) {
    this.revision = revision;
    this.#records = records;
    this.#history = history;
  }

  get(key: Key): Item | undefined {
    const now = this.#records.past(key)?.revision;
    if (now !== undefined && now <= this.revision) return this.#records.get(key);
    const changed = now ?? this.#history.deleted.get(key) ?? 0;
    if (changed <= this.revision) return undefined;
    return this.#history.itemAt(key, this.revision, changed) ?? undefined;
  }

  *list({ start, end, reverse }: ListRange): Generator<readonly [Key, Item], void> {
    const range = { start, end };
    const keys = reverse === true
      ? merged(this.#records.keysDescending(range), this.#deleted(range, "descending"), isBehind)
      : merged(this.#records.keysAscending(range), this.#deleted(range, "ascending"), isBefore);
    for (const key of keys) {
      const item = this.get(key);
      if (item !== undefined) yield [key, item];
    }
  }

  /** Keys that are absent now, and may have been there. */
  *#deleted(range: ListRange, order: "ascending" | "descending"): Generator<Key, void> {
    for (const [key, revision] of this.#history.deleted[order](range)) {
      if (revision > this.revision) yield key;
    }
  }
}

function isBefore(a: Key, b: Key): boolean {
  return a < b;
}

function isBehind(a: Key, b: Key): boolean {
  return a > b;
}

/** Two sequences of keys as one; no key is in both. */
function* merged(
  left: Iterator<Key, void>,
  right: Iterator<Key, void>,
  comesFirst: (a: Key, b: Key) => boolean,
): Generator<Key, void> {
  let a = left.next();
  let b = right.next();
  for (;;) {
    if (a.done !== true && (b.done === true || comesFirst(a.value, b.value))) {
      yield a.value;
      a = left.next();
    } else if (b.done !== true) {
      yield b.value;
      b = right.next();
    } else return;
  }
}
