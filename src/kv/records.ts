/**
 * An ordered map of keys to what they hold, in pages: a B+tree, of which `OrderedMap` is the inner part and a `Page`
 * a leaf. It clones in O(1), and what is shared is copied, a page at a time, when either side changes it.
 *
 * A page stands under a bound: its keys are at or behind it, and before the next page's bound. The first bound is the
 * empty string, which is before all keys and always there. How records are spread over pages depends on history, and
 * nothing that is told outside depends on that.
 */
import { invariant } from "../assert.ts";
import type { Key } from "./key.ts";
import { type KeyRange, OrderedMap } from "./ordered-map.ts";
import { type Owner, Page } from "./page.ts";
import type { Draft, Item } from "./record.ts";

/** What of a key needs no copy of its value. */
export type Past = Pick<Item, "created" | "revision" | "version">;

/** What a put says of what a key is to hold. */
export type PutDraft = Omit<Draft, "created" | "version">;

export class Records {
  readonly #pages: OrderedMap<Page>;
  #size: number;
  #bytes: number;
  /** Of the pages that nobody else refers to. */
  #owner: Owner = {};

  private constructor(pages: OrderedMap<Page>, size: number, bytes: number) {
    this.#pages = pages;
    this.#size = size;
    this.#bytes = bytes;
  }

  static empty(): Records {
    return Records.of([]);
  }

  /** Of buffers of records, which ascend within and over them; the buffers become its own. */
  static of(runs: Iterable<Uint8Array<ArrayBuffer>>): Records {
    const owner: Owner = {};
    const pages = new OrderedMap<Page>();
    pages.set("", Page.of(owner, new Uint8Array(0)));
    let size = 0;
    let bytes = 0;
    for (const run of runs) {
      const page = Page.of(owner, run);
      pages.set(size === 0 ? "" : page.key(0), page);
      size += page.count;
      bytes += page.used;
    }
    const records = new Records(pages, size, bytes);
    records.#owner = owner;
    return records;
  }

  /** Keys held. */
  get size(): number {
    return this.#size;
  }

  /** Of all records. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: Key): Item | undefined {
    const [, page] = this.#pageOf(key);
    const found = page.search(key);
    return found < 0 ? undefined : page.item(found);
  }

  /** What became of `key` so far, without its value. */
  past(key: Key): Past | undefined {
    const [, page] = this.#pageOf(key);
    return pastIn(page, page.search(key));
  }

  /** The record of `key`, as it is until the next change; undefined where it is absent. */
  record(key: Key): Uint8Array<ArrayBuffer> | undefined {
    const [, page] = this.#pageOf(key);
    const found = page.search(key);
    return found < 0 ? undefined : page.record(found);
  }

  /** Puts `draft` in place of what `key` holds. */
  set(key: Key, draft: Draft): void {
    const [bound, page] = this.#pageOf(key);
    this.#setAt(bound, page, page.search(key), key, draft);
  }

  /**
   * Puts `value` at `revision` in place of what `key` holds, and tells what became of the key. `undo` is shown the
   * record that it held, before that is changed.
   */
  put(
    key: Key,
    { revision, value, contentType, attached }: PutDraft,
    undo: (previous: Uint8Array<ArrayBuffer> | null) => void,
  ): Past {
    const [bound, page] = this.#pageOf(key);
    const found = page.search(key);
    undo(found < 0 ? null : page.record(found));
    const created = found < 0 ? revision : page.created(found);
    const version = found < 0 ? 1 : page.version(found) + 1;
    const draft: Draft = { value, contentType, created, revision, version, attached };
    this.#setAt(bound, page, found, key, draft);
    return draft;
  }

  #setAt(bound: Key, page: Page, found: number, key: Key, draft: Draft): void {
    const isLast = ~found === page.count;
    // Read first: a page that is this one's own is written into.
    const { used } = page;
    const changed = page.with(this.#owner, found, key, draft);
    this.#bytes += changed.used - used;
    if (found < 0) this.#size++;
    if (changed.isOverfull) {
      // Keys that come in order leave full pages behind.
      this.#split(bound, changed, isLast ? changed.count - 1 : changed.middle);
    } else if (changed !== page) this.#pages.set(bound, changed);
  }

  /** Whether `key` was there. */
  delete(key: Key): boolean {
    const [bound, page] = this.#pageOf(key);
    const found = page.search(key);
    if (found < 0) return false;
    this.#cut(bound, page, { from: found, to: found + 1 });
    this.#joinSparse(key);
    return true;
  }

