/**
 * What peers say to each other, as bytes: the bodies of POST requests below `/raft/v1/` and of their responses.
 *
 * A body is one CBOR map (the part of CBOR that `../cbor.ts` takes) with the fields of its message. Four of them carry
 * bytes that nothing on the way looks into: log records in `append` (`entries`: the entries' records, one behind the
 * other, as `log-record.ts` has them), a command in `forward`, a result in `applied`, a piece of a file in
 * `snapshotChunk`. That field comes last, so a body is a small envelope and then the very bytes, copied once.
 *
 * Decoding checks sizes first, then structure (`wellFormed`), then shapes, and at last what a message says about
 * itself: an append's records chain on from `previousCrc` and are of no later term than its sender's.
 */
import * as v from "valibot";
import { type CborLimits, decodeCbor, encodeCbor } from "../cbor.ts";
import { MalformedBytes } from "../errors.ts";
import type {
  ForwardReply,
  ManageReply,
  ManageRequest,
  SnapshotChunk,
  SnapshotChunkReply,
} from "../ports.ts";
import { encodeConfiguration } from "../raft/membership.ts";
import type { ReplyMessage, RequestMessage } from "../raft/message.ts";
import type { NodeId } from "../raft/types.ts";
import { decodeRecords, type RecordLimits } from "./log-record.ts";
import {
  appendShape,
  chunkReplyShape,
  chunkShape,
  DETAIL_CHARACTERS_MAX,
  forwardReplyShape,
  forwardShape,
  manageReplyShape,
  manageShape,
  replyShapes,
  requestShapes,
} from "./peer-shapes.ts";

/** The requests of Raft's core. */
export type RequestType = RequestMessage["type"];

/** Every request that a peer may send. */
export type PeerRequestType = RequestType | "forward" | "manage" | "snapshotChunk";

/** Where each request is posted: its type in kebab case. */
export const peerPaths: Readonly<Record<PeerRequestType, string>> = {
  preVote: "/raft/v1/pre-vote",
  vote: "/raft/v1/vote",
  append: "/raft/v1/append",
  heartbeat: "/raft/v1/heartbeat",
  installSnapshot: "/raft/v1/install-snapshot",
  timeoutNow: "/raft/v1/timeout-now",
  readIndex: "/raft/v1/read-index",
  forward: "/raft/v1/forward",
  manage: "/raft/v1/manage",
  snapshotChunk: "/raft/v1/snapshot-chunk",
};

/** What may not hold up the others: each lane has bounds of its own. */
export type PeerLane = "control" | "append" | "forward" | "manage" | "snapshot";

export const peerLanes: Readonly<Record<PeerRequestType, PeerLane>> = {
  preVote: "control",
  vote: "control",
  append: "append",
  heartbeat: "control",
  installSnapshot: "snapshot",
  timeoutNow: "control",
  readIndex: "control",
  forward: "forward",
  manage: "manage",
  snapshotChunk: "snapshot",
};

/** Bounds on the bodies of peers. */
export interface PeerWireLimits {
  /** Bytes of a body: at least an append's or a chunk's bytes and {@link ENVELOPE_BYTES_MAX}. */
  readonly bodyBytesMax: number;
  readonly records: RecordLimits;
}

/** Bytes of a body without the bytes it carries. */
export const ENVELOPE_BYTES_MAX: number = 512 * 1024;

/** A client's command on its way to the leader. */
export interface ForwardRequest {
  readonly command: Uint8Array;
  /** How long the sender will wait for the answer, in milliseconds. */
  readonly timeoutMs: number;
}

/** What a node was asked to do with its cluster, on its way to the leader. */
export interface ManageCall {
  readonly request: ManageRequest;
  /** How long the sender will wait for the answer, in milliseconds. */
  readonly timeoutMs: number;
}

/** One request and its response, as their signatures name them. `from` asks, `to` answers. */
export interface PeerExchange {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly path: string;
  readonly nonce: string;
}

