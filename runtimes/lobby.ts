/** What clients see of a node that belongs to no cluster yet: the same routes, over a replica that is not there. */
import { NotApplied } from "../src/errors.ts";
import type { LogEntry, ReplicaView } from "../src/http/exchange.ts";
import type { Clock, Span } from "../src/ports.ts";
import type { Configuration, NodeId } from "../src/raft/types.ts";
import type { Applied, HealthCheck, Replica, ReplicaStatus } from "../src/replica.ts";
import type { Newcomer } from "./newcomer.ts";

export interface LobbyOptions<Result> {
  readonly id: NodeId;
  /** Who would form the cluster, or this node as the learner that it would be. */
  readonly configuration: Configuration;
  readonly newcomer: Pick<Newcomer, "isForming" | "waitsFor">;
  /** Resolves with the replica once there is one. */
  readonly replica: Promise<Replica<Result>>;
  readonly clock: Clock;
}

/** Requests wait in it for a cluster that is about to be formed; where it may take for ever, they are refused at once. */
export class Lobby<Result> implements ReplicaView<Result> {
  readonly id: NodeId;
  readonly term = 0;
  readonly #options: LobbyOptions<Result>;

  constructor(options: LobbyOptions<Result>) {
    this.#options = options;
    this.id = options.id;
  }

  async propose(
    command: Uint8Array,
    timeoutMs: number,
    span: Span | null = null,
  ): Promise<Applied<Result>> {
    const { replica, leftMs } = await this.#opened(timeoutMs);
    return await replica.propose(command, leftMs, span);
  }

  async read(level: "linearizable" | "lease", timeoutMs: number): Promise<void> {
    const { replica, leftMs } = await this.#opened(timeoutMs);
    await replica.read(level, leftMs);
  }

  time(): number {
    return 0;
  }

  stalenessMs(): null {
    return null;
  }

  status(): ReplicaStatus {
    const { configuration } = this.#options;
    return {
      id: this.id,
      clusterId: "",
      role: configuration.voters.includes(this.id) ? "follower" : "learner",
      term: 0,
      vote: null,
      leader: null,
      commit: 0,
      applied: 0,
      lastIndex: 0,
      lastTerm: 0,
      firstIndex: 1,
      snapshotIndex: 0,
      configuration,
      progress: [],
      pendingProposals: 0,
      persistLagMs: 0,
      room: null,
    };
  }

  entries(): readonly LogEntry[] {
    return [];
  }

  health(): { readonly live: readonly HealthCheck[]; readonly ready: readonly HealthCheck[] } {
    const live = [{ name: "running", ok: true, detail: "in no cluster yet" }];
    const cluster = { name: "cluster", ok: false, detail: this.#options.newcomer.waitsFor() };
    return { live, ready: [...live, cluster] };
  }

  async transferLeadership(): Promise<never> {
    throw this.#refusal();
  }

  async changeMembers(): Promise<never> {
    throw this.#refusal();
  }

  members(): { readonly configuration: Configuration; readonly changing: boolean } {
    return { configuration: this.#options.configuration, changing: false };
  }

  /** @throws {NotApplied} where there is no replica within `timeoutMs`, or none to be expected. */
  async #opened(
    timeoutMs: number,
  ): Promise<{ readonly replica: Replica<Result>; readonly leftMs: number }> {
    const { clock, newcomer, replica } = this.#options;
    const deadline = clock.now() + timeoutMs;
    if (!newcomer.isForming) throw this.#refusal();
    const late = Promise.withResolvers<null>();
    const cancel = clock.timer(deadline, () => late.resolve(null));
    const opened = await Promise.race([replica, late.promise]);
    cancel();
    if (opened === null) throw this.#refusal();
    return { replica: opened, leftMs: deadline - clock.now() };
  }

  #refusal(): NotApplied {
    return new NotApplied("no_leader", `in no cluster yet: ${this.#options.newcomer.waitsFor()}`);
  }
}
