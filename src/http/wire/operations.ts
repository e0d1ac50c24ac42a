/** Transactions and batches: what they are made of, and what comes of them. */
import * as v from "valibot";
import {
  batchItemsMax,
  checksMax,
  type ComparisonOp,
  comparisonOps,
  listItemsMax,
} from "../../kv/command.ts";
import {
  base64Mark,
  bytes,
  count,
  duration,
  leaseId,
  named,
  type Outcome,
  upTo,
} from "./common.ts";
import { type DeleteAnswer, ItemAnswer, PutAnswer } from "./keys.ts";

/** Operations in each half of a transaction; checks are as many. */
export const transactionOperationsMax = 128;
export const batchOperationsMax: number = batchItemsMax;

/** `keyEncoding` says that `key` is base64. */
export interface KeyFields {
  readonly key: string | Uint8Array;
  readonly keyEncoding?: "base64" | undefined;
}
const keyEntries = { key: bytes, keyEncoding: v.optional(base64Mark) };

/** Where there is no value `encoding` says the same. */
export interface BareKeyFields extends KeyFields {
  readonly encoding?: "base64" | undefined;
}
const bareKeyEntries = { ...keyEntries, encoding: v.optional(base64Mark) };

/** All keys with a prefix, or those from `start` to before `end`. `keyEncoding`, or `encoding`, is about all three. */
export interface RangeFields {
  readonly prefix?: string | Uint8Array | undefined;
  readonly start?: string | Uint8Array | undefined;
  readonly end?: string | Uint8Array | undefined;
  readonly keyEncoding?: "base64" | undefined;
  readonly encoding?: "base64" | undefined;
}
type RangeEntries = {
  readonly [Name in keyof RangeFields]-?: v.OptionalSchema<
    v.GenericSchema<unknown, NonNullable<RangeFields[Name]>>,
    undefined
  >;
};
export const rangeEntries: RangeEntries = {
  prefix: v.optional(bytes),
  start: v.optional(bytes),
  end: v.optional(bytes),
  keyEncoding: v.optional(base64Mark),
  encoding: v.optional(base64Mark),
};

/** About one key. `op` is `=` where it is not said; an absent key has revision, created and version 0, and no value. */
export type CheckRequest =
  & BareKeyFields
  & (
    | { readonly exists: boolean }
    | { readonly revision: number; readonly op?: ComparisonOp | undefined }
    | { readonly created: number; readonly op?: ComparisonOp | undefined }
    | { readonly version: number; readonly op?: ComparisonOp | undefined }
    | {
      /** `encoding` is about this then. */
      readonly value: string | Uint8Array;
      readonly op?: ComparisonOp | undefined;
    }
  );
const op = v.optional(v.picklist(comparisonOps));
export const CheckRequest: v.GenericSchema<unknown, CheckRequest> = named<CheckRequest>({
  exists: v.strictObject({ ...bareKeyEntries, exists: v.boolean() }),
  revision: v.strictObject({ ...bareKeyEntries, revision: count, op }),
  created: v.strictObject({ ...bareKeyEntries, created: count, op }),
  version: v.strictObject({ ...bareKeyEntries, version: count, op }),
  value: v.strictObject({ ...bareKeyEntries, value: bytes, op }),
});

export interface PutFields extends KeyFields {
  readonly value: string | Uint8Array;
  /** Says that `value` is base64. */
  readonly encoding?: "base64" | undefined;
  readonly contentType?: string | undefined;
  /** A duration, like `30s`. */
  readonly ttl?: string | undefined;
  readonly lease?: string | undefined;
  /** Base64 where it is a string. */
  readonly metadata?: string | Uint8Array | undefined;
}
/** One key, or a range of them. */
export type DeleteFields = BareKeyFields | RangeFields;
export interface ListFields extends RangeFields {
  readonly reverse?: boolean | undefined;
  readonly limit?: number | undefined;
  readonly values?: boolean | undefined;
}
/** Integers of 64 bits: as decimal text, or as numbers where they are exact. */
export interface AddFields extends BareKeyFields {
  readonly delta: string | number;
  readonly min?: string | number | undefined;
  readonly max?: string | number | undefined;
}

export type OperationRequest =
  | { readonly put: PutFields }
  | { readonly delete: DeleteFields }
  | { readonly get: BareKeyFields }
  | { readonly list: ListFields }
  | { readonly add: AddFields };

const PutFields: v.GenericSchema<unknown, PutFields> = v.strictObject({
  ...keyEntries,
  value: bytes,
  encoding: v.optional(base64Mark),
  contentType: v.optional(v.string()),
  ttl: v.optional(duration),
  lease: v.optional(leaseId),
  metadata: v.optional(bytes),
});
const DeleteFields: v.GenericSchema<unknown, DeleteFields> = named<DeleteFields>({
  key: v.strictObject(bareKeyEntries),
  prefix: v.strictObject(rangeEntries),
  start: v.strictObject(rangeEntries),
  end: v.strictObject(rangeEntries),
});
const GetFields: v.GenericSchema<unknown, BareKeyFields> = v.strictObject(bareKeyEntries);
const ListFields: v.GenericSchema<unknown, ListFields> = v.strictObject({
  ...rangeEntries,
  reverse: v.optional(v.boolean()),
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(listItemsMax))),
  values: v.optional(v.boolean()),
});
const notInteger = "takes an integer, as decimal text where a number is not exact";
const integer: v.GenericSchema<unknown, string | number> = v.union([
  v.pipe(v.string(), v.regex(/^-?\d{1,19}$/, notInteger)),
  v.pipe(v.number(), v.safeInteger(notInteger)),
], notInteger);
const AddFields: v.GenericSchema<unknown, AddFields> = v.strictObject({
  ...bareKeyEntries,
  delta: integer,
  min: v.optional(integer),
  max: v.optional(integer),
});

