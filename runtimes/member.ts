/** A node that belongs to a cluster, from its parts: storage → replica → HTTP app. */
import { credentials } from "../src/adapters/access-tokens.ts";
import type { ClusterBirth, DataDirectory, Newborn } from "../src/adapters/data-directory.ts";
import { createFetchTransport, defaultLanes } from "../src/adapters/fetch-transport.ts";
import { RECORD_HEADER_BYTES, sealEntry } from "../src/adapters/log-record.ts";
import type { PeerClocks } from "../src/adapters/peer-clocks.ts";
import type {
  AskWho,
  Hello,
  HelloReply,
  Introduction,
  SayHello,
} from "../src/adapters/peer-hello.ts";
import type { PeerSecrets } from "../src/adapters/peer-secrets.ts";
import { createPeerAuthenticator } from "../src/adapters/peer-signature.ts";
import {
  ENVELOPE_BYTES_MAX,
  type PeerAuthenticator,
  type PeerWireLimits,
} from "../src/adapters/peer-wire.ts";
import { FIRST_WIRE, refusalOf } from "../src/adapters/wire-version.ts";
import {
  APPEND_ENTRIES_MAX,
  COMMAND_BYTES_MAX,
  COMMIT_NOTICE_DELAY_MS,
  DISK_STALL_MS,
  type NodeConfig,
  PEER_TIMEOUT_FACTOR,
  proposalLimits,
  raftLimits,
  serverLimits,
} from "../src/config.ts";
import { ChangeRefused, PeerUnreachable } from "../src/errors.ts";
import { type AppOptions, createApp, type ReplicaView } from "../src/http/app.ts";
import { marksOf } from "../src/http/exchange.ts";
import { defaultHelloLimits, helloRoute, type HelloRouteOptions } from "../src/http/hello-route.ts";
import type { Metrics } from "../src/http/metrics.ts";
import { defaultInflightMax, raftRoutes } from "../src/http/raft-routes.ts";
import { newestVersion, releaseOf } from "../src/kv/cluster-version.ts";
import type {
  Clock,
  DiskSpace,
  Logger,
  ReplicaObserver,
  StateMachine,
  Tracer,
  Transport,
} from "../src/ports.ts";
import type { Configuration, NodeId } from "../src/raft/types.ts";
import { Replica } from "../src/replica.ts";
import type { Room } from "./door.ts";
import type { Runtime } from "./runtime.ts";
import type { Service } from "./service.ts";
import { diskSpace } from "./storage.ts";
import { version } from "./version.ts";
import type { Versions } from "./versions.ts";

/** How long a node that is to be taken in may take to say whose it is, in milliseconds. */
const NEWCOMER_TIMEOUT_MS = 500;

/** Bounds of what peers send each other. */
export const wireLimits: PeerWireLimits = {
  bodyBytesMax: Math.max(raftLimits.appendBytesMax, COMMAND_BYTES_MAX + RECORD_HEADER_BYTES) +
    ENVELOPE_BYTES_MAX,
  records: { payloadBytesMax: COMMAND_BYTES_MAX, entriesMax: APPEND_ENTRIES_MAX },
};

/** What a replica is assembled from. */
export interface ReplicaSetup<Result> {
  readonly config: NodeConfig;
  readonly storage: DataDirectory;
  /** See `ReplicaParts.space`. */
  readonly space?: DiskSpace | null;
  readonly cluster: ClusterBirth;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer: ReplicaObserver;
  readonly machine: StateMachine<Result>;
}

/** Opens a replica as a node's options have it. @throws {CorruptData} {InvariantViolation} */
export function assembleReplica<Result>(setup: ReplicaSetup<Result>): Promise<Replica<Result>> {
  const { config, storage, cluster, ...parts } = setup;
  return Replica.open<Result>({
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
      proposals: proposalLimits,
      peerTimeoutMs: PEER_TIMEOUT_FACTOR * config.electionTimeoutMs,
      diskStallMs: DISK_STALL_MS,
    },
  });
}

/** What a node has before it belongs to a cluster, and keeps. */
export interface Surroundings<Result> {
  readonly self: Newborn;
  readonly config: NodeConfig;
  readonly runtime: Pick<Runtime, "name" | "peerFetch" | "fileSystem" | "names">;
  readonly log: Logger;
  readonly clock: Clock;
  readonly clocks: PeerClocks;
  readonly metrics: Metrics;
  readonly service: Service<Result>;
  readonly versions: Versions;
  readonly secrets: PeerSecrets;
  readonly sayHello: SayHello;
  /** Of hellos, in both directions. */
  readonly authenticator: PeerAuthenticator;
  readonly who: {
    readonly ask: AskWho;
    /** Of those who ask. */
    readonly authenticator: PeerAuthenticator;
  };
  readonly onDefect: (error: Error) => void;
  /** Null where nobody collects traces. */
  readonly tracer: Tracer | null;
}

/** The authenticator of a cluster's messages. */
export function authenticatorFor(
  clusterId: string,
  { self, secrets }: { readonly self: NodeId; readonly secrets: PeerSecrets },
  clock: Clock,
  clocks: PeerClocks,
  onHeard: (from: NodeId, version: number) => void,
): PeerAuthenticator {
  return createPeerAuthenticator({
    speaks: newestVersion,
    onHeard,
    self,
    clusterId,
    secrets,
    wallNow: () => clock.wallNow(),
    onClock: (from, offsetMs, isRefused) => clocks.heard(from, offsetMs, isRefused),
  });
}

