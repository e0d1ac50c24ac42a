/** Which keys are due when, and which belong to a lease: found again from the keys themselves, so not part of a snapshot. */
import type { LeaseId } from "./command.ts";
import type { Key } from "./key.ts";
import { type KeyRange, OrderedMap } from "./ordered-map.ts";
import type { Attached } from "./record.ts";
import { timeOfText, timeText } from "./time.ts";

type Ends = Pick<Attached, "due" | "lease">;

export class Attachments {
  /** By time and key. */
  readonly #due = new OrderedMap<Key>();
  readonly #leased = new Map<LeaseId, OrderedMap<true>>();

  add(key: Key, { due, lease }: Ends): void {
    if (due !== null) this.#due.set(timeText(due) + key, key);
    if (lease === null) return;
    const keys = this.#leased.get(lease) ?? new OrderedMap<true>();
    keys.set(key, true);
    this.#leased.set(lease, keys);
  }

  remove(key: Key, { due, lease }: Ends): void {
    if (due !== null) this.#due.delete(timeText(due) + key);
    if (lease === null) return;
    const keys = this.#leased.get(lease);
    keys?.delete(key);
    if (keys?.size === 0) this.#leased.delete(lease);
  }

  /** What is wrong with it among these leases, or null. */
  flaw(hasLease: (id: LeaseId) => boolean): string | null {
    return [...this.#leased.keys()].every(hasLease) ? null : "a key under no lease";
  }

  /** When the first key is due, in the cluster's time; null where none is. */
  get firstDue(): number | null {
    return this.#due.first === undefined ? null : timeOfText(this.#due.first[0]);
  }

  /** The key that is due first, if it is by `time`. */
  dueBy(time: number): Key | null {
    const first = this.#due.first;
    return first === undefined || timeOfText(first[0]) > time ? null : first[1];
  }

  /** The first key in a range that ends with `lease`. */
  firstKeyOf(lease: LeaseId, range: KeyRange): Key | undefined {
    const [first] = this.#leased.get(lease)?.ascending(range) ?? [];
    return first?.[0];
  }

  /** The keys that end with `lease`, in key order. */
  keysOf(lease: LeaseId): Key[] {
    const keys = this.#leased.get(lease);
    return keys === undefined
      ? []
      : [...keys.ascending({ start: "", end: null })].map(([key]) => key);
  }
}
