/** Draws what clients write: commands of all kinds, about keys and revisions that somebody saw of late. */
import {
  type BatchItem,
  type Check,
  type Command,
  comparisonOps,
  type Condition,
  conditionsMax,
  contentTypeBytesMax,
  defaultContentType,
  integerMax,
  integerMin,
  type LeaseId,
  type Operation,
  type PutExtras,
} from "../../src/kv/command.ts";
import type { Key } from "../../src/kv/key.ts";
import { batch, keyName, put, remove, removeRange, transaction, valueOf } from "./operation.ts";
import type { SimOptions } from "./options.ts";
import type { Random } from "./random.ts";

/** The default one twice, as most values have it, and one as long as may be. */
const contentTypes: readonly string[] = [
  defaultContentType,
  defaultContentType,
  "text/plain; charset=utf-8",
  "a/b",
  "application/json; profile=".padEnd(contentTypeBytesMax, "x"),
];
/** Keys that are added to. A put to one of them, or an add to another, is rare. */
const counters = 3;
/** Leases that are remembered. */
const leasesMax = 6;
const checkedMax = 3;
const operationsMax = 5;
const batchedMax = 8;
/** What a list in a transaction shows at most. */
const listedMax = 4;
const metadataBytesMax = 64;

export class DrawnCommands {
  readonly #options: SimOptions;
  readonly #random: Random;
  /** Revisions at which clients saw keys of late, to make conditions of. */
  readonly #seen = new Map<Key, number>();
  /** Granted of late. */
  readonly #leases: LeaseId[] = [];

