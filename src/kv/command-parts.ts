/** The parts of a decoded command, each checked to be what it has to be. All throw {@link MalformedBytes}. */
import { MalformedBytes } from "../errors.ts";
import {
  type BatchItem,
  type Check,
  checksMax,
  type ComparisonOp,
  comparisonOps,
  type Condition,
  conditionRevisionsMax,
  conditionsMax,
  defaultContentType,
  integerMax,
  integerMin,
  isContentType,
  listItemsMax,
  metadataBytesMax,
  type Operation,
  type PutExtras,
  rangeBytesMax,
  ttlMsMax,
  valueBytesMax,
} from "./command.ts";
import { type Key, keyBytesMax, keyFromBytes } from "./key.ts";

export function malformed(what: string): MalformedBytes {
  return new MalformedBytes(what, 0);
}

export function checkBytes(value: unknown, what: string, bytesMax: number): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed(`the ${what} is not a byte string`);
  if (value.length > bytesMax) throw malformed(`a ${what} of over ${bytesMax} bytes`);
  return value;
}

export function checkKey(value: unknown): Key {
  const bytes = checkBytes(value, "key", keyBytesMax);
  if (bytes.length === 0) throw malformed("the key is empty");
  return keyFromBytes(bytes);
}

export function checkRange(
  start: unknown,
  end: unknown,
  bytesMax: number,
): { readonly start: Key; readonly end: Key | null } {
  const bound = (value: unknown) => keyFromBytes(checkBytes(value, "bound of a range", bytesMax));
  return { start: bound(start), end: end === null ? null : bound(end) };
}

export function checkContentType(value: unknown): string {
  if (value === null) return defaultContentType;
  if (typeof value === "string" && isContentType(value)) return value;
  throw malformed("the content type is not fit for a header");
}

/** A whole number from `min` to `max`. */
export function checkWhole(
  value: unknown,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) {
    return value;
  }
  throw malformed(`not a whole number from ${min} to ${max}`);
}

export function checkList<T>(
  value: unknown,
  itemsMax: number,
  checkItem: (item: unknown) => T,
): readonly T[] {
  if (!Array.isArray(value)) throw malformed("not an array");
  if (value.length > itemsMax) throw malformed(`an array of over ${itemsMax}`);
  return value.map((item) => checkItem(item));
}

export function checkConditions(value: unknown): readonly Condition[] {
  return checkList(value, conditionsMax, checkCondition);
}

function checkCondition(value: unknown): Condition {
  const items = itemsOf(value);
  const [type, revisions] = items;
  if ((type === "exists" || type === "absent") && items.length === 1) return { type };
  if ((type === "revision" || type === "notRevision") && items.length === 2) {
    const whole = (revision: unknown) => checkWhole(revision, 0);
    return { type, revisions: checkList(revisions, conditionRevisionsMax, whole) };
  }
  throw malformed("a condition that is not known");
}

export function checkExtras(value: unknown): PutExtras {
  const items = itemsOf(value);
  if (items.length !== 3) throw malformed("a put's extras are three");
  const [metadata, ttlMs, lease] = items;
  return {
    metadata: metadata === null ? null : checkBytes(metadata, "metadata", metadataBytesMax),
    ttlMs: ttlMs === null ? null : checkWhole(ttlMs, 1, ttlMsMax),
    lease: lease === null ? null : checkWhole(lease, 1),
  };
}

export function checkBatchItem(value: unknown): BatchItem {
  const items = itemsOf(value);
  if (items.length !== 2) throw malformed("an item of a batch is checks and an operation");
  return {
    checks: checkList(items[0], checksMax, checkCheck),
    operation: checkOperation(items[1]),
  };
}

export function checkCheck(value: unknown): Check {
  const items = itemsOf(value);
  const [type, key, op, operand] = items;
  if (type === "exists" && items.length === 3) {
    return { type, key: checkKey(key), exists: checkBoolean(op) };
  }
  if (items.length !== 4) throw malformed("a check that is not known");
  switch (type) {
    case "revision":
    case "created":
    case "version":
      return { type, key: checkKey(key), op: checkOp(op), operand: checkWhole(operand, 0) };
    case "value": {
      const bytes = checkBytes(operand, "value", valueBytesMax);
      return { type, key: checkKey(key), op: checkOp(op), operand: bytes };
    }
    default:
      throw malformed("a check that is not known");
  }
}

export function checkOperation(value: unknown): Operation {
  const items = itemsOf(value);
  const [type, first, second, third, fourth, fifth] = items;
  switch (`${String(type)} ${items.length}`) {
    case "put 5":
      return {
        type: "put",
        key: checkKey(first),
        value: checkBytes(second, "value", valueBytesMax),
        contentType: checkContentType(third),
        ...(fourth === null ? {} : { extras: checkExtras(fourth) }),
      };
    case "delete 2":
      return { type: "delete", key: checkKey(first) };
    case "get 2":
      return { type: "get", key: checkKey(first) };
    case "deleteRange 3":
      return { type: "deleteRange", ...checkRange(first, second, rangeBytesMax) };
    case "add 5":
      return {
        type: "add",
        key: checkKey(first),
        delta: checkInteger(second),
        min: third === null ? null : checkInteger(third),
        max: fourth === null ? null : checkInteger(fourth),
      };
    case "list 6":
      return {
        type: "list",
        ...checkRange(first, second, rangeBytesMax),
        reverse: checkBoolean(third),
        limit: checkWhole(fourth, 1, listItemsMax),
        values: checkBoolean(fifth),
      };
    default:
      throw malformed("an operation that is not known");
  }
}

function itemsOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw malformed("not an array");
}

function checkBoolean(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw malformed("neither true nor false");
}

function checkOp(value: unknown): ComparisonOp {
  const found = comparisonOps.find((op) => op === value);
  if (found !== undefined) return found;
  throw malformed("a comparison that is not known");
}

function checkInteger(value: unknown): bigint {
  if (typeof value === "string") {
    const integer = integerIn(value);
    if (integer !== null) return integer;
  }
  throw malformed("not a 64-bit integer in decimal");
}

/** The 64-bit signed integer that `text` is in decimal, or null where it is none. */
export function integerIn(text: string): bigint | null {
  if (!/^-?(0|[1-9]\d{0,18})$/.test(text) || text === "-0") return null;
  const integer = BigInt(text);
  return integer >= integerMin && integer <= integerMax ? integer : null;
}
