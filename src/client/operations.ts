/** Operations of transactions: typed, as requests spell them, and what comes of them. */
import type {
  CheckRequest,
  DeleteFields,
  ListFields,
  OperationAnswer,
  OperationRequest,
  PutFields,
} from "../http/wire.ts";
import { toBase64 } from "./bytes.ts";
import { durationOf, itemOf, type ListedItem, valueFields } from "./item.ts";
import { type Key, keyFields, rangeFields } from "./key.ts";

/** How a check compares; `=` where it isn't said. */
export type Comparison = "=" | "!=" | "<" | ">";

/** What a transaction depends on. An absent key has revision, created and version 0, and no value. */
export type Check =
  | { readonly key: Key; readonly exists: boolean }
  /** The revision that last changed the key. */
  | { readonly key: Key; readonly revision: number; readonly op?: Comparison }
  /** The revision that created the key. */
  | { readonly key: Key; readonly created: number; readonly op?: Comparison }
  | { readonly key: Key; readonly version: number; readonly op?: Comparison }
  /** Compared bytewise. */
  | { readonly key: Key; readonly value: Uint8Array | string; readonly op?: Comparison };

export interface PutOperation {
  readonly put: {
    readonly key: Key;
    readonly value: Uint8Array | string;
    readonly contentType?: string;
    readonly ttlMs?: number;
    /** A lease's id. */
    readonly lease?: string;
    readonly metadata?: Uint8Array;
  };
}
export interface DeleteOperation {
  readonly delete:
    | { readonly key: Key }
    | { readonly prefix: Key }
    | { readonly start?: Key; readonly end?: Key };
}
export interface GetOperation {
  readonly get: { readonly key: Key };
}
export interface ListOperation {
  readonly list: {
    readonly prefix?: Key;
    readonly start?: Key;
    readonly end?: Key;
    readonly reverse?: true;
    readonly keysOnly?: true;
    readonly limit?: number;
  };
}
export interface AddOperation {
  readonly add: {
    readonly key: Key;
    readonly delta: number | bigint;
    readonly min?: number | bigint;
    readonly max?: number | bigint;
  };
}
/** What a transaction does. */
export type Operation =
  | PutOperation
  | DeleteOperation
  | GetOperation
  | ListOperation
  | AddOperation;

/** What an operation came to. */
export type OperationResult =
  | OperationResultOf<PutOperation>
  | OperationResultOf<DeleteOperation>
  | OperationResultOf<GetOperation>
  | OperationResultOf<ListOperation>
  | OperationResultOf<AddOperation>;

/** What this operation came to. */
export type OperationResultOf<O extends Operation> = O extends PutOperation
  ? { readonly revision: number; readonly version: number }
  : O extends DeleteOperation ? { readonly deleted: number }
  : O extends GetOperation ? { readonly item: ListedItem | null }
  : O extends ListOperation ? { readonly items: readonly ListedItem[]; readonly more: boolean }
  : O extends AddOperation
    ? { readonly revision: number; readonly version: number; readonly value: bigint }
  : never;

/** The results of operations, in their order. */
export type ResultsOf<Operations extends readonly Operation[]> = {
  readonly [At in keyof Operations]: OperationResultOf<Operations[At]>;
};

/** A check, as a request spells it. */
export function checkRequest(check: Check): CheckRequest {
  const { key, ...rest } = check;
  if (!("value" in rest)) return { ...keyFields(key), ...rest };
  const { value, ...others } = rest;
  return { ...keyFields(key), ...valueFields(value), ...others };
}

/** An operation, as a request spells it. */
export function operationRequest(operation: Operation): OperationRequest {
  if ("put" in operation) return { put: putFields(operation.put) };
  if ("delete" in operation) return { delete: deleteFields(operation.delete) };
  if ("get" in operation) return { get: keyFields(operation.get.key) };
  if ("list" in operation) return { list: listFields(operation.list) };
  const { key, delta, min, max } = operation.add;
  return {
    add: {
      ...keyFields(key),
      delta: String(delta),
      ...(min === undefined ? {} : { min: String(min) }),
      ...(max === undefined ? {} : { max: String(max) }),
    },
  };
}

function putFields({ key, value, ttlMs, metadata, ...rest }: PutOperation["put"]): PutFields {
  return {
    ...keyFields(key),
    ...valueFields(value),
    ...rest,
    ...(ttlMs === undefined ? {} : { ttl: durationOf(ttlMs) }),
    ...(metadata === undefined ? {} : { metadata: toBase64(metadata) }),
  };
}

function deleteFields(fields: DeleteOperation["delete"]): DeleteFields {
  return "key" in fields ? keyFields(fields.key) : rangeFields(fields);
}

function listFields({ reverse, keysOnly, limit, ...range }: ListOperation["list"]): ListFields {
  return {
    ...rangeFields(range),
    ...(reverse === undefined ? {} : { reverse }),
    ...(keysOnly === undefined ? {} : { values: false }),
    ...(limit === undefined ? {} : { limit }),
  };
}

/** What the answer says that `operation` came to; null where it says something else. */
export function operationResult(
  operation: Operation,
  answer: OperationAnswer | undefined,
): OperationResult | null {
  if (answer === undefined) return null;
  if ("put" in operation) {
    return "version" in answer ? { revision: answer.revision, version: answer.version } : null;
  }
  if ("delete" in operation) return "deleted" in answer ? { deleted: answer.deleted } : null;
  if ("get" in operation) {
    if (!("item" in answer)) return null;
    return { item: answer.item === null ? null : itemOf(answer.item) };
  }
  if ("list" in operation) {
    return "items" in answer ? { items: answer.items.map(itemOf), more: answer.more } : null;
  }
  if (!("value" in answer)) return null;
  return { revision: answer.revision, version: answer.version, value: BigInt(answer.value) };
}
