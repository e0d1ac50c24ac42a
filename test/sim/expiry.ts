/**
 * Nothing ends before its time: from the first write of the command that put a key, or granted or kept alive a lease, to
 * that of the one that ended it, at least its time to live has truly passed, by the fastest clock allowed. By true time
 * alone, whatever was stamped.
 */
import type { LeaseId } from "../../src/kv/command.ts";
import type { Key } from "../../src/kv/key.ts";
import type { Model } from "./model.ts";
import type { AppliedFirst } from "./reference.ts";

/** Something that ends. */
interface Begun {
  /** Microseconds. */
  readonly at: number;
  readonly ttlMs: number;
}

/** Stamps are whole milliseconds, at both ends. */
const graceMs = 2;

export class Expiry {
  readonly #model: Model;
  /** Clocks gain so much at most, as a fraction. */
  readonly #drift: number;
  readonly #keys = new Map<Key, Begun>();
  readonly #leases = new Map<LeaseId, Begun & { readonly due: number }>();

  constructor(model: Model, drift: number) {
    this.#model = model;
    this.#drift = drift;
  }

  /** A command was applied first, and the model has run it; it was first written at `at`. What ended too soon, or null. */
  applied({ result, effect }: AppliedFirst, at: number): string | null {
    const { before, revision } = effect;
    let wrong: string | null = null;
    for (let each = before + 1; each <= revision; each++) {
      for (const { key, item, previous } of this.#model.changes(each)) {
        if (item !== null) {
          if (item.due === null) this.#keys.delete(key);
          else if (item.due !== previous?.due) {
            this.#keys.set(key, { at, ttlMs: item.due - this.#model.time });
          }
          continue;
        }
        const isDue = previous !== null && previous.due !== null &&
          previous.due <= this.#model.time;
        const begun = this.#keys.get(key);
        this.#keys.delete(key);
        if (result.type !== "expired" || !isDue || begun === undefined) continue;
        wrong ??= this.#tooSoon(`key ${key}`, begun, at);
      }
    }
    if (result.type === "lease") this.#kept(result.lease, at);
    for (const [id, begun] of this.#leases) {
      if (this.#model.leases.has(id)) continue;
      this.#leases.delete(id);
      if (result.type === "expired") wrong ??= this.#tooSoon(`lease ${id}`, begun, at);
    }
    return wrong;
  }

  /** An answer that is given again keeps nothing alive. */
  #kept(id: LeaseId, at: number): void {
    const lease = this.#model.leases.get(id);
    if (lease === undefined || this.#leases.get(id)?.due === lease.due) return;
    this.#leases.set(id, { at, ttlMs: lease.ttlMs, due: lease.due });
  }

  #tooSoon(what: string, begun: Begun, at: number): string | null {
    const passedMs = (at - begun.at) / 1000;
    return passedMs * (1 + this.#drift) + graceMs < begun.ttlMs
      ? `${what} had ${begun.ttlMs} ms, and ended after ${Math.round(passedMs)} ms`
      : null;
  }
}
