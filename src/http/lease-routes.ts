/** `/v1/leases`: what keys can be tied to, so that they end together. */
import { anywhere, neededByLease } from "../kv/access/needs.ts";
import { encodeCommand } from "../kv/command-codec.ts";
import { keyToBytes } from "../kv/key.ts";
import type { KvResult } from "../kv/result.ts";
import { readDocument } from "./body.ts";
import { ttlMsOf } from "./duration.ts";
import type { Exchange } from "./exchange.ts";
import { pageItemsDefault, pageItemsMax } from "./limits.ts";
import { badRequest, Refusal } from "./problem.ts";
import { propose, refusalOfResult } from "./proposing.ts";
import { confirmNames, confirmRead } from "./reading.ts";
import { pathOf, Query } from "./target.ts";
import { base64UrlOf, fromBase64Url, textOfKey } from "./text.ts";
import {
  type DeleteAnswer,
  GrantRequest,
  type LeaseAnswer,
  type LeaseDetailAnswer,
  type LeaseListAnswer,
  type LeaseStatus,
} from "./wire.ts";

/** What stands before an id in a path. */
export const leasePrefix = "/v1/leases/";
/** What stands behind it. */
export const keepAliveSuffix = "/keepalive";

const listNames: ReadonlySet<string> = new Set([...confirmNames, "limit", "cursor"]);

/** `POST /v1/leases`: 201 with a lease that was never there before. */
export async function postLease(exchange: Exchange): Promise<Response> {
  const { ttl } = await readDocument(exchange, GrantRequest);
  const ttlMs = ttlMsOf(ttl, "body: ttl:");
  return answerLease(
    exchange,
    201,
    await propose(exchange, encodeCommand({ type: "grant", ttlMs })),
  );
}

/** `POST /v1/leases/{id}/keepalive`: 200; it has all of its time again. */
export async function postKeepAlive(exchange: Exchange): Promise<Response> {
  const lease = leaseOf(exchange);
  const result = await propose(exchange, encodeCommand({ type: "keepAlive", lease }));
  return answerLease(exchange, 200, result);
}

/** `DELETE /v1/leases/{id}`: 200; its keys are deleted by one revision. */
export async function deleteLease(exchange: Exchange): Promise<Response> {
  const lease = leaseOf(exchange);
  const result = await propose(exchange, encodeCommand({ type: "revoke", lease }));
  if (result.type !== "revoked") throw refusalOfResult(result);
  const { revision, deleted } = result;
  return exchange.document(200, { revision, deleted } satisfies DeleteAnswer, { revision });
}

/** `GET /v1/leases/{id}`: as linearizable as a key, unless `consistency` says otherwise. */
export async function getLease(exchange: Exchange): Promise<Response> {
  const { host, target, wantsCbor } = exchange;
  const id = leaseOf(exchange);
  const query = new Query(target, confirmNames, host.limits.queryBytesMax);
  // It names its keys.
  const needs = () =>
    neededByLease(id, ["lease"], (lease, range) => host.machine.store.firstKeyOf(lease, range));
  const headers = await confirmRead(exchange, query, needs);
  const lease = host.machine.lease(id);
  if (lease === undefined) throw new Refusal("not_found", `there is no lease ${id}`, { headers });
  const all = host.machine.keysOf(id);
  const keys = all.slice(0, pageItemsMax);
  const texts = keys.map(textOfKey);
  const isText = texts.every((text) => text !== null);
  const answer: LeaseDetailAnswer = {
    ...leaseShown(exchange, lease),
    keyCount: all.length,
    keys: wantsCbor ? keys.map(keyToBytes) : isText ? texts : keys.map(btoa),
    ...(wantsCbor || isText ? {} : { keyEncoding: "base64" }),
  };
  return exchange.document(200, answer, { headers });
}

/** `GET /v1/leases`: a page of them, by id. */
export async function listLeases(exchange: Exchange): Promise<Response> {
  const { host, target } = exchange;
  const query = new Query(target, listNames, host.limits.queryBytesMax);
  const limit = query.whole("limit", { min: 1, max: pageItemsMax }) ?? pageItemsDefault;
  const behind = leaseOfCursor(query.get("cursor"));
  const headers = await confirmRead(exchange, query, () => [anywhere("lease")]);
  const { revision } = host.machine.store;
  const leases: LeaseStatus[] = [];
  for (const lease of host.machine.leases(behind)) {
    if (leases.length === limit) {
      const cursor = base64UrlOf(leases.at(-1)?.id ?? "");
      const answer: LeaseListAnswer = { revision, leases, cursor };
      return exchange.document(200, answer, { headers, revision });
    }
    leases.push(leaseShown(exchange, lease));
  }
  return exchange.document(200, { revision, leases } satisfies LeaseListAnswer, {
    headers,
    revision,
  });
}

function answerLease(exchange: Exchange, status: number, result: KvResult): Response {
  if (result.type !== "lease") throw refusalOfResult(result);
  const { revision, lease, ttlMs } = result;
  const answer: LeaseAnswer = { id: String(lease), ttlMs };
  return exchange.document(status, answer, { revision });
}

function leaseShown(
  { host }: Exchange,
  { id, ttlMs, due }: { readonly id: number; readonly ttlMs: number; readonly due: number },
): LeaseStatus {
  const remainingMs = Math.max(0, Math.ceil(due - host.replica.time()));
  return { id: String(id), ttlMs, remainingMs };
}

/** @throws {Refusal} 404: what is no id is the id of no lease. */
function leaseOf({ target }: Exchange): number {
  const id = pathOf(target).slice(leasePrefix.length);
  const lease = idIn(id.endsWith(keepAliveSuffix) ? id.slice(0, -keepAliveSuffix.length) : id);
  if (lease !== null) return lease;
  throw new Refusal("not_found", "there is no such lease: ids are strings of digits");
}

/** The lease behind which a listing goes on; 0 for its begin. */
function leaseOfCursor(cursor: string | null): number {
  if (cursor === null) return 0;
  const lease = idIn(fromBase64Url(cursor.slice(0, 32)) ?? "");
  if (lease === null) throw badRequest("query: cursor is not one that a listing gave");
  return lease;
}

function idIn(text: string): number | null {
  const lease = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(lease) ? lease : null;
}
