/**
 * What nodes say to each other before they are in one cluster: `POST /raft/v1/hello` to a node that one knows, and
 * `POST /raft/v1/who` to whoever listens at an address, as bytes.
 *
 * A body is one CBOR map (the part of CBOR that `../cbor.ts` takes) with the fields of {@link Hello} or of
 * {@link HelloReply}; a configuration is a byte string, spelled as `raft/membership.ts` has it. Both are signed as all
 * peer messages are (`peer-signature.ts`), for a cluster that is named {@link HELLO_CLUSTER}: no cluster's own id is.
 *
 * Who asks "who" can't name the addressee, so that is {@link WHOEVER}, in a cluster that is named {@link WHO_CLUSTER}.
 * The body is empty, the reply one CBOR map with the fields of {@link Introduction}.
 *
 * Decoding checks sizes first, then structure, then shapes, and at last that both ends are those of the signature.
 */
import * as v from "valibot";
import { type CborLimits, decodeCbor, encodeCbor } from "../cbor.ts";
import { baseOf, memberUrlSchema } from "../config/member-url.ts";
import { MalformedBytes, PeerUnreachable } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { decodeConfiguration, encodeConfiguration } from "../raft/membership.ts";
import type { Configuration, NodeId } from "../raft/types.ts";
import { type PeerFetch, tellNeeds } from "./fetch-transport.ts";
import { Deadlines } from "./peer-calls.ts";
import type { PeerAuthenticator, PeerExchange } from "./peer-wire.ts";
import { firstWire, type WireVersion } from "./wire-version.ts";

/** Where it is posted. */
export const HELLO_PATH = "/raft/v1/hello";
/** What stands for a cluster's id in its headers. */
export const HELLO_CLUSTER = "hello";
/** Where it is asked who listens. */
export const WHO_PATH = "/raft/v1/who";
/** What stands for a cluster's id where it is asked who listens. */
export const WHO_CLUSTER = "who";
/** Whom that is addressed to: no node's id has such a character. */
export const WHOEVER = "*";
/** Bytes of a body: two configurations of 64 KiB, and what stands around them. */
export const HELLO_BYTES_MAX: number = 160 * 1024;
/** Characters of {@link Hello.peers}: 31 ids and URLs. */
const PEERS_CHARACTERS_MAX = 20_000;

/** Who asks. */
export interface Hello {
  readonly from: NodeId;
  readonly to: NodeId;
  /** Which life of its disk the sender lives. */
  readonly incarnation: string;
  /** The first members as its `--peers` name them, in canonical form; null where it forms no cluster. */
  readonly peers: string | null;
}

/** Who listens at an address. */
export interface Introduction {
  readonly id: NodeId;
  /** The URL that others reach it by, as it says itself. */
  readonly url: string;
  readonly incarnation: string;
  /** Whether it belongs to a cluster. */
  readonly isMember: boolean;
}

/** Asks who listens at a URL. @throws {PeerUnreachable} after `timeoutMs` at the latest. */
export type AskWho = (url: string, timeoutMs: number) => Promise<Introduction>;

export type HelloReply =
  /** In no cluster, and would form one of these peers: nothing was decided yet. */
  | { readonly state: "forming"; readonly incarnation: string; readonly peers: string }
  /** In no cluster, and forms none: it waits for others, or has just decided. */
  | { readonly state: "waiting" }
  | {
    readonly state: "member";
    readonly clusterId: string;
    /** The cluster's first configuration. */
    readonly birth: Configuration;
    /** The last one that the answering node knows to be committed. */
    readonly configuration: Configuration;
    readonly leader: NodeId | null;
  };

/** Whom one says hello to. */
export interface Contact {
  readonly id: NodeId;
  readonly url: string;
}

/** Says hello. @throws {PeerUnreachable} after `timeoutMs` at the latest. */
export type SayHello = (
  contact: Contact,
  hello: Hello,
  timeoutMs: number,
) => Promise<HelloReply>;

const limits: CborLimits = {
  totalBytesMax: HELLO_BYTES_MAX,
  depthMax: 1,
  itemsMax: 32,
  textBytesMax: PEERS_CHARACTERS_MAX,
  byteStringBytesMax: 65_536,
};
const word = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/, "not 1–64 of A-Z a-z 0-9 . _ -"));
const peers = v.pipe(v.string(), v.nonEmpty(), v.maxLength(PEERS_CHARACTERS_MAX));
const configuration = v.pipe(
  v.instance(Uint8Array),
  v.transform((payload): Configuration => decodeConfiguration(payload)),
);

const helloShape: v.GenericSchema<unknown, Hello> = v.strictObject({
  from: word,
  to: word,
  incarnation: word,
  peers: v.nullable(peers),
});
const replyShape: v.GenericSchema<unknown, HelloReply> = v.variant("state", [
  v.strictObject({ state: v.literal("forming"), incarnation: word, peers }),
  v.strictObject({ state: v.literal("waiting") }),
  v.strictObject({
    state: v.literal("member"),
    clusterId: word,
    birth: configuration,
    configuration,
    leader: v.nullable(word),
  }),
]);

