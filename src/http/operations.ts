/**
 * Operations and checks, from what a request's document says to what a command holds. The document's shape was checked
 * before (`wire/operations.ts`); here is what a shape can't say: sizes, encodings, ranges of numbers.
 *
 * Everything here throws a {@link Refusal}, 400 or 413, that names the place.
 */
import {
  type BatchItem,
  type Check,
  defaultContentType,
  isContentType,
  metadataBytesMax,
  type Operation,
  type PutExtras,
  rangeBytesMax,
} from "../kv/command.ts";
import { integerIn } from "../kv/command-parts.ts";
import { type Key, keyBytesMax, keyFromBytes, keyToBytes, prefixEnd } from "../kv/key.ts";
import type { KeyRange } from "../kv/ordered-map.ts";
import { ttlMsOf } from "./duration.ts";
import { pageItemsDefault } from "./limits.ts";
import { badRequest, type Refusal, tooLarge } from "./problem.ts";
import { bytesOfText, fromBase64, keyOfText } from "./text.ts";
import type {
  AddFields,
  BareKeyFields,
  BatchOperationRequest,
  CheckRequest,
  KeyFields,
  ListFields,
  OperationRequest,
  PutFields,
  RangeFields,
} from "./wire.ts";

/** Where in the document a member is, for an error: made only where there is one. */
type Place = (member: string) => string;

/** The checks of a list called `name`. */
export function checksOf(
  checks: readonly CheckRequest[] | undefined,
  name: string,
  valueBytesMax: number,
): readonly Check[] {
  return checks === undefined
    ? none
    : checks.map((check, at) =>
      checkOf(check, (member) => `body: ${name}[${at}].${member}`, valueBytesMax)
    );
}

/** The operations of a list called `name`. */
export function operationsOf(
  operations: readonly OperationRequest[] | undefined,
  name: string,
  valueBytesMax: number,
): readonly Operation[] {
  return operations === undefined
    ? none
    : operations.map((operation, at) =>
      operationOf(operation, (member) => `body: ${name}[${at}].${member}`, valueBytesMax)
    );
}

export function batchItemsOf(
  operations: readonly BatchOperationRequest[],
  valueBytesMax: number,
): readonly BatchItem[] {
  const checks = operations.reduce((sum, { if: given = none }) => sum + given.length, 0);
  if (checks > batchChecksMax) throw badRequest(`body: ops: takes ${batchChecksMax} checks in all`);
  return operations.map((request, at) => ({
    checks: checksOf(request.if, `ops[${at}].if`, valueBytesMax),
    operation: operationOf(request, (member) => `body: ops[${at}].${member}`, valueBytesMax),
  }));
}

const none: readonly never[] = [];

/** Checks of all operations of a batch: a command holds so many items. */
const batchChecksMax = 10_000;

function checkOf(request: CheckRequest, place: Place, valueBytesMax: number): Check {
  const key = "value" in request ? keyOf(request, place) : bareKeyOf(request, place);
  if ("exists" in request) return { type: "exists", key, exists: request.exists };
  const { op = "=" } = request;
  if ("value" in request) {
    const operand = valueOf(request, () => place("value"), valueBytesMax);
    return { type: "value", key, op, operand };
  }
  if ("revision" in request) return { type: "revision", key, op, operand: request.revision };
  if ("created" in request) return { type: "created", key, op, operand: request.created };
  return { type: "version", key, op, operand: request.version };
}

function operationOf(request: OperationRequest, place: Place, valueBytesMax: number): Operation {
  if ("put" in request) return putOf(request.put, (name) => place(`put.${name}`), valueBytesMax);
  if ("get" in request) {
    return { type: "get", key: bareKeyOf(request.get, (name) => place(`get.${name}`)) };
  }
  if ("delete" in request) {
    const inside: Place = (name) => place(`delete.${name}`);
    const fields = request.delete;
    if ("key" in fields) return { type: "delete", key: bareKeyOf(fields, inside) };
    const range = rangeOf(fields, inside);
    if (range === null) throw badRequest(`${place("delete")}: a key or a range is needed`);
    return { type: "deleteRange", ...range };
  }
  if ("list" in request) return listOf(request.list, (name) => place(`list.${name}`));
  return addOf(request.add, (name) => place(`add.${name}`));
}

function putOf(fields: PutFields, place: Place, valueBytesMax: number): Operation {
  const { contentType = defaultContentType } = fields;
  if (!isContentType(contentType)) {
    throw badRequest(`${place("contentType")}: takes 1 to 256 printable ASCII characters`);
  }
  const key = keyOf(fields, place);
  const value = valueOf(fields, () => place("value"), valueBytesMax);
  const extras = extrasOf(fields, place);
  return { type: "put", key, value, contentType, ...(extras === null ? {} : { extras }) };
}