/** Says who a message comes from and for whom it is, and checks it. `peer-signature.ts` implements it. */
export interface PeerAuthenticator {
  /** Headers for a request. */
  sealRequest(to: NodeId, path: string, body: Uint8Array): {
    readonly headers: Readonly<Record<string, string>>;
    readonly exchange: PeerExchange;
  };
  /** Checks a request. `refused` says what is wrong with it. Takes each request once: the same again is refused. */
  openRequest(
    headers: HeaderReader,
    path: string,
    body: Uint8Array,
  ): PeerExchange | { readonly refused: string };
  /** The version that the sender of a request speaks that was checked: see `wire-version.ts`. */
  spokenBy(exchange: PeerExchange): number;
  /** Headers for the response to a request that was checked. */
  sealReply(
    exchange: PeerExchange,
    status: number,
    body: Uint8Array,
  ): Readonly<Record<string, string>>;
  /** Whether a response was sealed for this request by a holder of a secret; always, where there is no secret. */
  isReplyAuthentic(
    exchange: PeerExchange,
    status: number,
    headers: HeaderReader,
    body: Uint8Array,
  ): boolean;
}

/** The part of `Headers` that is needed. */
export interface HeaderReader {
  get(name: string): string | null;
}

const NO_BYTES = new Uint8Array(0);

export function encodeRequest(message: RequestMessage): Uint8Array<ArrayBuffer> {
  if (message.type === "append") {
    const { entries, ...envelope } = message;
    return withBytes(envelope, "entries", entries.map((entry) => entry.record));
  }
  if (message.type === "installSnapshot") {
    const configuration = encodeConfiguration(message.meta.configuration);
    return encodeCbor({ ...message, meta: { ...message.meta, configuration } });
  }
  return encodeCbor(message);
}

/**
 * Decodes the body of a request that was posted to the path of `type`. The entries of an append are views into
 * `bytes`, and keep all of it as long as one of them is kept: a message is one buffer.
 *
 * @throws {MalformedBytes}
 */
export function decodeRequest(
  type: RequestType,
  bytes: Uint8Array,
  limits: PeerWireLimits,
): RequestMessage {
  const body = decodeBody(bytes, limits);
  const message = type === "append"
    ? withEntries(shaped(appendShape, body), limits)
    : shaped<RequestMessage>(requestShapes[type], body);
  const implausible = implausibility(message);
  if (implausible !== null) throw new MalformedBytes(`${type}: ${implausible}`, 0);
  return message;
}

export function encodeReply(message: ReplyMessage): Uint8Array<ArrayBuffer> {
  return encodeCbor(message);
}

/**
 * Decodes the response to a request of `type`.
 *
 * @throws {MalformedBytes}
 */
export function decodeReply(
  type: RequestType,
  bytes: Uint8Array,
  limits: PeerWireLimits,
): ReplyMessage {
  return shaped<ReplyMessage>(replyShapes[type], decodeBody(bytes, limits));
}

export function encodeForward(request: ForwardRequest): Uint8Array<ArrayBuffer> {
  return withBytes({ timeoutMs: request.timeoutMs }, "command", [request.command]);
}

/** The command is a view into `bytes`. @throws {MalformedBytes} */
export function decodeForward(bytes: Uint8Array, limits: PeerWireLimits): ForwardRequest {
  return shaped(forwardShape, decodeBody(bytes, limits));
}

export function encodeForwardReply(reply: ForwardReply): Uint8Array<ArrayBuffer> {
  if (reply.type !== "applied") return encodeCbor(reply);
  const { result, ...envelope } = reply;
  return withBytes(envelope, "result", [result]);
}

/** The result is a view into `bytes`. @throws {MalformedBytes} */
export function decodeForwardReply(bytes: Uint8Array, limits: PeerWireLimits): ForwardReply {
  return shaped(forwardReplyShape, decodeBody(bytes, limits));
}

export function encodeManage(call: ManageCall): Uint8Array<ArrayBuffer> {
  return encodeCbor(call);
}

/** @throws {MalformedBytes} */
export function decodeManage(bytes: Uint8Array, limits: PeerWireLimits): ManageCall {
  return shaped(manageShape, decodeBody(bytes, limits));
}

