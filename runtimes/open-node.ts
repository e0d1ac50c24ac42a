/** A node from its parts: configuration → storage → replica → HTTP app → server. The same for every runtime. */
import { createHash } from "node:crypto";
import {
  type DataDirectory,
  type Identity,
  openDataDirectory,
} from "../src/adapters/data-directory.ts";
import {
  createFetchTransport,
  defaultLanes,
  type PeerFetch,
} from "../src/adapters/fetch-transport.ts";
import { RECORD_HEADER_BYTES, sealEntry } from "../src/adapters/log-record.ts";
import type { LogSink } from "../src/adapters/json-logger.ts";
import { openMemorySnapshots } from "../src/adapters/memory-snapshots.ts";
import { type MemoryWal, openMemoryWal } from "../src/adapters/memory-wal.ts";
import { NodeFileSystem } from "../src/adapters/node-fs.ts";
import { createPeerAuthenticator } from "../src/adapters/peer-signature.ts";
import { ENVELOPE_BYTES_MAX, type PeerWireLimits } from "../src/adapters/peer-wire.ts";
import { createSystemClock } from "../src/adapters/system-clock.ts";
import {
  APPEND_ENTRIES_MAX,
  COMMAND_BYTES_MAX,
  COMMIT_NOTICE_DELAY_MS,
  DISK_STALL_MS,
  type NodeConfig,
  PEER_TIMEOUT_FACTOR,
  raftLimits,
  type ServerLimits,
  serverLimits,
  stopLimits,
} from "../src/config.ts";
import { type ListenAddress, urlOf } from "../src/config/options.ts";
import { BadConfiguration } from "../src/errors.ts";
import { createApp } from "../src/http/app.ts";
import { Metrics } from "../src/http/metrics.ts";
import { problemOf, Refusal } from "../src/http/problem.ts";
import { marksOf } from "../src/http/exchange.ts";
import { defaultInflightMax, raftRoutes } from "../src/http/raft-routes.ts";
import type { Bindings } from "../src/http/target.ts";
import { problemType } from "../src/http/wire.ts";
import { KvMachine } from "../src/kv/machine.ts";
import type { KvResult } from "../src/kv/result.ts";
import type { Clock, Logger, ReplicaObserver, Transport } from "../src/ports.ts";
import { Replica } from "../src/replica.ts";
import manifest from "../package.json" with { type: "json" };

/** A request's handler, as a server calls it. */
export type Handler = (request: Request, bindings?: Bindings) => Promise<Response>;

/** A server that listens. */
export interface Server {
  /** Takes no more connections, and closes those it has, at `timeoutMs` at the latest. */
  close(timeoutMs: number): Promise<void>;
}

/** What a runtime brings. */
export interface Runtime {
  /** Name and version, such as `bun 1.4.5`. */
  readonly name: string;
  /** @throws where the address can't be listened on; `code` says why. */
  serve(address: ListenAddress, handler: Handler, limits: ServerLimits): Promise<Server>;
  readonly peerFetch: PeerFetch;
  /** Where the log goes, if `node:fs` would block on it. */
  readonly logSink?: LogSink;
}

/** A node that serves. */
export interface RunningNode {
  readonly id: string;
  readonly url: string;
  readonly replica: Replica<KvResult>;
  /** Holds the store: read it once `replica.read` allowed it. */
  readonly machine: KvMachine;
  /** Resolves with the reason when the replica halted; the process has to end then. */
  readonly halted: Promise<Error>;
  /** Hands over leadership, answers what is under way, closes the log and gives the data directory back. */
  stop(): Promise<void>;
}

/** This software's version. */
export const version: string = manifest.version;

/** Bounds of what peers send each other. */
export const wireLimits: PeerWireLimits = {
  bodyBytesMax: Math.max(raftLimits.appendBytesMax, COMMAND_BYTES_MAX + RECORD_HEADER_BYTES) +
    ENVELOPE_BYTES_MAX,
  records: { payloadBytesMax: COMMAND_BYTES_MAX, entriesMax: APPEND_ENTRIES_MAX },
};