  /** How many were there. `undo` is shown the record of each, in key order, before it is deleted. */
  deleteRange(range: KeyRange, undo: (previous: Uint8Array<ArrayBuffer>) => void): number {
    const before = this.#size;
    const { start, end } = range;
    if (end !== null && end <= start) return 0;
    // In advance, as the pages must not change while they are walked.
    for (const [bound, page] of [...this.#pagesOf(range)]) {
      const from = page.countBefore(start);
      const to = end === null ? page.count : page.countBefore(end);
      for (let place = from; place < to; place++) undo(page.record(place));
      if (from < to) this.#cut(bound, page, { from, to });
    }
    if (this.#size < before) this.#joinSparse(start);
    return before - this.#size;
  }

  /** In key order. The records must not change while this is read; a clone's may. */
  *ascending(range: KeyRange): Generator<readonly [Key, Item], void> {
    for (const [key, page, place] of this.#placesAscending(range)) yield [key, page.item(place)];
  }

  /** In reverse key order, otherwise as {@link ascending}. */
  *descending(range: KeyRange): Generator<readonly [Key, Item], void> {
    for (const [key, page, place] of this.#placesDescending(range)) yield [key, page.item(place)];
  }

  /** As {@link ascending}, without a look at what the keys hold. */
  *keysAscending(range: KeyRange): Generator<Key, void> {
    for (const [key] of this.#placesAscending(range)) yield key;
  }

  /** In reverse key order, otherwise as {@link keysAscending}. */
  *keysDescending(range: KeyRange): Generator<Key, void> {
    for (const [key] of this.#placesDescending(range)) yield key;
  }

  /** All records as they lie, in key order, in pieces of about a page. */
  *runs(): Generator<Uint8Array, void> {
    for (const [, page] of this.#pages.ascending({ start: "", end: null })) yield page.records;
  }

  /** Takes O(1). */
  clone(): Records {
    this.#owner = {};
    return new Records(this.#pages.clone(), this.#size, this.#bytes);
  }

  *#placesAscending(range: KeyRange): Generator<readonly [Key, Page, number], void> {
    for (const [, page] of this.#pagesOf(range)) {
      for (let place = page.countBefore(range.start); place < page.count; place++) {
        const key = page.key(place);
        if (range.end !== null && key >= range.end) return;
        yield [key, page, place];
      }
    }
  }

  *#placesDescending({ start, end }: KeyRange): Generator<readonly [Key, Page, number], void> {
    for (const [, page] of this.#pages.descending({ start: "", end })) {
      for (
        let place = (end === null ? page.count : page.countBefore(end)) - 1;
        place >= 0;
        place--
      ) {
        const key = page.key(place);
        if (key < start) return;
        yield [key, page, place];
      }
    }
  }

  #pageOf(key: Key): readonly [Key, Page] {
    const pair = this.#pages.atOrBefore(key);
    invariant(pair !== undefined, "there is no first page");
    return pair;
  }

  #pagesOf({ start, end }: KeyRange): Iterable<readonly [Key, Page]> {
    return this.#pages.ascending({ start: this.#pageOf(start)[0], end });
  }

  #split(bound: Key, page: Page, place: number): void {
    const [left, right] = page.split(this.#owner, place);
    for (const [at, half] of [[bound, left], [right.key(0), right]] as const) {
      if (half.isOverfull) this.#split(at, half, half.middle);
      else this.#pages.set(at, half);
    }
  }

  #cut(bound: Key, page: Page, { from, to }: { readonly from: number; readonly to: number }): void {
    this.#size -= to - from;
    const { used } = page;
    if (from === 0 && to === page.count && bound !== "") {
      this.#bytes -= used;
      this.#pages.delete(bound);
      return;
    }
    const rest = page.without(this.#owner, from, to);
    this.#bytes += rest.used - used;
    if (rest !== page) this.#pages.set(bound, rest);
  }

  /** Makes one page of a neighbour and the one where `key` would be, where that is sparse and they fit. */
  #joinSparse(key: Key): void {
    const here = this.#pageOf(key);
    if (!here[1].isSparse) return;
    const next = this.#pages.after(here[0]);
    if (next !== undefined && this.#joinPair(here, next)) return;
    const previous = this.#pages.before(here[0]);
    if (previous !== undefined) this.#joinPair(previous, here);
  }

  #joinPair(left: readonly [Key, Page], right: readonly [Key, Page]): boolean {
    const joined = left[1].joined(this.#owner, right[1]);
    if (joined === null) return false;
    this.#pages.delete(right[0]);
    this.#pages.set(left[0], joined);
    return true;
  }
}

/** Of what a search found. */
function pastIn(page: Page, found: number): Past | undefined {
  if (found < 0) return undefined;
  return {
    created: page.created(found),
    revision: page.revision(found),
    version: page.version(found),
  };
}