/** What a node answers with. */
export interface RoomParts<Result> {
  readonly replica: ReplicaView<Result>;
  readonly answer: (hello: Hello) => HelloReply;
  /** The cluster's own peer routes; null in no cluster, as its id is. */
  readonly raft: HelloRouteOptions["raft"];
  readonly clusterId: string | null;
}

/** The HTTP interface over a replica, its answer to hellos, and its other peer routes if it has any. */
export function roomOver<Result>(
  around: Surroundings<Result>,
  over: RoomParts<Result>,
): Room {
  const { self, config, runtime, log, clock, metrics, service, versions, authenticator } = around;
  const { onDefect, tracer } = around;
  const { replica, answer, raft, clusterId } = over;
  const parts = service.http(replica);
  const marks = () => marksOf(parts);
  const introduction = (): Introduction => ({
    ...self,
    url: config.advertise,
    isMember: clusterId !== null,
  });
  const options: AppOptions = {
    ...parts,
    metrics,
    runtime: runtime.name,
    version,
    now: () => clock.now(),
    log,
    onDefect,
    tracer,
    checkNewcomer: (newcomer) => refuseMemberOfAnother(around, clusterId, newcomer),
    speaks: (id) => versions.of(id),
    leaseReads: config.leaseReads,
    access: { auth: config.auth, recovers: config.recoverAccess, credentials },
    limits: { valueBytesMax: config.maxValueBytes, requestTimeoutMs: config.requestTimeoutMs },
    peerRoutes: helloRoute({
      authenticator,
      answer,
      who: { authenticator: around.who.authenticator, introduction },
      marks,
      raft,
      wire: versions,
      limits: defaultHelloLimits,
    }),
  };
  const app = createApp(options);
  return {
    marks,
    urls: () => Object.values(replica.members().configuration.urls),
    handle: async (request, bindings) => await app.fetch(request, bindings),
  };
}

/** A member of a cluster. */
export interface Member<Result> {
  readonly clusterId: string;
  readonly replica: Replica<Result>;
}

/** Opens a member; it takes no part until its replica is started. @throws {CorruptData} {InvariantViolation} */
export async function openMember<Result>(
  around: Surroundings<Result>,
  storage: DataDirectory,
  cluster: ClusterBirth,
): Promise<Member<Result> & { readonly room: Room }> {
  const { config, runtime, clock, log, metrics, secrets, service, versions } = around;
  const { machine } = service;
  const { clusterId, birth } = cluster;
  warnOfAnotherUrl(birth.urls[config.id], config, log);
  const onHeard = (from: NodeId, spoken: number) => versions.hear(from, spoken);
  const signer = { self: config.id, secrets };
  const authenticator = authenticatorFor(clusterId, signer, clock, around.clocks, onHeard);
  const transport = createFetchTransport({
    authenticator,
    clock,
    fetch: runtime.peerFetch,
    urls: birth.urls,
    wire: versions,
    limits: { wire: wireLimits, replyBytesMax: wireLimits.bodyBytesMax, lanes: defaultLanes },
    observer: metrics,
  });
  const isUnderstood = (): boolean => versions.needs >= newestVersion;
  const space = diskSpace(config, isUnderstood, runtime.fileSystem);
  const observer = metrics;
  const parts = { config, storage, space, cluster, transport, clock, log, observer, machine };
  const replica = await assembleReplica(parts);
  versions.attach(replica);
  const marked = service.http(replica);
  const raft = raftRoutes({
    handler: replica,
    authenticator,
    observer: metrics,
    tracer: around.tracer,
    wire: versions,
    marks: () => marksOf(marked),
    limits: {
      wire: wireLimits,
      inflightMax: defaultInflightMax,
      bodyTimeoutMs: serverLimits.arrivalTimeoutMs,
    },
  });
  const answer = (hello: Hello): HelloReply => welcome(replica, cluster, hello);
  const room = roomOver(around, { replica, answer, raft, clusterId });
  return { clusterId, replica, room };
}

function warnOfAnotherUrl(known: string | undefined, { advertise }: NodeConfig, log: Logger): void {
  if (known === undefined || known === advertise) return;
  log("warn", "this node is known to its cluster by another URL", { known, now: advertise });
}

/**
 * A node that has formed a cluster of its own, as one does that is started without `--join`, would never take part in
 * this one: better said now than waited for. One that doesn't answer may still come.
 * @throws {ChangeRefused}
 */
async function refuseMemberOfAnother(
  { self, sayHello, versions }: Pick<Surroundings<unknown>, "self" | "sayHello" | "versions">,
  clusterId: string | null,
  { id, url }: { readonly id: NodeId; readonly url: string },
): Promise<void> {
  const hello = { from: self.id, to: id, incarnation: self.incarnation, peers: null };
  let reply: HelloReply;
  try {
    reply = await sayHello({ id, url }, hello, NEWCOMER_TIMEOUT_MS);
  } catch (error) {
    if (error instanceof PeerUnreachable) return;
    throw error;
  }
  const spoken = versions.greetedBy(id) ?? FIRST_WIRE;
  if (spoken < versions.needs) {
    const release = releaseOf(versions.needs);
    throw new ChangeRefused(
      "bad_request",
      `${refusalOf(id, spoken, versions.needs)}, to ${release} or later`,
    );
  }
  if (reply.state !== "member" || reply.clusterId === clusterId) return;
  throw new ChangeRefused(
    "bad_request",
    `${id} at ${url} belongs to another cluster, ${reply.clusterId}: start it with --join and an empty data directory`,
  );
}

/** A member's answer to a hello: what is committed. A leader binds a member that has come for the first time. */
function welcome<Result>(
  replica: Replica<Result>,
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
