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
import { getBackup } from "./backup-routes.ts";
import { Exchange, type Host, type ReplicaView } from "./exchange.ts";
import { deleteKey, getKey, keyPrefix, putKey } from "./kv-routes.ts";
import {
  deleteLease,
  getLease,
  keepAliveSuffix,
  leasePrefix,
  listLeases,
  postKeepAlive,
  postLease,
} from "./lease-routes.ts";
import { defaultHttpLimits, type HttpLimits } from "./limits.ts";
import { deleteMember, getMembers, memberPrefix, postMember, putMembers } from "./member-routes.ts";
import type { Metrics } from "./metrics.ts";
import { Refusal } from "./problem.ts";
import { deleteKeys, listKeys } from "./range-routes.ts";
import { getOpenApi } from "./openapi.ts";
import { watchKeys } from "./watch-routes.ts";
import { WatchHub } from "./watch/hub.ts";
import { type Bindings, pathOf, targetOf } from "./target.ts";
import { postBatch, postTransaction } from "./transaction-routes.ts";

export type { LogEntry, ReplicaView } from "./exchange.ts";
export { WatchHub };

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
  /** Asked about a newcomer before it is taken in. @throws {ChangeRefused} where it can't be. */
  readonly checkNewcomer?: (
    newcomer: { readonly id: string; readonly url: string },
  ) => Promise<void>;
  /** The version that a member was last heard to speak; null where none was. */
  readonly speaks?: (id: string) => number | null;
  /** Serve linearizable reads from the leader's lease where it holds one. */
  readonly leaseReads: boolean;
  readonly limits?: Partial<HttpLimits>;
  /** `cluster` leaves keys out: status, members and peers are served for a replica of any machine. */
  readonly routes?: "all" | "cluster";
  /** The machine's watchers, where somebody has to end them; else the app has its own. */
  readonly watchers?: WatchHub;
  /** What peers ask, with its whole paths (`/raft/v1/…`). */
  readonly peerRoutes?: Hono;
}

type AppContext = Context<{ Bindings: Bindings }>;
type Handler = (exchange: Exchange) => Response | Promise<Response>;
/** By method; `HEAD` is answered by `GET`. */
type Methods = Readonly<Record<string, Handler>>;
/** Whether a route's requests count as open ones; health and status answer also under load. */
type Lane = "bounded" | "always";

/** All keys are matched by this one path; a key may well be `key`. So are all members, and all leases. */
const keyRoute = `${keyPrefix}key`;
const memberRoute = `${memberPrefix}id`;
const leaseRoute = `${leasePrefix}id`;
const keepAliveRoute = `${leaseRoute}${keepAliveSuffix}`;

/** How a route with a name in it is called where it is counted. */
const shownAs: Readonly<Record<string, string>> = {
  [keyRoute]: `${keyPrefix}{key}`,
  [memberRoute]: `${memberPrefix}{id}`,
  [leaseRoute]: `${leasePrefix}{id}`,
  [keepAliveRoute]: `${leasePrefix}{id}${keepAliveSuffix}`,
};

/**
 * The app. Answers to requests for keys, to status and to peers come from `options.replica`.
 *
 * @example
 * ```ts ignore
 * const app = createApp(options);
 * await app.request("/v1/kv/greeting", { method: "PUT", body: "hello" }); // 201
 * ```
 */
export function createApp(options: AppOptions): Hono<{ Bindings: Bindings }> {
  const { replica, machine, metrics } = options;
  const limits = { ...defaultHttpLimits, ...options.limits };
  const watchers = options.watchers ??
    new WatchHub(machine, () => replica.stalenessMs(), limits);
  const host: Host = {
    ...options,
    limits,
    watchers,
    arrivals: new Arrivals(limits.bodyTimeoutMs),
    metrics: () =>
      metrics.text({
        status: replica.status(),
        members: replica.members(),
        stalenessMs: replica.stalenessMs(),
        revision: machine.store.revision,
        version: machine.version,
        floor: machine.store.floor,
        usage: machine.usage,
        watchers,
        open: { requests: host.open, arrivingBytes: host.arrivingBytes },
        now: host.now(),
      }),
    requests: metrics.requests,
    open: 0,
    arrivingBytes: 0,
    backups: 0,
  };
  const app = new Hono<{ Bindings: Bindings }>({
    getPath: (request, context) => {
      const path = pathOf(targetOf(request.url, context?.env));
      if (path.startsWith(keyPrefix)) return keyRoute;
      if (path.startsWith(memberPrefix)) return memberRoute;
      if (!path.startsWith(leasePrefix)) return path;
      return path.endsWith(keepAliveSuffix) ? keepAliveRoute : leaseRoute;
    },
  });
  const route = (path: string, lane: Lane, methods: Methods) =>
    app.all(path, serve(host, { path: shownAs[path] ?? path, lane, methods }));

  if (options.routes !== "cluster") {
    route(keyRoute, "bounded", { GET: getKey, PUT: putKey, DELETE: deleteKey });
    route("/v1/kv", "bounded", { GET: listKeys, DELETE: deleteKeys });
    route("/v1/txn", "bounded", { POST: postTransaction });
    route("/v1/batch", "bounded", { POST: postBatch });
    route("/v1/leases", "bounded", { GET: listLeases, POST: postLease });
    route(leaseRoute, "bounded", { GET: getLease, DELETE: deleteLease });
    route(keepAliveRoute, "bounded", { POST: postKeepAlive });
    // What counts as open is its answer's beginning, not its stream.
    route("/v1/watch", "bounded", { GET: watchKeys });
    route("/v1/backup", "bounded", { GET: getBackup });
  }
  route("/v1/log", "bounded", { GET: getLog });
  route("/v1/leader", "bounded", { PUT: putLeader });
  route("/v1/members", "bounded", { GET: getMembers, POST: postMember, PUT: putMembers });
  route(memberRoute, "bounded", { DELETE: deleteMember });
  route("/openapi.json", "bounded", { GET: getOpenApi });
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

interface Route {
  /** As it is called where it is counted. */
  readonly path: string;
  readonly lane: Lane;
  readonly methods: Methods;
}

function serve(host: Host, { path, lane, methods }: Route): (c: AppContext) => Promise<Response> {
  const handlers = new Map(Object.entries(methods));
  const get = handlers.get("GET");
  if (get !== undefined) handlers.set("HEAD", get);
  const allow = [...handlers.keys()].toSorted().join(", ");
  const { openRequestsMax } = host.limits;
  const share = lane === "bounded" ? 1 : 0;
  const answer = async (exchange: Exchange, handler: Handler | undefined): Promise<Response> => {
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
  const figuresOf = host.requests.route(path);
  return async (c) => {
    const since = host.now();
    const exchange = exchangeOf(host, c);
    const { method } = exchange.request;
    const handler = handlers.get(method);
    const response = await answer(exchange, handler);
    // Anybody may make methods up.
    const figures = figuresOf(handler === undefined ? "other" : method);
    figures.answered(response.status, (host.now() - since) / 1000);
    return response;
  };
}
