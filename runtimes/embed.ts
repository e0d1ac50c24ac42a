/**
 * Replicas inside somebody else's program: no server, no signals, no exit. What the program serves is `app`; what it
 * asks itself goes through the same routes without a network, so that it has the same promises: reads are linearizable
 * unless they say otherwise, and a write's error says what became of it.
 */
import type { Hono } from "hono";
import type { PeerFetch } from "../src/adapters/fetch-transport.ts";
import { decodeCbor, encodeCbor } from "../src/cbor.ts";
import { thisRuntime } from "../src/cli/node.ts";
import { Client } from "../src/client/mod.ts";
import { COMMAND_BYTES_MAX } from "../src/config.ts";
import { BadConfiguration, NotApplied } from "../src/errors.ts";
import { mountable } from "../src/http/mount.ts";
import type { Bindings } from "../src/http/target.ts";
import type { KvResult } from "../src/kv/result.ts";
import type { Logger, MemberRequest, MembersView, StateMachine } from "../src/ports.ts";
import type { Applied, Replica } from "../src/replica.ts";
import { type EmbedOptions, readEmbedOptions } from "./embed-options.ts";
import { fetchInProcess, IN_PROCESS_URL } from "./in-process.ts";
import { openUnserved, type Runtime, type UnservedNode } from "./open-node.ts";
import { kvMachineOf, kvService, ownService, type Service } from "./service.ts";
import { Versions } from "./versions.ts";

/** What a replica is embedded with. */
export interface Embedding extends EmbedOptions {
  /** Where logs go; nowhere by default. */
  readonly log?: Logger;
  /** What peers are reached by; the runtime's fastest by default. */
  readonly fetch?: PeerFetch;
}

/** What every embedded replica has. */
export interface Embedded {
  readonly id: string;
  /**
   * What peers and clients ask, to be mounted below any path of an app that is served where the members' URLs say. Until
   * it is, the cluster can't be formed, and nothing is {@link Embedded.ready}.
   */
  readonly app: Hono<{ Bindings: Bindings }>;
  /** Resolves when this replica has confirmed a linearizable read. Rejects where it was closed or halted before. */
  readonly ready: Promise<void>;
  /**
   * Resolves with the reason when a write to disk or an invariant failed: it takes no part any more, for what it would
   * do next can't be told. A process of its own would end now; close it, and open it again if you trust the disk.
   */
  readonly halted: Promise<Error>;
  /** Resolves when this replica was removed from its cluster: it has to be closed, and its id never comes back. */
  readonly removed: Promise<void>;
  /** Hands leadership over, answers what is under way, and gives the data directory back. */
  close(): Promise<void>;
}

/**
 * Opens a replica of the key-value store in this process. Resolves when its app can be mounted; requests before it is
 * ready wait, or are refused where that may take for ever.
 *
 * @example
 * ```ts
 * import { open } from "./embed.ts";
 * const kv = await open({ storage: "memory" }); // a cluster of one; `peers` makes it one of several
 * await kv.put("greeting", "hello");
 * new TextDecoder().decode((await kv.get("greeting"))?.value); // "hello"
 * await kv.close();
 * ```
 * @throws {BadConfiguration} {DataDirectoryRefused} {CorruptData} {DiskFailure}
 */
export async function open(options: Embedding): Promise<EmbeddedKv> {
  const { requestTimeoutMs, parts } = await partsOf(options);
  const versions = new Versions();
  const service = kvService(kvMachineOf(parts.config, versions));
  const node = await openUnserved({ ...parts, service, versions });
  return new EmbeddedKv(new Inside(node), requestTimeoutMs);
}

/**
 * A state machine of one's own. It holds to `StateMachine` (`ports.ts`); results travel as CBOR unless it says how. They
 * have to be what CBOR can carry then: plain objects, arrays, texts, finite numbers, booleans, null, bytes.
 */
export type OwnMachine<Result> =
  & Omit<StateMachine<Result>, "encodeResult" | "decodeResult">
  & Partial<Pick<StateMachine<Result>, "encodeResult" | "decodeResult">>;

/**
 * Opens a replica of a state machine of one's own. `test/examples/bank.ts` is one.
 * @throws {BadConfiguration} {DataDirectoryRefused} {CorruptData} {DiskFailure}
 */
