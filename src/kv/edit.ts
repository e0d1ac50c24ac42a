/** A change of several keys in the making: later steps see earlier ones, and it becomes one revision, or nothing. */
import { invariant } from "../assert.ts";
import type { Attachments } from "./attachments.ts";
import { eventBytes, type Touched } from "./history-format.ts";
import type { History } from "./history.ts";
import type { Key } from "./key.ts";
import type { KeyRange } from "./ordered-map.ts";
import { type Attached, attachedAt, type Item, keyAt } from "./record.ts";
import type { Past, PutDraft, Records } from "./records.ts";

export interface EditParts {
  readonly records: Records;
  readonly attachments: Attachments;
  readonly history: History;
  /** Nothing of the change is to be left: these records take the place of those that were changed. */
  readonly onDrop: (records: Records) => void;
}

export class Edit {
  /** The revision that the change takes, if it is one. */
  readonly revision: number;
  readonly #parts: EditParts;
  /** What each key held that was touched; null where it was absent. */
  readonly #before = new Map<Key, Uint8Array<ArrayBuffer> | null>();
  /** What keys held before is more than is kept: they are not noted any more. */
  #isTooLarge = false;
  #bytes = 0;
  #saved: Records | null = null;
  /** Takes back what was done to the attachments; last first. */
  readonly #undo: (() => void)[] = [];

  constructor(parts: EditParts) {
    this.#parts = parts;
    this.revision = parts.history.end + 1;
  }

  /** What is changed from here on can be dropped. */
  save(): void {
    invariant(this.#before.size === 0, "nothing was changed yet");
    this.#saved = this.#parts.records.clone();
  }

  get(key: Key): Item | undefined {
    return this.#parts.records.get(key);
  }

  past(key: Key): Past | undefined {
    return this.#parts.records.past(key);
  }

  list({ start, end, reverse }: KeyRange & { readonly reverse: boolean }): Iterable<
    readonly [Key, Item]
  > {
    const { records } = this.#parts;
    return reverse ? records.descending({ start, end }) : records.ascending({ start, end });
  }

  put(key: Key, draft: Omit<PutDraft, "revision">): Past {
    const { records } = this.#parts;
    const past = records.put(
      key,
      { ...draft, revision: this.revision },
      (previous) => this.#touch(key, previous),
    );
    if (draft.attached !== null) this.#attach(key, draft.attached);
    return past;
  }

  /** How many keys were deleted, 0 or 1. */
  delete(key: Key): number {
    const { records } = this.#parts;
    const previous = records.record(key);
    if (previous === undefined) return 0;
    this.#touch(key, previous);
    records.delete(key);
    return 1;
  }

  /** How many keys were deleted. */
  deleteRange(range: KeyRange): number {
    return this.#parts.records.deleteRange(
      range,
      (previous) => this.#touch(keyAt(previous, 0), previous),
    );
  }

  /** Returns the store's revision then: the change's, where anything was changed. */
  commit(): number {
    const { history, records } = this.#parts;
    if (this.#isTooLarge) history.skip();
    else if (this.#before.size > 0) {
      const touched: Touched[] = [];
      for (const key of [...this.#before.keys()].sort()) {
        const previous = this.#before.get(key) ?? null;
        const isPut = records.past(key) !== undefined;
        if (isPut || previous !== null) touched.push({ key, previous, isPut });
      }
      // A key that came and went within the change was never there.
      if (touched.length > 0) history.add(touched);
    }
    return history.end;
  }

  /** As if nothing had been changed. */
  drop(): void {
    if (this.#saved === null) {
      return invariant(this.#before.size === 0, "a change that may be dropped was saved before");
    }
    for (const undo of this.#undo.reverse()) undo();
    this.#parts.onDrop(this.#saved);
  }

  #touch(key: Key, previous: Uint8Array<ArrayBuffer> | null): void {
    const attached = previous === null ? null : attachedAt(previous, 0);
    if (attached !== null) this.#unattach(key, attached);
    if (this.#isTooLarge || this.#before.has(key)) return;
    this.#before.set(key, previous?.slice() ?? null);
    // What was absent may come to nothing in the end.
    if (previous === null) return;
    this.#bytes += eventBytes(key, previous);
    if (this.#bytes <= this.#parts.history.limits.bytesMax) return;
    this.#isTooLarge = true;
    this.#before.clear();
  }

  #attach(key: Key, { due, lease }: Attached): void {
    const { attachments } = this.#parts;
    attachments.add(key, { due, lease });
    if (this.#saved !== null) this.#undo.push(() => attachments.remove(key, { due, lease }));
  }

  #unattach(key: Key, { due, lease }: Attached): void {
    const { attachments } = this.#parts;
    attachments.remove(key, { due, lease });
    if (this.#saved !== null) this.#undo.push(() => attachments.add(key, { due, lease }));
  }
}
