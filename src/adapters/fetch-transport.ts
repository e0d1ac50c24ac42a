/**
 * The transport between real nodes: HTTP through a `fetch` that is handed in, one POST per message, its reply the
 * response. Messages are encoded by `peer-wire.ts` and sealed by `peer-signature.ts`.
 *
 * Each peer has four lanes with a bound of their own, so that neither heartbeats nor votes queue behind bulk. They
 * share no connection that is in use: `fetch` opens another one.
 */
import { MalformedBytes, PeerUnreachable } from "../errors.ts";
import type {
  Clock,
  ForwardReply,
  ManageReply,
  ManageRequest,
  PeerObserver,
  SnapshotChunk,
  SnapshotChunkReply,
  Span,
  Transport,
} from "../ports.ts";
import type { ReplyMessage, RequestMessage } from "../raft/message.ts";
import type { NodeId } from "../raft/types.ts";
import { type Call, Deadlines, Lane, type LaneLimits } from "./peer-calls.ts";
import {
  decodeChunkReply,
  decodeForwardReply,
  decodeManageReply,
  decodeReply,
  encodeChunk,
  encodeForward,
  encodeManage,
  encodeRequest,
  type HeaderReader,
  type PeerAuthenticator,
  type PeerLane,
  peerLanes,
  type PeerRequestType,
  type PeerWireLimits,
} from "./peer-wire.ts";
import { firstWire, NEEDS_HEADER, pathOf, type WireVersion } from "./wire-version.ts";

/**
 * What the transport needs of `fetch`. It must send a request once: one that sends again by itself makes
 * `PeerUnreachable.maybeReceived` lie, because the refused second attempt hides the first. Bun's `fetch` keeps to it,
 * and `undici-fetch.ts` does under Node and Deno; Deno's own `fetch` does not.
 */
export type PeerFetch = (url: string, init: PeerFetchInit) => Promise<PeerResponse>;

export interface PeerFetchInit {
  readonly method: "POST";
  readonly headers: Record<string, string>;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
  readonly redirect: "manual";
}

export interface PeerResponse {
  readonly status: number;
  readonly headers: HeaderReader;
  arrayBuffer(): Promise<ArrayBuffer>;
}

export interface FetchTransportLimits {
  readonly wire: PeerWireLimits;
  /** Bytes of a response. */
  readonly replyBytesMax: number;
  /** Of each peer. */
  readonly lanes: Readonly<Record<PeerLane, LaneLimits>>;
}

/**
 * Enough for the core's own bounds. Requests that a client waits for may queue; of what the core sends, a later
 * message says more than one that waited.
 */
export const defaultLanes: Readonly<Record<PeerLane, LaneLimits>> = {
  control: { inflightMax: 64, waitingMax: 0 },
  append: { inflightMax: 16, waitingMax: 0 },
  forward: { inflightMax: 64, waitingMax: 4096 },
  manage: { inflightMax: 8, waitingMax: 64 },
  snapshot: { inflightMax: 2, waitingMax: 0 },
};

export interface FetchTransportOptions {
  readonly authenticator: PeerAuthenticator;
  readonly clock: Clock;
  readonly fetch: PeerFetch;
  readonly urls: Readonly<Record<NodeId, string>>;
  readonly limits: FetchTransportLimits;
  readonly observer?: PeerObserver;
  /** The first version by default. */
  readonly wire?: Pick<WireVersion, "needs" | "onRefusal">;
}

/** Creates a transport. Whatever goes wrong with a request is a {@link PeerUnreachable}. */
export function createFetchTransport(options: FetchTransportOptions): Transport {
  return new FetchTransport(options);
}

/** A request on its way. */
interface PeerRequest {
  readonly base: string;
  readonly to: NodeId;
  readonly type: PeerRequestType;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly span: Span | null;
}

/** A peer's URL, and its lanes. */
interface Peer {
  url: string | null;
  readonly lanes: Readonly<Record<PeerLane, Lane>>;
}

class FetchTransport implements Transport {
  readonly #options: FetchTransportOptions;
  readonly #deadlines: Deadlines;
  readonly #wire: Pick<WireVersion, "needs" | "onRefusal">;
  #peers = new Map<NodeId, Peer>();

