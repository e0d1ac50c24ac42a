/** `/v1/watch`: changes, as they come or from the past on, as a stream of server-sent events. */
import { keyBytesMax } from "../kv/key.ts";
import { type Exchange, marksOf } from "./exchange.ts";
import { badRequest, tooLarge } from "./problem.ts";
import { rangeIn, rangeNames } from "./range.ts";
import { confirmNames, confirmRead } from "./reading.ts";
import { Query } from "./target.ts";
import { type Filter, filterOf, rangeOf } from "./watch/filter.ts";

const watchNames: ReadonlySet<string> = new Set([
  ...rangeNames,
  ...confirmNames,
  "key",
  "from",
  "previous",
]);
const switches = ["true", "false"] as const;
/** 0 is before the first: all there is. */
const revisions = { min: 0, max: Number.MAX_SAFE_INTEGER };
const eventStreamType = "text/event-stream";
const lastEventHeader = "last-event-id";

/**
 * `GET`: the changes of the keys asked for, from a revision on. Where none is said that is the next one, and the answer
 * comes once a read was confirmed: what anybody had learned before it was asked for is not told again.
 */
export async function watchKeys(exchange: Exchange): Promise<Response> {
  const { host, request, target } = exchange;
  const query = new Query(target, watchNames, host.limits.queryBytesMax);
  const filter = filterIn(query);
  const form = query.choice("previous", switches, "false") === "true" ? "previous" : "plain";
  const asked = query.whole("from", revisions);
  const from = resumedFrom(request.headers) ?? (asked === null ? null : Math.max(1, asked));
  const needs = () => [{ verb: "watch", range: rangeOf(filter) } as const];
  // From a revision on nothing has to be confirmed, but that whoever asks still may.
  const isToConfirm = from === null || host.gate.isClosed;
  const headers = isToConfirm ? await confirmRead(exchange, query, needs) : {};
  const shown = {
    ...marksOf(host),
    "content-type": eventStreamType,
    "cache-control": "no-store",
    ...headers,
  };
  const { caller } = exchange;
  const refusal = caller.type === "inside" ? null : () => host.gate.refusal(caller, needs());
  if (request.method === "HEAD") {
    if (from !== null) host.watchers.check(from);
    return new Response(null, { headers: shown });
  }
  return new Response(host.watchers.open({ filter, form, from, refusal }), { headers: shown });
}

/** @throws {Refusal} 400 where the query names more than one of key, prefix and range; 413. */
function filterIn(query: Query): Filter {
  const range = rangeIn(query);
  const key = query.get("key");
  if (key === null) return filterOf(range ?? { start: "", end: null });
  if (range !== null) throw badRequest("query: key does not go with prefix, start or end");
  if (key.length === 0) throw badRequest("query: key is empty");
  if (key.length > keyBytesMax) throw tooLarge("the key", keyBytesMax);
  return { type: "key", key };
}

/** The revision behind the one that the client saw last. @throws {Refusal} 400 where it is no revision. */
function resumedFrom(headers: Headers): number | null {
  const id = headers.get(lastEventHeader);
  if (id === null || id === "") return null;
  const revision = /^\d{1,16}$/.test(id) ? Number(id) : NaN;
  if (revision < Number.MAX_SAFE_INTEGER) return revision + 1;
  throw badRequest("Last-Event-ID takes a revision, as the events' ids are");
}
