/** `/v1/kv/{key}`: one key. */
import { isContentType } from "../kv/command.ts";
import { contentTypeBytesMax, defaultContentType } from "../kv/command.ts";
import { encodeCommand } from "../kv/command-codec.ts";
import { type Key, keyBytesMax } from "../kv/key.ts";
import type { KvResult } from "../kv/result.ts";
import { readBody } from "./body.ts";
import { entityTagOf, isKnownToClient, writeConditions } from "./conditions.ts";
import type { Exchange } from "./exchange.ts";
import { badRequest, Refusal, tooLarge } from "./problem.ts";
import { confirmRead, readNames } from "./reading.ts";
import { pathOf, percentDecode, Query } from "./target.ts";

/** What stands before a key in a path. */
export const keyPrefix = "/v1/kv/";

/** `PUT`: 201 where it created the key, 200 where it replaced its value. */
export async function putKey(exchange: Exchange): Promise<Response> {
  const { host, request } = exchange;
  const key = keyOf(exchange);
  refuseUnsupported(exchange, ["ttl", "lease"]);
  const conditions = writeConditions(request.headers);
  const contentType = contentTypeOf(request.headers);
  const value = await readBody(exchange, host.limits.valueBytesMax);
  const command = encodeCommand({ type: "put", key, value, contentType, conditions });
  const { result } = await host.replica.propose(command, host.limits.requestTimeoutMs);
  return answerWrite(exchange, result);
}

/** `DELETE`: 200 also where the key was absent, with `deleted` 0. */
export async function deleteKey(exchange: Exchange): Promise<Response> {
  const { host, request } = exchange;
  const key = keyOf(exchange);
  refuseUnsupported(exchange, []);
  const conditions = writeConditions(request.headers);
  const command = encodeCommand({ type: "delete", key, conditions });
  const { result } = await host.replica.propose(command, host.limits.requestTimeoutMs);
  return answerWrite(exchange, result);
}

/** `GET` and `HEAD`: the value as it was put. */
export async function getKey(exchange: Exchange): Promise<Response> {
  const { host, request, target } = exchange;
  const key = keyOf(exchange);
  const query = new Query(target, readNames, host.limits.queryBytesMax);
  const staleness = await confirmRead(exchange, query);
  const item = host.machine.store.get(key);
  if (item === undefined) {
    throw new Refusal("not_found", "the key is absent", { headers: staleness });
  }
  const etag = entityTagOf(item.revision);
  if (isKnownToClient(request.headers, item.revision)) {
    return exchange.raw(304, null, { headers: { etag, ...staleness } });
  }
  const headers = { "content-type": item.contentType, etag, ...staleness };
  return exchange.raw(200, item.value, { headers });
}

/** A write's answer, as it was decided at the command's place in the log. */
export function answerWrite(exchange: Exchange, result: KvResult): Response {
  const { revision } = result;
  switch (result.type) {
    case "put": {
      const { version } = result;
      const headers = { etag: entityTagOf(revision) };
      const status = version === 1 ? 201 : 200;
      return exchange.document(status, { revision, version }, { revision, headers });
    }
    case "deleted":
      return exchange.document(200, { revision, deleted: result.deleted }, { revision });
    case "conditionFailed": {
      const { current } = result;
      const state = current === 0 ? "the key is absent" : `the key is at revision ${current}`;
      throw new Refusal("precondition_failed", state, {
        revision,
        headers: current === 0 || current === null ? {} : { etag: entityTagOf(current) },
        members: { revision: current },
      });
    }
    case "malformed":
      // In the log and void: this node wrote a command that the one which applied it can't read.
      throw new Refusal("internal", `the command was not understood: ${result.detail}`, {
        revision,
        outcome: "not_applied",
      });
    default:
      throw new Refusal("internal", `a result of another command: ${result.type}`, { revision });
  }
}

/**
 * Refuses what would change a write's meaning and is not there yet; passing it over would break a promise.
 * @throws {Refusal} 400
 */
export function refuseUnsupported({ request, target, host }: Exchange, names: string[]): void {
  if (request.headers.has("idempotency-key")) {
    throw badRequest("Idempotency-Key is not supported");
  }
  if (names.length === 0 || !target.includes("?")) return;
  const query = new Query(target, new Set(names), host.limits.queryBytesMax);
  const found = names.find((name) => query.get(name) !== null);
  if (found !== undefined) throw badRequest(`query: ${found} is not supported`);
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