/** Who a node is where its directory doesn't say: all first members come to the same cluster id without talking. */
export function firstIdentity(config: Pick<NodeConfig, "id" | "peers">): Identity {
  const members = Object.entries(config.peers).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = members.map(([id, url]) => `${id}=${url}`).join(",");
  return {
    clusterId: createHash("sha256").update(text).digest("hex").slice(0, 16),
    id: config.id,
    birth: {
      voters: members.map(([id]) => id),
      outgoing: [],
      learners: [],
      urls: Object.fromEntries(members),
    },
  };
}

/** Storage in memory: nothing outlives the process. It opens again with what an `earlier` one holds. */
export interface MemoryStorage extends DataDirectory {
  readonly wal: MemoryWal;
}

/** See {@link MemoryStorage}. */
export function openMemory(identity: Identity, earlier?: MemoryStorage): MemoryStorage {
  const { wal, recovered } = openMemoryWal({ index: 0, term: 0, crc: 0 }, earlier?.wal);
  const snapshots = earlier?.snapshots ?? openMemorySnapshots();
  return { identity, wal, recovered, snapshots, release: async () => {} };
}

/** What a replica is assembled from. */
export interface ReplicaSetup {
  readonly config: NodeConfig;
  readonly storage: DataDirectory;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer: ReplicaObserver;
  readonly machine: KvMachine;
}

/** Opens a replica of the key-value machine. @throws {CorruptData} {InvariantViolation} */
export function openReplica(setup: ReplicaSetup): Promise<Replica<KvResult>> {
  const { config, storage, ...parts } = setup;
  return Replica.open<KvResult>({
    ...parts,
    wal: storage.wal,
    recovered: storage.recovered,
    snapshots: storage.snapshots,
    options: {
      raft: {
        id: config.id,
        electionTimeoutMs: config.electionTimeoutMs,
        heartbeatIntervalMs: config.heartbeatIntervalMs,
        noticeDelayMs: COMMIT_NOTICE_DELAY_MS,
        maxClockDrift: config.maxClockDrift,
        limits: { ...raftLimits, trailingEntries: config.trailingEntries },
        random: Math.random,
        seal: sealEntry,
      },
      clusterId: storage.identity.clusterId,
      birth: storage.identity.birth,
      snapshotEntries: config.snapshotEntries,
      snapshotBytes: config.snapshotBytes,
      peerTimeoutMs: PEER_TIMEOUT_FACTOR * config.electionTimeoutMs,
      diskStallMs: DISK_STALL_MS,
    },
  });
}

/**
 * Opens a node and lets it serve.
 * @throws {BadConfiguration} where its address can't be listened on.
 * @throws {DataDirectoryRefused} {CorruptData} {DiskFailure}
 */
export async function openNode(
  config: NodeConfig,
  runtime: Runtime,
  log: Logger,
): Promise<RunningNode> {
  const identity = firstIdentity(config);
  const storage = config.storage === "memory"
    ? openMemory(identity)
    : await openDataDirectory(new NodeFileSystem(), config.data, identity);
  try {
    return await openOn(storage, config, runtime, log);
  } catch (error) {
    await storage.wal.close();
    await storage.release();
    throw error;
  }
}

function warnOfAnotherUrl(known: string | undefined, { advertise }: NodeConfig, log: Logger): void {
  if (known === undefined || known === advertise) return;
  log("warn", "this node is known to its cluster by another URL", { known, now: advertise });
}

