/**
 * A node that belongs to no cluster yet: how it comes to one. It says hello to those it knows of, in rounds, until
 *
 * - **birth**: all first members (`--peers`) would form the same cluster, and so they do, this one among them;
 * - **late**: a member says that this life of ours is one of the cluster's first members: the others were faster;
 * - **joining**: a committed configuration names this life of ours: an operator added us, and the leader bound it.
 *
 * Else it waits, for ever: also where its id belongs to another life (a disk was lost: raft.md, point 30), for what that
 * one promised nobody knows any more. An id that was removed never comes back: that ends the process.
 *
 * **Why two rounds.** A node decides on a set of lives when all of them answered `forming` in two rounds, the second
 * begun after the first had ended. A life that answers in both existed in between: at one instant T all lives of the
 * set existed at the same time, and none had decided, for after its decision, which is taken once and synced before
 * it counts, a life answers `forming` no more. Say two sets S and S' were decided on, by instants T < T'. Ids that
 * live otherwise in S' have lost their disk in S before T'. Lives in both had not decided at T', and take part in one
 * cluster only. So before T' nobody but lost lives took part in S, and after T' none of these does. Whoever leads S
 * has its votes either from lost lives alone, a majority of disks, and that no cluster survives; or from lives in both,
 * a majority that S' then lacks for ever. One of the two never serves. With one round, a life could answer, lose its
 * disk, come back and be counted twice, in S by a member and in S' by another, each with half of the others.
 */
import type { ClusterBirth, Newborn } from "../src/adapters/data-directory.ts";
import type { Contact, Hello, HelloReply, SayHello } from "../src/adapters/peer-hello.ts";
import { DataDirectoryRefused, PeerUnreachable } from "../src/errors.ts";
import type { Clock, Logger } from "../src/ports.ts";
import type { Configuration, NodeId } from "../src/raft/types.ts";
import { birthOf, peersText } from "./birth.ts";

/** Between rounds that change nothing, in milliseconds: each pause is longer than the last. */
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 1000;
const PAUSE_FACTOR = 1.5;
/** How long an answer may take, in milliseconds. */
const HELLO_TIMEOUT_MS = 1000;
/** How often it is told whom this node waits for, in milliseconds. */
const TELL_INTERVAL_MS = 5000;
/** Members that are said hello to, heard of or given. */
const CONTACTS_MAX = 256;

type MemberReply = HelloReply & { readonly state: "member" };
type Replies = ReadonlyMap<NodeId, HelloReply | null>;

/** Where a newcomer stands, as its last round has it. */
type Standing =
  /** One of the first members, of a cluster that is not there yet. */
  | "forming"
  /** Not in the cluster, or in it and not bound yet. */
  | "joining"
  /** Its id is another life's. */
  | "lost"
  /** It has found its cluster. */
  | "decided";

