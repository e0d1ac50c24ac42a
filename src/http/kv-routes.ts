/** `/v1/kv/{key}`: one key. */
import {
  contentTypeBytesMax,
  defaultContentType,
  isContentType,
  type PutExtras,
} from "../kv/command.ts";
import { on } from "../kv/access/needs.ts";
import { encodeCommand } from "../kv/command-codec.ts";
import { type Key, keyBytesMax } from "../kv/key.ts";
import type { Item } from "../kv/store.ts";
import type { KvResult } from "../kv/result.ts";
import { readBody } from "./body.ts";
import { entityTagOf, isKnownToClient, writeConditions } from "./conditions.ts";
import { ttlMsOf } from "./duration.ts";
import type { Exchange } from "./exchange.ts";
import { leaseIn, metadataIn } from "./operations.ts";
import { badRequest, Refusal, tooLarge } from "./problem.ts";
import { propose, refusalOfResult } from "./proposing.ts";
import { look, readNames } from "./reading.ts";
import { pathOf, percentDecode, Query } from "./target.ts";
import { base64Of } from "./text.ts";
import { leaseHeader, metadataHeader, ttlHeader } from "./wire.ts";

/** What stands before a key in a path. */
export const keyPrefix = "/v1/kv/";

const putNames: ReadonlySet<string> = new Set(["ttl", "lease"]);

/** `PUT`: 201 where it created the key, 200 where it replaced its value. */
export async function putKey(exchange: Exchange): Promise<Response> {
  const { host, request } = exchange;
  const key = keyOf(exchange);
  const conditions = writeConditions(request.headers);
  const contentType = contentTypeOf(request.headers);
  const extras = extrasOf(exchange);
  const value = await readBody(exchange, host.limits.valueBytesMax);
  const put = { type: "put", key, value, contentType, conditions } as const;
  const command = encodeCommand(extras === null ? put : { ...put, extras });
  return answerWrite(exchange, await propose(exchange, command));
}

/** `DELETE`: 200 also where the key was absent, with `deleted` 0. */
export async function deleteKey(exchange: Exchange): Promise<Response> {
  const key = keyOf(exchange);
  const conditions = writeConditions(exchange.request.headers);
  const command = encodeCommand({ type: "delete", key, conditions });
  return answerWrite(exchange, await propose(exchange, command));
}

/** `GET` and `HEAD`: the value as it was put. */
export async function getKey(exchange: Exchange): Promise<Response> {
  const { host, request, target } = exchange;
  const key = keyOf(exchange);
  const query = new Query(target, readNames, host.limits.queryBytesMax);
  const needs = () => [on("read", key)];
  const { see, headers: staleness } = await look(exchange, query, needs);
  const sight = see();
  const item = sight.get(key);
  const { revision } = sight;
  if (item === undefined) {
    throw new Refusal("not_found", "the key is absent", { headers: staleness, revision });
  }
  const etag = entityTagOf(item.revision);
  if (isKnownToClient(request.headers, item.revision)) {
    return exchange.raw(304, null, { headers: { etag, ...staleness }, revision });
  }
  const headers = { "content-type": item.contentType, etag, ...staleness };
  const isPast = sight !== host.machine.store;
  const shown = hasExtras(item) ? { ...headers, ...extrasShown(exchange, item, isPast) } : headers;
  return exchange.raw(200, item.value, { headers: shown, revision });
}

/** A write's answer, as it was decided at the command's place in the log. */
export function answerWrite(exchange: Exchange, result: KvResult): Response {
  const { revision } = result;
  if (result.type === "put") {
    const { version } = result;
    const headers = { etag: entityTagOf(revision) };
    const status = version === 1 ? 201 : 200;
    return exchange.document(status, { revision, version }, { revision, headers });
  }
  if (result.type !== "deleted") throw refusalOfResult(result);
  return exchange.document(200, { revision, deleted: result.deleted }, { revision });
}

/** What the request attaches to its key; null where that is nothing, as with most. */
function extrasOf({ host, request, target }: Exchange): PutExtras | null {
  const given = request.headers.get(metadataHeader);
  if (given === null && !target.includes("?")) return null;
  const query = new Query(target, putNames, host.limits.queryBytesMax);
  const ttl = query.get("ttl");
  const lease = query.get("lease");
  const metadata = given === null ? null : metadataIn(given, "Holdfast-Metadata");
  if (metadata === null && ttl === null && lease === null) return null;
  return {
    metadata,
    ttlMs: ttl === null ? null : ttlMsOf(ttl, "query: ttl"),
    lease: lease === null ? null : leaseIn(lease, "query: lease"),
  };
}

function hasExtras({ metadata, lease, due }: Item): boolean {
  return metadata !== null || lease !== null || due !== null;
}

/** Of the past nobody can say how long it lasts. */
function extrasShown(
  { host }: Exchange,
  { metadata, lease, due }: Item,
  isPast: boolean,
): Record<string, string> {
  const shown: Record<string, string> = {};
  if (metadata !== null) shown[metadataHeader] = base64Of(metadata);
  if (lease !== null) shown[leaseHeader] = String(lease);
  if (due !== null && !isPast) {
    shown[ttlHeader] = String(Math.max(0, Math.ceil(due - host.replica.time())));
  }
  return shown;
}

/** @throws {Refusal} 400 where it is empty or not percent-encoded, 413 where it is too long. */
function keyOf({ target }: Exchange): Key {
  const encoded = pathOf(target).slice(keyPrefix.length);
  if (encoded.length > 3 * keyBytesMax) throw tooLarge("the key", keyBytesMax);
  const key = percentDecode(encoded, "key");
  if (key.length === 0) throw badRequest("the key is empty");
  if (key.length > keyBytesMax) throw tooLarge("the key", keyBytesMax);
  return key;
}

function contentTypeOf(headers: Headers): string {
  const contentType = headers.get("content-type") || defaultContentType;
  if (isContentType(contentType)) return contentType;
  throw badRequest(`Content-Type takes 1 to ${contentTypeBytesMax} printable ASCII characters`);
}
