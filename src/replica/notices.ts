/** What a replica notices about its office and its cluster, and whom it tells: the log, the observer, the transport. */
import type { Configuration, Raft } from "../raft/mod.ts";
import type { ReplicaParts } from "./parts.ts";

export class Notices {
  /** Resolves when the log that was applied says that this replica is a member no more. */
  readonly removed: Promise<void>;
  readonly #parts: Pick<ReplicaParts<unknown>, "log" | "observer" | "options" | "transport">;
  #office = "";
  #configuration: Configuration | null = null;
  #remove: () => void = () => {};

  constructor(parts: Pick<ReplicaParts<unknown>, "log" | "observer" | "options" | "transport">) {
    this.#parts = parts;
    this.removed = new Promise((resolve) => this.#remove = resolve);
  }

  /** True where role, term or leader are others than they were. */
  office({ role, term, leader }: Pick<Raft, "role" | "term" | "leader">): boolean {
    const office = `${role}/${term}/${leader ?? ""}`;
    if (office === this.#office) return false;
    this.#office = office;
    const { observer, log, options } = this.#parts;
    observer.roleChanged({ id: options.raft.id, role, term, leader });
    log("info", "role", { id: options.raft.id, role, term, leader });
    return true;
  }

  /** Peers are where the configuration in effect says, committed or not; those who have just left, where they were. */
  configuration(configuration: Configuration): void {
    if (configuration === this.#configuration) return;
    const { transport, log, options } = this.#parts;
    transport.setUrls({ ...this.#configuration?.urls, ...configuration.urls });
    const isFirst = this.#configuration === null;
    this.#configuration = configuration;
    const { voters, outgoing, learners } = configuration;
    log(isFirst ? "debug" : "info", "members", {
      id: options.raft.id,
      voters,
      outgoing,
      learners,
    });
  }

  /** The state machine reflects this configuration. */
  applied({ removed = [] }: Configuration): void {
    if (removed.includes(this.#parts.options.raft.id)) this.#remove();
  }
}
