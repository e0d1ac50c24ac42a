/**
 * A node: storage → its cluster → replica → HTTP app → server. The same for every runtime.
 *
 * One that belongs to no cluster yet listens all the same, so that others can say hello to it (`newcomer.ts`), and
 * answers its clients from a lobby (`lobby.ts`). Then the same server leads to the replica. An embedded one is the same
 * without a server: whoever embeds it hands its requests in (`embed.ts`).
 */
import { invariant } from "../src/assert.ts";
import type { ClusterBirth, DataDirectory } from "../src/adapters/data-directory.ts";
import { openTelemetry } from "../src/adapters/open-telemetry.ts";
import {
  createHelloSender,
  createWhoAsker,
  type Hello,
  HELLO_CLUSTER,
  type HelloReply,
  WHO_CLUSTER,
  WHOEVER,
} from "../src/adapters/peer-hello.ts";
import { FileWal } from "../src/adapters/file-wal.ts";
import { PeerClocks } from "../src/adapters/peer-clocks.ts";
import { createSystemClock } from "../src/adapters/system-clock.ts";
import { type NodeConfig, stopLimits } from "../src/config.ts";
import { urlOf } from "../src/config/options.ts";
import { Metrics } from "../src/http/metrics.ts";
import type { KvMachine } from "../src/kv/machine.ts";
import type { KvResult } from "../src/kv/result.ts";
import type { Logger } from "../src/ports.ts";
import type { Replica } from "../src/replica.ts";
import { startBackups } from "./backups.ts";
import { birthOf } from "./birth.ts";
import { Credentials } from "./credentials.ts";
import { Door, type Handler, type Room } from "./door.ts";
import { handOver } from "./hand-over.ts";
import { hostCheckFor, listen } from "./listen.ts";
import { Lobby } from "./lobby.ts";
import {
  authenticatorFor,
  type Member,
  openMember,
  roomOver,
  type Surroundings,
} from "./member.ts";
import { Waiting } from "./waiting.ts";
import type { Runtime, Server } from "./runtime.ts";
import { kvMachineOf, kvService, type Service } from "./service.ts";
import { openStorage } from "./storage.ts";
import { watchMember } from "./watches.ts";
import { version } from "./version.ts";
import { Versions } from "./versions.ts";

export { birthOf, drawIncarnation } from "./birth.ts";
export type { Handler } from "./door.ts";
export { assembleReplica, type Member, type ReplicaSetup, wireLimits } from "./member.ts";
export type { Runtime, Server } from "./runtime.ts";
export { type MemoryStorage, openMemory } from "./storage.ts";
export { version };

/** A node that takes requests, wherever they come from. */
export interface UnservedNode<Result> {
  readonly id: string;
  /** Answers a request; `bindings` have its target, if that isn't its URL's. */
  readonly handle: Handler;
  /** Resolves when the node belongs to a cluster and takes part; never where that doesn't come about. */
  readonly member: Promise<Member<Result>>;
  /**
   * Resolves with the reason when the replica halted, or the node can't come to a cluster (`DataDirectoryRefused`: its
   * id was removed); the process has to end then.
   */
  readonly halted: Promise<Error>;
  /** Resolves when this node was removed from its cluster: it has to stop. */
  readonly removed: Promise<void>;
  /** Hands over leadership, answers what is under way, closes the log and gives the data directory back. */
  stop(): Promise<void>;
}

/** A node that listens. */
export interface RunningNode extends UnservedNode<KvResult> {
  readonly url: string;
  /** Holds the store: read it once the replica's `read` allowed it. */
  readonly machine: KvMachine;
}

/**
 * Opens a node; resolves when it listens.
 * @throws {BadConfiguration} where its address can't be listened on.
 * @throws {DataDirectoryRefused} {CorruptData} {DiskFailure}
 */
export async function openNode(
  config: NodeConfig,
  runtime: Runtime,
  log: Logger,
  logDropped: () => number = () => 0,
): Promise<RunningNode> {
  const versions = new Versions();
  const machine = kvMachineOf(config, versions);
  const serve = (handler: Handler, credentials: Credentials): Promise<Server> =>
    listen(runtime, config.listen, handler, credentials);
  const service = kvService(machine);
  const node = await open({ config, runtime, log, logDropped, service, versions, serve });
  const scheme = config.tls.cert === null ? "http" : "https";
  return Object.assign(node, { url: urlOf(config.listen, scheme), machine });
}