export async function openReplica<Result, Machine extends OwnMachine<Result>>(
  options: Embedding & { readonly machine: Machine & OwnMachine<Result> },
): Promise<EmbeddedReplica<Result, Machine>> {
  const { machine, ...embedding } = options;
  const { requestTimeoutMs, parts } = await partsOf(embedding);
  if (parts.config.auth) {
    throw new BadConfiguration("--auth takes off for a machine of one's own: it keeps no tokens");
  }
  const service: Service<Result> = ownService(completed<Result>(machine));
  const node = await openUnserved({ ...parts, service, versions: new Versions() });
  return new EmbeddedReplica(new Inside(node), machine, requestTimeoutMs);
}

async function partsOf({ log = () => {}, fetch, ...options }: Embedding) {
  const config = readEmbedOptions(options);
  const own = await importRuntime();
  const runtime = fetch === undefined
    ? own
    : { ...own, peerFetch: fetch, peerFetchWith: () => ({ fetch, retire: () => {} }) };
  return { requestTimeoutMs: config.requestTimeoutMs, parts: { config, runtime, log } };
}

async function importRuntime(): Promise<Runtime> {
  switch (thisRuntime) {
    case "bun":
      return (await import("./bun.ts")).runtime;
    case "deno":
      return (await import("./deno.ts")).runtime;
    case "node":
      return (await import("./node.ts")).runtime;
  }
}

/** Results are never larger than the commands that a peer may send. */
const resultLimits = {
  totalBytesMax: COMMAND_BYTES_MAX,
  depthMax: 32,
  itemsMax: COMMAND_BYTES_MAX,
  textBytesMax: COMMAND_BYTES_MAX,
  byteStringBytesMax: COMMAND_BYTES_MAX,
};

/** The machine with the codec that it may lack. Its methods stay its own: they may use `this`. */
function completed<Result>(machine: OwnMachine<Result>): StateMachine<Result> {
  const { housekeeping } = machine;
  return {
    ...(housekeeping === undefined ? {} : { housekeeping }),
    isFrugal: (command) => machine.isFrugal?.(command) === true,
    apply: (entry) => machine.apply(entry),
    snapshot: () => machine.snapshot(),
    restore: (chunks) => machine.restore(chunks),
    encodeResult: (result) => machine.encodeResult?.(result) ?? encodeCbor(result),
    decodeResult: (bytes) =>
      machine.decodeResult === undefined
        ? decodeCbor(bytes, resultLimits) as Result
        : machine.decodeResult(bytes),
  };
}

/** The ends and beginnings of an embedded node. */
class Inside<Result> {
  readonly node: UnservedNode<Result>;
  readonly app: Hono<{ Bindings: Bindings }>;
  readonly ready: Promise<void>;
  readonly #ended = Promise.withResolvers<never>();
  #replica: Replica<Result> | null = null;
  #closing: Promise<void> | null = null;