const introductionShape: v.GenericSchema<unknown, Introduction> = v.strictObject({
  id: word,
  url: memberUrlSchema,
  incarnation: word,
  isMember: v.boolean(),
});

export function encodeIntroduction(introduction: Introduction): Uint8Array<ArrayBuffer> {
  return encodeCbor(introduction);
}

/** @throws {MalformedBytes} */
export function decodeIntroduction(bytes: Uint8Array): Introduction {
  return shaped(introductionShape, bytes);
}

export function encodeHello(hello: Hello): Uint8Array<ArrayBuffer> {
  return encodeCbor(hello);
}

/** @throws {MalformedBytes} also where the exchange is between others than it says. */
export function decodeHello(bytes: Uint8Array, exchange: PeerExchange): Hello {
  const hello = shaped(helloShape, bytes);
  if (hello.from !== exchange.from || hello.to !== exchange.to) {
    throw new MalformedBytes("from, to: not the nodes that the headers name", 0);
  }
  return hello;
}

export function encodeHelloReply(reply: HelloReply): Uint8Array<ArrayBuffer> {
  if (reply.state !== "member") return encodeCbor(reply);
  const birth = encodeConfiguration(reply.birth);
  return encodeCbor({ ...reply, birth, configuration: encodeConfiguration(reply.configuration) });
}

/** @throws {MalformedBytes} */
export function decodeHelloReply(bytes: Uint8Array): HelloReply {
  return shaped(replyShape, bytes);
}

function shaped<Output>(
  shape: v.BaseSchema<unknown, Output, v.BaseIssue<unknown>>,
  bytes: Uint8Array,
): Output {
  const result = v.safeParse(shape, decodeCbor(bytes, limits), { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new MalformedBytes(`${v.getDotPath(issue) ?? "hello"}: ${issue.message}`, 0);
}

export interface HelloSenderOptions {
  readonly authenticator: PeerAuthenticator;
  readonly fetch: PeerFetch;
  readonly clock: Clock;
  /** The first version by default. */
  readonly wire?: Pick<WireVersion, "onRefusal">;
}

/** Says hello through a `fetch`. */
export function createHelloSender(options: HelloSenderOptions): SayHello {
  const post = createPost(options);
  return async ({ id, url }, hello, timeoutMs) =>
    await post(
      { to: id, url, path: HELLO_PATH, body: encodeHello(hello) },
      timeoutMs,
      decodeHelloReply,
    );
}

/** Asks who listens, through a `fetch`. `authenticator` is for {@link WHO_CLUSTER}. */
export function createWhoAsker(options: HelloSenderOptions): AskWho {
  const post = createPost(options);
  return async (url, timeoutMs) =>
    await post(
      { to: WHOEVER, url, path: WHO_PATH, body: new Uint8Array(0) },
      timeoutMs,
      decodeIntroduction,
    );
}

interface Posted {
  readonly to: NodeId;
  readonly url: string;
  readonly path: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Posts a sealed body, and decodes the reply once it is known to be authentic. */
function createPost({ authenticator, fetch, clock, wire = firstWire }: HelloSenderOptions) {
  const deadlines = new Deadlines(clock);
  return async <Reply>(
    { to, url, path, body }: Posted,
    timeoutMs: number,
    decode: (bytes: Uint8Array) => Reply,
  ): Promise<Reply> => {
    const { headers, exchange } = authenticator.sealRequest(to, path, body);
    const call = deadlines.start(timeoutMs);
    try {
      const response = await fetch(baseOf(url) + path, {
        method: "POST",
        headers: { ...headers, "content-type": "application/cbor", "accept-encoding": "identity" },
        body,
        signal: call.controller.signal,
        redirect: "manual",
      });
      const length = Number(response.headers.get("content-length") ?? NaN);
      if (response.status !== 200 || !(length <= HELLO_BYTES_MAX)) {
        call.controller.abort();
        const isRefusal = response.status === 401;
        if (isRefusal) tellNeeds(wire, to, response.headers);
        const reason = isRefusal ? "refused" : "unreachable";
        throw new PeerUnreachable(`status ${response.status}`, true, reason);
      }
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!authenticator.isReplyAuthentic(exchange, 200, response.headers, bytes)) {
        throw new PeerUnreachable("the reply's signature is missing or wrong", true, "refused");
      }
      return decode(bytes);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const reason = error instanceof PeerUnreachable ? error.reason : "unreachable";
      throw new PeerUnreachable(`${to} hello: ${why}`, true, reason);
    } finally {
      deadlines.end(call);
    }
  };
}