/** What a node without a server is opened from. */
export interface UnservedParts<Result> {
  readonly config: NodeConfig;
  readonly runtime: Omit<Runtime, "serve" | "serveTls">;
  readonly log: Logger;
  /** How many lines the log has thrown away so far. */
  readonly logDropped?: () => number;
  readonly service: Service<Result>;
  /** What the members speak; the service's machine may rise by it. */
  readonly versions: Versions;
}

/** Opens a node that somebody else serves. @throws {DataDirectoryRefused} {CorruptData} {DiskFailure} */
export function openUnserved<Result>(parts: UnservedParts<Result>): Promise<UnservedNode<Result>> {
  return open({ ...parts, serve: null });
}

interface Parts<Result> extends UnservedParts<Result> {
  readonly serve: ((handler: Handler, credentials: Credentials) => Promise<Server>) | null;
}

async function open<Result>(parts: Parts<Result>): Promise<OpenNode<Result>> {
  const { config, runtime, log, logDropped } = parts;
  const metrics = new Metrics({ version, runtime: runtime.name, id: config.id, logDropped });
  const counts = metrics.credentials;
  const credentials = await Credentials.open({ config, runtime, log, metrics: counts });
  try {
    const storage = await openStorage(config, log, runtime.fileSystem);
    return await openOver(storage, parts, { credentials, metrics });
  } catch (error) {
    credentials.close();
    throw error;
  }
}

/** What a node has before its directory is opened. */
interface Preparation {
  readonly credentials: Credentials;
  readonly metrics: Metrics;
}

async function openOver<Result>(
  storage: DataDirectory,
  parts: Parts<Result>,
  preparation: Preparation,
): Promise<OpenNode<Result>> {
  try {
    const cluster = storage.cluster ?? await formAlone(storage, parts.config);
    const node = new OpenNode(storage, parts, preparation);
    await (cluster === null ? node.wait() : node.enter(cluster));
    return node;
  } catch (error) {
    await storage.wal.close();
    await storage.release();
    throw error;
  }
}

/** A cluster of one needs nobody's consent. */
async function formAlone(
  storage: DataDirectory,
  { peers, join, discovery }: NodeConfig,
): Promise<ClusterBirth | null> {
  if (join !== null || discovery !== null || Object.keys(peers).length > 1) return null;
  const { id, incarnation } = storage.newborn;
  const cluster = birthOf(peers, Object.fromEntries([[id, incarnation]]));
  await storage.enter(cluster);
  return cluster;
}

class OpenNode<Result> implements UnservedNode<Result> {
  readonly id: string;

  readonly #storage: DataDirectory;
  readonly #serve: Parts<Result>["serve"];
  readonly #credentials: Credentials;
  readonly #around: Surroundings<Result>;
  readonly #member = Promise.withResolvers<Member<Result>>();
  readonly #replica = Promise.withResolvers<Replica<Result>>();
  readonly #halted = Promise.withResolvers<Error>();
  readonly #removed = Promise.withResolvers<void>();
  #door: Door | null = null;
  #room: Room | null = null;
  #server: Server | null = null;
  #waiting: Waiting | null = null;
  /** Of a newcomer: resolves when it has come to a cluster, or never will. */
  #settled: Promise<void> = Promise.resolve();
  #opened: Member<Result> | null = null;
  /** What a member does beside its replica. */
  #endings: readonly (() => void | Promise<void>)[] = [];