function extrasOf({ ttl, lease, metadata }: PutFields, place: Place): PutExtras | null {
  if (ttl === undefined && lease === undefined && metadata === undefined) return null;
  return {
    ttlMs: ttl === undefined ? null : ttlMsOf(ttl, `${place("ttl")}:`),
    lease: lease === undefined ? null : leaseIn(lease, `${place("lease")}:`),
    metadata: metadata === undefined ? null : metadataIn(metadata, `${place("metadata")}:`),
  };
}

/** The number that a lease's id is. @param where what `text` is, for the error. */
export function leaseIn(text: string, where: string): number {
  const lease = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(lease)) return lease;
  throw badRequest(`${where} takes the id of a lease, a string of digits`);
}

/** Metadata, in base64 where they are text; null where they are empty. */
export function metadataIn(metadata: string | Uint8Array, where: string): Uint8Array | null {
  const bytes = typeof metadata === "string" ? fromBase64(metadata) : metadata;
  if (bytes === null) throw badRequest(`${where} takes base64`);
  if (bytes.length > metadataBytesMax) throw tooLarge(where.replace(/:$/, ""), metadataBytesMax);
  if (bytes.length === 0) return null;
  return typeof bytes === "string" ? keyToBytes(bytes) : bytes;
}

function listOf(fields: ListFields, place: Place): Operation {
  const { reverse = false, limit = pageItemsDefault, values = true } = fields;
  const range = rangeOf(fields, place) ?? { start: "", end: null };
  return { type: "list", ...range, reverse, limit, values };
}

function addOf(fields: AddFields, place: Place): Operation {
  const integer = (name: "delta" | "min" | "max"): bigint | null => {
    const given = fields[name];
    if (given === undefined) return null;
    const found = integerIn(Object.is(given, -0) ? "0" : String(given));
    if (found === null) throw badRequest(`${place(name)}: takes a 64-bit integer`);
    return found;
  };
  const [delta, min, max] = [integer("delta") ?? 0n, integer("min"), integer("max")];
  if (min !== null && max !== null && min > max) throw badRequest(`${place("min")}: is above max`);
  return { type: "add", key: bareKeyOf(fields, place), delta, min, max };
}

function keyOf({ key: given, keyEncoding }: KeyFields, place: Place): Key {
  const key = bytesIn(given, keyEncoding, () => place("key"));
  if (key.length === 0) throw badRequest(`${place("key")}: is empty`);
  if (key.length > keyBytesMax) throw tooLarge(place("key"), keyBytesMax);
  return key;
}

/** Of a key that has no value beside it. */
export function bareKeyOf({ key, keyEncoding, encoding }: BareKeyFields, place: Place): Key {
  return keyOf({ key, keyEncoding: keyEncoding ?? encoding }, place);
}

/** The range that is named, or null where none is. */
export function rangeOf(fields: RangeFields, place: Place): KeyRange | null {
  const { prefix, start, end, encoding, keyEncoding = encoding } = fields;
  const bound = (name: "prefix" | "start" | "end"): Key | null => {
    const given = fields[name];
    if (given === undefined) return null;
    const key = bytesIn(given, keyEncoding, () => place(name));
    if (key.length > rangeBytesMax) throw tooLarge(place(name), rangeBytesMax);
    return key;
  };
  if (prefix === undefined) {
    if (start === undefined && end === undefined) return null;
    return { start: bound("start") ?? "", end: bound("end") };
  }
  if (start !== undefined || end !== undefined) {
    throw badRequest(`${place("prefix")}: does not go with start or end`);
  }
  const from = bound("prefix") ?? "";
  return { start: from, end: prefixEnd(from) };
}

/** A key, or a bound of a range, as a binary string. */
function bytesIn(
  given: string | Uint8Array,
  encoding: "base64" | undefined,
  place: () => string,
): Key {
  if (typeof given !== "string") return keyFromBytes(given);
  const key = encoding === undefined ? keyOfText(given) : fromBase64(given);
  if (key === null) throw unspelled(encoding, place());
  return key;
}

function valueOf(
  fields: { readonly value: string | Uint8Array; readonly encoding?: "base64" | undefined },
  place: () => string,
  bytesMax: number,
): Uint8Array {
  const { value, encoding } = fields;
  const bytes = typeof value !== "string"
    ? value
    : encoding === undefined
    ? bytesOfText(value)
    : bytesOfBase64(value);
  if (bytes === null) throw unspelled(encoding, place());
  if (bytes.length > bytesMax) throw tooLarge(place(), bytesMax);
  return bytes;
}

function bytesOfBase64(text: string): Uint8Array | null {
  const bytes = fromBase64(text);
  return bytes === null ? null : keyToBytes(bytes);
}

function unspelled(encoding: "base64" | undefined, place: string): Refusal {
  return badRequest(
    `${place}: ${encoding === undefined ? "holds half a surrogate pair" : "takes base64"}`,
  );
}
