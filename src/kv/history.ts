/**
 * The past, as a bounded undo log: each change keeps what it replaced. What a key held at a revision is found by going
 * back from the present, change by change of that key; what a change made of a key is what the next one replaced.
 *
 * It is part of the replicated state: how far it reaches follows from the commands alone, so any node can resume any
 * watcher.
 */
import { invariant } from "../assert.ts";
import type { HistoryLimits } from "./command.ts";
import * as format from "./history-format.ts";
import type { Touched } from "./history-format.ts";
import { KeptChanges } from "./kept-changes.ts";
import type { Key } from "./key.ts";
import { OrderedMap } from "./ordered-map.ts";
import { type Item, itemAt, revisionAt } from "./record.ts";

/** One event as the history has it: what the key holds now is known to nobody here. */
export interface PastEvent {
  readonly key: Key;
  readonly isPut: boolean;
  readonly previous: Item | null;
  /** What was put, where the key was touched again since; null where that is what it holds now, or it was deleted. */
  readonly put: Item | null;
}

export class History {
  #limits: HistoryLimits;
  readonly #kept: KeptChanges;
  /** Keys that are absent now, and the kept change that deleted them. */
  #deleted = new OrderedMap<number>();

  constructor(limits: HistoryLimits, floor = 0) {
    this.#limits = limits;
    this.#kept = new KeptChanges(floor);
  }

  get limits(): HistoryLimits {
    return this.#limits;
  }

  set limits(limits: HistoryLimits) {
    this.#limits = limits;
    this.#prune();
  }

  /** Changes up to this revision are gone. */
  get floor(): number {
    return this.#kept.floor;
  }

  /** The revision of the newest change, kept or not. */
  get end(): number {
    return this.#kept.end;
  }

  /** Of all changes that are kept. */
  get bytes(): number {
    return this.#kept.bytes;
  }

  /** Keys that were deleted in a change that is kept, and are absent. */
  get deleted(): OrderedMap<number> {
    return this.#deleted;
  }

  /** Adds the next change. `touched` are in key order. */
  add(touched: readonly Touched[]): void {
    let length = format.changeHeaderBytes;
    for (const { key, previous } of touched) length += format.eventBytes(key, previous);
    if (length > this.#limits.bytesMax) return this.skip();
    const revision = this.end + 1;
    this.#kept.add(length, (slab, at) => {
      let end = format.writeChangeHeader(slab, at, { length, revision, count: touched.length });
      for (const each of touched) end = format.writeEvent(slab, end, each, this.#before(each));
      invariant(end === at + length, "a change is as long as said");
    });
    for (let event = 0; event < touched.length; event++) this.#link(revision, touched[event]!);
    this.#prune();
  }