  constructor(
    storage: DataDirectory,
    { serve, ...parts }: Parts<Result>,
    { credentials, metrics }: Preparation,
  ) {
    const { config: { id }, runtime, log, versions } = parts;
    const { secrets, peerFetch } = credentials;
    this.id = id;
    this.#storage = storage;
    this.#serve = serve;
    this.#credentials = credentials;
    if (storage.wal instanceof FileWal) storage.wal.observe(metrics);
    const clock = runtime.clock ?? createSystemClock();
    const clocks = new PeerClocks(clock, log);
    metrics.watchdog.peerClocks = () => clocks.offsets();
    const onHeard = (from: string, version: number) => versions.greet(from, version);
    const signer = { self: id, secrets };
    const authenticator = authenticatorFor(HELLO_CLUSTER, signer, clock, clocks, onHeard);
    const asking = authenticatorFor(WHO_CLUSTER, signer, clock, clocks, () => {});
    const whoever = { self: WHOEVER, secrets };
    const asked = authenticatorFor(WHO_CLUSTER, whoever, clock, clocks, () => {});
    const sending = { clock, fetch: peerFetch, wire: versions };
    versions.open({ storage, clock, log, onDefect: this.#halted.resolve });
    this.#around = {
      ...parts,
      runtime: { ...runtime, peerFetch },
      self: storage.newborn,
      clock,
      clocks,
      metrics,
      secrets,
      authenticator,
      sayHello: createHelloSender({ authenticator, ...sending }),
      who: { ask: createWhoAsker({ authenticator: asking, ...sending }), authenticator: asked },
      onDefect: this.#halted.resolve,
      tracer: openTelemetry(version),
    };
  }

  get handle(): Handler {
    invariant(this.#door !== null, "a node has a door once it is open");
    return this.#door.handle;
  }
  get member(): Promise<Member<Result>> {
    return this.#member.promise;
  }
  get halted(): Promise<Error> {
    return this.#halted.promise;
  }
  get removed(): Promise<void> {
    return this.#removed.promise;
  }

  /** Takes part in `cluster`. */
  async enter(cluster: ClusterBirth): Promise<void> {
    const { room, ...member } = await openMember(this.#around, this.#storage, cluster);
    const { replica } = member;
    await this.#leadTo(room);
    replica.start();
    this.#opened = member;
    void replica.halted.then(this.#halted.resolve);
    const onRemoved = () => this.#leave(cluster);
    void replica.removed.then(onRemoved);
    const onFailure = this.#halted.resolve;
    const { clusterId } = cluster;
    const endWatch = watchMember(this.#around, replica, { clusterId, onRemoved, onFailure });
    this.#endings = [endWatch, startBackups(this.#around, replica)];
    this.#replica.resolve(replica);
    this.#member.resolve(member);
  }

  /** Waits in the lobby until it belongs to a cluster. Resolves when it listens. */
  async wait(): Promise<void> {
    const { clock } = this.#around;
    const newcomer = new Waiting(this.#around);
    const { configuration } = newcomer;
    const replica = this.#replica.promise;
    const lobby = new Lobby({ id: this.id, configuration, newcomer, replica, clock });
    this.#waiting = newcomer;
    const answer = (hello: Hello): HelloReply => newcomer.answer(hello);
    const outside = { raft: null, clusterId: null };
    await this.#leadTo(roomOver(this.#around, { replica: lobby, answer, ...outside }));
    this.#settled = this.#settle(newcomer).catch((error) => {
      this.#halted.resolve(error instanceof Error ? error : new Error(String(error)));
    });
  }

  async #settle(waiting: Waiting): Promise<void> {
    const cluster = await waiting.settle();
    if (cluster === null) return;
    await this.#storage.enter(cluster);
    await this.enter(cluster);
  }

  /** A restart is to know what its log may not have heard. */
  #leave(cluster: ClusterBirth): void {
    this.#storage.leave(cluster).then(this.#removed.resolve, this.#halted.resolve);
  }

  async #leadTo(room: Room): Promise<void> {
    this.#room = room;
    if (this.#door !== null) return this.#door.leadTo(room);
    const { config } = this.#around;
    const urls = (): readonly string[] => this.#room?.urls() ?? [];
    const peersSign = this.#credentials.secrets.keys.length > 0;
    const check = hostCheckFor(config, { isServed: this.#serve !== null, peersSign, urls });
    this.#door = new Door(room, check);
    this.#server = await this.#serve?.(this.#door.handle, this.#credentials) ?? null;
  }

  async stop(): Promise<void> {
    this.#waiting?.stop();
    this.#around.service.stop();
    await this.#settled;
    const ended = this.#endings.map((end) => end());
    const replica = this.#opened?.replica ?? null;
    if (replica !== null) await handOver(replica, this.#around.log);
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, stopLimits.drainTimeoutMs);
    await Promise.race([Promise.all([this.#door?.close(), ...ended]), late.promise]);
    clearTimeout(timer);
    try {
      // A replica closes its log.
      await (replica === null ? this.#storage.wal.close() : replica.stop());
      await this.#server?.close(stopLimits.closeTimeoutMs);
    } finally {
      this.#credentials.close();
      await this.#storage.release();
    }
  }
}
