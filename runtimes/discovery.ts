/**
 * A node that knows its cluster by a name only: it asks the DNS where members may be, and each of those who it is, in
 * rounds, until
 *
 * - **joining**: one of them is a member of a cluster. This node takes part in none that it forms;
 * - **forming**: there are exactly as many nodes as were told (`--peers-expect`), this one among them, every address
 *   that the DNS has was answered from, and none of them is a member. They are the first members, as if `--peers` had
 *   named them.
 *
 * What follows is the newcomer's (`newcomer.ts`): a cluster is formed by nodes only that all name the same first members,
 * and a node keeps to those that it found for as long as it runs. So an answer of the DNS that is still growing makes
 * nodes wait for each other. What no node can tell is that as many others again were started and are hidden from it: two
 * clusters would come of that. So the number has to be that of all nodes which look for each other before there is a
 * cluster; those that come later are better told to `--join` the name.
 */
import { type Endpoint, endpointsOf, type Names } from "../src/adapters/dns-lookup.ts";
import type { AskWho, Introduction } from "../src/adapters/peer-hello.ts";
import type { Discovery as Sought } from "../src/config/rules.ts";
import { PeerUnreachable } from "../src/errors.ts";
import type { Clock, Logger } from "../src/ports.ts";
import type { NodeId } from "../src/raft/types.ts";

/** Between rounds, in milliseconds: each pause is longer than the last. */
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 1000;
const PAUSE_FACTOR = 1.5;
/** How long an answer may take, in milliseconds. */
const ASK_TIMEOUT_MS = 1000;
/** How long the DNS may take, in milliseconds. */
const LOOKUP_TIMEOUT_MS = 5000;
/** How often it is told what this node waits for, in milliseconds. */
const TELL_INTERVAL_MS = 5000;
/** Addresses that are asked. */
const ENDPOINTS_MAX = 256;

/** What it takes to believe each other. */
const refusalAdvice = "all need the same secret, and clocks that agree";

/** What a node found by a name. */
export interface FoundMembers {
  /** The first members, this node among them; null where there is a cluster already. */
  readonly peers: Readonly<Record<NodeId, string>> | null;
  /** Whom to say hello to. */
  readonly contacts: Readonly<Record<NodeId, string>>;
}

export interface NameSearchOptions {
  readonly self: { readonly id: NodeId; readonly incarnation: string; readonly url: string };
  readonly sought: Sought;
  readonly names: Names;
  readonly ask: AskWho;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What listens at an address: a node, or null where none answered. */
type Answers = ReadonlyMap<Endpoint, Introduction | null>;

/** Looks for members by their name. */
export class NameSearch {
  readonly #options: NameSearchOptions;
  #waitsFor = "it asks the DNS";
  #told = "";
  #toldAt: number;
  #pauseMs = PAUSE_MS_MIN;
  /** Those of the last round that answered and were not believed, or didn't believe this node. */
  readonly #refusing = new Set<Endpoint>();
  #stopped = false;
  #endPause: () => void = () => {};

  constructor(options: NameSearchOptions) {
    this.#options = options;
    this.#toldAt = options.clock.now();
  }

  /** Whether it waits for nothing but the other first members. */
  get isForming(): boolean {
    return this.#options.sought.expect !== null;
  }

  /** What it waits for, in words. */
  waitsFor(): string {
    const { at, expect } = this.#options.sought;
    const aim = expect === null
      ? `a member is looked for at ${at.text}`
      : `a cluster is formed when ${at.text} leads to its ${expect} first members`;
    return `${aim}; ${this.#waitsFor}`;
  }

