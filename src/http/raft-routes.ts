/**
 * Where peers post their messages: `/raft/v1/…` and `/raft/v2/…` (see `wire-version.ts`), CBOR in and out. This path carries every append, so it goes round
 * what costs: one body read in one piece, no context variables, one `Response`.
 *
 * | answer | when |
 * |---|---|
 * | 200 | the reply to the message |
 * | 400 `bad_request` | the body is not the message that belongs here, or the sender's connection broke |
 * | 401 `unauthenticated` | of another cluster, for another node, wrongly signed, too old, sent twice, no message at all, or of a release that this cluster has left behind |
 * | 408 `request_timeout`, 413 `too_large` | the body takes too long, is too large |
 * | 429 `overloaded` | the replica refused the message before it looked at it |
 * | 503 `not_ready` | the replica has stopped, or too many requests are under way here |
 *
 * With a secret, 200, 400, 429 and a stopped replica's 503 are signed; a refusal's signature covers an empty body.
 */
import { type Context, Hono } from "hono";
import {
  decodeChunk,
  decodeForward,
  decodeManage,
  decodeRequest,
  encodeChunkReply,
  encodeForwardReply,
  encodeManageReply,
  encodeReply,
  type PeerAuthenticator,
  type PeerExchange,
  type PeerLane,
  peerLanes,
  peerPaths,
  type PeerRequestType,
  type PeerWireLimits,
} from "../adapters/peer-wire.ts";
import {
  FIRST_WIRE,
  firstWire,
  NEEDS_HEADER,
  pathOf,
  refusalOf,
  unspoken,
  versionOfPath,
  type WireVersion,
} from "../adapters/wire-version.ts";
import { MalformedBytes, PeerUnreachable } from "../errors.ts";
import type { PeerHandler, PeerObserver, Span, Tracer } from "../ports.ts";
import { Arrivals } from "./arrivals.ts";
import { readPeerBody } from "./peer-body.ts";
import { problem } from "./problem.ts";
import type { ProblemCode } from "./wire.ts";

export interface RaftRoutesLimits {
  readonly wire: PeerWireLimits;
  /** Requests under way in each lane, from all peers together. */
  readonly inflightMax: Readonly<Record<PeerLane, number>>;
  /** How long a body may take to arrive, in milliseconds. */
  readonly bodyTimeoutMs: number;
}

export interface RaftRoutesOptions {
  readonly handler: PeerHandler;
  readonly authenticator: PeerAuthenticator;
  readonly limits: RaftRoutesLimits;
  /** The first version by default. */
  readonly wire?: WireVersion;
  /** Headers of every refusal: whoever is refused may be no peer, and reads them as a client does. */
  readonly marks?: () => Readonly<Record<string, string>>;
  readonly observer?: PeerObserver;
  readonly tracer?: Tracer | null;
}

/** Several times what the peers' own bounds let through. */
export const defaultInflightMax: Readonly<Record<PeerLane, number>> = {
  control: 1024,
  append: 256,
  forward: 1024,
  manage: 64,
  snapshot: 32,
};

const peerTypes = Object.keys(peerPaths) as PeerRequestType[];
const NO_BYTES = new Uint8Array(0);

/** The peer routes, with their whole paths: mount them at the root. */
export function raftRoutes(options: RaftRoutesOptions): Hono {
  const { authenticator, limits, wire = firstWire } = options;
  const app = new Hono();
  const arrivals = new Arrivals(limits.bodyTimeoutMs);
  const inflight: Record<PeerLane, number> = {
    control: 0,
    append: 0,
    forward: 0,
    manage: 0,
    snapshot: 0,
  };

  for (const { type, version } of messages(wire)) {
    const lane = peerLanes[type];
    const path = pathOf(type, version);
    app.post(path, async (c) => {
      if (inflight[lane] >= limits.inflightMax[lane]) {
        return problemFrom(options, c, 503, "not_ready", "too many peer requests are under way");
      }
      inflight[lane]++;
      try {
        const { bodyBytesMax: bytesMax } = limits.wire;
        const body = await readPeerBody(c.req.raw, { what: "peer message", bytesMax }, arrivals);
        if (!(body instanceof Uint8Array)) {
          return problemFrom(options, c, body.status, body.code, body.detail);
        }
        const exchange = authenticator.openRequest(c.req.raw.headers, path, body);
        if ("refused" in exchange) {
          return problemFrom(options, c, 401, "unauthenticated", exchange.refused);
        }
        options.observer?.requestReceived(exchange.from, type, body.length);
        const spoken = authenticator.spokenBy(exchange);
        if (spoken < wire.needs || spoken < version) {
          return refuseSpeaker(options, c, wire, { from: exchange.from, spoken, version });
        }
        // What it brings may be of that version: releases that don't know it are barred first.
        if (version > wire.needs) await wire.raise(version);
        const span = spanOf(options, type, c.req.raw.headers, exchange);
        const response = await answer(c, { type, exchange, body, span }, options);
        span?.end(response.ok ? null : String(response.status));
        return response;
      } finally {
        inflight[lane]--;
      }
    });
  }
  // What is no peer message can't be signed as one.
  app.all("/raft/*", (c) => {
    const version = versionOfPath(c.req.path) ?? FIRST_WIRE;
    const detail = version > wire.speaks
      ? unspoken(version, wire)
      : "there is no such peer message";
    return problemFrom(options, c, 401, "unauthenticated", detail);
  });
  return app;
}

