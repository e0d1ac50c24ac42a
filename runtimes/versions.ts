/**
 * What the members of a cluster speak, as this node hears it, and what it needs of them (`wire-version.ts`): by this the
 * leader's state machine knows when the cluster's version may rise, and status and refusals who keeps it from that.
 */
import { invariant } from "../src/assert.ts";
import type { DataDirectory } from "../src/adapters/data-directory.ts";
import { FIRST_WIRE, refusalOf, type WireVersion } from "../src/adapters/wire-version.ts";
import { newestVersion, releaseOf } from "../src/kv/cluster-version.ts";
import type { Clock, Logger } from "../src/ports.ts";
import type { Configuration, NodeId } from "../src/raft/types.ts";

/** A member that was not heard for so long may have come back as another release, in milliseconds. */
export const HEARD_WITHIN_MS = 5000;
/** Who was refused is told of again so much later, in milliseconds. */
const TELL_INTERVAL_MS = 60_000;
/** Nodes that are kept in mind. */
const NODES_MAX = 256;

/** What it learns of its replica. */
export interface VersionedReplica {
  readonly id: NodeId;
  readonly term: number;
  members(): { readonly configuration: Configuration };
  /** Looks at what a leader's state machine wants. */
  attend(): void;
}

export interface VersionsOptions {
  readonly storage: Pick<DataDirectory, "format" | "raise">;
  readonly clock: Pick<Clock, "now">;
  readonly log: Logger;
  /** Told of a disk that failed. */
  readonly onDefect: (error: Error) => void;
}

interface Heard {
  version: number;
  at: number;
}

export class Versions implements WireVersion {
  readonly speaks: number = newestVersion;
  readonly #heard = new Map<NodeId, Heard>();
  readonly #greeted = new Map<NodeId, number>();
  readonly #told = new Map<string, number>();
  #options: VersionsOptions | null = null;
  #replica: VersionedReplica | null = null;
  /** The last term in which this node led, and since when. */
  #office = { term: 0, since: 0 };
  #raising: Promise<void> | null = null;

  /** Where this node keeps what it needs. */
  open(options: VersionsOptions): void {
    this.#options = options;
  }

  /** Whose members these are, from now on. */
  attach(replica: VersionedReplica): void {
    this.#replica = replica;
    replica.attend();
  }

  get needs(): number {
    return this.#options?.storage.format ?? FIRST_WIRE;
  }

  async raise(version: number): Promise<void> {
    const options = this.#options;
    invariant(options !== null, "nothing is needed before there is a place to keep it");
    while (this.needs < version) {
      const before = this.needs;
      this.#raising ??= raise(options, version).finally(() => this.#raising = null);
      await this.#raising;
      invariant(this.needs > before, "what the disk was told of is needed from then on");
    }
  }

  /** An authentic message of a member's has come. */
  hear(from: NodeId, version: number): void {
    const at = this.#now();
    const heard = this.#heard.get(from);
    if (heard === undefined) {
      if (this.#heard.size >= NODES_MAX) this.#heard.clear();
      this.#heard.set(from, { version, at });
      return this.#replica?.attend();
    }
    const isNews = heard.version !== version || heard.at < this.#office.since ||
      at - heard.at > HEARD_WITHIN_MS;
    heard.version = version;
    heard.at = at;
    if (isNews) this.#replica?.attend();
  }

  /** An authentic hello, or an answer to one, has come. */
  greet(from: NodeId, version: number): void {
    if (this.#greeted.size >= NODES_MAX) this.#greeted.clear();
    this.#greeted.set(from, version);
  }

  /** What somebody spoke who is no member yet; null where it said nothing. */
  greetedBy(id: NodeId): number | null {
    return this.#greeted.get(id) ?? null;
  }

  /** What a member was last heard to speak; null where it was not heard. */
  of(id: NodeId): number | null {
    if (id === this.#replica?.id) return this.speaks;
    return this.#heard.get(id)?.version ?? null;
  }

  /**
   * What every member speaks, as a leader that asks knows it: of one that was not heard since it came into office, or
   * not lately, that is the first version. This node needs as much before it says so.
   */
  spokenByAll(): number {
    const replica = this.#replica;
    if (replica === null) return FIRST_WIRE;
    const { term } = replica;
    if (term !== this.#office.term) this.#office = { term, since: this.#now() };
    const { voters, outgoing, learners } = replica.members().configuration;
    const members = [...voters, ...outgoing, ...learners];
    const spoken = Math.min(...members.map((id) => this.#spokenNow(id)), this.speaks);
    if (spoken <= this.needs) return spoken;
    void this.raise(spoken).then(() => replica.attend(), () => {});
    return this.needs;
  }

  onRefused(from: NodeId, spoken: number): void {
    this.#tell(`refused ${from} ${spoken}`, "a node was refused", {
      peer: from,
      reason: refusalOf(from, spoken, this.needs),
      needed: releaseOf(this.needs),
    });
  }

  onRefusal(by: NodeId, needed: number): void {
    const reason = `this node speaks version ${this.speaks}, and its cluster needs ${needed}`;
    this.#tell(`refusal ${by} ${needed}`, "this node was refused: upgrade it first", {
      peer: by,
      reason,
    });
  }

  #spokenNow(id: NodeId): number {
    if (id === this.#replica?.id) return this.speaks;
    const heard = this.#heard.get(id);
    if (heard === undefined) return FIRST_WIRE;
    const isKnown = heard.at >= this.#office.since && this.#now() - heard.at <= HEARD_WITHIN_MS;
    return isKnown ? heard.version : FIRST_WIRE;
  }

  #now(): number {
    return this.#options?.clock.now() ?? 0;
  }

  #tell(what: string, message: string, fields: Readonly<Record<string, string>>): void {
    const now = this.#now();
    if (now - (this.#told.get(what) ?? -Infinity) < TELL_INTERVAL_MS) return;
    if (this.#told.size >= NODES_MAX) this.#told.clear();
    this.#told.set(what, now);
    this.#options?.log("warn", message, fields);
  }
}

async function raise({ storage, log, onDefect }: VersionsOptions, version: number): Promise<void> {
  try {
    await storage.raise(version);
  } catch (error) {
    onDefect(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
  const barred = `releases before ${releaseOf(version)} can't use this data directory any more`;
  log("info", barred, { version });
}
