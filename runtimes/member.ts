/** A node that belongs to a cluster, from its parts: storage → replica → HTTP app. */
import type { ClusterBirth, DataDirectory } from "../src/adapters/data-directory.ts";
import { createFetchTransport, defaultLanes } from "../src/adapters/fetch-transport.ts";
import { RECORD_HEADER_BYTES, sealEntry } from "../src/adapters/log-record.ts";
import type { Hello, HelloReply, SayHello } from "../src/adapters/peer-hello.ts";
import { createPeerAuthenticator } from "../src/adapters/peer-signature.ts";
import {
  ENVELOPE_BYTES_MAX,
  type PeerAuthenticator,
  type PeerWireLimits,
} from "../src/adapters/peer-wire.ts";
import {
  APPEND_ENTRIES_MAX,
  COMMAND_BYTES_MAX,
  COMMIT_NOTICE_DELAY_MS,
  DISK_STALL_MS,
  type NodeConfig,
  PEER_TIMEOUT_FACTOR,
  raftLimits,
  serverLimits,
} from "../src/config.ts";
import { type AppOptions, createApp, type ReplicaView } from "../src/http/app.ts";
import { marksOf } from "../src/http/exchange.ts";
import { defaultHelloLimits, helloRoute, type HelloRouteOptions } from "../src/http/hello-route.ts";
import type { Metrics } from "../src/http/metrics.ts";
import { defaultInflightMax, raftRoutes } from "../src/http/raft-routes.ts";
import type { KvMachine } from "../src/kv/machine.ts";
import type { KvResult } from "../src/kv/result.ts";
import type { Clock, Logger, ReplicaObserver, Transport } from "../src/ports.ts";
import type { Configuration, NodeId } from "../src/raft/types.ts";
import { Replica } from "../src/replica.ts";
import manifest from "../package.json" with { type: "json" };
import type { Room } from "./door.ts";
import type { Runtime } from "./runtime.ts";

/** This software's version. */
export const version: string = manifest.version;

/** Bounds of what peers send each other. */
export const wireLimits: PeerWireLimits = {
  bodyBytesMax: Math.max(raftLimits.appendBytesMax, COMMAND_BYTES_MAX + RECORD_HEADER_BYTES) +
    ENVELOPE_BYTES_MAX,
  records: { payloadBytesMax: COMMAND_BYTES_MAX, entriesMax: APPEND_ENTRIES_MAX },
};

/** What a replica is assembled from. */
export interface ReplicaSetup {
  readonly config: NodeConfig;
  readonly storage: DataDirectory;
  readonly cluster: ClusterBirth;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer: ReplicaObserver;
  readonly machine: KvMachine;
}

/** Opens a replica of the key-value machine. @throws {CorruptData} {InvariantViolation} */
export function openReplica(setup: ReplicaSetup): Promise<Replica<KvResult>> {
  const { config, storage, cluster, ...parts } = setup;
  return Replica.open<KvResult>({
    ...parts,
    wal: storage.wal,
    recovered: storage.recovered,
    snapshots: storage.snapshots,
    debt: storage.debt,
    options: {
      raft: {
        id: config.id,
        electionTimeoutMs: config.electionTimeoutMs,
        heartbeatIntervalMs: config.heartbeatIntervalMs,
        noticeDelayMs: COMMIT_NOTICE_DELAY_MS,
        maxClockDrift: config.maxClockDrift,
        limits: { ...raftLimits, trailingEntries: config.trailingEntries },
        priority: config.priority,
        random: Math.random,
        seal: sealEntry,
      },
      clusterId: cluster.clusterId,
      birth: cluster.birth,
      snapshotEntries: config.snapshotEntries,
      snapshotBytes: config.snapshotBytes,
      peerTimeoutMs: PEER_TIMEOUT_FACTOR * config.electionTimeoutMs,
      diskStallMs: DISK_STALL_MS,
    },
  });
}

/** What a node has before it belongs to a cluster, and keeps. */
export interface Surroundings {
  readonly config: NodeConfig;
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly machine: KvMachine;
  readonly sayHello: SayHello;
  /** Of hellos, in both directions. */
  readonly authenticator: PeerAuthenticator;
  readonly onDefect: (error: Error) => void;
}

