/** A node that belongs to no cluster yet. Where it knows a name only, it looks for members first; then it is a newcomer. */
import type { ClusterBirth } from "../src/adapters/data-directory.ts";
import { createNodeNames } from "../src/adapters/dns-lookup.ts";
import type { Hello, HelloReply } from "../src/adapters/peer-hello.ts";
import type { Configuration } from "../src/raft/types.ts";
import { birthOf } from "./birth.ts";
import { type FoundMembers, NameSearch } from "./discovery.ts";
import type { Surroundings } from "./member.ts";
import { Newcomer } from "./newcomer.ts";

type WaitingParts = Pick<
  Surroundings<unknown>,
  "self" | "config" | "runtime" | "clock" | "log" | "sayHello" | "who"
>;

export class Waiting {
  readonly #parts: WaitingParts;
  /** Null where the members are named one by one. */
  readonly #search: NameSearch | null;
  /** Null until it is known whom to say hello to. */
  #newcomer: Newcomer | null = null;
  #stopped = false;

  constructor(parts: WaitingParts) {
    this.#parts = parts;
    const { self, config, runtime, clock, log, who } = parts;
    const { discovery: sought, join, peers, advertise: url } = config;
    if (sought === null) {
      this.#search = null;
      this.#newcomer = this.#newcomerOf({
        peers: join === null ? peers : null,
        contacts: join ?? peers,
      });
      return;
    }
    const names = (runtime.names ?? createNodeNames)(sought.servers);
    this.#search = new NameSearch({
      self: { ...self, url },
      sought,
      names,
      ask: who.ask,
      clock,
      log,
    });
  }

  /** Who would form the cluster, or this node as the learner that it would be. */
  get configuration(): Configuration {
    const { id, advertise, peers, join, discovery } = this.#parts.config;
    const { birth } = birthOf(peers, {});
    if (join === null && discovery === null) return birth;
    const urls = Object.fromEntries([[id, advertise]]);
    return { ...birth, voters: [], learners: [id], urls };
  }

  /** Whether it waits for nothing but the other first members. */
  get isForming(): boolean {
    return this.#newcomer?.isForming ?? this.#search?.isForming ?? false;
  }

  /** What it waits for, in words. */
  waitsFor(): string {
    return this.#newcomer?.waitsFor() ?? this.#search?.waitsFor() ?? "";
  }

  /** What it says to whoever says hello. */
  answer(hello: Hello): HelloReply {
    return this.#newcomer?.answer(hello) ?? { state: "waiting" };
  }

  /**
   * Resolves with the cluster that this node belongs to, or with null once it was stopped.
   * @throws {DataDirectoryRefused} where its id was removed from the cluster.
   */
  async settle(): Promise<ClusterBirth | null> {
    if (this.#newcomer === null) {
      const found = await this.#search?.settle() ?? null;
      if (found === null || this.#stopped) return null;
      this.#newcomer = this.#newcomerOf(found);
    }
    return await this.#newcomer.settle();
  }

  /** Ends the waiting. */
  stop(): void {
    this.#stopped = true;
    this.#search?.stop();
    this.#newcomer?.stop();
  }

  #newcomerOf(members: FoundMembers): Newcomer {
    const { self, config, sayHello, clock, log } = this.#parts;
    return new Newcomer({
      self: { ...self, url: config.advertise },
      ...members,
      sayHello,
      clock,
      log,
    });
  }
}
