/**
 * Leases: each ends a time after it was granted or last kept alive, in the cluster's time, and the keys that were put
 * under it with it. An ended lease is there until a command says that it is over.
 */
import { invariant } from "../assert.ts";
import type { LeaseId } from "./command.ts";
import { OrderedMap } from "./ordered-map.ts";
import { timeOfText, timeText } from "./time.ts";

/** Nobody changes one: another takes its place. */
export interface Lease {
  readonly id: LeaseId;
  readonly ttlMs: number;
  /** When it ends, in the cluster's time (milliseconds). */
  readonly due: number;
}

/** Leases at a time. */
export const leasesMax: number = 1_000_000;

const all = { start: "", end: null };

export class Leases {
  /** By id. */
  readonly #leases: OrderedMap<Lease>;
  /** By time and id. */
  readonly #due = new OrderedMap<LeaseId>();
  #next: LeaseId;

  constructor(leases: OrderedMap<Lease> = new OrderedMap(), next: LeaseId = 1) {
    this.#leases = leases;
    this.#next = next;
    for (const [, lease] of leases.ascending(all)) this.#due.set(dueText(lease), lease.id);
  }

  /** The id that the next lease gets. */
  get next(): LeaseId {
    return this.#next;
  }

  /** Leases that were not told to end. */
  get size(): number {
    return this.#leases.size;
  }

  get isFull(): boolean {
    return this.#leases.size >= leasesMax;
  }

  get(id: LeaseId): Lease | undefined {
    return this.#leases.get(timeText(id));
  }

  /** By id, from behind `behind` on. */
  *all(behind: LeaseId = 0): Generator<Lease, void> {
    const start = timeText(behind + 1);
    for (const [, lease] of this.#leases.ascending({ start, end: null })) yield lease;
  }

  grant(ttlMs: number, time: number): Lease {
    const lease = { id: this.#next++, ttlMs, due: time + ttlMs };
    this.#set(lease);
    return lease;
  }

  /** Undefined where there is no such lease. */
  keepAlive(id: LeaseId, time: number): Lease | undefined {
    const lease = this.get(id);
    if (lease === undefined) return undefined;
    this.#due.delete(dueText(lease));
    const longer = { ...lease, due: time + lease.ttlMs };
    this.#set(longer);
    return longer;
  }

  /** Whether it was there. */
  delete(id: LeaseId): boolean {
    const lease = this.get(id);
    if (lease === undefined) return false;
    this.#due.delete(dueText(lease));
    return this.#leases.delete(timeText(id));
  }

  /** When the first one ends, in the cluster's time; null where there is none. */
  get firstDue(): number | null {
    const { first } = this.#due;
    return first === undefined ? null : timeOfText(first[0]);
  }

  /** The one that ends first, if it has by `time`. */
  dueBy(time: number): LeaseId | null {
    const { first } = this.#due;
    return first === undefined || timeOfText(first[0]) > time ? null : first[1];
  }

  /** The leases as they are now, by id. */
  freeze(): OrderedMap<Lease> {
    return this.#leases.clone();
  }

  #set(lease: Lease): void {
    invariant(Number.isSafeInteger(lease.id), "leases are exhausted");
    this.#leases.set(timeText(lease.id), lease);
    this.#due.set(dueText(lease), lease.id);
  }
}

function dueText({ due, id }: Lease): string {
  return timeText(due) + timeText(id);
}
