/** Calls about single keys, as they travel: by themselves or in a batch. */
import {
  DeleteAnswer,
  leaseHeader,
  metadataHeader,
  PutAnswer,
  stalenessHeader,
} from "../http/wire.ts";
import { bad, decode, query } from "./answer.ts";
import { type Answer, revisionOf } from "./attempt.ts";
import { fromBase64, toBase64, toBytes } from "./bytes.ts";
import { durationOf, itemOf } from "./item.ts";
import { type Key, keyPath } from "./key.ts";
import type { BatchedCall } from "./lane.ts";
import { checkRequest, operationRequest } from "./operations.ts";
import type {
  AddOptions,
  AddResult,
  Condition,
  DeleteOptions,
  DeleteResult,
  Item,
  PutOptions,
  PutResult,
} from "./options.ts";

const OCTETS = "application/octet-stream";
/** What a header may carry; `fetch` tells nothing else of what it can't send than of a connection that broke. */
const contentTypes = /^[\x20-\x7e]{1,256}$/;

/** @param parameters the read's, as a query. */
export function getCall(
  key: Key,
  { parameters, signal }: { readonly parameters: string; readonly signal: AbortSignal | undefined },
): BatchedCall<Item | null> {
  const path = keyPath(key);
  return {
    plain: path === null ? null : { method: "GET", target: path + parameters },
    fromAnswer: itemInAnswer,
    operation: () => operationRequest({ get: { key } }),
    fromResult: ({ status, item }, answer) => {
      if (status === 404) return null;
      if (item === undefined) return bad(answer, "read", "no item");
      const { value, contentType, revision, metadata, lease } = itemOf(item);
      const stalenessMs = stalenessIn(answer);
      return { value, contentType, revision, metadata, lease, stalenessMs };
    },
    signal,
  };
}

function itemInAnswer(answer: Answer): Item {
  const { headers, body } = answer;
  const metadata = headers.get(metadataHeader);
  return {
    value: body,
    contentType: headers.get("content-type") ?? "",
    revision: revisionOf(headers) ?? bad(answer, "read", "an answer without ETag"),
    metadata: metadata === null ? null : fromBase64(metadata),
    lease: headers.get(leaseHeader),
    stalenessMs: stalenessIn(answer),
  };
}

function stalenessIn({ headers }: Answer): number | null {
  const staleness = headers.get(stalenessHeader);
  return staleness === null ? null : Number(staleness);
}

/** See `Client.put`. */
export function putCall(
  key: Key,
  value: Uint8Array | string,
  options: PutOptions,
): BatchedCall<PutResult> {
  const { contentType = OCTETS, condition, ttlMs, lease, metadata, signal } = options;
  if (!contentTypes.test(contentType)) {
    throw new TypeError("a content type is 1 to 256 printable ASCII characters");
  }
  const path = keyPath(key);
  const body = toBytes(value);
  const parameters = {
    ...(ttlMs === undefined ? {} : { ttl: durationOf(ttlMs) }),
    ...(lease === undefined ? {} : { lease: encodeURIComponent(lease) }),
  };
  const attached = {
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(lease === undefined ? {} : { lease }),
    ...(metadata === undefined ? {} : { metadata }),
  };
  return {
    plain: path === null ? null : {
      method: "PUT",
      target: path + query(parameters),
      headers: {
        "content-type": contentType,
        ...(metadata === undefined ? {} : { [metadataHeader]: toBase64(metadata) }),
        ...conditionHeaders(condition),
      },
      body,
    },
    fromAnswer: (answer) => ({
      ...decode(PutAnswer, answer, "write"),
      created: answer.status === 201,
    }),
    operation: () => ({
      ...operationRequest({ put: { key, value, contentType, ...attached } }),
      ...conditionFields(key, condition),
    }),
    fromResult: ({ status, revision, version }, answer) =>
      revision === null || version === undefined
        ? bad(answer, "write", "no version")
        : { revision, version, created: status === 201 },
    signal,
  };
}

/** See `Client.delete`. */
export function deleteCall(
  key: Key,
  { condition, signal }: DeleteOptions,
): BatchedCall<DeleteResult> {
  const path = keyPath(key);
  return {
    plain: path === null
      ? null
      : { method: "DELETE", target: path, headers: conditionHeaders(condition) },
    fromAnswer: (answer) => decode(DeleteAnswer, answer, "write"),
    operation: () => ({
      ...operationRequest({ delete: { key } }),
      ...conditionFields(key, condition),
    }),
    fromResult: ({ revision, deleted }, answer) =>
      revision === null || deleted === undefined
        ? bad(answer, "write", "no count")
        : { revision, deleted },
    signal,
  };
}

/** See `Client.add`: it has no route of its own. */
export function addCall(
  key: Key,
  delta: number | bigint,
  { signal, ...bounds }: AddOptions,
): BatchedCall<AddResult> {
  const request = operationRequest({ add: { key, delta, ...bounds } });
  for (const value of [delta, ...Object.values(bounds)]) {
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      throw new TypeError(`${value} is no exact integer`);
    }
  }
  return {
    plain: null,
    fromAnswer: (answer) => bad(answer, "write", "an answer of another route"),
    operation: () => request,
    fromResult: ({ revision, version, value }, answer) =>
      revision === null || version === undefined || value === undefined
        ? bad(answer, "write", "no sum")
        : { revision, version, value: BigInt(value) },
    signal,
  };
}

function conditionHeaders(condition: Condition | undefined): Record<string, string> {
  if (condition === undefined) return {};
  if ("ifRevision" in condition && condition.ifRevision > 0) {
    return { "if-match": `"${condition.ifRevision}"` };
  }
  return "ifPresent" in condition ? { "if-match": "*" } : { "if-none-match": "*" };
}

function conditionFields(key: Key, condition: Condition | undefined) {
  if (condition === undefined) return {};
  const check = "ifRevision" in condition
    ? { key, revision: condition.ifRevision }
    : { key, exists: "ifPresent" in condition };
  return { if: [checkRequest(check)] };
}