  constructor(node: UnservedNode<Result>) {
    this.node = node;
    this.app = mountable(node.handle);
    void node.halted.then(this.#ended.reject);
    this.ready = Promise.race([this.#confirm(), this.#ended.promise]);
    // Nobody has to wait for either.
    this.ready.catch(() => {});
    this.#ended.promise.catch(() => {});
  }

  /** @throws {NotApplied} where it belongs to no cluster in time, or was closed. The reason where it halted. */
  async replica(timeoutMs: number): Promise<Replica<Result>> {
    const late = Promise.withResolvers<never>();
    const reason = new NotApplied("no_leader", "this replica is in no cluster yet");
    const timer = setTimeout(() => late.reject(reason), timeoutMs);
    try {
      const { replica } = await Promise.race([
        this.#ended.promise,
        this.node.member,
        late.promise,
      ]);
      return replica;
    } finally {
      clearTimeout(timer);
    }
  }

  get leader(): string | null {
    return this.#replica?.status().leader ?? null;
  }

  close(): Promise<void> {
    this.#ended.reject(new NotApplied("not_ready", "this replica was closed"));
    return this.#closing ??= this.node.stop();
  }

  async #confirm(): Promise<void> {
    const { replica } = await this.node.member;
    this.#replica = replica;
    for (;;) {
      try {
        return await replica.read("linearizable", CONFIRM_TIMEOUT_MS);
      } catch (error) {
        if (!(error instanceof NotApplied) || error.reason !== "no_leader") throw error;
      }
    }
  }
}

const CONFIRM_TIMEOUT_MS = 10_000;

/**
 * The key-value store, embedded: a {@link Client} whose requests are answered in this process, by the routes that answer
 * HTTP.
 */
export class EmbeddedKv extends Client implements Embedded {
  readonly #inside: Inside<KvResult>;
  readonly #end: AbortController;

  constructor(inside: Inside<KvResult>, requestTimeoutMs: number) {
    const end = new AbortController();
    super({
      endpoints: [IN_PROCESS_URL],
      fixed: true,
      fetch: fetchInProcess(inside.node.handle),
      // An attempt is answered in `requestTimeout`; there is no network that it could be lost in.
      attemptTimeoutMs: requestTimeoutMs + 1000,
      signal: end.signal,
    });
    this.#inside = inside;
    this.#end = end;
  }

  get id(): string {
    return this.#inside.node.id;
  }
  get app(): Hono<{ Bindings: Bindings }> {
    return this.#inside.app;
  }
  get ready(): Promise<void> {
    return this.#inside.ready;
  }
  get halted(): Promise<Error> {
    return this.#inside.node.halted;
  }
  get removed(): Promise<void> {
    return this.#inside.node.removed;
  }
  /** See {@link Embedded.close}. What its calls and watches still wait for then is `aborted`. */
  close(): Promise<void> {
    return this.#inside.close().finally(() => this.#end.abort());
  }
}

/** How long a request may take. */
export interface RequestOptions {
  /** `requestTimeout` by default. */
  readonly timeoutMs?: number;
}

/** A replica of a state machine of one's own. */
export class EmbeddedReplica<Result, Machine> implements Embedded {
  /** What was applied here: may be behind. See {@link EmbeddedReplica.read}. */
  readonly machine: Machine;
  readonly #inside: Inside<Result>;
  readonly #requestTimeoutMs: number;

  constructor(inside: Inside<Result>, machine: Machine, requestTimeoutMs: number) {
    this.machine = machine;
    this.#inside = inside;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  get id(): string {
    return this.#inside.node.id;
  }
  get app(): Hono<{ Bindings: Bindings }> {
    return this.#inside.app;
  }
  get ready(): Promise<void> {
    return this.#inside.ready;
  }
  get halted(): Promise<Error> {
    return this.#inside.node.halted;
  }
  get removed(): Promise<void> {
    return this.#inside.node.removed;
  }

  /**
   * Gets a command applied on every replica, from any of them, and resolves with what the machine made of it. It is
   * proposed once: only what is certainly not applied may be sent again as it is.
   * @throws {NotApplied} {OutcomeUnknown}
   */
  async propose(command: Uint8Array, options: RequestOptions = {}): Promise<Applied<Result>> {
    return await this.#within(options, (replica, timeoutMs) => replica.propose(command, timeoutMs));
  }

  /**
   * Resolves with the machine when it reflects all that was acknowledged before the call, by any replica (thesis 6.4).
   * Read it at once: what is read later may be older than what is acknowledged by then.
   * @throws {NotApplied} where that can't be confirmed in time.
   */
  async read(options: RequestOptions = {}): Promise<Machine> {
    await this.#within(options, (replica, timeoutMs) => replica.read("linearizable", timeoutMs));
    return this.machine;
  }

  /** Who leads, as far as this replica knows; null where it knows none. */
  get leader(): string | null {
    return this.#inside.leader;
  }

  /** See `Replica.changeMembers`. @throws {ChangeRefused} {NotApplied} {OutcomeUnknown} */
  async changeMembers(
    request: MemberRequest,
    options: RequestOptions = {},
  ): Promise<MembersView> {
    return await this.#within(
      options,
      (replica, timeoutMs) => replica.changeMembers(request, timeoutMs),
    );
  }

  close(): Promise<void> {
    return this.#inside.close();
  }

  async #within<Value>(
    { timeoutMs = this.#requestTimeoutMs }: RequestOptions,
    act: (replica: Replica<Result>, timeoutMs: number) => Promise<Value>,
  ): Promise<Value> {
    const since = performance.now();
    const replica = await this.#inside.replica(timeoutMs);
    return await act(replica, timeoutMs - (performance.now() - since));
  }
}
