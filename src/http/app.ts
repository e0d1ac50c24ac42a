/**
 * The HTTP interface as a Hono app. It has no middleware: one handler a path, which builds its answer once.
 *
 * Paths are matched as they came, not percent-decoded, and everything behind `/v1/kv/` is one route: a key may hold
 * any bytes, and a router that decodes them would change it.
 */
import { Hono } from "hono";
import { accessVersion } from "../kv/access/grant.ts";
import type { KvMachine } from "../kv/machine.ts";
import type { Credentials, Logger, Tracer } from "../ports.ts";
import { getLive, getLog, getMetrics, getReady, getStatus, putLeader } from "./cluster-routes.ts";
import { Admission } from "./admission.ts";
import {
  deleteRole,
  deleteToken,
  getSelf,
  listRoles,
  listTokens,
  postToken,
  putRole,
} from "./access/access-routes.ts";
import { Confirmations } from "./access/confirmations.ts";
import { Gate } from "./access/gate.ts";
import { Arrivals } from "./arrivals.ts";
import { getBackup } from "./backup-routes.ts";
import type { Host, ReplicaView } from "./exchange.ts";
import { deleteKey, getKey, putKey } from "./kv-routes.ts";
import { deleteLease, getLease, listLeases, postKeepAlive, postLease } from "./lease-routes.ts";
import { defaultHttpLimits, type HttpLimits } from "./limits.ts";
import { deleteMember, getMembers, postMember, putMembers } from "./member-routes.ts";
import type { Metrics } from "./metrics.ts";
import { Refusal } from "./problem.ts";
import { deleteKeys, listKeys } from "./range-routes.ts";
import { postRestore } from "./restore-routes.ts";
import { getOpenApi } from "./openapi.ts";
import { routeOf, spelled } from "./route-paths.ts";
import { exchangeOf, type Lane, type Methods, serve } from "./serve.ts";
import { requireVersion } from "./version-gate.ts";
import { watchKeys } from "./watch-routes.ts";
import { WatchHub } from "./watch/hub.ts";
import { type Bindings, pathOf, targetOf } from "./target.ts";
import { postBatch, postTransaction } from "./transaction-routes.ts";

export type { LogEntry, ReplicaView } from "./exchange.ts";
export { WatchHub };

/** Who is let in, and by what. */
export interface AccessOptions {
  /** Whether tokens are asked for where the cluster has none yet. */
  readonly auth: boolean;
  /** Whether who comes without a token is served as root. */
  readonly recovers?: boolean;
  readonly credentials: Credentials;
}

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
  /** Null, or missing, where nobody collects traces. */
  readonly tracer?: Tracer | null;
  /** Asked about a newcomer before it is taken in. @throws {ChangeRefused} where it can't be. */
  readonly checkNewcomer?: (
    newcomer: { readonly id: string; readonly url: string },
  ) => Promise<void>;
  /** The version that a member was last heard to speak; null where none was. */
  readonly speaks?: (id: string) => number | null;
  /** Serve linearizable reads from the leader's lease where it holds one. */
  readonly leaseReads: boolean;
  /** Nothing here reads tokens where it is missing: nobody is let in then to a cluster that asks for them. */
  readonly access?: AccessOptions;
  readonly limits?: Partial<HttpLimits>;
  /** `cluster` leaves keys out: status, members and peers are served for a replica of any machine. */
  readonly routes?: "all" | "cluster";
  /** The machine's watchers, where somebody has to end them; else the app has its own. */
  readonly watchers?: WatchHub;
  /** What peers ask, with its whole paths (`/raft/v1/…`). */
  readonly peerRoutes?: Hono;
}

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
  const host = hostOf(options);
  const app = new Hono<{ Bindings: Bindings }>({
    getPath: (request, context) => routeOf(pathOf(targetOf(request.url, context?.env))),
  });
  const route = (path: string, lane: Lane, methods: Methods) =>
    app.all(spelled(path), serve(host, { path, lane, methods }));

  if (options.routes !== "cluster") {
    route("/v1/kv/{key}", "keys", { GET: getKey, PUT: putKey, DELETE: deleteKey });
    route("/v1/kv", "keys", { GET: listKeys, DELETE: deleteKeys });
    route("/v1/txn", "keys", { POST: postTransaction });
    route("/v1/batch", "keys", { POST: postBatch });
    route("/v1/leases", "keys", { GET: listLeases, POST: postLease });
    route("/v1/leases/{id}", "keys", { GET: getLease, DELETE: deleteLease });
    route("/v1/leases/{id}/keepalive", "keys", { POST: postKeepAlive });
    // What counts as open is its answer's beginning, not its stream.
    route("/v1/watch", "keys", { GET: watchKeys });
    route("/v1/access/self", "operator", { GET: getSelf });
    route("/v1/access/tokens", "operator", { GET: listTokens, POST: postToken });
    route("/v1/access/tokens/{id}", "operator", { DELETE: deleteToken });
    route("/v1/access/roles", "operator", { GET: listRoles });
    route("/v1/access/roles/{name}", "operator", { PUT: putRole, DELETE: deleteRole });
    route("/v1/backup", "operator", { GET: getBackup });
    route("/v1/restore", "operator", { POST: postRestore });
  }
  route("/v1/log", "operator", { GET: getLog });
  route("/v1/leader", "operator", { PUT: putLeader });
  route("/v1/members", "operator", { GET: getMembers, POST: postMember, PUT: putMembers });
  route("/v1/members/{id}", "operator", { DELETE: deleteMember });
  route("/openapi.json", "operator", { GET: getOpenApi });
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

/** What all requests of an app share. */
function hostOf(options: AppOptions): Host {
  const { replica, machine, metrics } = options;
  const credentials = options.access?.credentials ?? null;
  const limits = { ...defaultHttpLimits, ...options.limits };
  const watchers = options.watchers ??
    new WatchHub(machine, () => replica.stalenessMs(), limits);
  const host: Host = {
    ...options,
    limits,
    watchers,
    admission: new Admission(limits, options.now, () => replica.status().leader !== null),
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
        open: { requests: host.open.keys, arrivingBytes: host.arrivingBytes },
        now: host.now(),
      }),
    gate: new Gate({
      access: () => machine.access,
      auth: options.access?.auth ?? false,
      recovers: options.access?.recovers ?? false,
      credentials,
      confirmations: new Confirmations({
        replica,
        timeoutMs: limits.requestTimeoutMs,
        now: options.now,
      }),
      checkVersion: () => requireVersion(options, "access control", accessVersion),
    }),
    credentials,
    requests: metrics.requests,
    refused: (bound) => metrics.refused(bound),
    open: { keys: 0, operator: 0 },
    arrivingBytes: 0,
    backups: 0,
  };
  return host;
}