  /** Resolves with what was found, or with null once it was stopped. */
  async settle(): Promise<FoundMembers | null> {
    while (!this.#stopped) {
      const answers = await this.#round();
      const found = answers === null ? null : this.#weigh(answers);
      if (found !== null && !this.#stopped) {
        const { log, sought } = this.#options;
        log("info", "found members by name", { name: sought.at.text, ...found });
        return found;
      }
      this.#tell();
      if (!this.#stopped) await this.#pause();
    }
    return null;
  }

  /** Ends the search. */
  stop(): void {
    this.#stopped = true;
    this.#endPause();
  }

  async #round(): Promise<Answers | null> {
    const { self, ask } = this.#options;
    let endpoints: readonly Endpoint[];
    try {
      endpoints = await this.#lookUp();
    } catch (error) {
      this.#waitsFor = `the DNS has nothing: ${
        error instanceof Error ? error.message : "no answer"
      }`;
      return null;
    }
    if (endpoints.length > ENDPOINTS_MAX) {
      this.#waitsFor =
        `the DNS has ${endpoints.length} addresses, and ${ENDPOINTS_MAX} are too many`;
      return null;
    }
    // Where an app is mounted below a path, all members' are; and all have TLS or none has.
    const { protocol, pathname } = new URL(self.url);
    const base = pathname.replace(/\/+$/, "");
    this.#refusing.clear();
    return new Map(
      await Promise.all(endpoints.map(async (endpoint) => {
        try {
          const url = `${protocol}//${endpoint}${base}`;
          return [endpoint, await ask(url, ASK_TIMEOUT_MS)] as const;
        } catch (error) {
          if (!(error instanceof PeerUnreachable)) throw error;
          if (error.reason === "refused") this.#refusing.add(endpoint);
          return [endpoint, null] as const;
        }
      })),
    );
  }

  async #lookUp(): Promise<readonly Endpoint[]> {
    const { sought, names, clock } = this.#options;
    const late = Promise.withResolvers<never>();
    const cancel = clock.timer(clock.now() + LOOKUP_TIMEOUT_MS, () => {
      late.reject(new Error(`no answer within ${LOOKUP_TIMEOUT_MS} ms`));
    });
    try {
      return await Promise.race([endpointsOf(sought.at, names, sought.servers), late.promise]);
    } finally {
      cancel();
    }
  }

  /** What the answers come to; null where they don't suffice, and then `waitsFor` says why. */
  #weigh(answers: Answers): FoundMembers | null {
    const { self, sought: { expect } } = this.#options;
    const nodes = new Map<NodeId, Introduction>();
    for (const node of answers.values()) {
      if (node === null) continue;
      const other = nodes.get(node.id);
      const isAnother = node.id === self.id && node.incarnation !== self.incarnation;
      if (isAnother || (other !== undefined && other.incarnation !== node.incarnation)) {
        const urls = [other?.url ?? self.url, node.url].join(" and ");
        this.#waitsFor =
          `two nodes have the id ${node.id}, at ${urls}: give each an --id of its own`;
        return null;
      }
      nodes.set(node.id, node);
    }
    const urls = Object.fromEntries([...nodes.values()].map(({ id, url }) => [id, url]));
    const others = Object.fromEntries(Object.entries(urls).filter(([id]) => id !== self.id));
    if ([...nodes.values()].some(({ isMember }) => isMember)) {
      return { peers: null, contacts: others };
    }
    const missing = this.#missing(answers, nodes);
    this.#waitsFor = missing ?? "no cluster is there yet";
    if (expect === null || missing !== null) return null;
    return { peers: urls, contacts: others };
  }

  /** Why these are not the first members; null where they are. */
  #missing(answers: Answers, nodes: ReadonlyMap<NodeId, Introduction>): string | null {
    const { self, sought: { expect } } = this.#options;
    const silent = [...answers].filter(([, node]) => node === null).map(([endpoint]) => endpoint);
    if (silent.length > 0) return this.#unheard(silent);
    if (expect === null) return null;
    const ids = [...nodes.keys()].sort().join(", ");
    if (!nodes.has(self.id)) return `it leads to ${ids}, and not to this node, ${self.id}`;
    if (nodes.size !== expect) {
      return `it leads to ${nodes.size}: ${ids}${
        nodes.size > expect ? "; more than --peers-expect says" : ""
      }`;
    }
    const distinct = new Set([...nodes.values()].map(({ url }) => url));
    return distinct.size === nodes.size ? null : `several of ${ids} have the same --advertise`;
  }

  #unheard(endpoints: readonly Endpoint[]): string {
    const silent = endpoints.filter((endpoint) => !this.#refusing.has(endpoint));
    const refusing = endpoints.filter((endpoint) => this.#refusing.has(endpoint));
    return [
      ...silent.length > 0 ? [`no answer from ${silent.join(", ")}`] : [],
      ...refusing.length > 0 ? [`refused by ${refusing.join(", ")}: ${refusalAdvice}`] : [],
    ].join("; ");
  }

  /** What changes is told at once, what stays so now and then. */
  #tell(): void {
    const { log, clock } = this.#options;
    const now = clock.now();
    const isNew = this.#waitsFor !== this.#told;
    if (!isNew && now - this.#toldAt < TELL_INTERVAL_MS) return;
    this.#told = this.#waitsFor;
    this.#toldAt = now;
    log("info", "waiting", { for: this.waitsFor() });
  }

  #pause(): Promise<void> {
    const { clock } = this.#options;
    const until = clock.now() + this.#pauseMs;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * PAUSE_FACTOR);
    return new Promise((resolve) => {
      const cancel = clock.timer(until, resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
  }
}