export interface NewcomerOptions {
  readonly self: Newborn & { readonly url: string };
  /** The cluster's first members, this node among them; null where it is to join one. */
  readonly peers: Readonly<Record<NodeId, string>> | null;
  /** Whom it asks, to begin with. */
  readonly contacts: Readonly<Record<NodeId, string>>;
  readonly sayHello: SayHello;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Newcomer {
  readonly #options: NewcomerOptions;
  /** Of `--peers`; null where it forms no cluster. */
  readonly #peers: string | null;
  readonly #contacts = new Map<NodeId, Contact>();
  readonly #told = new Set<string>();
  #standing: Standing;
  #replies: Replies = new Map();
  /** Those of the last round that answered and were not believed, or didn't believe this node. */
  readonly #refusing = new Set<NodeId>();
  #pauseMs = PAUSE_MS_MIN;
  #toldAt: number;
  #stopped = false;
  /** Of the pause, if there is one: shortens it, ends it. */
  #hurry: () => void = () => {};
  #end: () => void = () => {};

  constructor(options: NewcomerOptions) {
    const { peers, contacts, clock } = options;
    this.#options = options;
    this.#peers = peers === null ? null : peersText(peers);
    this.#standing = peers === null ? "joining" : "forming";
    this.#toldAt = clock.now();
    this.#meet(contacts);
  }

  /** Whether it waits for nothing but the other first members. */
  get isForming(): boolean {
    return this.#standing === "forming" || this.#standing === "decided";
  }

  /** What it says to whoever says hello. */
  answer(hello: Hello): HelloReply {
    // One that was not there a moment ago is: no need to wait for the next round.
    if ((this.#replies.get(hello.from) ?? null) === null) {
      this.#pauseMs = PAUSE_MS_MIN;
      this.#hurry();
    }
    if (this.#standing !== "forming" || this.#peers === null) return { state: "waiting" };
    const { incarnation } = this.#options.self;
    return { state: "forming", incarnation, peers: this.#peers };
  }

  /** What it waits for, in words. */
  waitsFor(): string {
    const { self } = this.#options;
    switch (this.#standing) {
      case "decided":
        return "it has found its cluster, and opens";
      case "lost":
        return `the cluster knows ${self.id} by another life of its disk: this node's disk was lost, and it can't ` +
          `take part; bring a successor in with: holdfast member replace ${self.id} --with NEWID=URL`;
      case "forming":
        return `a cluster is formed when all first members are there; it waits for ${this.#missing()}`;
      case "joining":
        return [...this.#replies.values()].some((reply) => reply?.state === "member")
          ? `${self.id} is no member yet; add it with: holdfast member add ${self.id} ${self.url}`
          : `it waits for a member of the cluster to answer: ${this.#missing()}`;
    }
  }

  /**
   * Resolves with the cluster that this node belongs to, or with null once it was stopped.
   * @throws {DataDirectoryRefused} where its id was removed from the cluster.
   */
  async settle(): Promise<ClusterBirth | null> {
    let before: Readonly<Record<NodeId, string>> | null = null;
    while (!this.#stopped) {
      const replies = await this.#round();
      this.#replies = replies;
      const members = [...replies.values()].filter((reply) => reply?.state === "member");
      const cluster = this.#clusterOf(members);
      if (cluster !== null) return this.#decide(cluster, "found its cluster");
      const census = this.#standing === "forming" ? this.#census(replies) : null;
      if (census !== null && before !== null && isSame(census, before)) {
        const { peers } = this.#options;
        if (peers !== null) return this.#decide(birthOf(peers, census), "formed a cluster");
      }
      before = census;
      this.#tell(replies);
      if (census === null && !this.#stopped) await this.#pause();
    }
    return null;
  }

  /** Ends the waiting. */
  stop(): void {
    this.#stopped = true;
    this.#end();
  }

  #decide(cluster: ClusterBirth, what: string): ClusterBirth {
    this.#standing = "decided";
    this.#options.log("info", what, { clusterId: cluster.clusterId });
    return cluster;
  }

  async #round(): Promise<Replies> {
    const { self, sayHello } = this.#options;
    const contacts = [...this.#contacts.values()];
    this.#refusing.clear();
    const replies = await Promise.all(contacts.map(async (contact) => {
      // One that has found a cluster forms no other.
      const peers = this.#standing === "forming" ? this.#peers : null;
      const hello = { from: self.id, to: contact.id, incarnation: self.incarnation, peers };
      try {
        return [contact.id, await sayHello(contact, hello, HELLO_TIMEOUT_MS)] as const;
      } catch (error) {
        if (!(error instanceof PeerUnreachable)) throw error;
        if (error.reason === "refused") this.#refusing.add(contact.id);
        return [contact.id, null] as const;
      }
    }));
    const round = new Map<NodeId, HelloReply | null>(replies);
    const hasNews = contacts.some(({ id }) =>
      round.get(id)?.state !== (this.#replies.get(id) ?? undefined)?.state
    );
    if (hasNews) this.#pauseMs = PAUSE_MS_MIN;
    return round;
  }

  /** The lives of all first members, where all of them would form the same cluster now. */
  #census(replies: Replies): Readonly<Record<NodeId, string>> | null {
    const { self, peers } = this.#options;
    if (peers === null) return null;
    const lives: [NodeId, string][] = [[self.id, self.incarnation]];
    for (const id of Object.keys(peers)) {
      if (id === self.id) continue;
      const reply = replies.get(id);
      if (reply?.state !== "forming" || reply.peers !== this.#peers) return null;
      lives.push([id, reply.incarnation]);
    }
    return Object.fromEntries(lives);
  }

  /** The cluster that has this life of ours in it, if one of these members says so. */
  #clusterOf(members: readonly MemberReply[]): ClusterBirth | null {
    const { id, incarnation } = this.#options.self;
    if (members.some(({ configuration }) => configuration.removed?.includes(id) === true)) {
      throw removedForEver(id);
    }
    for (const { clusterId, birth, configuration } of members) {
      if ([birth, configuration].some((one) => lifeIn(one, id) === incarnation)) {
        return { clusterId, birth };
      }
    }
    for (const { birth, configuration } of members) {
      this.#meet(configuration.urls);
      // First members are bound by the birth: who is not in that life of theirs is another's successor.
      const isLost = hasVoter(birth, id) || lifeIn(configuration, id) !== null;
      if (isLost) this.#standing = "lost";
      else if (this.#standing !== "lost") this.#standing = "joining";
    }
    return null;
  }

  #meet(urls: Readonly<Record<NodeId, string>>): void {
    for (const [id, url] of Object.entries(urls)) {
      if (id === this.#options.self.id) continue;
      if (this.#contacts.has(id) || this.#contacts.size < CONTACTS_MAX) {
        this.#contacts.set(id, { id, url });
      }
    }
  }

  /** Those who keep it from going on, and why. */
  #missing(): string {
    const missing = [...this.#contacts.keys()].flatMap((id) => {
      const reply = this.#replies.get(id) ?? null;
      if (this.#refusing.has(id)) return [`${id} (refused: is the secret the same?)`];
      if (reply === null) return [`${id} (no answer)`];
      if (reply.state === "waiting") return [`${id} (in no cluster)`];
      if (reply.state === "forming" && reply.peers !== this.#peers) {
        return [`${id} (other --peers)`];
      }
      return [];
    });
    return missing.join(", ");
  }

  #tell(replies: Replies): void {
    const { log, clock, self } = this.#options;
    for (const [from, reply] of replies) {
      if (reply?.state !== "forming" || this.#peers === null || reply.peers === this.#peers) {
        continue;
      }
      const fields = { ours: this.#peers, theirs: reply.peers, from };
      this.#once("other --peers than ours: no cluster is formed until they agree", fields);
    }
    if (this.#standing === "lost") return this.#once(this.waitsFor(), { id: self.id });
    if (clock.now() - this.#toldAt < TELL_INTERVAL_MS) return;
    this.#toldAt = clock.now();
    log("info", "waiting", { for: this.waitsFor() });
  }

  #once(message: string, fields: Readonly<Record<string, string>>): void {
    const key = JSON.stringify([message, fields]);
    if (this.#told.has(key) || this.#told.size >= CONTACTS_MAX) return;
    this.#told.add(key);
    this.#options.log("error", message, fields);
  }

  #pause(): Promise<void> {
    const { clock } = this.#options;
    const since = clock.now();
    const until = since + this.#pauseMs;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * PAUSE_FACTOR);
    return new Promise((resolve) => {
      let cancel = clock.timer(until, resolve);
      this.#hurry = () => {
        cancel();
        cancel = clock.timer(since + PAUSE_MS_MIN, resolve);
      };
      this.#end = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** Why a node whose id was removed does not start. */
export function removedForEver(id: NodeId): DataDirectoryRefused {
  return new DataDirectoryRefused(
    `${id} was removed from its cluster, and a removed id never comes back: start this node under another --id with an ` +
      `empty --data directory, and add it by that`,
  );
}

function lifeIn({ incarnations = {} }: Configuration, id: NodeId): string | null {
  return Object.hasOwn(incarnations, id) ? incarnations[id] ?? null : null;
}

function hasVoter({ voters }: Configuration, id: NodeId): boolean {
  return voters.includes(id);
}

function isSame(
  a: Readonly<Record<NodeId, string>>,
  b: Readonly<Record<NodeId, string>>,
): boolean {
  return Object.entries(a).every(([id, text]) => Object.hasOwn(b, id) && b[id] === text);
}
