/**
 * A page: records one behind the other, in key order, in one buffer. A store of a million keys is some ten thousand of
 * these, which a garbage collector walks in milliseconds.
 *
 * A page belongs to one store, which writes into it. To every other one, such as a clone or what a clone was taken of,
 * it is frozen: that one puts a changed copy in its place.
 */
import type { Key } from "./key.ts";
import {
  compareKeyAt,
  createdAt,
  type Draft,
  type Item,
  itemAt,
  keyAt,
  lengthAt,
  recordBytes,
  revisionAt,
  versionAt,
  writeRecord,
} from "./record.ts";

/**
 * A page holds at most so many bytes, unless it is of one record only. Larger pages cost more to copy for a put under
 * a snapshot, smaller ones more memory beside the records.
 */
export const pageBytes: number = 8 * 1024;

/** Buffers grow by this much, so that a page that fills up is not copied with each put. */
const stepBytes = 1024;

/** Who may write into a page; compared by identity. */
export type Owner = object;

export class Page {
  readonly #owner: Owner;
  /** A page that holds more than {@link pageBytes} is replaced, never written into. */
  #bytes: Uint8Array<ArrayBuffer>;
  #used: number;
  /** Where each record begins. */
  readonly #starts: number[];

  private constructor(
    owner: Owner,
    bytes: Uint8Array<ArrayBuffer>,
    used: number,
    starts: number[],
  ) {
    this.#owner = owner;
    this.#bytes = bytes;
    this.#used = used;
    this.#starts = starts;
  }

  /** A page of the records that fill `bytes`, which become its own. */
  static of(owner: Owner, bytes: Uint8Array<ArrayBuffer>): Page {
    const starts: number[] = [];
    for (let at = 0; at < bytes.length; at += lengthAt(bytes, at)) starts.push(at);
    return new Page(owner, bytes, bytes.length, starts);
  }

  /** Records held. */
  get count(): number {
    return this.#starts.length;
  }

  /** Bytes of the records. */
  get used(): number {
    return this.#used;
  }

  /** The records, as they are until the page's owner changes them. */
  get records(): Uint8Array {
    return this.#bytes.subarray(0, this.#used);
  }

  get isOverfull(): boolean {
    return this.#used > pageBytes && this.count > 1;
  }

  /** Where the record of `key` is; where there is none, the complement of where it would be. */
  search(key: Key): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareKeyAt(this.#bytes, this.#starts[middle]!, key);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return ~low;
  }

  /** How many records have a key before `key`. */
  countBefore(key: Key): number {
    const found = this.search(key);
    return found < 0 ? ~found : found;
  }

  key(place: number): Key {
    return keyAt(this.#bytes, this.#startOf(place));
  }

  created(place: number): number {
    return createdAt(this.#bytes, this.#startOf(place));
  }

  revision(place: number): number {
    return revisionAt(this.#bytes, this.#startOf(place));
  }

  version(place: number): number {
    return versionAt(this.#bytes, this.#startOf(place));
  }

  /** A copy: who reads must not see what is put later. */
  item(place: number): Item {
    const item = itemAt(this.#bytes, this.#startOf(place));
    // But for what is never written into.
    if (this.#used > pageBytes) return item;
    return { ...item, value: item.value.slice(), metadata: item.metadata?.slice() ?? null };
  }

  /** The record, as it is until the page's owner changes it. */
  record(place: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(this.#startOf(place), this.#startOf(place + 1));
  }

  /** Puts a record in place of the one of the same key, at `found`, or where `search` says that it would be. */
  with(owner: Owner, found: number, key: Key, draft: Draft): Page {
    const from = found < 0 ? ~found : found;
    const to = found < 0 ? from : from + 1;
    const at = this.#startOf(from);
    const page = this.#spliced(owner, from, to, recordBytes(key, draft));
    writeRecord(page.#bytes, at, key, draft);
    return page;
  }

  /** Leaves out the records from `from` to before `to`. */
  without(owner: Owner, from: number, to: number): Page {
    return this.#spliced(owner, from, to, 0);
  }

  /** The records before and from `place` on. */
  split(owner: Owner, place: number): [Page, Page] {
    const at = this.#startOf(place);
    return [
      Page.of(owner, this.#bytes.slice(0, at)),
      Page.of(owner, this.#bytes.slice(at, this.#used)),
    ];
  }

  /** The place at which the halves are most alike. */
  get middle(): number {
    let place = 1;
    while (place < this.count - 1 && this.#startOf(place + 1) <= this.#used / 2) place++;
    return place;
  }

  /** This page's records and those of `next`, or null where they are not much less than a page's fill. */
  joined(owner: Owner, next: Page): Page | null {
    const used = this.#used + next.#used;
    if (used > pageBytes * 0.75) return null;
    const bytes = new Uint8Array(used);
    bytes.set(this.records);
    bytes.set(next.records, this.#used);
    return Page.of(owner, bytes);
  }

  /** Whether it is worth looking for a neighbour to join. */
  get isSparse(): boolean {
    return this.#used < pageBytes / 4;
  }

  #startOf(place: number): number {
    return place < this.count ? this.#starts[place]! : this.#used;
  }

  /** This page, or a copy, with room for one record of `added` bytes, or none, in place of those from `from` to `to`. */
  #spliced(owner: Owner, from: number, to: number, added: number): Page {
    const at = this.#startOf(from);
    const end = this.#startOf(to);
    const by = added - (end - at);
    const used = this.#used + by;
    if (owner !== this.#owner || !fits(this.#bytes.length, used)) {
      const bytes = new Uint8Array(capacityFor(used));
      bytes.set(this.#bytes.subarray(0, at));
      bytes.set(this.#bytes.subarray(end, this.#used), at + added);
      const page = new Page(owner, bytes, used, this.#starts.slice());
      page.#moveStarts(from, to, { at: added > 0 ? at : null, by });
      return page;
    }
    if (by !== 0) {
      this.#bytes.copyWithin(at + added, end, this.#used);
      this.#used = used;
      this.#moveStarts(from, to, { at: added > 0 ? at : null, by });
    }
    return this;
  }

  /** Puts one start, or none, in place of those from `from` to `to`, and moves those behind by `by`. */
  #moveStarts(
    from: number,
    to: number,
    { at, by }: { readonly at: number | null; readonly by: number },
  ): void {
    const starts = this.#starts;
    if (at === null) starts.splice(from, to - from);
    else starts.splice(from, to - from, at);
    if (by === 0) return;
    for (let place = at === null ? from : from + 1; place < starts.length; place++) {
      starts[place]! += by;
    }
  }
}

/** Whether a buffer may be written into that holds `used` bytes then. */
function fits(capacity: number, used: number): boolean {
  return capacity <= pageBytes && used <= capacity && capacity - used <= 2 * stepBytes;
}

function capacityFor(used: number): number {
  return used > pageBytes ? used : Math.ceil(used / stepBytes) * stepBytes;
}
