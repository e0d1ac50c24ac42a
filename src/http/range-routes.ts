/** `/v1/kv`: ranges of keys. */
import { rangeBytesMax } from "../kv/command.ts";
import { encodeCommand } from "../kv/command-codec.ts";
import { type Key, keyToBytes, prefixEnd } from "../kv/key.ts";
import type { KeyRange } from "../kv/ordered-map.ts";
import type { Item, ListRange } from "../kv/store.ts";
import { cursorBehind, isRestOf, rangeOfCursor } from "./cursor.ts";
import type { Exchange } from "./exchange.ts";
import { answerWrite, refuseUnsupported } from "./kv-routes.ts";
import { pageItemsDefault, pageItemsMax } from "./limits.ts";
import { badRequest, tooLarge } from "./problem.ts";
import { confirmRead, readNames } from "./reading.ts";
import { Query } from "./target.ts";
import { base64Of, textOf, textOfKey } from "./text.ts";
import type { ItemAnswer, ListAnswer } from "./wire.ts";

const rangeNames: ReadonlySet<string> = new Set(["prefix", "start", "end"]);
const listNames: ReadonlySet<string> = new Set([
  ...rangeNames,
  ...readNames,
  "limit",
  "reverse",
  "values",
  "cursor",
]);
const switches = ["true", "false"] as const;

/** `GET`: a page of items. */
export async function listKeys(exchange: Exchange): Promise<Response> {
  const { host, target, wantsCbor } = exchange;
  const query = new Query(target, listNames, host.limits.queryBytesMax);
  const range = listRange(query);
  const itemsMax = query.whole("limit", { min: 1, max: pageItemsMax }) ?? pageItemsDefault;
  const withValues = query.choice("values", switches, "true") === "true";
  const headers = await confirmRead(exchange, query);
  const { store } = host.machine;
  const items: ItemAnswer[] = [];
  let bytes = 0;
  let last: Key = "";
  let cursor: string | null = null;
  for (const [key, item] of store.list(range)) {
    if (items.length === itemsMax || bytes >= host.limits.pageBytesMax) {
      cursor = cursorBehind(last, range);
      break;
    }
    const value = withValues ? item.value : null;
    items.push(wantsCbor ? itemInCbor(key, item, value) : itemInJson(key, item, value));
    bytes += key.length + (value?.length ?? 0);
    last = key;
  }
  const { revision } = store;
  const answer: ListAnswer = cursor === null ? { revision, items } : { revision, items, cursor };
  return exchange.document(200, answer, { revision, headers });
}

/** `DELETE`: all keys of a range, by one revision. */
export async function deleteKeys(exchange: Exchange): Promise<Response> {
  const { host, request, target } = exchange;
  refuseUnsupported(exchange, []);
  if (request.headers.has("if-match") || request.headers.has("if-none-match")) {
    throw badRequest("If-Match and If-None-Match are about one key, not a range");
  }
  const query = new Query(target, rangeNames, host.limits.queryBytesMax);
  const range = rangeIn(query);
  if (range === null) throw badRequest("query: a range is needed: prefix, or start and end");
  const command = encodeCommand({ type: "deleteRange", ...range });
  const { result } = await host.replica.propose(command, host.limits.requestTimeoutMs);
  return answerWrite(exchange, result);
}

/** The range to list, or what `cursor` says is left of it. */
function listRange(query: Query): ListRange {
  const given = rangeIn(query);
  const reverse = query.choice("reverse", switches, "false") === "true";
  const cursor = query.get("cursor");
  if (cursor === null) return { ...(given ?? { start: "", end: null }), reverse };
  const rest = rangeOfCursor(cursor);
  if (rest === null) throw badRequest("query: cursor is not one that a listing gave");
  if (query.get("reverse") !== null && rest.reverse !== reverse) {
    throw badRequest("query: cursor is of a listing in the other direction");
  }
  if (given !== null && !isRestOf(rest, given)) {
    throw badRequest("query: cursor is of a listing of another range");
  }
  return rest;
}

/** Null where the query names none. @throws {Refusal} 400 where it names two, 413 where a bound is too long. */
function rangeIn(query: Query): KeyRange | null {
  const prefix = query.get("prefix");
  const start = query.get("start");
  const end = query.get("end");
  for (const bound of [prefix, start, end]) {
    if (bound !== null && bound.length > rangeBytesMax) {
      throw tooLarge("a bound of the range", rangeBytesMax);
    }
  }
  if (prefix === null) return start === null && end === null ? null : { start: start ?? "", end };
  if (start !== null || end !== null) {
    throw badRequest("query: prefix does not go with start or end");
  }
  return { start: prefix, end: prefixEnd(prefix) };
}

/** See `wire.ts` for what `encoding` and `keyEncoding` say. */
function itemInJson(key: Key, item: Item, value: Uint8Array | null): ItemAnswer {
  const { revision, created, version, contentType } = item;
  const keyText = textOfKey(key);
  const valueText = value === null ? "" : textOf(value);
  const isText = keyText !== null && valueText !== null;
  return {
    key: keyText ?? btoa(key),
    ...(keyText === null ? { keyEncoding: "base64" } : {}),
    ...(value === null ? {} : { value: isText ? valueText : base64Of(value) }),
    ...(isText ? {} : { encoding: "base64" }),
    revision,
    created,
    version,
    contentType,
  };
}

function itemInCbor(key: Key, item: Item, value: Uint8Array | null): ItemAnswer {
  const { revision, created, version, contentType } = item;
  const shown = value === null ? {} : { value };
  return { key: keyToBytes(key), ...shown, revision, created, version, contentType };
}
