/** Status, health, metrics, the log, and who leads. */
import type { HealthCheck, ReplicaStatus } from "../replica.ts";
import { readDocument } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { pageItemsDefault, pageItemsMax } from "./limits.ts";
import { asMember, membersShown } from "./member-routes.ts";
import { entryShown } from "./log-shown.ts";
import { badRequest, Refusal } from "./problem.ts";
import { Query } from "./target.ts";
import { type DiskAnswer, type LeaderAnswer, LeaderRequest, type StatusAnswer } from "./wire.ts";

/** `GET /v1/status`: the cluster as this node sees it. */
export function getStatus(exchange: Exchange): Response {
  const { machine, replica, runtime, version } = exchange.host;
  const status = replica.status();
  const { id, clusterId, role, term, leader, commit, applied } = status;
  const answer: StatusAnswer = {
    id,
    clusterId,
    role,
    term,
    leader,
    commit,
    applied,
    lastLog: status.lastIndex,
    snapshot: status.snapshotIndex,
    revision: machine.store.revision,
    runtime,
    version,
    disk: diskShown(status.room),
    clusterVersion: machine.version,
    ...membersShown(exchange.host),
  };
  return exchange.document(200, answer);
}

function diskShown(room: ReplicaStatus["room"]): DiskAnswer | null {
  if (room === null) return null;
  const { level, freeBytes: free, wantedBytes: wanted } = room;
  return { free, wanted, readOnly: level !== "enough" };
}

/** `GET /livez`: the event loop and the disk answer. */
export function getLive(exchange: Exchange): Response {
  return answerHealth(exchange, exchange.host.replica.health().live);
}

/** `GET /readyz`: it also knows a leader and is caught up. */
export function getReady(exchange: Exchange): Response {
  return answerHealth(exchange, exchange.host.replica.health().ready);
}

/** `GET /metrics`, for Prometheus. */
export async function getMetrics(exchange: Exchange): Promise<Response> {
  const text = await exchange.host.metrics();
  return exchange.raw(200, text, {
    headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
  });
}

const logNames: ReadonlySet<string> = new Set(["from", "limit"]);

/** `GET /v1/log`: entries that the log still holds, for debugging; committed or not. */
export async function getLog(exchange: Exchange): Promise<Response> {
  const { host, target } = exchange;
  const query = new Query(target, logNames, host.limits.queryBytesMax);
  const from = query.whole("from", { min: 1, max: Number.MAX_SAFE_INTEGER }) ?? 1;
  const limit = query.whole("limit", { min: 1, max: pageItemsMax }) ?? pageItemsDefault;
  await exchange.may(() => [{ verb: "read", range: { start: "", end: null } }]);
  const { firstIndex, lastIndex, commit } = host.replica.status();
  const first = Math.max(from, firstIndex);
  const entries = first > lastIndex ? [] : host.replica.entries(first, limit);
  return exchange.document(200, {
    firstIndex,
    lastIndex,
    commit,
    entries: entries.map((entry) => entryShown(entry, host.limits.loggedValueBytesMax)),
  });
}

/** `PUT /v1/leader`: hands leadership over, from any node. Whoever leads already is handed nothing, and that is fine. */
export async function putLeader(exchange: Exchange): Promise<Response> {
  const { replica, now } = exchange.host;
  const { id } = await readDocument(exchange, LeaderRequest);
  const deadline = now() + exchange.timeoutMs;
  const isVoter = (): boolean => id === null || replica.members().configuration.voters.includes(id);
  if (!isVoter()) {
    // A node that has been away may not have heard of it yet.
    await replica.read("linearizable", exchange.timeoutMs);
    if (!isVoter()) throw badRequest(`body: id: ${id} is not a voter of this cluster`);
  }
  await exchange.decide(asMember);
  const leader = await replica.transferLeadership(id, Math.max(1, deadline - now()));
  return exchange.document(200, { leader } satisfies LeaderAnswer);
}

function answerHealth(exchange: Exchange, checks: readonly HealthCheck[]): Response {
  const failing = checks.filter((check) => !check.ok);
  if (failing.length === 0) return exchange.document(200, { status: "ok", checks });
  const detail = failing.map(({ name, detail }) => `${name}: ${detail}`).join("; ");
  throw new Refusal("not_ready", detail, { members: { checks: failing } });
}
