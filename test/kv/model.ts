/** The state machine, naively: a complete map of the keys for every revision that there ever was. */
import { integerIn } from "../../src/kv/command-parts.ts";
import type {
  AddOperation,
  Check,
  ComparisonOp,
  Condition,
  HistoryLimits,
  ListOperation,
  Operation,
  PutExtras,
  PutOperation,
} from "../../src/kv/command.ts";
import { defaultContentType } from "../../src/kv/command.ts";
import { bytes } from "./machines.ts";
import type { KeyRange } from "../../src/kv/ordered-map.ts";
import type { Item } from "../../src/kv/record.ts";
import type { ListedItem, OperationResult } from "../../src/kv/result.ts";

export type Keys = ReadonlyMap<string, Item>;
/** What an operation can't do: the result, but for the store's revision. */
export type Refusal =
  | { readonly type: "conditionFailed"; readonly current: number | null }
  | { readonly type: "noLease"; readonly lease: number }
  | { readonly type: "notInteger"; readonly key: string }
  | { readonly type: "tooMuch"; readonly limit: number };

export interface ModelEvent {
  readonly key: string;
  readonly item: Item | null;
  readonly previous: Item | null;
}

/** Keys in order. */
export function listed(keys: Keys, { start, end }: KeyRange): [string, Item][] {
  return [...keys].filter(([key]) => key >= start && (end === null || key < end))
    .toSorted(([a], [b]) => a < b ? -1 : 1);
}

export function differences(before: Keys, after: Keys): ModelEvent[] {
  return [...new Set([...before.keys(), ...after.keys()])].toSorted()
    .map((key) => ({ key, item: after.get(key) ?? null, previous: before.get(key) ?? null }))
    .filter(({ item, previous }) => item !== previous);
}

/** Revisions, and how far back they are kept. */
export class Revisions {
  /** By revision. */
  readonly states: Keys[] = [new Map()];
  floor = 0;
  #limits: HistoryLimits = { revisionsMax: 100_000, bytesMax: 16 * 1024 * 1024 };

  get revision(): number {
    return this.states.length - 1;
  }

  get now(): Keys {
    return this.states.at(-1)!;
  }

  set limits(limits: HistoryLimits) {
    this.#limits = limits;
    this.#prune();
  }

  /** Takes a revision where anything is not as before. */
  commit(keys: Keys): void {
    if (differences(this.now, keys).length === 0) return;
    this.states.push(keys);
    if (this.#bytesOf(this.revision) > this.#limits.bytesMax) this.floor = this.revision;
    this.#prune();
  }

  eventsOf(revision: number): ModelEvent[] {
    return differences(this.states[revision - 1]!, this.states[revision]!);
  }

  /** What a change takes up: the format's own numbers. */
  #bytesOf(revision: number): number {
    const events = this.eventsOf(revision).map(({ key, previous }) => {
      if (previous === null) return 9 + 2 + key.length;
      const { contentType, value, metadata, lease, due } = previous;
      const type = contentType === defaultContentType ? 0 : contentType.length;
      const isAttached = metadata !== null || lease !== null || due !== null;
      return 9 + 32 + key.length + type + value.length +
        (isAttached ? 18 + (metadata?.length ?? 0) : 0);
    });
    return events.reduce((sum, each) => sum + each, 16);
  }

  #prune(): void {
    const { revisionsMax, bytesMax } = this.#limits;
    let kept = 0;
    for (let at = this.revision; at > this.floor; at--) {
      kept += this.#bytesOf(at);
      if (kept > bytesMax || this.revision - at >= revisionsMax) this.floor = at;
    }
  }
}

/** Operations on keys that become one revision. */
export class Draft {
  readonly keys: Map<string, Item>;
  readonly #revision: number;
  readonly #time: number;

  constructor({ now, revision }: Revisions, time: number) {
    this.keys = new Map(now);
    this.#revision = revision + 1;
    this.#time = time;
  }

