/**
 * Results as CBOR: on their way to the follower that forwarded the command, and kept for those that are repeated.
 *
 *     result := [type, revision, part…]             the parts in the order in which `result.ts` has them
 *     item   := [key, value, content type, created, revision, version, metadata | null, lease | null, due | null]
 *
 * An operation's result has no revision within a transaction. Integers of `add` are decimal text.
 */
import { type CborLimits, decodeCbor, encodeCbor } from "../cbor.ts";
import { MalformedBytes } from "../errors.ts";
import { accessRefusals } from "./access/grant.ts";
import { integerIn } from "./command-parts.ts";
import { contentTypeBytesMax, operationsMax } from "./command.ts";
import { keyFromBytes, keyToBytes } from "./key.ts";
import { recordBytesMax } from "./record.ts";
import {
  type BatchItemResult,
  type KvResult,
  type ListedItem,
  type OperationResult,
  restoreRefusals,
  resultBytesMax,
} from "./result.ts";

/** Of what is around the items of a result. */
const frameBytesMax = 4 * 1024 * 1024;
const limits: CborLimits = {
  totalBytesMax: resultBytesMax + recordBytesMax + frameBytesMax,
  depthMax: 5,
  // Each item of a list may be of a few bytes only.
  itemsMax: 16 * 1024 * 1024,
  textBytesMax: Math.max(contentTypeBytesMax, 1024),
  byteStringBytesMax: recordBytesMax,
};

export function encodeResult(result: KvResult): Uint8Array<ArrayBuffer> {
  return encodeCbor(partsOf(result));
}

/** @throws {MalformedBytes} where `bytes` hold no result. */
export function decodeResult(bytes: Uint8Array): KvResult {
  const parts = new Parts(decodeCbor(bytes, limits));
  const type = parts.text();
  const revision = parts.count();
  const simple = failureOf(type, revision, parts);
  if (simple !== null) return simple;
  switch (type) {
    case "put":
      return { type, revision, version: parts.count(), created: parts.count() };
    case "deleted":
    case "revoked":
      return { type, revision, deleted: parts.count() };
    case "transaction":
      return { type, revision, succeeded: parts.flag(), results: parts.list(operationResultOf) };
    case "batch":
      return { type, revision, results: parts.list(batchItemResultOf) };
    case "lease":
      return { type, revision, lease: parts.count(), ttlMs: parts.count() };
    case "expired":
      return { type, revision, deleted: parts.count(), more: parts.flag() };
    case "upgraded":
      return { type, revision, version: parts.count() };
    case "restoring":
      return { type, revision, bytes: parts.count() };
    case "restoreRefused":
      return { type, revision, reason: parts.oneOf(restoreRefusals), detail: parts.text() };
    case "restored":
    case "configured":
    case "keyReused":
    case "keyDone":
    case "keysFull":
    case "leasesFull":
    case "accessChanged":
    case "unauthenticated":
    case "forbidden":
      return { type, revision };
    case "accessRefused": {
      const given = parts.text();
      const reason = accessRefusals.find((each) => each === given);
      if (reason === undefined) throw parts.malformed("a refusal of no known reason");
      return { type, revision, reason };
    }
    case "malformed":
      return { type, revision, detail: parts.text() };
    default:
      throw parts.malformed("a result of no known type");
  }
}

function partsOf(result: KvResult | BatchItemResult): readonly unknown[] {
  const { type, revision } = result;
  switch (type) {
    case "transaction":
      return [type, revision, result.succeeded, result.results.map(operationParts)];
    case "batch":
      return [type, revision, result.results.map(partsOf)];
    case "lease":
      return [type, revision, result.lease, result.ttlMs];
    case "revoked":
      return [type, revision, result.deleted];
    case "expired":
      return [type, revision, result.deleted, result.more];
    case "conditionFailed":
      return [type, revision, result.current];
    case "noLease":
      return [type, revision, result.lease];
    case "notInteger":
      return [type, revision, keyToBytes(result.key)];
    case "tooMuch":
      return [type, revision, result.limit];
    case "malformed":
      return [type, revision, result.detail];
    case "upgraded":
      return [type, revision, result.version];
    case "restoring":
      return [type, revision, result.bytes];
    case "restoreRefused":
      return [type, revision, result.reason, result.detail];
    case "restored":
    case "configured":
    case "keyReused":
    case "keyDone":
    case "keysFull":
    case "leasesFull":
    case "accessChanged":
    case "unauthenticated":
    case "forbidden":
      return [type, revision];
    case "accessRefused":
      return [type, revision, result.reason];
    case "put":
    case "deleted":
    case "added":
    case "got":
    case "listed": {
      const [, ...parts] = operationParts(result);
      return [type, revision, ...parts];
    }
  }
}

