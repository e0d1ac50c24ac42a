/** `/v1/kv`: ranges of keys. */
import { encodeCommand } from "../kv/command-codec.ts";
import type { Key } from "../kv/key.ts";
import type { ListRange } from "../kv/store.ts";
import { cursorBehind, isRestOf, type ListingRest, restOfCursor } from "./cursor.ts";
import type { Exchange } from "./exchange.ts";
import { answerWrite } from "./kv-routes.ts";
import { itemInCbor, itemInJson } from "./items.ts";
import { pageItemsDefault, pageItemsMax } from "./limits.ts";
import { badRequest } from "./problem.ts";
import { rangeIn, rangeNames } from "./range.ts";
import { propose } from "./proposing.ts";
import { look, readNames } from "./reading.ts";
import { Query } from "./target.ts";
import type { ItemAnswer, ListAnswer } from "./wire.ts";

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
  const { range, revision: pinned } = listRange(query);
  const itemsMax = query.whole("limit", { min: 1, max: pageItemsMax }) ?? pageItemsDefault;
  const withValues = query.choice("values", switches, "true") === "true";
  const { see, headers } = await look(exchange, query, () => [{ verb: "read", range }], pinned);
  const sight = see();
  const { revision } = sight;
  const items: ItemAnswer[] = [];
  let bytes = 0;
  let last: Key = "";
  let cursor: string | null = null;
  for (const [key, item] of sight.list(range)) {
    if (items.length === itemsMax || bytes >= host.limits.pageBytesMax) {
      cursor = cursorBehind(last, { range, revision });
      break;
    }
    const value = withValues ? item.value : null;
    items.push(wantsCbor ? itemInCbor(key, item, value) : itemInJson(key, item, value));
    bytes += key.length + (value?.length ?? 0);
    last = key;
  }
  const answer: ListAnswer = cursor === null ? { revision, items } : { revision, items, cursor };
  return exchange.document(200, answer, { revision, headers });
}

/** `DELETE`: all keys of a range, by one revision. */
export async function deleteKeys(exchange: Exchange): Promise<Response> {
  const { host, request, target } = exchange;
  if (request.headers.has("if-match") || request.headers.has("if-none-match")) {
    throw badRequest("If-Match and If-None-Match are about one key, not a range");
  }
  const query = new Query(target, rangeNames, host.limits.queryBytesMax);
  const range = rangeIn(query);
  if (range === null) throw badRequest("query: a range is needed: prefix, or start and end");
  const command = encodeCommand({ type: "deleteRange", ...range });
  return answerWrite(exchange, await propose(exchange, command));
}

/** The range to list, or what `cursor` says is left of it, and at which revision. */
function listRange(query: Query): ListingRest | { range: ListRange; revision: null } {
  const given = rangeIn(query);
  const reverse = query.choice("reverse", switches, "false") === "true";
  const cursor = query.get("cursor");
  if (cursor === null) {
    return { range: { ...(given ?? { start: "", end: null }), reverse }, revision: null };
  }
  const rest = restOfCursor(cursor);
  if (rest === null) throw badRequest("query: cursor is not one that a listing gave");
  if (query.get("reverse") !== null && rest.range.reverse !== reverse) {
    throw badRequest("query: cursor is of a listing in the other direction");
  }
  if (given !== null && !isRestOf(rest.range, given)) {
    throw badRequest("query: cursor is of a listing of another range");
  }
  return rest;
}