  run(operation: Operation, readable: { left: number; limit: number }): OperationResult | Refusal {
    switch (operation.type) {
      case "put":
        return this.#put(operation);
      case "delete":
        return { type: "deleted", deleted: Number(this.keys.delete(operation.key)) };
      case "deleteRange": {
        const doomed = listed(this.keys, operation);
        for (const [key] of doomed) this.keys.delete(key);
        return { type: "deleted", deleted: doomed.length };
      }
      case "add":
        return this.#add(operation);
      case "get": {
        const item = this.keys.get(operation.key);
        if (item === undefined) return { type: "got", item: null };
        const found = { key: operation.key, ...item };
        return take([found], readable) ?? { type: "got", item: found };
      }
      case "list":
        return this.#list(operation, readable);
    }
  }

  #put({ key, value, contentType, extras }: PutOperation): OperationResult {
    const { version, created } = this.#set(key, { value, contentType, ...this.#attached(extras) });
    return { type: "put", version, created };
  }

  #attached(extras: PutExtras | undefined): Pick<Item, "metadata" | "lease" | "due"> {
    const { metadata = null, lease = null, ttlMs = null } = extras ?? {};
    return {
      metadata: metadata === null || metadata.length === 0 ? null : metadata.slice(),
      lease,
      due: ttlMs === null ? null : this.#time + ttlMs,
    };
  }

  #set(
    key: string,
    held: Pick<Item, "contentType" | "metadata" | "lease" | "due"> & {
      readonly value: Uint8Array;
    },
  ): Item {
    const before = this.keys.get(key);
    const item: Item = {
      ...held,
      value: held.value.slice() as Uint8Array<ArrayBuffer>,
      created: before?.created ?? this.#revision,
      revision: this.#revision,
      version: (before?.version ?? 0) + 1,
    };
    this.keys.set(key, item);
    return item;
  }

  #add({ key, delta, min, max }: AddOperation): OperationResult | Refusal {
    const item = this.keys.get(key);
    const text = item === undefined ? "0" : new TextDecoder("latin1").decode(item.value);
    const before = text.length > 20 ? null : integerIn(text);
    if (before === null) return { type: "notInteger", key };
    let value = before + delta;
    if (value < (min ?? -(2n ** 63n))) value = min ?? -(2n ** 63n);
    if (value > (max ?? 2n ** 63n - 1n)) value = max ?? 2n ** 63n - 1n;
    const attached = item ??
      { contentType: "text/plain", metadata: null, lease: null, due: null };
    const { version } = this.#set(key, { ...attached, value: bytes(String(value)) });
    return { type: "added", value, version };
  }

  #list(
    operation: ListOperation,
    readable: { left: number; limit: number },
  ): OperationResult | Refusal {
    const { reverse, limit, values } = operation;
    const all = listed(this.keys, operation).map(([key, item]) => ({
      key,
      ...item,
      value: values ? item.value : new Uint8Array(),
    }));
    const items = (reverse ? all.toReversed() : all).slice(0, limit);
    return take(items, readable) ?? { type: "listed", items, more: all.length > limit };
  }
}

function take(
  items: readonly ListedItem[],
  readable: { left: number; limit: number },
): Refusal | null {
  const total = items.reduce(
    (sum, { key, value, contentType, metadata }) =>
      sum + 64 + key.length + value.length + contentType.length + (metadata?.length ?? 0),
    0,
  );
  if (total > readable.left) return { type: "tooMuch", limit: readable.limit };
  readable.left -= total;
  return null;
}

export function conditionHolds(condition: Condition, item: Item | undefined): boolean {
  switch (condition.type) {
    case "exists":
      return item !== undefined;
    case "absent":
      return item === undefined;
    case "revision":
      return item !== undefined && condition.revisions.includes(item.revision);
    case "notRevision":
      return item === undefined || !condition.revisions.includes(item.revision);
  }
}

export function checkHolds(check: Check, item: Item | undefined): boolean {
  switch (check.type) {
    case "exists":
      return (item !== undefined) === check.exists;
    case "value":
      if (item === undefined) return check.op === "!=";
      return compares(Buffer.compare(item.value, check.operand), check.op);
    case "revision":
    case "created":
    case "version":
      return compares((item?.[check.type] ?? 0) - check.operand, check.op);
  }
}

function compares(order: number, op: ComparisonOp): boolean {
  const found = order === 0 ? "=" : order < 0 ? "<" : ">";
  return op === "!=" ? found !== "=" : found === op;
}
