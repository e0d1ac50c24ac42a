/** What all routes have in common: who is let in, how many at a time, and what is counted of them. */
import type { Context } from "hono";
import { invariant } from "../assert.ts";
import type { Span } from "../ports.ts";
import { type Right, rightTo } from "./access/rights.ts";
import { Exchange, type Host } from "./exchange.ts";
import { Refusal } from "./problem.ts";
import { type Bindings, targetOf } from "./target.ts";

export type AppContext = Context<{ Bindings: Bindings }>;
export type Handler = (exchange: Exchange) => Response | Promise<Response>;
/** By method; `HEAD` is answered by `GET`. */
export type Methods = Readonly<Record<string, Handler>>;
/**
 * Which bounds a route's requests stand under. Those for keys wait their turn; an operator's don't, and have places of
 * their own; health, status and metrics are answered whatever goes on.
 */
export type Lane = "keys" | "operator" | "always";

export interface Route {
  /** As the table of rights, and `openapi.json`, have it. */
  readonly path: string;
  readonly lane: Lane;
  readonly methods: Methods;
}

/** A handler, and what it takes to be let in to it. */
interface Guarded {
  readonly handler: Handler;
  readonly right: Right;
}

export function exchangeOf(host: Host, c: AppContext, span: Span | null = null): Exchange {
  const request = c.req.raw;
  return new Exchange(host, request, targetOf(request.url, c.env), span);
}

/** @throws {InvariantViolation} for a route whose right nobody has told. */
export function serve(
  host: Host,
  { path, lane, methods }: Route,
): (c: AppContext) => Promise<Response> {
  const handlers = guarded(path, methods);
  const get = handlers.get("GET");
  if (get !== undefined) handlers.set("HEAD", get);
  const allow = [...handlers.keys()].toSorted().join(", ");
  const answer = async (
    exchange: Exchange,
    found: Guarded | undefined,
    origin: symbol | undefined,
  ): Promise<Response> => {
    if (found === undefined) {
      return exchange.refuse(
        new Refusal("no_such_route", `this path takes ${allow}`, {
          status: 405,
          headers: { allow },
        }),
      );
    }
    const handle = async (): Promise<Response> => {
      if (lane === "keys") await enter();
      return await found.handler(exchange);
    };
    const enter = async (): Promise<void> => {
      const entering = exchange.enter(found.right, origin);
      if (entering !== null) await entering;
    };
    try {
      // Who waits at the gate may be a stranger, and is not to have one of an operator's few places meanwhile.
      if (lane !== "keys") await enter();
      return lane === "always" ? await handle() : await within(exchange, lane, handle);
    } catch (error) {
      return exchange.refuse(error);
    }
  };
  const figuresOf = host.requests.route(path);
  return async (c) => {
    const since = host.now();
    const { method } = c.req.raw;
    const found = handlers.get(method);
    // Anybody may make methods up.
    const shown = found === undefined ? "other" : method;
    const span = host.tracer?.enter(`${shown} ${path}`, c.req.raw.headers, {
      "http.request.method": shown,
      "http.route": path,
      "holdfast.node": host.replica.id,
    }) ?? null;
    const response = await answer(exchangeOf(host, c, span), found, c.env?.origin);
    const { status } = response;
    figuresOf(shown).answered(status, (host.now() - since) / 1000);
    span?.set("http.response.status_code", status);
    span?.end(status < 500 ? null : String(status));
    return response;
  };
}

function guarded(path: string, methods: Methods): Map<string, Guarded> {
  const handlers = new Map<string, Guarded>();
  for (const [method, handler] of Object.entries(methods)) {
    const right = rightTo(path, method);
    invariant(right !== null, `${method} ${path} is not in the table of rights`);
    handlers.set(method, { handler, right });
  }
  return handlers;
}

/** Handles a request within the bounds of its lane. */
async function within(
  exchange: Exchange,
  lane: "keys" | "operator",
  handle: () => Promise<Response>,
): Promise<Response> {
  const { host } = exchange;
  const { openRequestsMax, operatorRequestsMax } = host.limits;
  if (host.open[lane] >= (lane === "keys" ? openRequestsMax : operatorRequestsMax)) {
    return exchange.overloaded("open_requests");
  }
  const entered = lane === "keys" ? host.admission.enter(host.open.keys) : null;
  host.open[lane]++;
  try {
    if (entered === null) return await handle();
    const waitedMs = await entered;
    if (waitedMs === null) return exchange.overloaded("admission_delay");
    exchange.timeoutMs = Math.max(1, exchange.timeoutMs - waitedMs);
    return await handle();
  } finally {
    host.open[lane]--;
  }
}
