/** One request and its answer: what every handler is given, and the one place where answers are built. */
import { InvariantViolation } from "../assert.ts";
import { encodeCbor } from "../cbor.ts";
import type { KvMachine } from "../kv/machine.ts";
import type { KvResult } from "../kv/result.ts";
import type { Applied, HealthCheck, ReplicaStatus } from "../replica.ts";
import type { Credentials, Logger, MemberRequest, MembersView, Span, Tracer } from "../ports.ts";
import { asksFirst, type Right } from "./access/rights.ts";
import { anybody, type Caller, type Gate } from "./access/gate.ts";
import type { Need } from "../kv/access/principal.ts";
import type { Admission } from "./admission.ts";
import type { Arrivals } from "./arrivals.ts";
import type { HttpLimits } from "./limits.ts";
import type { RequestMetrics } from "./metrics.ts";
import { type Bound, problemOf, Refusal, refusalOf } from "./problem.ts";
import { shownTarget } from "./target.ts";
import { utf8Length } from "./text.ts";
import type { WatchHub } from "./watch/hub.ts";
import { cborType, jsonType, nodeHeader, problemType, revisionHeader, termHeader } from "./wire.ts";

/** What the routes ask of a replica; `Replica<KvResult>` is one. */
export interface ReplicaView<Result = KvResult> {
  readonly id: string;
  readonly term: number;
  /** @throws {NotApplied} {OutcomeUnknown} */
  propose(command: Uint8Array, timeoutMs: number, span?: Span | null): Promise<Applied<Result>>;
  /** Resolves when the machine here may be read. @throws {NotApplied} */
  read(level: "linearizable" | "lease", timeoutMs: number): Promise<void>;
  /** Whole milliseconds; null before the first contact with a quorum. */
  stalenessMs(): number | null;
  /** The cluster's time as this node knows it, in milliseconds: what keys and leases are due by. */
  time(): number;
  status(): ReplicaStatus;
  entries(from: number, limit: number): readonly LogEntry[];
  health(): { readonly live: readonly HealthCheck[]; readonly ready: readonly HealthCheck[] };
  /** Who takes part, as this node knows it. */
  members(): MembersView;
  /**
   * Resolves when the change is over, or after `timeoutMs` where it has begun and goes on. Repeating it does no harm.
   * @throws {ChangeRefused} {NotApplied} {OutcomeUnknown}
   */
  changeMembers(request: MemberRequest, timeoutMs: number): Promise<MembersView>;
  /** From any node. Resolves with the new leader. @throws {NotApplied} {OutcomeUnknown} */
  transferLeadership(target: string | null, timeoutMs: number): Promise<string>;
}

/** What `/v1/log` shows of an entry. */
export interface LogEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: "empty" | "command" | "configuration";
  readonly payload: Uint8Array;
}

/** What all requests of a node share. */
export interface Host {
  readonly replica: ReplicaView;
  readonly machine: KvMachine;
  readonly limits: HttpLimits;
  /** Serve linearizable reads from the leader's lease where it holds one (`--lease-reads`). */
  readonly leaseReads: boolean;
  /** E.g. `bun 1.4.5`. */
  readonly runtime: string;
  readonly version: string;
  /** Monotonic milliseconds, on the replica's scale. */
  readonly now: () => number;
  readonly log: Logger;
  /** Told of a broken invariant, which Hono would answer with 500 and run on: it has to stop the node. */
  readonly onDefect: (error: Error) => void;
  /** Null, or missing, where nobody collects traces. */
  readonly tracer?: Tracer | null;
  /** Asked about a newcomer before it is taken in. @throws {ChangeRefused} where it can't be. */
  readonly checkNewcomer?: (
    newcomer: { readonly id: string; readonly url: string },
  ) => Promise<void>;
  /** Where requests and answers are counted. */
  readonly requests: RequestMetrics;
  /** The version that a member was last heard to speak; null where none was. */
  readonly speaks?: (id: string) => number | null;
  /** The text of `/metrics`. */
  readonly metrics: () => Promise<string>;
  readonly watchers: WatchHub;
  /** Who is let in. */
  readonly gate: Gate;
  /** Null where there are no tokens here. */
  readonly credentials: Credentials | null;
  /** Who may begin. */
  readonly admission: Admission;
  /** Bodies that are arriving. */
  readonly arrivals: Arrivals;
  /** Told of each request that is refused as overloaded. */
  readonly refused: (bound: Bound) => void;
  /** Requests open now, of those that are bounded. */
  readonly open: Record<"keys" | "operator", number>;
  /** Bytes that the bodies arriving now may come to. */
  arrivingBytes: number;
  /** Backups that are being taken. */
  backups: number;
}

