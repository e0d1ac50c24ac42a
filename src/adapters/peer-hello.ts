/**
 * What nodes say to each other before they are in one cluster: `POST /raft/v1/hello`, as bytes.
 *
 * A body is one CBOR map (the part of CBOR that `../cbor.ts` takes) with the fields of {@link Hello} or of
 * {@link HelloReply}; a configuration is a byte string, spelled as `raft/membership.ts` has it. Both are signed as all
 * peer messages are (`peer-signature.ts`), for a cluster that is named {@link HELLO_CLUSTER}: no cluster's own id is.
 *
 * Decoding checks sizes first, then structure, then shapes, and at last that both ends are those of the signature.
 */
import * as v from "valibot";
import { type CborLimits, decodeCbor, encodeCbor } from "../cbor.ts";
import { baseOf } from "../config/member-url.ts";
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
export function createHelloSender(
  { authenticator, fetch, clock, wire = firstWire }: HelloSenderOptions,
): SayHello {
  const deadlines = new Deadlines(clock);
  return async (contact, hello, timeoutMs) => {
    const body = encodeHello(hello);
    const { headers, exchange } = authenticator.sealRequest(contact.id, HELLO_PATH, body);
    const call = deadlines.start(timeoutMs);
    try {
      const response = await fetch(baseOf(contact.url) + HELLO_PATH, {
        method: "POST",
        headers: { ...headers, "content-type": "application/cbor", "accept-encoding": "identity" },
        body,
        signal: call.controller.signal,
        redirect: "manual",
      });
      const length = Number(response.headers.get("content-length") ?? NaN);
      if (response.status !== 200 || !(length <= HELLO_BYTES_MAX)) {
        call.controller.abort();
        if (response.status === 401) tellNeeds(wire, contact.id, response.headers);
        throw new PeerUnreachable(`status ${response.status}`, true);
      }
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!authenticator.isReplyAuthentic(exchange, 200, response.headers, bytes)) {
        throw new PeerUnreachable("the reply's signature is missing or wrong", true);
      }
      return decodeHelloReply(bytes);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new PeerUnreachable(`${contact.id} hello: ${reason}`, true);
    } finally {
      deadlines.end(call);
    }
  };
}
