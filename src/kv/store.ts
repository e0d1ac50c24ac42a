/**
 * The store: keys in order, one revision for all, and the past as far as it is kept. A change takes the next revision;
 * what changes no key takes none (api.md, section 2).
 */
import { invariant } from "../assert.ts";
import { Attachments } from "./attachments.ts";
import type { HistoryLimits, LeaseId } from "./command.ts";
import { Edit } from "./edit.ts";
import { eventBytes, type Touched } from "./history-format.ts";
import { History } from "./history.ts";
import type { Key } from "./key.ts";
import type { KeyRange } from "./ordered-map.ts";
import { type Attached, attachedAt, type Item, keyAt } from "./record.ts";
import { type Past, Records } from "./records.ts";
import { PastView } from "./past-view.ts";
import type { Change, ChangeEvent, ListRange, View } from "./view.ts";

export type { Item } from "./record.ts";
export type { Change, ChangeEvent, ListRange, View } from "./view.ts";

/** How much of the past a new store keeps. */
export const defaultHistory: HistoryLimits = {
  revisionsMax: 100_000,
  bytesMax: 16 * 1024 * 1024,
};

/** A store as it was at one moment, to be written out while the store goes on. */
export interface FrozenStore {
  readonly revision: number;
  readonly floor: number;
  readonly size: number;
  readonly limits: HistoryLimits;
  /** All records in key order, in pieces. */
  runs(): Iterable<Uint8Array>;
  /** All changes that are kept, in order, in pieces. */
  changes(): Iterable<Uint8Array>;
}

export class Store implements View {
  #records: Records;
  readonly #history: History;
  readonly #attachments: Attachments;

  /** An empty store is at revision 0. Else the parts of a snapshot. */
  constructor(
    records: Records = Records.empty(),
    history: History = new History(defaultHistory),
    attachments: Attachments = new Attachments(),
  ) {
    this.#records = records;
    this.#history = history;
    this.#attachments = attachments;
  }

  /** The revision of the latest change; 0 before the first. */
  get revision(): number {
    return this.#history.end;
  }

  /** The past can be read from this revision on; changes behind it are kept. */
  get floor(): number {
    return this.#history.floor;
  }

  /** Keys held. */
  get size(): number {
    return this.#records.size;
  }

  /** Bytes of all keys and what they hold. */
  get bytes(): number {
    return this.#records.bytes;
  }

  /** Bytes of the changes that are kept. */
  get historyBytes(): number {
    return this.#history.bytes;
  }

  get historyLimits(): HistoryLimits {
    return this.#history.limits;
  }

  set historyLimits(limits: HistoryLimits) {
    this.#history.limits = limits;
  }

  /** Of now: later changes don't show in it. */
  get(key: Key): Item | undefined {
    return this.#records.get(key);
  }

  /** What became of `key` so far; undefined where it is absent. */
  past(key: Key): Past | undefined {
    return this.#records.past(key);
  }

  /** Read lazily: the store must not change until it was read. */
  list({ start, end, reverse }: ListRange): Iterable<readonly [Key, Item]> {
    return reverse === true
      ? this.#records.descending({ start, end })
      : this.#records.ascending({ start, end });
  }

  /** The keys as they were at `revision`; null where that is ahead, or isn't kept any more. */
  at(revision: number): View | null {
    if (revision > this.revision || revision < this.floor) return null;
    return revision === this.revision ? this : new PastView(this.#records, this.#history, revision);
  }

  /** What `revision` changed; null where that isn't kept, or to come. */
  change(revision: number): Change | null {
    const events = this.#history.eventsOf(revision);
    if (events === null) return null;
    return {
      revision,
      events: events.map(({ key, isPut, put, previous }): ChangeEvent => {
        const item = isPut ? put ?? this.#records.get(key) : null;
        invariant(item !== undefined, "what a key was put to last is what it holds");
        return { key, item, previous };
      }),
    };
  }

  /** Keeps a copy of `value`, and of what is attached. */
  put(
    key: Key,
    { value, contentType, attached }: {
      readonly value: Uint8Array;
      readonly contentType: string;
      readonly attached: Attached | null;
    },
  ): Past {
    const draft = { value, contentType, attached, revision: this.#next() };
    const past = this.#records.put(key, draft, (previous) => {
      this.#history.add([{ key, previous, isPut: true }]);
      if (previous !== null) this.#unattach(key, previous);
    });
    if (attached !== null) this.#attachments.add(key, attached);
    return past;
  }

  /** How many keys were deleted, 0 or 1. */
  delete(key: Key): number {
    const previous = this.#records.record(key);
    if (previous === undefined) return 0;
    this.#next();
    this.#history.add([{ key, previous, isPut: false }]);
    this.#unattach(key, previous);
    this.#records.delete(key);
    return 1;
  }

  /** How many keys were deleted, all by one revision. */
  deleteRange(range: KeyRange): number {
    let touched: Touched[] | null = [];
    let bytes = 0;
    const deleted = this.#records.deleteRange(range, (previous) => {
      const key = keyAt(previous, 0);
      this.#unattach(key, previous);
      bytes += eventBytes(key, previous);
      if (bytes > this.historyLimits.bytesMax) touched = null;
      touched?.push({ key, previous: previous.slice(), isPut: false });
    });
    if (deleted === 0) return 0;
    this.#next();
    if (touched === null) this.#history.skip();
    else this.#history.add(touched);
    return deleted;
  }

  /** Deletes these keys, which are there, by one revision. */
  deleteAll(keys: readonly Key[]): void {
    const edit = this.edit();
    for (const key of keys) edit.delete(key);
    edit.commit();
  }

  /** Begins a change of several keys, or of none: nothing else changes the store until that is committed or dropped. */
  edit(): Edit {
    return new Edit({
      records: this.#records,
      attachments: this.#attachments,
      history: this.#history,
      onDrop: (records) => this.#records = records,
    });
  }

  /** When the first key is due, in the cluster's time; null where none is. */
  get firstDue(): number | null {
    return this.#attachments.firstDue;
  }

  /** The key that is due first, if it is by `time`. */
  dueBy(time: number): Key | null {
    return this.#attachments.dueBy(time);
  }

  /** The first key in a range that ends with a lease. */
  firstKeyOf(lease: LeaseId, range: KeyRange): Key | undefined {
    return this.#attachments.firstKeyOf(lease, range);
  }

  /** The keys that end with `lease`, in key order. */
  keysOf(lease: LeaseId): readonly Key[] {
    return this.#attachments.keysOf(lease);
  }

  /** The store as it is now. Takes no longer for more keys. */
  freeze(): FrozenStore {
    const { revision, floor, size, historyLimits: limits } = this;
    const records = this.#records.clone();
    const changes = this.#history.runs();
    return { revision, floor, size, limits, runs: () => records.runs(), changes: () => changes };
  }

  #unattach(key: Key, previous: Uint8Array): void {
    const attached = attachedAt(previous, 0);
    if (attached !== null) this.#attachments.remove(key, attached);
  }

  #next(): number {
    invariant(this.revision < Number.MAX_SAFE_INTEGER, "revisions are exhausted");
    return this.revision + 1;
  }
}
