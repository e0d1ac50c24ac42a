/**
 * The log behind its compaction point, in memory. What stands at an index is named by index, term and chain CRC; the
 * entry before the first one is known by these three alone, its `base`.
 */
import { invariant } from "../assert.ts";
import type { Entry, Index, Term } from "./types.ts";

/** A place in a log: the entry at `index` had `term`, and the chain of CRCs had come to `crc`. */
export interface LogPosition {
  readonly index: Index;
  readonly term: Term;
  readonly crc: number;
}

/** Where a log ends, as votes compare it. */
export interface LogEnd {
  readonly index: Index;
  readonly term: Term;
}

/** Whether a log that ends at `end` is as up to date as one that ends at `other` (thesis 3.6.1). */
export function isAsFar(end: LogEnd, other: LogEnd): boolean {
  return end.term > other.term || (end.term === other.term && end.index >= other.index);
}

export class RaftLog {
  #base: LogPosition;
  /** `#entries[i]` stands at `#base.index + 1 + i`; indexes without a gap, terms never going back. */
  #entries: Entry[] = [];

  constructor(base: LogPosition, entries: readonly Entry[]) {
    this.#base = base;
    this.append(entries);
  }

  get firstIndex(): Index {
    return this.#base.index + 1;
  }

  get lastIndex(): Index {
    return this.#base.index + this.#entries.length;
  }

  /** The last entry's place, or the base where there is none. */
  get last(): LogPosition {
    return this.#entries.at(-1) ?? this.#base;
  }

  entry(index: Index): Entry | undefined {
    return this.#entries[index - this.firstIndex];
  }

  /** Index, term and CRC at `index`; undefined before the base and after the end. */
  position(index: Index): LogPosition | undefined {
    return index === this.#base.index ? this.#base : this.entry(index);
  }

  termAt(index: Index): Term | undefined {
    return this.position(index)?.term;
  }

  /** The entries from `from` to `to`, both included, as far as they are here. */
  slice(from: Index, to: Index): Entry[] {
    const start = Math.max(from - this.firstIndex, 0);
    return this.#entries.slice(start, Math.max(to - this.#base.index, start));
  }

  /** Entries from `from` on, of at most `bytesMax` record bytes together; the first one always goes. */
  batch(from: Index, bytesMax: number): { readonly entries: Entry[]; readonly bytes: number } {
    const start = from - this.firstIndex;
    let end = start;
    let bytes = 0;
    while (end < this.#entries.length) {
      const size = this.#entries[end]?.record.byteLength ?? 0;
      if (end > start && bytes + size > bytesMax) break;
      bytes += size;
      end += 1;
    }
    return { entries: this.#entries.slice(start, end), bytes };
  }

  /** The first index, `from` at the least, from which on the entries up to `to` have at most `bytesMax` record bytes. */
  firstWithin(from: Index, to: Index, bytesMax: number): Index {
    let first = to + 1;
    for (let bytes = 0; first > Math.max(from, this.firstIndex); first--) {
      bytes += this.entry(first - 1)?.record.byteLength ?? 0;
      if (bytes > bytesMax) break;
    }
    return first;
  }

  append(entries: readonly Entry[]): void {
    let { index, term } = this.last;
    for (const entry of entries) {
      // A message for each entry, told or not, was most of this: 0.21 µs an entry on Bun, 0.08 without.
      if (!(entry.index === index + 1 && entry.term >= term)) {
        invariant(false, `entry ${entry.index}/${entry.term} appended behind ${index}/${term}`);
      }
      this.#entries.push(entry);
      ({ index, term } = entry);
    }
  }

  truncateFrom(index: Index): void {
    invariant(index >= this.firstIndex, `cut at ${index}, before the log's start`);
    this.#entries.length = Math.min(this.#entries.length, index - this.firstIndex);
  }

  /** Forgets the entries before `index`. */
  compactBefore(index: Index): void {
    if (index <= this.firstIndex) return;
    const base = this.position(index - 1);
    invariant(base !== undefined, `compacted before ${index}, beyond the end ${this.lastIndex}`);
    this.#entries = this.#entries.slice(index - this.firstIndex);
    this.#base = { index: base.index, term: base.term, crc: base.crc };
  }

  /** Forgets all entries: the log goes on behind `base`. */
  reset(base: LogPosition): void {
    this.#entries = [];
    this.#base = { index: base.index, term: base.term, crc: base.crc };
  }

  /** The first index that is held of the term at `index`. Terms never go back, so a binary search finds it. */
  firstIndexOfTermAt(index: Index): Index {
    const term = this.termAt(index);
    invariant(term !== undefined, `no term known at ${index}`);
    return this.lastIndexOfTermsUpTo(term - 1, index) + 1;
  }

  /** The last index at or before `before` whose term is at most `term`; one before the base where there is none. */
  lastIndexOfTermsUpTo(term: Term, before: Index): Index {
    let low = this.#base.index - 1;
    let high = Math.min(before, this.lastIndex);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.termAt(middle) ?? 0) <= term) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