/** What every answer carries: who gives it, the store's revision that it reflects, and the term. */
export function marksOf(
  { replica, machine }: {
    readonly replica: Pick<ReplicaView, "id" | "term">;
    readonly machine: KvMachine;
  },
  revision: number = machine.store.revision,
): Record<string, string> {
  return {
    [nodeHeader]: replica.id,
    [revisionHeader]: String(revision),
    [termHeader]: String(replica.term),
  };
}

/** What an answer says besides status and body. */
export interface AnswerExtra {
  readonly headers?: Readonly<Record<string, string>>;
  /** The store's revision that the answer reflects; the newest here where it is not said. */
  readonly revision?: number;
}

export class Exchange {
  readonly host: Host;
  readonly request: Request;
  /** Path and query as they came; see `target.ts`. */
  readonly target: string;
  /** Null where nobody follows it. */
  readonly span: Span | null;
  /** Who asks: known once the gate has let it in. */
  caller: Caller = anybody;
  /** What is left of the time that an answer may take, in milliseconds. */
  timeoutMs: number;
  #right: Right = "token";
  #origin: symbol | undefined = undefined;

  constructor(host: Host, request: Request, target: string, span: Span | null = null) {
    this.host = host;
    this.span = span;
    this.request = request;
    this.target = target;
    this.timeoutMs = host.limits.requestTimeoutMs;
  }

  /**
   * Resolves when the gate has let it in; null where the gate is open.
   * @throws {Refusal} 401, 403, 429, 503. {NotApplied}
   */
  enter(right: Right, origin: symbol | undefined): Promise<void> | null {
    this.#right = right;
    this.#origin = origin;
    const { gate } = this.host;
    const isOpen = !gate.isClosed && origin === undefined && !asksFirst(right);
    return isOpen ? null : this.#admitted("admit");
  }

  /**
   * Resolves when the gate has let it in after all, where it was open and is to be closed.
   * @throws {Refusal} 401, 403, 429, 503. {NotApplied}
   */
  async enterAgain(): Promise<void> {
    await this.#admitted("admitAgain");
  }