  constructor(options: FetchTransportOptions) {
    this.#options = options;
    this.#wire = options.wire ?? firstWire;
    this.#deadlines = new Deadlines(options.clock);
    this.setUrls(options.urls);
  }

  async request(message: RequestMessage, timeoutMs: number): Promise<ReplyMessage> {
    const { type, to, from, id } = message;
    const { wire } = this.#options.limits;
    return await this.#post(to, type, encodeRequest(message), timeoutMs, (bytes) => {
      const reply = decodeReply(type, bytes, wire);
      if (reply.id !== id || reply.from !== to || reply.to !== from) {
        throw new MalformedBytes("the reply belongs to another request", 0);
      }
      return reply;
    });
  }

  async forward(
    to: NodeId,
    command: Uint8Array,
    timeoutMs: number,
    span: Span | null = null,
  ): Promise<ForwardReply> {
    const body = encodeForward({ command, timeoutMs: Math.max(0, timeoutMs) });
    const { wire } = this.#options.limits;
    return await this.#post(
      to,
      "forward",
      body,
      timeoutMs,
      (bytes) => decodeForwardReply(bytes, wire),
      span,
    );
  }

  async manage(to: NodeId, request: ManageRequest, timeoutMs: number): Promise<ManageReply> {
    const body = encodeManage({ request, timeoutMs: Math.max(0, timeoutMs) });
    const { wire } = this.#options.limits;
    return await this.#post(
      to,
      "manage",
      body,
      timeoutMs,
      (bytes) => decodeManageReply(bytes, wire),
    );
  }

  async sendChunk(chunk: SnapshotChunk, timeoutMs: number): Promise<SnapshotChunkReply> {
    const { wire } = this.#options.limits;
    return await this.#post(
      chunk.to,
      "snapshotChunk",
      encodeChunk(chunk),
      timeoutMs,
      (bytes) => decodeChunkReply(bytes, wire),
    );
  }

  setUrls(urls: Readonly<Record<NodeId, string>>): void {
    const peers = new Map<NodeId, Peer>();
    for (const [id, url] of Object.entries(urls)) {
      const peer = this.#peers.get(id) ?? { url: null, lanes: this.#newLanes() };
      peer.url = baseUrl(url);
      peers.set(id, peer);
    }
    this.#peers = peers;
  }

  close(): void {
    this.#peers.clear();
    this.#deadlines.close();
  }

  #newLanes(): Readonly<Record<PeerLane, Lane>> {
    const { lanes } = this.#options.limits;
    return {
      control: new Lane(lanes.control),
      append: new Lane(lanes.append),
      forward: new Lane(lanes.forward),
      manage: new Lane(lanes.manage),
      snapshot: new Lane(lanes.snapshot),
    };
  }

  async #post<Reply>(
    to: NodeId,
    type: PeerRequestType,
    body: Uint8Array<ArrayBuffer>,
    timeoutMs: number,
    decode: (bytes: Uint8Array) => Reply,
    span: Span | null = null,
  ): Promise<Reply> {
    const peer = this.#peers.get(to);
    if (peer === undefined || peer.url === null) {
      throw new PeerUnreachable(`no URL is known for ${to}`, false);
    }
    const lane = peer.lanes[peerLanes[type]];
    const call = this.#deadlines.start(timeoutMs);
    try {
      if (!lane.enter()) await lane.wait(call.controller.signal);
      try {
        const request = { base: peer.url, to, type, body, span };
        return decode(await this.#observed(request, call));
      } finally {
        lane.leave();
      }
    } catch (error) {
      throw unreachable(`${to} ${type}`, error);
    } finally {
      this.#deadlines.end(call);
    }
  }

  async #observed(request: PeerRequest, call: Call): Promise<Uint8Array> {
    const { observer, clock } = this.#options;
    if (observer === undefined) return await this.#exchange(request, call);
    const { to, type, body } = request;
    const since = clock.now();
    observer.requestSent(to, type, body.length);
    try {
      const reply = await this.#exchange(request, call);
      observer.replyReceived(to, type, reply.length, (clock.now() - since) / 1000);
      return reply;
    } catch (error) {
      observer.requestFailed(to, type);
      throw error;
    }
  }

  /** Sends a body and returns the response's, once it is known to be a success and authentic. */
  async #exchange(
    { base, to, type, body, span }: PeerRequest,
    call: Call,
  ): Promise<Uint8Array> {
    const { authenticator, fetch } = this.#options;
    const path = pathOf(type, this.#wire.needs);
    const { headers, exchange } = authenticator.sealRequest(to, path, body);
    const response = await fetch(base + path, {
      method: "POST",
      headers: {
        ...headers,
        ...span?.headers(),
        "content-type": "application/cbor",
        "accept-encoding": "identity",
      },
      body,
      signal: call.controller.signal,
      redirect: "manual",
    });
    const { status } = response;
    const bytes = await this.#readBody(response, call);
    if (status === 200) {
      if (bytes === null) throw new PeerUnreachable("a reply of unbounded size", true);
      if (authenticator.isReplyAuthentic(exchange, status, response.headers, bytes)) return bytes;
      throw new PeerUnreachable("the reply's signature is missing or wrong", true);
    }
    if (status === 401) tellNeeds(this.#wire, to, response.headers);
    // A refusal's signature covers its status only, and anybody may forge an unsigned one.
    const authentic = authenticator.isReplyAuthentic(exchange, status, response.headers, NO_BYTES);
    throw new PeerUnreachable(`status ${status}`, !(authentic && NEVER_HANDLED.has(status)));
  }

  /** Reads a body whose size is announced and bounded, or gives up the connection and returns null. */
  async #readBody(response: PeerResponse, call: Call): Promise<Uint8Array | null> {
    const length = Number(response.headers.get("content-length") ?? NaN);
    const isPlain = response.headers.get("content-encoding") === null;
    if (isPlain && length <= this.#options.limits.replyBytesMax) {
      return new Uint8Array(await response.arrayBuffer());
    }
    call.controller.abort();
    return null;
  }
}

