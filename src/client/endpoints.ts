/**
 * Where requests go. A client stays with an endpoint that works, and sends writes to the leader where it knows it. Whom
 * it doesn't know yet it learns from the members, now and then: when something failed, when an answer is of a later term
 * than what it knows, and, from its second request on, as long as it doesn't know the leader.
 */
import * as v from "valibot";
import { StatusAnswer, termHeader } from "../http/wire.ts";
import { type Answer, attempt, type ClientFetch } from "./attempt.ts";
import type { ClientError } from "./error.ts";

/** An endpoint that failed is asked behind all others for so long, and for twice as long each time that it does again. */
const AVOIDED_MS_MIN = 5_000;
const AVOIDED_MS_MAX = 320_000;
/** Between two rounds of questions. */
const LEARNING_INTERVAL_MS = 1_000;
const LEARNING_TIMEOUT_MS = 2_000;
/** More than a cluster has members; what is beyond is not learned. */
const ENDPOINTS_MAX = 64;

export interface EndpointsOptions {
  readonly given: readonly string[];
  /** Whether nothing is learned. */
  readonly isFixed: boolean;
  readonly fetch: ClientFetch;
  readonly signal: AbortSignal;
}

/** What a request needs of its endpoint. */
export type Purpose = "read" | "write";

export class Endpoints {
  readonly #options: EndpointsOptions;
  /** In the order in which they are tried. */
  #known: readonly string[];
  #current: string;
  #leader: string | null = null;
  /** Of what was learned. */
  #term = 0;
  /** Endpoints that have answered. */
  readonly #met = new Set<string>();
  readonly #avoided = new Map<string, { readonly until: number; readonly forMs: number }>();
  #answers = 0;
  #isLearning = false;
  #learnedAt = -Infinity;

  constructor(options: EndpointsOptions) {
    this.#options = options;
    this.#known = options.given;
    this.#current = options.given[0] ?? "";
  }

  get count(): number {
    return this.#known.length;
  }

  /** The endpoint to ask next; the best of all where each is in `tried`. */
  choose(purpose: Purpose, tried: ReadonlySet<string>): string {
    const now = performance.now();
    const at = Math.max(0, this.#known.indexOf(this.#current));
    const inOrder = [...this.#known.slice(at), ...this.#known.slice(0, at)];
    if (purpose === "write" && this.#leader !== null) inOrder.unshift(this.#leader);
    const left = inOrder.filter((endpoint) => !tried.has(endpoint));
    const sound = left.find((endpoint) => !this.#isAvoided(endpoint, now));
    return sound ?? left[0] ?? inOrder[0] ?? "";
  }

  isMet(endpoint: string): boolean {
    return this.#met.has(endpoint);
  }

  /** An endpoint answered, with whatever. */
  answered({ endpoint, headers }: Pick<Answer, "endpoint" | "headers">): void {
    this.#met.add(endpoint);
    this.#answers++;
    const term = Number(headers.get(termHeader) ?? 0);
    if (this.#answers > 1 && (this.#leader === null || term > this.#term)) this.#learn();
  }

  /** An endpoint has served a request. */
  worked(endpoint: string): void {
    this.#avoided.delete(endpoint);
    if (this.#isAvoided(this.#current, performance.now())) this.#current = endpoint;
  }

  /** An endpoint could not serve a request that another may. */
  failed(endpoint: string, { code }: ClientError): void {
    const now = performance.now();
    if (code !== "overloaded") {
      if (this.#leader === endpoint) this.#leader = null;
      // Calls that fail side by side fail for one reason.
      if (!this.#isAvoided(endpoint, now)) {
        const before = this.#avoided.get(endpoint)?.forMs ?? AVOIDED_MS_MIN / 2;
        const forMs = Math.min(AVOIDED_MS_MAX, 2 * before);
        this.#avoided.set(endpoint, { until: now + forMs, forMs });
      }
    }
    if (this.#current === endpoint) {
      this.#current = this.choose("read", new Set([endpoint]));
    }
    this.#learn();
  }

  #isAvoided(endpoint: string, now: number): boolean {
    const avoided = this.#avoided.get(endpoint);
    return avoided !== undefined && avoided.until > now;
  }

  /** Asks all that are known who the members are, and who leads. */
  #learn(): void {
    const now = performance.now();
    if (this.#options.isFixed || this.#isLearning || now - this.#learnedAt < LEARNING_INTERVAL_MS) {
      return;
    }
    this.#isLearning = true;
    this.#learnedAt = now;
    const asked = this.#known.map((endpoint) => this.#ask(endpoint));
    void Promise.all(asked).finally(() => {
      this.#isLearning = false;
    });
  }

  async #ask(endpoint: string): Promise<void> {
    const { fetch, signal } = this.#options;
    try {
      const answer = await attempt({ method: "GET", target: "/v1/status" }, {
        fetch,
        endpoint,
        isMet: true,
        isRead: true,
        timeoutMs: LEARNING_TIMEOUT_MS,
        signal,
      });
      const document: unknown = JSON.parse(new TextDecoder().decode(answer.body));
      const status = v.safeParse(StatusAnswer, document);
      if (!status.success) return;
      this.#avoided.delete(endpoint);
      this.#take(status.output);
    } catch {
      // Whoever doesn't answer, or answers something else, has nothing to teach.
    }
  }

  #take({ term, leader, members }: StatusAnswer): void {
    if (term < this.#term || members.length === 0) return;
    if (term > this.#term) this.#leader = null;
    this.#term = term;
    const { given } = this.#options;
    const urls = members.map(({ url }) => originOf(url));
    this.#known = [...new Set([...given, ...urls])].slice(0, Math.max(given.length, ENDPOINTS_MAX));
    const leading = members.find(({ id }) => id === leader);
    if (leading !== undefined) this.#leader = originOf(leading.url);
  }
}

/** A base URL, as paths are put behind it. */
export function originOf(url: string): string {
  return url.replace(/\/+$/, "");
}
