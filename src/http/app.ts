/**
 * The HTTP interface as a Hono app. It has no middleware: one handler a path, which builds its answer once.
 *
 * Paths are matched as they came, not percent-decoded, and everything behind `/v1/kv/` is one route: a key may hold
 * any bytes, and a router that decodes them would change it.
 */
import { type Context, Hono } from "hono";
import type { KvMachine } from "../kv/machine.ts";
import type { Logger } from "../ports.ts";
import { getLive, getLog, getMetrics, getReady, getStatus, putLeader } from "./cluster-routes.ts";
import { Arrivals } from "./arrivals.ts";
import { Exchange, type Host, type ReplicaView } from "./exchange.ts";
import { deleteKey, getKey, keyPrefix, putKey } from "./kv-routes.ts";
import { defaultHttpLimits, type HttpLimits } from "./limits.ts";
import { deleteMember, getMembers, memberPrefix, postMember, putMembers } from "./member-routes.ts";
import type { Metrics } from "./metrics.ts";
import { Refusal } from "./problem.ts";
import { deleteKeys, listKeys } from "./range-routes.ts";
import { type Bindings, pathOf, targetOf } from "./target.ts";

export type { LogEntry, ReplicaView } from "./exchange.ts";

/** What an app stands on. */
export interface AppOptions {
  readonly replica: ReplicaView;
  /** The replica's machine: read after `replica.read` allowed it. */
  readonly machine: KvMachine;
  /** The replica's observer. */
  readonly metrics: Metrics;
  /** E.g. `bun 1.4.5`. */
  readonly runtime: string;
  /** This software's. */
  readonly version: string;
  /** Monotonic milliseconds, on the scale of the replica's clock. */
  readonly now: () => number;
  readonly log: Logger;
  /** Called with a broken invariant that a request met; the node has to stop. */
  readonly onDefect: (error: Error) => void;
  /** Serve linearizable reads from the leader's lease where it holds one. */
  readonly leaseReads: boolean;
  readonly limits?: Partial<HttpLimits>;
  /** What peers ask, with its whole paths (`/raft/v1/…`). */
  readonly peerRoutes?: Hono;
}

type AppContext = Context<{ Bindings: Bindings }>;
type Handler = (exchange: Exchange) => Response | Promise<Response>;
/** By method; `HEAD` is answered by `GET`. */
type Methods = Readonly<Record<string, Handler>>;
/** Whether a route's requests count as open ones; health and status answer also under load. */
type Lane = "bounded" | "always";

/** All keys are matched by this one path; a key may well be `key`. So are all members. */
const keyRoute = `${keyPrefix}key`;
const memberRoute = `${memberPrefix}id`;

/**
 * The app. Answers to requests for keys, to status and to peers come from `options.replica`.
 *
 * @example
 * ```ts
 * const app = createApp(options);
 * await app.request("/v1/kv/greeting", { method: "PUT", body: "hello" }); // 201
 * ```
 */
export function createApp(options: AppOptions): Hono<{ Bindings: Bindings }> {
  const { replica, machine, metrics } = options;
  const limits = { ...defaultHttpLimits, ...options.limits };
  const host: Host = {
    ...options,
    limits,
    arrivals: new Arrivals(limits.bodyTimeoutMs),
    metrics: () =>
      metrics.text({
        status: () => replica.status(),
        members: () => replica.members(),
        revision: machine.store.revision,
        keys: machine.store.size,
      }),
    open: 0,
    arrivingBytes: 0,
  };
  const app = new Hono<{ Bindings: Bindings }>({
    getPath: (request, context) => {
      const path = pathOf(targetOf(request.url, context?.env));
      if (path.startsWith(keyPrefix)) return keyRoute;
      return path.startsWith(memberPrefix) ? memberRoute : path;
    },
  });
  const route = (path: string, lane: Lane, methods: Methods) =>
    app.all(path, serve(host, lane, methods));

  route(keyRoute, "bounded", { GET: getKey, PUT: putKey, DELETE: deleteKey });
  route("/v1/kv", "bounded", { GET: listKeys, DELETE: deleteKeys });
  route("/v1/log", "bounded", { GET: getLog });
  route("/v1/leader", "bounded", { PUT: putLeader });
  route("/v1/members", "bounded", { GET: getMembers, POST: postMember, PUT: putMembers });
  route(memberRoute, "bounded", { DELETE: deleteMember });
  route("/v1/status", "always", { GET: getStatus });
  route("/livez", "always", { GET: getLive });
  route("/readyz", "always", { GET: getReady });
  route("/metrics", "always", { GET: getMetrics });
  if (options.peerRoutes !== undefined) app.route("/", options.peerRoutes);
  app.notFound((c) => {
    const exchange = exchangeOf(host, c);
    return exchange.refuse(new Refusal("no_such_route", "there is nothing at this path"));
  });
  app.onError((error, c) => exchangeOf(host, c).refuse(error));
  return app;
}

function exchangeOf(host: Host, c: AppContext): Exchange {
  const request = c.req.raw;
  return new Exchange(host, request, targetOf(request.url, c.env));
}

function serve(host: Host, lane: Lane, methods: Methods): (c: AppContext) => Promise<Response> {
  const handlers = new Map(Object.entries(methods));
  const get = handlers.get("GET");
  if (get !== undefined) handlers.set("HEAD", get);
  const allow = [...handlers.keys()].toSorted().join(", ");
  const { openRequestsMax } = host.limits;
  const share = lane === "bounded" ? 1 : 0;
  return async (c) => {
    const exchange = exchangeOf(host, c);
    const handler = handlers.get(exchange.request.method);
    if (handler === undefined) {
      return exchange.refuse(
        new Refusal("no_such_route", `this path takes ${allow}`, {
          status: 405,
          headers: { allow },
        }),
      );
    }
    if (share > 0 && host.open >= openRequestsMax) {
      return exchange.refuse(new Refusal("overloaded", "too many requests are open"));
    }
    host.open += share;
    try {
      return await handler(exchange);
    } catch (error) {
      return exchange.refuse(error);
    } finally {
      host.open -= share;
    }
  };
}