function operationParts(result: OperationResult): readonly unknown[] {
  const { type } = result;
  switch (type) {
    case "put":
      return [type, result.version, result.created];
    case "deleted":
      return [type, result.deleted];
    case "added":
      return [type, String(result.value), result.version];
    case "got":
      return [type, result.item === null ? null : itemParts(result.item)];
    case "listed":
      return [type, result.more, result.items.map(itemParts)];
  }
}

function itemParts(item: ListedItem): readonly unknown[] {
  const { key, value, contentType, created, revision, version, metadata, lease, due } = item;
  return [keyToBytes(key), value, contentType, created, revision, version, metadata, lease, due];
}

function operationResultOf(parts: Parts): OperationResult {
  const result = operationOf(parts.text(), parts);
  if (result !== null) return result;
  throw parts.malformed("a result of no known operation");
}

function batchItemResultOf(parts: Parts): BatchItemResult {
  const type = parts.text();
  const revision = parts.count();
  const failure = failureOf(type, revision, parts);
  if (failure !== null) return failure;
  const result = operationOf(type, parts);
  if (result !== null) return { ...result, revision };
  throw parts.malformed("a result of no known operation");
}

function operationOf(type: string, parts: Parts): OperationResult | null {
  switch (type) {
    case "put":
      return { type, version: parts.count(), created: parts.count() };
    case "deleted":
      return { type, deleted: parts.count() };
    case "added":
      return { type, value: parts.integer(), version: parts.count() };
    case "got":
      return { type, item: parts.nullable(itemOf) };
    case "listed": {
      const more = parts.flag();
      return { type, more, items: parts.list(itemOf) };
    }
    default:
      return null;
  }
}

function failureOf(
  type: string,
  revision: number,
  parts: Parts,
): Extract<BatchItemResult, KvResult> | null {
  switch (type) {
    case "conditionFailed":
      return { type, revision, current: parts.countOrNull() };
    case "noLease":
      return { type, revision, lease: parts.count() };
    case "notInteger":
      return { type, revision, key: keyFromBytes(parts.bytes()) };
    case "tooMuch":
      return { type, revision, limit: parts.count() };
    default:
      return null;
  }
}

function itemOf(parts: Parts): ListedItem {
  return {
    key: keyFromBytes(parts.bytes()),
    value: parts.bytes(),
    contentType: parts.text(),
    created: parts.count(),
    revision: parts.count(),
    version: parts.count(),
    metadata: parts.bytesOrNull(),
    lease: parts.countOrNull(),
    due: parts.countOrNull(),
  };
}

/** The parts of an array, each taken in turn and checked to be what it has to be. */
class Parts {
  readonly #parts: readonly unknown[];
  #next = 0;

  constructor(value: unknown) {
    if (!Array.isArray(value)) throw this.malformed("not an array");
    this.#parts = value;
  }

  malformed(what: string): MalformedBytes {
    return new MalformedBytes(what, 0);
  }

  text(): string {
    const value = this.#take();
    if (typeof value === "string") return value;
    throw this.malformed("not a text");
  }

  oneOf<Choice extends string>(choices: readonly Choice[]): Choice {
    const text = this.text();
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw this.malformed("none of its choices");
  }

  count(): number {
    const value = this.#take();
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.malformed("not a count");
  }

  flag(): boolean {
    const value = this.#take();
    if (typeof value === "boolean") return value;
    throw this.malformed("neither true nor false");
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const value = this.#take();
    if (value instanceof Uint8Array) return new Uint8Array(value);
    throw this.malformed("not bytes");
  }

  integer(): bigint {
    const integer = integerIn(this.text());
    if (integer !== null) return integer;
    throw this.malformed("not an integer");
  }

  countOrNull(): number | null {
    return this.#skipsNull() ? null : this.count();
  }

  bytesOrNull(): Uint8Array<ArrayBuffer> | null {
    return this.#skipsNull() ? null : this.bytes();
  }

  nullable<T>(read: (parts: Parts) => T): T | null {
    return this.#skipsNull() ? null : read(new Parts(this.#take()));
  }

  list<T>(read: (parts: Parts) => T): T[] {
    const value = this.#take();
    if (!Array.isArray(value) || value.length > operationsMax) throw this.malformed("not a list");
    return value.map((each) => read(new Parts(each)));
  }

  #skipsNull(): boolean {
    if (this.#parts[this.#next] !== null) return false;
    this.#next++;
    return true;
  }

  #take(): unknown {
    return this.#parts[this.#next++];
  }
}