/** The authenticator of a cluster's messages. */
export function authenticatorFor(
  clusterId: string,
  config: Pick<NodeConfig, "id" | "secret">,
  clock: Clock,
): PeerAuthenticator {
  return createPeerAuthenticator({
    self: config.id,
    clusterId,
    secrets: config.secret === null ? [] : [config.secret],
    wallNow: () => clock.wallNow(),
  });
}

/** The HTTP interface over a replica, its answer to hellos, and its other peer routes if it has any. */
export function roomOver(
  around: Surroundings,
  replica: ReplicaView,
  answer: (hello: Hello) => HelloReply,
  raft: HelloRouteOptions["raft"] = null,
): Room {
  const { config, runtime, log, clock, metrics, machine, authenticator, onDefect } = around;
  const marks = () => marksOf({ replica, machine });
  const options: AppOptions = {
    replica,
    machine,
    metrics,
    runtime: runtime.name,
    version,
    now: () => clock.now(),
    log,
    onDefect,
    leaseReads: config.leaseReads,
    limits: { valueBytesMax: config.maxValueBytes, requestTimeoutMs: config.requestTimeoutMs },
    peerRoutes: helloRoute({ authenticator, answer, marks, raft, limits: defaultHelloLimits }),
  };
  const app = createApp(options);
  return { marks, handle: async (request, bindings) => await app.fetch(request, bindings) };
}

/** A member of a cluster. */
export interface Member {
  readonly clusterId: string;
  readonly replica: Replica<KvResult>;
}

/** Opens a member; it takes no part until its replica is started. @throws {CorruptData} {InvariantViolation} */
export async function openMember(
  around: Surroundings,
  storage: DataDirectory,
  cluster: ClusterBirth,
): Promise<Member & { readonly room: Room }> {
  const { config, runtime, clock, log, metrics, machine } = around;
  const { clusterId, birth } = cluster;
  warnOfAnotherUrl(birth.urls[config.id], config, log);
  const authenticator = authenticatorFor(clusterId, config, clock);
  const transport = createFetchTransport({
    authenticator,
    clock,
    fetch: runtime.peerFetch,
    urls: birth.urls,
    limits: { wire: wireLimits, replyBytesMax: wireLimits.bodyBytesMax, lanes: defaultLanes },
  });
  const parts = { config, storage, cluster, transport, clock, log, observer: metrics, machine };
  const replica = await openReplica(parts);
  const raft = raftRoutes({
    handler: replica,
    authenticator,
    marks: () => marksOf({ replica, machine }),
    limits: {
      wire: wireLimits,
      inflightMax: defaultInflightMax,
      bodyTimeoutMs: serverLimits.arrivalTimeoutMs,
    },
  });
  const room = roomOver(around, replica, (hello) => welcome(replica, cluster, hello), raft);
  return { clusterId, replica, room };
}

function warnOfAnotherUrl(known: string | undefined, { advertise }: NodeConfig, log: Logger): void {
  if (known === undefined || known === advertise) return;
  log("warn", "this node is known to its cluster by another URL", { known, now: advertise });
}

/** A member's answer to a hello: what is committed. A leader binds a member that has come for the first time. */
function welcome(
  replica: Replica<KvResult>,
  { clusterId, birth }: ClusterBirth,
  { from, incarnation }: Hello,
): HelloReply {
  const { role, leader, configuration } = replica.status();
  if (role === "leader" && isAwaited(configuration, birth, from)) replica.bind(from, incarnation);
  return {
    state: "member",
    clusterId,
    birth,
    configuration: replica.appliedConfiguration,
    leader,
  };
}

/**
 * Whether a member was added and has not come yet. First members never are, not even where the birth has no
 * incarnations (it once had none): one of them that comes with an empty disk has lost it.
 */
export function isAwaited(current: Configuration, birth: Configuration, id: NodeId): boolean {
  const { voters, outgoing, learners, incarnations = {} } = current;
  return [...voters, ...outgoing, ...learners].includes(id) && !birth.voters.includes(id) &&
    !Object.hasOwn(incarnations, id);
}