export function encodeManageReply(reply: ManageReply): Uint8Array<ArrayBuffer> {
  if ("detail" in reply) {
    // It may name 64 voters, and the caller is to learn that nothing was changed all the same.
    return encodeCbor({ ...reply, detail: reply.detail.slice(0, DETAIL_CHARACTERS_MAX) });
  }
  if (reply.type !== "members") return encodeCbor(reply);
  return encodeCbor({ ...reply, configuration: encodeConfiguration(reply.configuration) });
}

/** @throws {MalformedBytes} */
export function decodeManageReply(bytes: Uint8Array, limits: PeerWireLimits): ManageReply {
  return shaped(manageReplyShape, decodeBody(bytes, limits));
}

export function encodeChunk(chunk: SnapshotChunk): Uint8Array<ArrayBuffer> {
  const { bytes, ...envelope } = chunk;
  return withBytes(envelope, "bytes", [bytes]);
}

/** The piece is a view into `bytes`. @throws {MalformedBytes} */
export function decodeChunk(bytes: Uint8Array, limits: PeerWireLimits): SnapshotChunk {
  const chunk = shaped(chunkShape, decodeBody(bytes, limits));
  if (chunk.offset + chunk.bytes.length > chunk.size) {
    throw new MalformedBytes("snapshotChunk: the piece ends behind the file", 0);
  }
  return chunk;
}

export function encodeChunkReply(reply: SnapshotChunkReply): Uint8Array<ArrayBuffer> {
  return encodeCbor(reply);
}

/** @throws {MalformedBytes} */
export function decodeChunkReply(bytes: Uint8Array, limits: PeerWireLimits): SnapshotChunkReply {
  return shaped(chunkReplyShape, decodeBody(bytes, limits));
}

/**
 * Encodes `envelope` with one more field behind the others, a byte string that joins `parts`: encoded as an empty
 * one, whose header is the last byte, and then put in that byte's place.
 */
function withBytes(
  envelope: object,
  field: string,
  parts: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const head = encodeCbor({ ...envelope, [field]: NO_BYTES });
  let length = 0;
  for (const part of parts) length += part.length;
  const body = new Uint8Array(head.length + 4 + length);
  body.set(head);
  body[head.length - 1] = 0x5a; // A byte string with its length in the next four bytes.
  new DataView(body.buffer).setUint32(head.length, length);
  let at = head.length + 4;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}

function decodeBody(bytes: Uint8Array, limits: PeerWireLimits): unknown {
  const cborLimits: CborLimits = {
    totalBytesMax: limits.bodyBytesMax,
    depthMax: 5,
    itemsMax: 4096,
    textBytesMax: 2048,
    byteStringBytesMax: limits.bodyBytesMax,
  };
  return decodeCbor(bytes, cborLimits);
}

function shaped<Output>(
  shape: v.BaseSchema<unknown, Output, v.BaseIssue<unknown>>,
  body: unknown,
): Output {
  const result = v.safeParse(shape, body, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw new MalformedBytes(path === null ? issue.message : `${path}: ${issue.message}`, 0);
}

function withEntries(
  append: v.InferOutput<typeof appendShape>,
  limits: PeerWireLimits,
): RequestMessage {
  return { ...append, entries: decodeRecords(append.entries, append, limits.records) };
}

/** What is wrong with a message of the right shape that no replica would send, or null. */
function implausibility(message: RequestMessage): string | null {
  switch (message.type) {
    case "preVote":
    case "vote":
      return message.lastTerm < message.term ? null : "lastTerm has reached term";
    case "append": {
      const lastTerm = message.entries.at(-1)?.term ?? message.previousTerm;
      if (lastTerm > message.term) return "an entry of a later term";
      return message.previousIndex === 0 && message.previousTerm > 0
        ? "a term before the log"
        : null;
    }
    case "installSnapshot":
      return message.meta.term <= message.term ? null : "meta.term is a later term";
    case "heartbeat":
    case "timeoutNow":
    case "readIndex":
      return null;
  }
}