/** Every message, in every version that is spoken here. */
function messages({ speaks }: WireVersion) {
  const versions = Array.from({ length: speaks }, (_, n) => n + FIRST_WIRE);
  return versions.flatMap((version) => peerTypes.map((type) => ({ type, version })));
}

function refuseSpeaker(
  { marks }: RaftRoutesOptions,
  c: Context,
  wire: WireVersion,
  { from, spoken, version }: {
    readonly from: string;
    readonly spoken: number;
    readonly version: number;
  },
): Response {
  const needed = Math.max(wire.needs, version);
  wire.onRefused(from, spoken);
  return problem(c, 401, "unauthenticated", {
    detail: refusalOf(from, spoken, needed),
    headers: { ...marks?.(), [NEEDS_HEADER]: String(needed) },
  });
}

function problemFrom(
  { marks }: RaftRoutesOptions,
  c: Context,
  status: 400 | 401 | 408 | 413 | 429 | 503,
  code: ProblemCode,
  detail: string,
): Response {
  return problem(c, status, code, { detail, headers: marks?.() ?? {} });
}

/** A client's command goes on here with the trace that it came with, if any. */
function spanOf(
  { tracer }: RaftRoutesOptions,
  type: PeerRequestType,
  headers: Headers,
  { from, to }: PeerExchange,
): Span | null {
  if (!tracer || type !== "forward" || !headers.has("traceparent")) return null;
  return tracer.enter("propose", headers, { "holdfast.node": to, "holdfast.from": from });
}

/** A message of a known sender. */
interface PeerMessage {
  readonly type: PeerRequestType;
  readonly exchange: PeerExchange;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly span: Span | null;
}

async function answer(
  c: Context,
  { type, exchange, body, span }: PeerMessage,
  options: RaftRoutesOptions,
): Promise<Response> {
  const { authenticator, handler, limits } = options;
  const refuse = (status: 400 | 429 | 503, code: ProblemCode, detail: string): Response => {
    const response = problemFrom(options, c, status, code, detail);
    for (
      const [name, value] of Object.entries(authenticator.sealReply(exchange, status, NO_BYTES))
    ) {
      response.headers.set(name, value);
    }
    return response;
  };
  let handle: Handle;
  try {
    handle = decodeMessage(type, exchange, body, limits.wire);
  } catch (error) {
    if (error instanceof MalformedBytes) return refuse(400, "bad_request", error.message);
    throw error;
  }
  try {
    const reply = await handle(handler, span);
    options.observer?.replySent(exchange.from, reply.length);
    return new Response(reply, {
      headers: {
        "content-type": "application/cbor",
        "content-length": String(reply.length),
        ...authenticator.sealReply(exchange, 200, reply),
      },
    });
  } catch (error) {
    // The replica has already logged why, and halted if it had to; the sender learns no more than that.
    return error instanceof PeerUnreachable && !error.maybeReceived
      ? refuse(429, "overloaded", error.message)
      : refuse(503, "not_ready", "the replica has stopped");
  }
}

type Handle = (handler: PeerHandler, span: Span | null) => Promise<Uint8Array<ArrayBuffer>>;

/** @throws {MalformedBytes} */
function decodeMessage(
  type: PeerRequestType,
  exchange: PeerExchange,
  body: Uint8Array,
  limits: PeerWireLimits,
): Handle {
  if (type === "forward") {
    const { command, timeoutMs } = decodeForward(body, limits);
    return async (handler, span) =>
      encodeForwardReply(await handler.forwarded(command, timeoutMs, span));
  }
  if (type === "manage") {
    const { request, timeoutMs } = decodeManage(body, limits);
    return async (handler) => encodeManageReply(await handler.managed(request, timeoutMs));
  }
  if (type === "snapshotChunk") {
    const chunk = decodeChunk(body, limits);
    checkEnds(chunk, exchange);
    return async (handler) => encodeChunkReply(await handler.receiveChunk(chunk));
  }
  const message = decodeRequest(type, body, limits);
  checkEnds(message, exchange);
  return async (handler) => encodeReply(await handler.receive(message));
}

function checkEnds(
  message: { readonly from: string; readonly to: string },
  exchange: PeerExchange,
): void {
  if (message.from !== exchange.from) {
    throw new MalformedBytes("from: not the node that Holdfast-From names", 0);
  }
  if (message.to !== exchange.to) {
    throw new MalformedBytes("to: not the node that Holdfast-To names", 0);
  }
}