async function openOn(
  storage: DataDirectory,
  config: NodeConfig,
  runtime: Runtime,
  log: Logger,
): Promise<RunningNode> {
  const { clusterId, birth } = storage.identity;
  warnOfAnotherUrl(birth.urls[config.id], config, log);
  const clock = createSystemClock();
  const metrics = new Metrics();
  const machine = new KvMachine();
  const authenticator = createPeerAuthenticator({
    self: config.id,
    clusterId,
    secrets: config.secret === null ? [] : [config.secret],
    wallNow: () => clock.wallNow(),
  });
  const transport = createFetchTransport({
    authenticator,
    clock,
    fetch: runtime.peerFetch,
    urls: birth.urls,
    limits: { wire: wireLimits, replyBytesMax: wireLimits.bodyBytesMax, lanes: defaultLanes },
  });
  const replica = await openReplica({
    config,
    storage,
    transport,
    clock,
    log,
    observer: metrics,
    machine,
  });
  const marks = () => marksOf({ replica, machine });
  const defect = Promise.withResolvers<Error>();
  const app = createApp({
    replica,
    machine,
    metrics,
    runtime: runtime.name,
    version,
    now: () => clock.now(),
    log,
    onDefect: defect.resolve,
    leaseReads: config.leaseReads,
    limits: { valueBytesMax: config.maxValueBytes, requestTimeoutMs: config.requestTimeoutMs },
    peerRoutes: raftRoutes({
      handler: replica,
      authenticator,
      marks,
      limits: {
        wire: wireLimits,
        inflightMax: defaultInflightMax,
        bodyTimeoutMs: serverLimits.arrivalTimeoutMs,
      },
    }),
  });
  const door = new Door(marks, async (request, bindings) => await app.fetch(request, bindings));
  const server = await listen(runtime, config.listen, door);
  replica.start();
  const url = urlOf(config.listen);
  const halted = Promise.race([replica.halted, defect.promise]);
  const stop = () => stopNode({ config, replica, door, server, storage, log });
  return { id: config.id, url, replica, machine, halted, stop };
}

async function listen(runtime: Runtime, address: ListenAddress, door: Door): Promise<Server> {
  try {
    return await runtime.serve(address, door.handle, serverLimits);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const reason = code === "EADDRINUSE" ? "it is in use" : String(error);
    throw new BadConfiguration(
      `--listen takes host:port that is free; ${address.host}:${address.port} can't be listened on: ${reason}`,
      { cause: error },
    );
  }
}

/** What clients come in by: counts their requests that are under way, and closes before the node stops. */
class Door {
  readonly #marks: () => Record<string, string>;
  readonly #inner: Handler;
  #open = 0;
  #onEmpty: (() => void) | null = null;

  constructor(marks: () => Record<string, string>, inner: Handler) {
    this.#marks = marks;
    this.#inner = inner;
  }

  readonly handle: Handler = async (request, bindings) => {
    if (isPeerRequest(request.url)) return await this.#inner(request, bindings);
    if (this.#onEmpty !== null) return this.#refuse(request.method);
    this.#open++;
    try {
      return await this.#inner(request, bindings);
    } finally {
      this.#open--;
      this.#leave();
    }
  };

  /** Refuses what comes from now on; resolves when all that is under way is answered. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#leave();
    });
  }

  #leave(): void {
    if (this.#open === 0) this.#onEmpty?.();
  }

  #refuse(method: string): Response {
    const refusal = problemOf(new Refusal("not_ready", "this node is stopping"), method);
    return new Response(JSON.stringify(refusal.body), {
      status: refusal.status,
      headers: { ...this.#marks(), ...refusal.headers, "content-type": problemType },
    });
  }
}

function isPeerRequest(url: string): boolean {
  return url.startsWith("/raft/", url.indexOf("/", url.indexOf("://") + 3));
}

async function stopNode(node: {
  readonly config: NodeConfig;
  readonly replica: Replica<KvResult>;
  readonly door: Door;
  readonly server: Server;
  readonly storage: DataDirectory;
  readonly log: Logger;
}): Promise<void> {
  const { replica, door, server, storage, log } = node;
  const { role, configuration } = replica.status();
  if (role === "leader" && configuration.voters.length > 1) {
    try {
      const leader = await replica.transferLeadership(null, stopLimits.transferTimeoutMs);
      log("info", "handed leadership over", { leader });
    } catch (error) {
      log("warn", "leadership was not handed over", { error });
    }
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, stopLimits.drainTimeoutMs);
  });
  await Promise.race([door.close(), late]);
  clearTimeout(timer);
  try {
    await replica.stop();
    await server.close(stopLimits.closeTimeoutMs);
  } finally {
    await storage.release();
  }
}
