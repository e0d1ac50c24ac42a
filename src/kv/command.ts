/**
 * Commands: what stands in the log for the state machine, as CBOR.
 *
 *     command    := [1, "put", key, value, content type | null, conditions]
 *                 | [1, "delete", key, conditions]
 *                 | [1, "deleteRange", start, end | null]
 *     conditions := [condition…]      all of them must hold
 *     condition  := ["exists"] | ["absent"] | ["revision", [revision…]] | ["notRevision", [revision…]]
 *
 * Keys and values are byte strings; a null content type is the default one, which most values have. The first item is
 * the format's version. A command of a version, type or shape that a replica doesn't know changes nothing, the same on
 * all of them; a later version may therefore be proposed only once every member knows it.
 */
import { type CborLimits, decodeCbor, encodeCbor } from "../cbor.ts";
import { MalformedBytes } from "../errors.ts";
import { type Key, keyBytesMax, keyFromBytes, keyToBytes } from "./key.ts";

/** About a key's current revision, 0 where it is absent. */
export type Condition =
  | { readonly type: "exists" }
  | { readonly type: "absent" }
  /** The key is there, at one of these. */
  | { readonly type: "revision"; readonly revisions: readonly number[] }
  /** The key is absent, or at none of these. */
  | { readonly type: "notRevision"; readonly revisions: readonly number[] };

export interface PutCommand {
  readonly type: "put";
  readonly key: Key;
  readonly value: Uint8Array;
  readonly contentType: string;
  readonly conditions: readonly Condition[];
}
export interface DeleteCommand {
  readonly type: "delete";
  readonly key: Key;
  readonly conditions: readonly Condition[];
}
/** Deletes `start` ≤ key < `end`; a null `end` is "no end". */
export interface DeleteRangeCommand {
  readonly type: "deleteRange";
  readonly start: Key;
  readonly end: Key | null;
}
export type Command = PutCommand | DeleteCommand | DeleteRangeCommand;

/** Bounds on the parts of a command, as every replica checks them. A node may take less from its clients. */
export const valueBytesMax: number = 8 * 1024 * 1024;
export const contentTypeBytesMax: number = 256;
export const conditionsMax: number = 2;
export const conditionRevisionsMax: number = 16;
/** A range may begin or end right behind the longest key. */
export const rangeBytesMax: number = keyBytesMax + 1;

/** What a value is where its writer does not say. */
export const defaultContentType: string = "application/octet-stream";

const version = 1;
const limits: CborLimits = {
  totalBytesMax: valueBytesMax + 64 * 1024,
  depthMax: 4,
  itemsMax: 64,
  textBytesMax: contentTypeBytesMax,
  byteStringBytesMax: valueBytesMax,
};

/** The bytes to propose; they hold a copy of the value. */
export function encodeCommand(command: Command): Uint8Array {
  switch (command.type) {
    case "put": {
      const { key, value, contentType, conditions } = command;
      const type = contentType === defaultContentType ? null : contentType;
      const encoded = conditions.map(encodeCondition);
      return encodeCbor([version, "put", keyToBytes(key), value, type, encoded]);
    }
    case "delete": {
      const { key, conditions } = command;
      return encodeCbor([version, "delete", keyToBytes(key), conditions.map(encodeCondition)]);
    }
    case "deleteRange": {
      const { start, end } = command;
      return encodeCbor([
        version,
        "deleteRange",
        keyToBytes(start),
        end === null ? null : keyToBytes(end),
      ]);
    }
  }
}

function encodeCondition(condition: Condition): unknown[] {
  switch (condition.type) {
    case "exists":
    case "absent":
      return [condition.type];
    case "revision":
    case "notRevision":
      return [condition.type, condition.revisions];
  }
}

/**
 * The command in `bytes`. A put's value is a view into them.
 * @throws {MalformedBytes} where there is none that is known here.
 */
export function decodeCommand(bytes: Uint8Array): Command {
  const decoded = decodeCbor(bytes, limits);
  const items = Array.isArray(decoded) ? decoded : [];
  if (items[0] !== version) throw malformed("not a command of version 1");
  const [, type, first, second, third, fourth] = items;
  if (type === "put" && items.length === 6) {
    return {
      type,
      key: checkKey(first),
      value: checkBytes(second, "value"),
      contentType: third === null ? defaultContentType : checkContentType(third),
      conditions: checkConditions(fourth),
    };
  }
  if (type === "delete" && items.length === 4) {
    return { type, key: checkKey(first), conditions: checkConditions(second) };
  }
  if (type === "deleteRange" && items.length === 4) {
    return {
      type,
      start: checkBound(first),
      end: second === null ? null : checkBound(second),
    };
  }
  throw malformed("neither a put, a delete nor a deleteRange, or one of another length");
}

/** Whether `text` may be kept as a content type: it has to be fit for a header of an answer. */
export function isContentType(text: string): boolean {
  return text.length > 0 && text.length <= contentTypeBytesMax && /^[\x20-\x7e]+$/.test(text);
}

function malformed(what: string): MalformedBytes {
  return new MalformedBytes(what, 0);
}

function checkBytes(value: unknown, what: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw malformed(`the ${what} is not a byte string`);
}

function checkKey(value: unknown): Key {
  const bytes = checkBytes(value, "key");
  if (bytes.length === 0) throw malformed("the key is empty");
  if (bytes.length > keyBytesMax) throw malformed(`a key of over ${keyBytesMax} bytes`);
  return keyFromBytes(bytes);
}

function checkBound(value: unknown): Key {
  const bytes = checkBytes(value, "range's bound");
  if (bytes.length > rangeBytesMax) throw malformed(`a bound of over ${rangeBytesMax} bytes`);
  return keyFromBytes(bytes);
}

function checkContentType(value: unknown): string {
  if (typeof value === "string" && isContentType(value)) return value;
  throw malformed("the content type is not fit for a header");
}

function checkConditions(value: unknown): readonly Condition[] {
  if (!Array.isArray(value)) throw malformed("the conditions are not an array");
  if (value.length > conditionsMax) throw malformed(`over ${conditionsMax} conditions`);
  return value.length === 0 ? none : value.map(checkCondition);
}
const none: readonly Condition[] = [];

function checkCondition(value: unknown): Condition {
  const items = Array.isArray(value) ? value : [];
  const [type, revisions] = items;
  if ((type === "exists" || type === "absent") && items.length === 1) return { type };
  if ((type === "revision" || type === "notRevision") && items.length === 2) {
    if (
      Array.isArray(revisions) && revisions.length <= conditionRevisionsMax &&
      revisions.every(isRevision)
    ) {
      return { type, revisions };
    }
  }
  throw malformed("a condition that is not known");
}

function isRevision(value: unknown): value is number {
  return Number.isSafeInteger(value) && typeof value === "number" && value >= 0;
}