  async #admitted(how: "admit" | "admitAgain"): Promise<void> {
    const origin = this.#origin;
    this.caller = await this.#timed((deadline) =>
      this.host.gate[how](this.request, this.#right, { origin, deadline })
    );
  }

  /**
   * Resolves where the caller may do what needs this, as far as this node knows. What is asked for has to be checked again
   * where it takes effect.
   * @throws {Refusal} 401, 403, 429. {NotApplied}
   */
  async may(needs: () => readonly Need[]): Promise<void> {
    await this.#timed((deadline) => this.host.gate.may(this.caller, needs, deadline));
  }

  /**
   * The same, of the state that a leader has just confirmed. Where it tells for the first time that there are tokens, the
   * caller has to come with one.
   * @throws {Refusal} 401, 403, 429. {NotApplied}
   */
  async recheck(needs: () => readonly Need[]): Promise<void> {
    if (this.caller.type === "anybody") await this.enterAgain();
    this.check(needs());
  }

  /**
   * Resolves where the caller may do this by the newest that is known of tokens: for what no command asks again.
   * @throws {Refusal} 401, 403, 429. {NotApplied}
   */
  async decide(needs: () => readonly Need[]): Promise<void> {
    const { gate } = this.host;
    await this.#timed((deadline) => gate.learn(this.caller, deadline));
    if (gate.isClosed) await this.recheck(needs);
  }

  /** The same, of the state as it is here and now. @throws {Refusal} 401, 403. */
  check(needs: readonly Need[]): void {
    this.host.gate.check(this.caller, needs);
  }

  async #timed<T>(waiting: (deadline: number) => Promise<T>): Promise<T> {
    const since = this.host.now();
    try {
      return await waiting(since + this.timeoutMs);
    } finally {
      this.timeoutMs = Math.max(1, this.timeoutMs - (this.host.now() - since));
    }
  }

  /** Whether documents are to be CBOR (`Accept`), not JSON. */
  get wantsCbor(): boolean {
    const accept = this.request.headers.get("accept");
    return accept !== null && accept !== anything && prefersCbor(accept);
  }

  /** An answer with this body, or without any. Of a `HEAD` Hono leaves the headers. */
  raw(
    status: number,
    body: string | Uint8Array<ArrayBuffer> | null,
    extra: AnswerExtra = {},
  ): Response {
    const headers: Record<string, string> = {
      ...marksOf(this.host, extra.revision),
      // Else a cache on the way may answer a linearizable read from memory: 200 and 404 are cacheable by default.
      "cache-control": "no-cache",
      ...extra.headers,
    };
    if (body !== null) {
      const length = typeof body === "string" ? utf8Length(body) : body.length;
      if (this.request.method === "HEAD") headers["content-length"] = String(length);
      else this.host.requests.sent.add(length);
    }
    return new Response(body, { status, headers });
  }

  /** An answer with a document, in the form that the request asks for. */
  document(
    status: number,
    body: object,
    extra: AnswerExtra = {},
    type: string = jsonType,
  ): Response {
    const cbor = this.wantsCbor;
    const headers = { "content-type": cbor ? cborType : type, ...extra.headers };
    const bytes = cbor ? encodeCbor(body).slice() : JSON.stringify(body);
    return this.raw(status, bytes, { ...extra, headers });
  }

  /**
   * The answer to a request that is refused before anything is done for it. It costs little: what is spent on refusing
   * is missing where requests are served.
   */
  overloaded(bound: keyof typeof overloads): Response {
    const { refusal, texts } = overloads[bound];
    const { method } = this.request;
    if (this.wantsCbor || method === "HEAD") return this.refuse(refusal);
    this.host.refused(bound);
    this.host.requests.refused(refusal.code);
    this.span?.set("holdfast.refusal", refusal.code);
    return this.raw(429, texts[method === "GET" ? "read" : "write"], { headers: overloadHeaders });
  }

  /** The answer to a request that `error` ended. Defects are logged, and end the node where they have to. */
  refuse(error: unknown): Response {
    const refusal = refusalOf(error);
    this.host.requests.refused(refusal.code);
    this.span?.set("holdfast.refusal", refusal.code);
    const { method } = this.request;
    if (refusal.code === "internal") {
      const { log, onDefect } = this.host;
      const reason = error instanceof Error ? error.stack ?? error.message : String(error);
      log("error", "a request met a defect", { method, target: shownTarget(this.target), reason });
      if (error instanceof InvariantViolation) onDefect(error);
    }
    const { status, body, headers } = problemOf(refusal, method);
    if (status === 429) this.host.refused(refusal.extra.bound ?? "log");
    const { revision } = refusal.extra;
    const extra = revision === undefined ? { headers } : { headers, revision };
    return this.document(status, body, extra, problemType);
  }
}

/** What a request is refused with before anything is done for it, and the texts of it. */
class Overload {
  readonly refusal: Refusal;
  readonly texts: Readonly<Record<"read" | "write", string>>;

  constructor(bound: Bound, detail: string) {
    this.refusal = new Refusal("overloaded", detail, { bound });
    this.texts = {
      read: JSON.stringify(problemOf(this.refusal, "GET").body),
      write: JSON.stringify(problemOf(this.refusal, "PUT").body),
    };
  }
}
const overloads: Readonly<Record<"open_requests" | "admission_delay", Overload>> = {
  open_requests: new Overload("open_requests", "too many requests are open"),
  admission_delay: new Overload("admission_delay", "it waited too long for those before it"),
};
const overloadHeaders = {
  ...problemOf(overloads.open_requests.refusal, "PUT").headers,
  "content-type": problemType,
};

/** What clients send that don't care; it spares them the look at the rest. */
const anything = "*/*";

/** Whether `accept` names CBOR, and JSON not with more weight (RFC 9110, section 12.5.1). */
function prefersCbor(accept: string): boolean {
  let cbor = 0;
  let json = 0;
  for (const range of accept.toLowerCase().split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
    if (type === cborType) cbor = Number(weight) || 0;
    if (type === jsonType || type === problemType) json = Math.max(json, Number(weight) || 0);
  }
  return cbor > 0 && cbor >= json;
}