export const OperationRequest: v.GenericSchema<unknown, OperationRequest> = named<
  OperationRequest
>({
  put: v.strictObject({ put: PutFields }),
  delete: v.strictObject({ delete: DeleteFields }),
  get: v.strictObject({ get: GetFields }),
  list: v.strictObject({ list: ListFields }),
  add: v.strictObject({ add: AddFields }),
});

const checks = upTo(checksMax, CheckRequest);
const operations = upTo(transactionOperationsMax, OperationRequest);

/** The body of `POST /v1/txn`: `then` where all of `if` holds, else `else`. */
export interface TransactionRequest {
  readonly if?: readonly CheckRequest[] | undefined;
  readonly then?: readonly OperationRequest[] | undefined;
  readonly else?: readonly OperationRequest[] | undefined;
}
export const TransactionRequest: v.GenericSchema<unknown, TransactionRequest> = v.strictObject({
  if: v.optional(checks),
  then: v.optional(operations),
  else: v.optional(operations),
});

/** An operation by itself, which fails with 412 where `if` does not hold. */
export type BatchOperationRequest = OperationRequest & {
  readonly if?: readonly CheckRequest[] | undefined;
};
const condition = { if: v.optional(checks) };
export const BatchOperationRequest: v.GenericSchema<unknown, BatchOperationRequest> = named<
  BatchOperationRequest
>({
  put: v.strictObject({ put: PutFields, ...condition }),
  delete: v.strictObject({ delete: DeleteFields, ...condition }),
  get: v.strictObject({ get: GetFields, ...condition }),
  list: v.strictObject({ list: ListFields, ...condition }),
  add: v.strictObject({ add: AddFields, ...condition }),
});

/** The body of `POST /v1/batch`. */
export interface BatchRequest {
  readonly ops: readonly BatchOperationRequest[];
}
export const BatchRequest: v.GenericSchema<unknown, BatchRequest> = v.strictObject({
  ops: upTo(batchOperationsMax, BatchOperationRequest),
});

export interface GetResult {
  readonly item: ItemAnswer | null;
}
export interface ListResult {
  readonly items: readonly ItemAnswer[];
  /** Whether the range goes on behind the last item. */
  readonly more: boolean;
}
export interface AddResult extends PutAnswer {
  /** The sum, as decimal text. */
  readonly value: string;
}
/** What an operation of a transaction came to, in the operations' order. */
export type OperationAnswer =
  | PutAnswer
  | Pick<DeleteAnswer, "deleted">
  | GetResult
  | ListResult
  | AddResult;
// `add` says all that `put` does, and more: it comes first.
export const OperationAnswer: v.GenericSchema<unknown, OperationAnswer> = v.union([
  v.object({ revision: count, version: count, value: v.string() }),
  PutAnswer,
  v.object({ deleted: count }),
  v.object({ item: v.nullable(ItemAnswer) }),
  v.object({ items: v.array(ItemAnswer), more: v.boolean() }),
]);

/** `POST /v1/txn`. */
export interface TransactionAnswer {
  readonly revision: number;
  /** Whether all checks held: `results` are those of `then`, or of `else`. */
  readonly succeeded: boolean;
  readonly results: readonly OperationAnswer[];
}
export const TransactionAnswer: v.GenericSchema<unknown, TransactionAnswer> = v.object({
  revision: count,
  succeeded: v.boolean(),
  results: v.array(OperationAnswer),
});

/**
 * What an operation of a batch came to: as it would have been answered by itself. From 400 on it is an error, with
 * `code` and `detail`, and nothing of it was applied (a `get` of an absent key: 404).
 */
export interface BatchResult {
  readonly status: number;
  /** The store's; with 412 the revision that the key is at, 0 where it is absent, null where several checks failed. */
  readonly revision: number | null;
  readonly version?: number | undefined;
  readonly deleted?: number | undefined;
  readonly value?: string | undefined;
  readonly item?: ItemAnswer | undefined;
  readonly items?: readonly ItemAnswer[] | undefined;
  readonly more?: boolean | undefined;
  readonly code?: string | undefined;
  readonly detail?: string | undefined;
  readonly outcome?: Outcome | undefined;
  readonly limit?: number | undefined;
}
const BatchResult: v.GenericSchema<unknown, BatchResult> = v.object({
  status: count,
  revision: v.nullable(count),
  version: v.optional(count),
  deleted: v.optional(count),
  value: v.optional(v.string()),
  item: v.optional(ItemAnswer),
  items: v.optional(v.array(ItemAnswer)),
  more: v.optional(v.boolean()),
  code: v.optional(v.string()),
  detail: v.optional(v.string()),
  outcome: v.optional(v.picklist(["not_applied", "unknown"])),
  limit: v.optional(count),
});

/** `POST /v1/batch`: results in the operations' order. */
export interface BatchAnswer {
  readonly revision: number;
  readonly results: readonly BatchResult[];
}
export const BatchAnswer: v.GenericSchema<unknown, BatchAnswer> = v.object({
  revision: count,
  results: v.array(BatchResult),
});