  constructor(options: SimOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  saw(key: Key, revision: number): void {
    this.#seen.set(key, revision);
  }

  granted(lease: LeaseId): void {
    if (!this.#leases.includes(lease)) this.#leases.push(lease);
    if (this.#leases.length > leasesMax) this.#leases.shift();
  }

  key(): Key {
    return keyName(this.#random.below(this.#options.load.keys));
  }

  /** The write of an operation of this number. */
  write(number: number): Command {
    const { uses } = this.#options.load;
    const random = this.#random;
    const kinds = ["plain", "plain", "plain"];
    if (uses.has("transactions")) kinds.push("transaction", "transaction");
    if (uses.has("batches")) kinds.push("batch");
    if (uses.has("adds")) kinds.push("add");
    if (uses.has("leases")) kinds.push("lease");
    switch (random.pick(kinds)) {
      case "transaction":
        return transaction(number, {
          checks: this.#checks(checkedMax),
          then: this.#operations(number, 0),
          else: random.chance(0.5) ? [] : this.#operations(number, operationsMax),
        });
      case "batch":
        return batch(number, this.#items(number));
      case "add":
        return transaction(number, { checks: [], then: [this.#add()], else: [] });
      case "lease":
        return this.#lease();
      default:
        return this.#plain(number);
    }
  }

  #plain(number: number): Command {
    const random = this.#random;
    const key = this.key();
    const kind = random.next();
    if (kind < 0.75) {
      const conditions = this.#conditions(key);
      const bytes = Math.floor(random.scaled(8, this.#options.load.valueBytesMax));
      return put(number, key, { bytes, conditions, ...this.#attached() });
    }
    if (kind < 0.93) return remove(number, key, this.#conditions(key));
    return removeRange(number, key, this.key());
  }

  #attached(): { readonly contentType: string; readonly extras?: PutExtras } {
    const random = this.#random;
    const { uses } = this.#options.load;
    const contentType = random.pick(contentTypes);
    const ttlMs = uses.has("ttl") && random.chance(0.4) ? this.#ttl(20) : null;
    const metadata = uses.has("metadata") && random.chance(0.3)
      ? new Uint8Array(random.below(metadataBytesMax)).fill(random.below(256))
      : null;
    const lease = this.#leases.length > 0 && random.chance(0.4) ? random.pick(this.#leases) : null;
    if (ttlMs === null && metadata === null && lease === null) return { contentType };
    return { contentType, extras: { metadata, ttlMs, lease } };
  }

  #ttl(least: number): number {
    return Math.floor(this.#random.scaled(least, 20_000));
  }

  #lease(): Command {
    const random = this.#random;
    const [lease] = random.shuffled(this.#leases);
    if (lease === undefined || random.chance(0.3)) return { type: "grant", ttlMs: this.#ttl(200) };
    return { type: random.chance(0.75) ? "keepAlive" : "revoke", lease };
  }

  #items(number: number): BatchItem[] {
    return Array.from({ length: this.#random.whole(1, batchedMax) }, (_, i) => ({
      checks: this.#random.chance(0.3) ? this.#checks(2) : [],
      operation: this.#operation(number, i),
    }));
  }

  #operations(number: number, from: number): Operation[] {
    const length = this.#random.below(operationsMax + 1);
    return Array.from({ length }, (_, i) => this.#operation(number, from + i));
  }

  /** `which` of those of operation `number`. */
  #operation(number: number, which: number): Operation {
    const random = this.#random;
    const key = this.key();
    const kind = random.next();
    if (kind < 0.05 && this.#options.load.uses.has("adds")) {
      const value = new TextEncoder().encode(String(random.whole(-20, 40)));
      return { type: "put", key: `count/${random.below(counters)}`, value, ...this.#attached() };
    }
    if (kind < 0.45) {
      const bytes = Math.floor(random.scaled(8, Math.min(512, this.#options.load.valueBytesMax)));
      return { type: "put", key, value: valueOf(number, bytes, which), ...this.#attached() };
    }
    if (kind < 0.57) return { type: "delete", key };
    if (kind < 0.62) return { type: "deleteRange", start: key, end: this.key() };
    if (kind < 0.75) return this.#add();
    if (kind < 0.88) return { type: "get", key };
    return {
      type: "list",
      start: key,
      end: random.chance(0.5) ? null : this.key(),
      reverse: random.chance(0.3),
      limit: random.whole(1, listedMax),
      values: random.chance(0.5),
    };
  }

  /** Mostly small and without bounds; at times up to the ends of what fits. */
  #add(): Operation {
    const random = this.#random;
    const number = random.below(counters);
    const key = random.chance(0.05) ? this.key() : `count/${number}`;
    const delta = random.chance(0.1)
      ? random.pick([integerMin, integerMax, 0n])
      : BigInt(random.whole(-10, 20));
    const isBound = random.chance(0.3);
    const min = isBound ? BigInt(random.whole(-30, 5)) : null;
    const max = isBound ? BigInt(random.whole(10, 60)) : null;
    return { type: "add", key, delta, min, max };
  }

  #checks(max: number): Check[] {
    return Array.from({ length: this.#random.below(max + 1) }, () => this.#check());
  }

  #check(): Check {
    const random = this.#random;
    const key = random.chance(0.15) ? `count/${random.below(counters)}` : this.key();
    const kind = random.next();
    const op = random.pick([...comparisonOps, "<"] as const);
    if (kind < 0.25) return { type: "exists", key, exists: random.chance(0.7) };
    if (kind < 0.6) return { type: "revision", key, op, operand: this.#near(key) };
    if (kind < 0.7) return { type: "created", key, op, operand: this.#near(key) };
    if (kind < 0.85) return { type: "version", key, op, operand: random.below(6) };
    const operand = random.chance(0.5)
      ? new TextEncoder().encode(String(random.below(30)))
      : valueOf(this.#near(key), 8);
    return { type: "value", key, op, operand };
  }

  #near(key: Key): number {
    const seen = this.#seen.get(key) ?? 0;
    return this.#random.chance(0.7) ? seen : Math.max(0, seen + this.#random.whole(-3, 3));
  }

  /** As many as a command may have. */
  #conditions(key: Key): Condition[] {
    const count = Math.min(conditionsMax, this.#random.pick([0, 0, 0, 0, 0, 1, 1, 2, 2, 3]));
    return Array.from({ length: count }, () => this.#condition(key));
  }

  #condition(key: Key): Condition {
    const kind = this.#random.next();
    if (kind < 0.25) return { type: "exists" };
    if (kind < 0.4) return { type: "absent" };
    return { type: kind < 0.75 ? "revision" : "notRevision", revisions: this.#revisions(key) };
  }

  /** Mostly the one that was seen last, at any place among others; at times 0, which is no key's. */
  #revisions(key: Key): number[] {
    const random = this.#random;
    const seen = this.#seen.get(key) ?? 1;
    const revisions = Array.from(
      { length: random.below(4) },
      () => Math.max(0, seen + random.whole(-3, 3)),
    );
    if (random.chance(0.8)) revisions.splice(random.below(revisions.length + 1), 0, seen);
    return revisions;
  }
}
