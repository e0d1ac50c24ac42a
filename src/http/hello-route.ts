/**
 * `POST /raft/v1/hello` and `/raft/v1/who`: what a node answers to whoever is not in its cluster, or not yet. They have the answers of
 * `raft-routes.ts`, and bounds of its own: who isn't in the cluster may say as much as it likes.
 */
import { type Context, Hono } from "hono";
import {
  decodeHello,
  encodeHelloReply,
  encodeIntroduction,
  type Hello,
  HELLO_BYTES_MAX,
  HELLO_PATH,
  type HelloReply,
  type Introduction,
  WHO_PATH,
} from "../adapters/peer-hello.ts";
import type { PeerAuthenticator, PeerExchange } from "../adapters/peer-wire.ts";
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
  /** For who doesn't know whom it asks. */
  readonly who: {
    /** Of the node {@link WHOEVER}, for the cluster named {@link WHO_CLUSTER}. */
    readonly authenticator: PeerAuthenticator;
    readonly introduction: () => Introduction;
  };
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

/** The routes with their whole paths, and in front of those of `options.raft`: mount it at the root. */
export function helloRoute(options: HelloRouteOptions): Hono {
  const { limits, authenticator, answer, who, marks, raft, wire = firstWire } = options;
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

  const serve = (
    path: string,
    { authenticator, bytesMax, reply }: {
      readonly authenticator: PeerAuthenticator;
      readonly bytesMax: number;
      readonly reply: (body: Uint8Array, exchange: PeerExchange) => Uint8Array<ArrayBuffer>;
    },
  ): Hono =>
    app.post(path, async (c) => {
      if (inflight >= limits.inflightMax) {
        return refuse(c, 503, "not_ready", "too many peer requests are under way");
      }
      inflight++;
      try {
        const body = await readPeerBody(c.req.raw, { what: "hello", bytesMax }, arrivals);
        if (!(body instanceof Uint8Array)) return refuse(c, body.status, body.code, body.detail);
        const exchange = authenticator.openRequest(c.req.raw.headers, path, body);
        if ("refused" in exchange) return refuse(c, 401, "unauthenticated", exchange.refused);
        const spoken = authenticator.spokenBy(exchange);
        if (spoken < wire.needs) {
          wire.onRefused(exchange.from, spoken);
          const detail = refusalOf(exchange.from, spoken, wire.needs);
          return refuse(c, 401, "unauthenticated", detail, { [NEEDS_HEADER]: String(wire.needs) });
        }
        const answered = reply(body, exchange);
        return new Response(answered, {
          headers: {
            "content-type": "application/cbor",
            "content-length": String(answered.length),
            ...authenticator.sealReply(exchange, 200, answered),
          },
        });
      } catch (error) {
        if (error instanceof MalformedBytes) return refuse(c, 400, "bad_request", error.message);
        throw error;
      } finally {
        inflight--;
      }
    });
  serve(HELLO_PATH, {
    authenticator,
    bytesMax: HELLO_BYTES_MAX,
    reply: (body, exchange) => encodeHelloReply(answer(decodeHello(body, exchange))),
  });
  serve(WHO_PATH, {
    authenticator: who.authenticator,
    bytesMax: 0,
    reply: () => encodeIntroduction(who.introduction()),
  });
  if (raft !== null) return app.route("/", raft);
  app.all("/raft/*", (c) => refuse(c, 401, "unauthenticated", "this node is in no cluster yet"));
  return app;
}