  /** The next change is too large to be kept: the past ends with it. */
  skip(): void {
    this.#kept.skip();
    if (this.#deleted.size > 0) this.#deleted = new OrderedMap();
  }

  /** Adds the next change as {@link runs} gave it. Returns what is wrong with it, or null. */
  restore(change: Uint8Array): string | null {
    const revision = this.end + 1;
    const flaw = format.changeFlaw(change);
    if (flaw !== null) return flaw;
    if (format.changeRevisionAt(change, 0) !== revision) return "changes out of order";
    for (const start of format.eventStarts(change, 0)) {
      const linkFlaw = this.#linkFlaw(change, start);
      if (linkFlaw !== null) return linkFlaw;
    }
    this.#kept.add(change.length, (slab, at) => slab.set(change, at));
    for (const start of format.eventStarts(change, 0)) {
      this.#link(revision, format.touchedAt(change, start));
    }
    return null;
  }

  /** The events of a change in key order; null where it isn't kept. */
  eventsOf(revision: number): readonly PastEvent[] | null {
    const kept = this.#kept;
    if (!kept.has(revision)) return null;
    const slab = kept.slabOf(revision);
    return Array.from({ length: kept.countOf(revision) }, (_, event): PastEvent => {
      const at = kept.startOf(revision, event);
      const key = format.eventKeyAt(slab, at);
      const isPut = format.isPutAt(slab, at);
      const next = kept.nextOf(revision, event);
      const put = isPut && next !== 0 ? this.#replaced(next, key) : null;
      return { key, isPut, previous: previousIn(slab, at), put };
    });
  }

  /**
   * What `key` held at `revision`, which is not before {@link floor}; null where it was absent.
   * @param changed the newest change that touched the key: it is behind `revision`.
   */
  itemAt(key: Key, revision: number, changed: number): Item | null {
    const kept = this.#kept;
    for (let at = changed;;) {
      const slab = kept.slabOf(at);
      const start = kept.startOf(at, kept.eventOf(at, key));
      const before = format.beforeAt(slab, start);
      if (before <= revision) return previousIn(slab, start);
      at = before;
    }
  }

  /**
   * What is wrong with it as the past of this present, or null.
   * @param present the revision that a key is at; undefined where it is absent.
   * @param recent how many keys are at a revision behind {@link floor}.
   */
  flaw(present: (key: Key) => number | undefined, recent: number): string | null {
    const kept = this.#kept;
    let last = 0;
    for (let revision = this.floor + 1; revision <= this.end; revision++) {
      const slab = kept.slabOf(revision);
      for (let event = 0; event < kept.countOf(revision); event++) {
        if (kept.nextOf(revision, event) !== 0) continue;
        const start = kept.startOf(revision, event);
        const isPut = format.isPutAt(slab, start);
        const now = present(format.eventKeyAt(slab, start));
        if (now !== (isPut ? revision : undefined)) return "a past that leads to another present";
        if (isPut) last++;
      }
    }
    return last === recent ? null : "keys that changed in no change that is kept";
  }

  /** All kept changes, as they lie, in order; what comes later doesn't show in them. */
  runs(): readonly Uint8Array[] {
    return this.#kept.runs();
  }

  /** What the change at `revision` replaced of `key`. */
  #replaced(revision: number, key: Key): Item | null {
    const kept = this.#kept;
    return previousIn(kept.slabOf(revision), kept.startOf(revision, kept.eventOf(revision, key)));
  }

  /** The change that touched a key before, as far as it is known; else 0. */
  #before({ key, previous }: Touched): number {
    return previous === null ? this.#deleted.get(key) ?? 0 : revisionAt(previous, 0);
  }

  /** Links a change to the one before it of the same key. */
  #link(revision: number, touched: Touched): void {
    const { key, previous, isPut } = touched;
    const before = this.#before(touched);
    if (before > this.floor) this.#kept.setNext(before, this.#kept.eventOf(before, key), revision);
    if (!isPut) this.#deleted.set(key, revision);
    else if (previous === null && before > 0) this.#deleted.delete(key);
  }

  /** What is wrong with the event at `at` as the next of its key, or null. */
  #linkFlaw(change: Uint8Array, at: number): string | null {
    const { key, previous } = format.touchedAt(change, at);
    const before = format.beforeAt(change, at);
    const deleted = this.#deleted.get(key);
    if (previous === null) {
      const isKnown = deleted === undefined ? before <= this.floor : before === deleted;
      return isKnown ? null : "a key that was absent for another reason";
    }
    if (deleted !== undefined) return "a deleted key that was there";
    if (before <= this.floor) return null;
    const event = this.#kept.find(before, key);
    return event >= 0 && this.#kept.nextOf(before, event) === 0
      ? null
      : "a link to a change of another key";
  }

  #prune(): void {
    const { revisionsMax, bytesMax } = this.#limits;
    const kept = this.#kept;
    while (kept.end - kept.floor > revisionsMax || kept.bytes > bytesMax) this.#drop();
  }

  #drop(): void {
    const kept = this.#kept;
    const revision = kept.floor + 1;
    for (let event = 0; event < kept.countOf(revision); event++) {
      // What was touched again since was deleted there, if at all.
      if (kept.nextOf(revision, event) !== 0) continue;
      const slab = kept.slabOf(revision);
      const start = kept.startOf(revision, event);
      if (!format.isPutAt(slab, start)) this.#deleted.delete(format.eventKeyAt(slab, start));
    }
    kept.drop();
  }
}

/** What the key of the event at `at` held before, null where it was absent. */
function previousIn(slab: Uint8Array<ArrayBuffer>, at: number): Item | null {
  const previous = format.previousAt(slab, at);
  return previous === null ? null : itemAt(slab, previous);
}
