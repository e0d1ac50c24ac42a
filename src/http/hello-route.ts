/**
 * `POST /raft/v1/hello`: what a node answers to whoever is not in its cluster, or not yet. It has the answers of
 * `raft-routes.ts`, and bounds of its own: who isn't in the cluster may say as much as it likes.
 */
import { type Context, Hono } from "hono";
import {
  decodeHello,
  encodeHelloReply,
  type Hello,
  HELLO_BYTES_MAX,
  HELLO_PATH,
  type HelloReply,
} from "../adapters/peer-hello.ts";
import type { PeerAuthenticator } from "../adapters/peer-wire.ts";
import { firstWire, NEEDS_HEADER, refusalOf, type WireVersion } from "../adapters/wire-version.ts";
import { MalformedBytes } from "../errors.ts";
import { Arrivals } from "./arrivals.ts";
import { readPeerBody } from "./peer-body.ts";
import { problem } from "./problem.ts";
import type { ProblemCode } from "./wire.ts";

export interface HelloRouteOptions {
  /** For the cluster named {@link HELLO_CLUSTER}. */
  readonly authenticator: PeerAuthenticator;
  readonly answer: (hello: Hello) => HelloReply;
  /** The first version by default. */
  readonly wire?: WireVersion;
  readonly limits: {
    /** Requests under way. */
    readonly inflightMax: number;
    /** How long a body may take to arrive, in milliseconds. */
    readonly bodyTimeoutMs: number;
  };
  /** Headers of every refusal. */
  readonly marks: () => Readonly<Record<string, string>>;
  /** The cluster's own peer routes; null where the node is in no cluster, and then all of them are refused. */
  readonly raft: Hono | null;
}

/** Every first member asks every other one. */
export const defaultHelloLimits: HelloRouteOptions["limits"] = {
  inflightMax: 256,
  bodyTimeoutMs: 10_000,
};

/** The route with its whole path, and in front of those of `options.raft`: mount it at the root. */
export function helloRoute(options: HelloRouteOptions): Hono {
  const { limits, authenticator, answer, marks, raft, wire = firstWire } = options;
  const app = new Hono();
  const arrivals = new Arrivals(limits.bodyTimeoutMs);
  let inflight = 0;
  const refuse = (
    c: Context,
    status: 400 | 401 | 408 | 413 | 503,
    code: ProblemCode,
    detail: string,
    headers: Readonly<Record<string, string>> = {},
  ): Response => problem(c, status, code, { detail, headers: { ...marks(), ...headers } });

  app.post(HELLO_PATH, async (c) => {
    if (inflight >= limits.inflightMax) {
      return refuse(c, 503, "not_ready", "too many peer requests are under way");
    }
    inflight++;
    try {
      const bounds = { what: "hello", bytesMax: HELLO_BYTES_MAX };
      const body = await readPeerBody(c.req.raw, bounds, arrivals);
      if (!(body instanceof Uint8Array)) return refuse(c, body.status, body.code, body.detail);
      const exchange = authenticator.openRequest(c.req.raw.headers, HELLO_PATH, body);
      if ("refused" in exchange) return refuse(c, 401, "unauthenticated", exchange.refused);
      const spoken = authenticator.spokenBy(exchange);
      if (spoken < wire.needs) {
        wire.onRefused(exchange.from, spoken);
        const detail = refusalOf(exchange.from, spoken, wire.needs);
        return refuse(c, 401, "unauthenticated", detail, { [NEEDS_HEADER]: String(wire.needs) });
      }
      const reply = encodeHelloReply(answer(decodeHello(body, exchange)));
      return new Response(reply, {
        headers: {
          "content-type": "application/cbor",
          "content-length": String(reply.length),
          ...authenticator.sealReply(exchange, 200, reply),
        },
      });
    } catch (error) {
      if (error instanceof MalformedBytes) return refuse(c, 400, "bad_request", error.message);
      throw error;
    } finally {
      inflight--;
    }
  });
  if (raft !== null) return app.route("/", raft);
  app.all("/raft/*", (c) => refuse(c, 401, "unauthenticated", "this node is in no cluster yet"));
  return app;
}
