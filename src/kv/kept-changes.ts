/**
 * The changes that are kept, as they lie: packed in slabs that are only ever appended to. Beside them, as they can be
 * found again, the links from a change to the next one of the same key: in plain columns, one row for each change,
 * because an object for each costs a put more than all the rest of its history.
 */
import { invariant } from "../assert.ts";
import * as format from "./history-format.ts";
import type { Key } from "./key.ts";

const slabBytes = 64 * 1024;
const rowsMin = 1024;
/** Instead of a link, where a change has more or fewer events than one. */
const several = -1;

interface Slab {
  readonly bytes: Uint8Array<ArrayBuffer>;
  used: number;
}

/** Where the events of a change begin, and their links. */
interface Events {
  readonly starts: Uint32Array;
  readonly nexts: Float64Array;
}

export class KeptChanges {
  /** Changes up to this revision are gone. */
  #floor: number;
  #end: number;
  #bytes = 0;
  /** In order; a change of revision r has row r modulo the number of rows, which is a power of two. */
  #slabNumbers = new Float64Array(rowsMin);
  #ats = new Uint32Array(rowsMin);
  #nexts = new Float64Array(rowsMin);
  readonly #several = new Map<number, Events>();
  /** Those that hold a change that is kept; the last one is written to. The first has number `#firstSlab`. */
  readonly #slabs: Slab[] = [];
  #firstSlab = 0;

  constructor(floor: number) {
    this.#floor = floor;
    this.#end = floor;
  }

  get floor(): number {
    return this.#floor;
  }

  /** The revision of the newest change. */
  get end(): number {
    return this.#end;
  }

  /** Of all changes. */
  get bytes(): number {
    return this.#bytes;
  }

  has(revision: number): boolean {
    return revision > this.#floor && revision <= this.#end;
  }

  /** The bytes in which a change lies. */
  slabOf(revision: number): Uint8Array<ArrayBuffer> {
    return this.#slabOf(revision).bytes;
  }

  countOf(revision: number): number {
    return this.#severalOf(revision)?.starts.length ?? 1;
  }

  /** Where an event of a change begins in its slab. */
  startOf(revision: number, event: number): number {
    return this.#severalOf(revision)?.starts[event] ??
      this.#ats[this.#row(revision)]! + format.changeHeaderBytes;
  }

  /** The change that touched the key of an event next; 0 where none did. */
  nextOf(revision: number, event: number): number {
    const next = this.#nexts[this.#row(revision)]!;
    return next === several ? this.#several.get(revision)?.nexts[event] ?? 0 : next;
  }

  setNext(revision: number, event: number, next: number): void {
    const events = this.#severalOf(revision);
    if (events === undefined) this.#nexts[this.#row(revision)] = next;
    else events.nexts[event] = next;
  }

  /** Which event touched `key`, -1 where none did. */
  find(revision: number, key: Key): number {
    const slab = this.slabOf(revision);
    let low = 0;
    let high = this.countOf(revision) - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = format.compareEventKeyAt(slab, this.startOf(revision, middle), key);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** As {@link find}, where some event is known to have touched `key`. */
  eventOf(revision: number, key: Key): number {
    if (this.#nexts[this.#row(revision)] !== several) return 0;
    const event = this.find(revision, key);
    invariant(event >= 0, "a change that is linked touched the key");
    return event;
  }

  /** Adds a change of `length` bytes: `write` is told where to write it to. */
  add(length: number, write: (slab: Uint8Array<ArrayBuffer>, at: number) => void): void {
    if (this.#end - this.#floor === this.#ats.length) this.#grow();
    const slab = this.#slabFor(length);
    const { bytes, used: at } = slab;
    write(bytes, at);
    slab.used += length;
    this.#bytes += length;
    const revision = ++this.#end;
    const row = this.#row(revision);
    this.#slabNumbers[row] = this.#firstSlab + this.#slabs.length - 1;
    this.#ats[row] = at;
    this.#nexts[row] = 0;
    if (format.changeCountAt(bytes, at) === 1) return;
    const starts = format.eventStarts(bytes, at);
    this.#nexts[row] = several;
    this.#several.set(revision, { starts, nexts: new Float64Array(starts.length) });
  }

  /** Drops the oldest change. */
  drop(): void {
    const revision = this.#floor + 1;
    const row = this.#row(revision);
    const slab = this.#slabNumbers[row]!;
    const next = this.#row(revision + 1);
    const isLast = revision === this.#end || this.#slabNumbers[next] !== slab;
    const end = isLast ? this.#slabOf(revision).used : this.#ats[next]!;
    this.#bytes -= end - this.#ats[row]!;
    this.#several.delete(revision);
    this.#floor = revision;
    if (!isLast) return;
    this.#slabs.shift();
    this.#firstSlab++;
  }

  /** Drops all changes, and one that isn't even there. */
  skip(): void {
    this.#floor = ++this.#end;
    this.#bytes = 0;
    this.#several.clear();
    this.#slabs.length = 0;
  }

  /** All changes, in order, in pieces; what comes later doesn't show in them. */
  runs(): readonly Uint8Array[] {
    const from = this.#ats[this.#row(this.#floor + 1)]!;
    return this.#slabs.map(({ bytes, used }, i) => bytes.subarray(i === 0 ? from : 0, used));
  }

  #row(revision: number): number {
    return revision % this.#ats.length;
  }

  #slabOf(revision: number): Slab {
    const slab = this.#slabs[this.#slabNumbers[this.#row(revision)]! - this.#firstSlab];
    invariant(slab !== undefined && this.has(revision), "a change that is kept lies in a slab");
    return slab;
  }

  #severalOf(revision: number): Events | undefined {
    if (this.#nexts[this.#row(revision)] !== several) return undefined;
    return this.#several.get(revision);
  }

  /** The last one, or a new one where that is too full. */
  #slabFor(length: number): Slab {
    const last = this.#slabs.at(-1);
    if (last !== undefined && last.used + length <= last.bytes.length) return last;
    const slab = { bytes: new Uint8Array(Math.max(slabBytes, length)), used: 0 };
    this.#slabs.push(slab);
    return slab;
  }

  /** Makes room for as many rows again. */
  #grow(): void {
    const rows = this.#ats.length;
    const [slabNumbers, ats, nexts] = [this.#slabNumbers, this.#ats, this.#nexts];
    this.#slabNumbers = new Float64Array(2 * rows);
    this.#ats = new Uint32Array(2 * rows);
    this.#nexts = new Float64Array(2 * rows);
    for (let revision = this.#floor + 1; revision <= this.#end; revision++) {
      const [from, to] = [revision % rows, this.#row(revision)];
      this.#slabNumbers[to] = slabNumbers[from]!;
      this.#ats[to] = ats[from]!;
      this.#nexts[to] = nexts[from]!;
    }
  }
}