/** A refusal may say that this node speaks too little. Anybody may forge one, so it is told, and changes nothing. */
export function tellNeeds(
  { onRefusal }: Pick<WireVersion, "onRefusal">,
  by: NodeId,
  headers: HeaderReader,
): void {
  const needed = headers.get(NEEDS_HEADER);
  if (needed !== null && /^[1-9][0-9]{0,5}$/.test(needed)) onRefusal(by, Number(needed));
}

const NO_BYTES = new Uint8Array(0);

/**
 * Refusals that `raft-routes.ts` gives before or instead of handling. 401 is not among them, though nothing is handled:
 * a request that arrived twice is refused so the second time.
 */
const NEVER_HANDLED: ReadonlySet<number> = new Set([400, 404, 413, 421, 429]);

/** What says that no connection came about, so that nothing was sent: codes of Node, Bun and undici. */
const NEVER_SENT: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

function unreachable(what: string, error: unknown): PeerUnreachable {
  if (error instanceof PeerUnreachable) {
    return new PeerUnreachable(`${what}: ${error.message}`, error.maybeReceived, error.reason);
  }
  const { message, code, cause } = describe(error);
  const detail = cause === undefined ? message : `${message}: ${describe(cause).message}`;
  const neverSent = NEVER_SENT.has(code) || NEVER_SENT.has(describe(cause).code);
  return new PeerUnreachable(`${what}: ${detail}`, !neverSent);
}

function describe(error: unknown): { message: string; code?: unknown; cause?: unknown } {
  if (!(error instanceof Error)) return { message: String(error) };
  return { message: error.message, code: "code" in error ? error.code : null, cause: error.cause };
}

/** Without the slashes at its end, or null where peers can't be reached by it. */
function baseUrl(url: string): string | null {
  if (!URL.canParse(url)) return null;
  const { protocol, origin, pathname, username } = new URL(url);
  if ((protocol !== "http:" && protocol !== "https:") || username !== "") return null;
  return origin + pathname.replace(/\/+$/, "");
}
