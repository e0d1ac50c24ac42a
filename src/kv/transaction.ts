/** Operations as they are carried out: alone, of a batch, or all of a transaction by one revision. */
import { integerIn } from "./command-parts.ts";
import {
  type AddOperation,
  type BatchItem,
  type Check,
  type ComparisonOp,
  integerMax,
  integerMin,
  type LeaseId,
  type Operation,
  type PutExtras,
  type TransactionCommand,
} from "./command.ts";
import type { Edit } from "./edit.ts";
import { type Key, keyFromBytes } from "./key.ts";
import type { Attached, Item } from "./record.ts";
import type { BatchItemResult, Failure, KvResult, ListedItem, OperationResult } from "./result.ts";
import type { Store } from "./store.ts";

/** What operations depend on beside the keys. */
export interface Circumstances {
  readonly store: Store;
  /** The cluster's time, in milliseconds. */
  readonly time: number;
  readonly hasLease: (lease: LeaseId) => boolean;
  /** What may be read, in bytes. */
  readonly resultBytesMax: number;
}

/** Thrown within a transaction whose changes are then dropped. */
class Failed extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.type);
    this.failure = failure;
  }
}

/** All of `then`, or of `else`, or nothing. */
export function runTransaction(
  around: Circumstances,
  { checks, then, else: otherwise }: TransactionCommand,
): KvResult {
  const { store } = around;
  const succeeded = checks.every((check) => checkHolds(store, check));
  const done = runAll(around, succeeded ? then : otherwise);
  if ("failure" in done) return done.failure;
  const { revision, results } = done;
  return { type: "transaction", revision, succeeded, results };
}

/** One after the other, each by itself. */
export function runBatch(around: Circumstances, items: readonly BatchItem[]): KvResult {
  const { store } = around;
  let bytesLeft = around.resultBytesMax;
  const results = items.map((item) => {
    const result = runItem(around, item, bytesLeft);
    bytesLeft -= resultBytes(result);
    return result;
  });
  return { type: "batch", revision: store.revision, results };
}

function runItem(
  around: Circumstances,
  { checks, operation }: BatchItem,
  bytesMax: number,
): BatchItemResult {
  const { store } = around;
  const failing = checks.find((check) => !checkHolds(store, check));
  if (failing !== undefined) {
    const current = checks.length === 1 ? store.past(failing.key)?.revision ?? 0 : null;
    return { type: "conditionFailed", revision: store.revision, current };
  }
  const alone = runAlone(around, operation);
  if (alone !== null) return alone;
  const done = runAll(around, [operation], bytesMax);
  return "failure" in done ? done.failure : { ...done.results[0]!, revision: done.revision };
}

/** What changes one key, whatever it holds, is done at once: it needs no change in the making. Null for all else. */
function runAlone(around: Circumstances, operation: Operation): BatchItemResult | null {
  const { store } = around;
  if (operation.type === "put") {
    const { key, value, contentType, extras } = operation;
    const lease = leaseOf(operation);
    if (lease !== null && !around.hasLease(lease)) return noLease(store, lease);
    const attached = attachedOf(extras, around.time);
    const { revision, version, created } = store.put(key, { value, contentType, attached });
    return { type: "put", revision, version, created };
  }
  if (operation.type !== "delete") return null;
  const deleted = store.delete(operation.key);
  return { type: "deleted", revision: store.revision, deleted };
}

function runAll(
  around: Circumstances,
  operations: readonly Operation[],
  bytesMax: number = around.resultBytesMax,
):
  | { readonly revision: number; readonly results: readonly OperationResult[] }
  | { readonly failure: Failure } {
  const { store } = around;
  for (const operation of operations) {
    const lease = leaseOf(operation);
    if (lease !== null && !around.hasLease(lease)) return { failure: noLease(store, lease) };
  }
  const edit = store.edit();
  if (mayFailLate(operations)) edit.save();
  try {
    let bytesLeft = bytesMax;
    const results = operations.map((operation) => {
      const result = run(around, edit, operation, bytesLeft);
      bytesLeft -= resultBytes(result);
      return result;
    });
    return { revision: edit.commit(), results };
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    edit.drop();
    return { failure: error.failure };
  }
}

export function noLease({ revision }: Store, lease: LeaseId): Failure {
  return { type: "noLease", revision, lease };
}

function leaseOf(operation: Operation): LeaseId | null {
  return operation.type === "put" ? operation.extras?.lease ?? null : null;
}

