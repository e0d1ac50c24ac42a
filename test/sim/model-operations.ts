/** What operations do, and when checks hold, in the plain model of the store. */
import { crc32 } from "node:zlib";
import type { Check, ComparisonOp, Condition, Operation } from "../../src/kv/command.ts";
import type { Key } from "../../src/kv/key.ts";
import type { Failure, ListedItem, OperationResult } from "../../src/kv/result.ts";
import type { Model, ModelItem } from "./model.ts";

type Of<Type extends Operation["type"]> = Extract<Operation, { type: Type }>;

const integerBits = 64;
const integerType = "text/plain";
const nothing = new Uint8Array();

/** What operations write, before it is known whether all of it stands. */
export class Draft {
  readonly written: Map<Key, ModelItem | null> = new Map();
  readonly model: Model;
  /** What may still be read, in bytes, and what might be at first. */
  bytesLeft: number;
  readonly #limit: number;

  constructor(model: Model, limit: number) {
    this.model = model;
    this.bytesLeft = limit;
    this.#limit = limit;
  }

  /** Takes room for what is shown, or says that there is none. */
  shows(items: readonly ListedItem[]): Failure | null {
    const bytes = items.reduce(
      (sum, { key, value, metadata }) => sum + key.length + value.length + (metadata?.length ?? 0),
      0,
    );
    if (bytes > this.bytesLeft) {
      return { type: "tooMuch", revision: this.model.revision, limit: this.#limit };
    }
    this.bytesLeft -= bytes;
    return null;
  }

  /** That which is written takes, if anything does. */
  get revision(): number {
    return this.model.revision + 1;
  }

  get(key: Key): ModelItem | null {
    const written = this.written.get(key);
    return written === undefined ? this.model.items.get(key) ?? null : written;
  }

  /** The keys that are there, in order. */
  keys({ start, end }: { readonly start: Key; readonly end: Key | null }): Key[] {
    const all = new Set([...this.model.items.keys(), ...this.written.keys()]);
    return [...all].filter((key) =>
      key >= start && (end === null || key < end) && this.get(key) !== null
    ).sort();
  }
}

/** All of them, or what is in the way of one. */
export function operateAll(
  draft: Draft,
  operations: readonly Operation[],
): { readonly results: readonly OperationResult[] } | Failure {
  for (const operation of operations) {
    const lease = operation.type === "put" ? operation.extras?.lease ?? null : null;
    if (lease === null || draft.model.leases.has(lease)) continue;
    return { type: "noLease", revision: draft.model.revision, lease };
  }
  const results = [];
  for (const operation of operations) {
    const result = operate(draft, operation);
    if ("revision" in result) return result;
    results.push(result);
  }
  return { results };
}

function operate(draft: Draft, operation: Operation): OperationResult | Failure {
  switch (operation.type) {
    case "put":
      return putIn(draft, operation);
    case "add":
      return addIn(draft, operation);
    case "delete":
    case "deleteRange": {
      const { key } = operation.type === "delete" ? operation : { key: null };
      const keys = operation.type === "deleteRange"
        ? draft.keys(operation)
        : key !== null && draft.get(key) !== null
        ? [key]
        : [];
      for (const each of keys) draft.written.set(each, null);
      return { type: "deleted", deleted: keys.length };
    }
    case "get": {
      const found = draft.get(operation.key);
      const item = found === null ? null : listed(operation.key, found, "values");
      return draft.shows(item === null ? [] : [item]) ?? { type: "got", item };
    }
    case "list": {
      const keys = draft.keys(operation);
      if (operation.reverse) keys.reverse();
      const items = keys.slice(0, operation.limit).flatMap((key) => {
        const item = draft.get(key);
        return item === null ? [] : [listed(key, item, operation.values ? "values" : "keys")];
      });
      return draft.shows(items) ??
        { type: "listed", items, more: keys.length > operation.limit };
    }
  }
}

function putIn(draft: Draft, { key, value, contentType, extras }: Of<"put">): OperationResult {
  const { metadata, ttlMs, lease } = extras ?? { metadata: null, ttlMs: null, lease: null };
  const before = draft.get(key);
  const item = {
    value: new Uint8Array(value),
    crc: crc32(value),
    contentType,
    created: before?.created ?? draft.revision,
    revision: draft.revision,
    version: (before?.version ?? 0) + 1,
    metadata: metadata === null || metadata.length === 0 ? null : new Uint8Array(metadata),
    lease,
    due: ttlMs === null ? null : draft.model.time + ttlMs,
  };
  draft.written.set(key, item);
  return { type: "put", version: item.version, created: item.created };
}

function addIn(draft: Draft, { key, delta, min, max }: Of<"add">): OperationResult | Failure {
  const before = draft.get(key);
  const from = before === null ? 0n : integerIn(before.value);
  if (from === null) return { type: "notInteger", revision: draft.model.revision, key };
  const least = min ?? -(2n ** BigInt(integerBits - 1));
  const most = max ?? 2n ** BigInt(integerBits - 1) - 1n;
  const sum = from + delta;
  const raised = sum < least ? least : sum;
  const value = raised > most ? most : raised;
  const text = new TextEncoder().encode(String(value));
  const { contentType, created, version, metadata, lease, due } = before ?? {
    contentType: integerType,
    created: draft.revision,
    version: 0,
    metadata: null,
    lease: null,
    due: null,
  };
  draft.written.set(key, {
    value: text,
    crc: crc32(text),
    contentType,
    created,
    revision: draft.revision,
    version: version + 1,
    metadata,
    lease,
    due,
  });
  return { type: "added", value, version: version + 1 };
}

function integerIn(value: Uint8Array): bigint | null {
  const text = new TextDecoder("latin1").decode(value);
  if (!/^-?\d{1,19}$/.test(text)) return null;
  const number = BigInt(text);
  const isCanonical = String(number) === text;
  return isCanonical && BigInt.asIntN(integerBits, number) === number ? number : null;
}

function listed(key: Key, item: ModelItem, what: "values" | "keys"): ListedItem {
  const { crc: _, ...rest } = item;
  return { ...rest, key, value: what === "values" ? item.value : nothing };
}

/** The keys whose checks don't hold. */
export function failedChecks(
  { items }: { readonly items: ReadonlyMap<Key, ModelItem> },
  checks: readonly Check[],
): Key[] {
  return checks.filter((check) => !checkHolds(check, items.get(check.key) ?? null))
    .map(({ key }) => key);
}

function checkHolds(check: Check, item: ModelItem | null): boolean {
  switch (check.type) {
    case "exists":
      return check.exists === (item !== null);
    case "revision":
    case "created":
    case "version":
      return compares((item?.[check.type] ?? 0) - check.operand, check.op);
    case "value":
      if (item === null) return check.op === "!=";
      return compares(compareBytes(item.value, check.operand), check.op);
  }
}

function compares(difference: number, op: ComparisonOp): boolean {
  switch (op) {
    case "=":
      return difference === 0;
    case "!=":
      return difference !== 0;
    case "<":
      return difference < 0;
    case ">":
      return difference > 0;
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** `current` is the key's revision, 0 where it is absent. */
export function conditionHolds(condition: Condition, current: number): boolean {
  switch (condition.type) {
    case "exists":
      return current !== 0;
    case "absent":
      return current === 0;
    case "revision":
      return condition.revisions.some((revision) => revision === current && current !== 0);
    case "notRevision":
      return current === 0 || !condition.revisions.some((revision) => revision === current);
  }
}