/** Whether an operation may turn out to be impossible when others have changed something already. */
function mayFailLate(operations: readonly Operation[]): boolean {
  const firstChange = operations.findIndex(({ type }) => type !== "get" && type !== "list");
  return firstChange >= 0 &&
    operations.slice(firstChange + 1).some(({ type }) =>
      type === "add" || type === "get" || type === "list"
    );
}

function run(
  around: Circumstances,
  edit: Edit,
  operation: Operation,
  bytesMax: number,
): OperationResult {
  switch (operation.type) {
    case "put": {
      const { key, value, contentType, extras } = operation;
      const attached = attachedOf(extras, around.time);
      const { version, created } = edit.put(key, { value, contentType, attached });
      return { type: "put", version, created };
    }
    case "delete":
      return { type: "deleted", deleted: edit.delete(operation.key) };
    case "deleteRange":
      return { type: "deleted", deleted: edit.deleteRange(operation) };
    case "add":
      return runAdd(around, edit, operation);
    case "get": {
      const item = edit.get(operation.key);
      if (item === undefined) return { type: "got", item: null };
      if (itemBytes(operation.key, item) > bytesMax) throw tooMuch(around);
      return { type: "got", item: { key: operation.key, ...item } };
    }
    case "list": {
      const items: ListedItem[] = [];
      let bytes = 0;
      for (const [key, item] of edit.list(operation)) {
        if (items.length === operation.limit) return { type: "listed", items, more: true };
        const shown = operation.values ? item : { ...item, value: new Uint8Array() };
        bytes += itemBytes(key, shown);
        if (bytes > bytesMax) throw tooMuch(around);
        items.push({ key, ...shown });
      }
      return { type: "listed", items, more: false };
    }
  }
}

function tooMuch({ store, resultBytesMax: limit }: Circumstances): Failed {
  return new Failed({ type: "tooMuch", revision: store.revision, limit });
}

const integerType = "text/plain";
/** The longest 64-bit integer in decimal. */
const integerBytesMax = 20;

function runAdd(around: Circumstances, edit: Edit, operation: AddOperation): OperationResult {
  const { key, delta } = operation;
  const item = edit.get(key);
  const before = item === undefined ? 0n : integerOf(item);
  if (before === null) {
    throw new Failed({ type: "notInteger", revision: around.store.revision, key });
  }
  const value = within(before + delta, operation.min ?? integerMin, operation.max ?? integerMax);
  const text = String(value);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const attached = item === undefined ? null : keptOf(item);
  const contentType = item?.contentType ?? integerType;
  const { version } = edit.put(key, { value: bytes, contentType, attached });
  return { type: "added", value, version };
}

function integerOf({ value }: Item): bigint | null {
  return value.length > integerBytesMax ? null : integerIn(keyFromBytes(value));
}

/** The upper bound wins where they cross. */
function within(value: bigint, min: bigint, max: bigint): bigint {
  const raised = value < min ? min : value;
  return raised > max ? max : raised;
}

function keptOf({ metadata, lease, due }: Item): Attached | null {
  return metadata === null && lease === null && due === null ? null : { metadata, lease, due };
}

/** What a put attaches to its key. */
export function attachedOf(extras: PutExtras | undefined, time: number): Attached | null {
  if (extras === undefined) return null;
  const metadata = extras.metadata?.length === 0 ? null : extras.metadata;
  const due = extras.ttlMs === null ? null : time + extras.ttlMs;
  const { lease } = extras;
  return metadata === null && lease === null && due === null ? null : { metadata, lease, due };
}

function checkHolds(store: Store, check: Check): boolean {
  switch (check.type) {
    case "exists":
      return (store.past(check.key) !== undefined) === check.exists;
    case "revision":
    case "created":
    case "version": {
      const found = store.past(check.key)?.[check.type] ?? 0;
      return compares(found - check.operand, check.op);
    }
    case "value": {
      const item = store.get(check.key);
      if (item === undefined) return check.op === "!=";
      return compares(compareBytes(item.value, check.operand), check.op);
    }
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
  const common = Math.min(a.length, b.length);
  for (let i = 0; i < common; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** What an item's numbers, and the heads of its parts, come to in a result. */
const itemOverheadBytes = 64;

function itemBytes(key: Key, { value, contentType, metadata }: Item): number {
  return itemOverheadBytes + key.length + value.length + contentType.length +
    (metadata?.length ?? 0);
}

function resultBytes(result: OperationResult | Failure): number {
  if (result.type === "got") {
    return result.item === null ? 0 : itemBytes(result.item.key, result.item);
  }
  if (result.type !== "listed") return 0;
  return result.items.reduce((sum, item) => sum + itemBytes(item.key, item), 0);
}
