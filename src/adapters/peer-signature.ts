/**
 * Who a peer's message comes from, for whom it is, and that it is taken once.
 *
 * A request carries these headers:
 *
 * ```
 * Holdfast-Cluster    the cluster's id
 * Holdfast-From       the sender's id
 * Holdfast-To         the addressee's id
 * Holdfast-Nonce      <session>.<counter>: drawn at the sender's start, and one up for each request to an addressee.
 *                     A session that ends in "-v2" says that its node speaks version 2 (`wire-version.ts`)
 * Holdfast-Time       with a secret: wall-clock milliseconds since 1970
 * Holdfast-Signature  with a secret: base64url of HMAC-SHA-256 over
 *                     "holdfast-request-1" cluster from to path time nonce, each followed by a newline, and the body
 * ```
 *
 * and the response, where there is a secret, a `Holdfast-Signature` of its own over "holdfast-reply-1" cluster from to
 * path nonce status, each followed by a newline, and the body: it cannot stand for another request's, and only an
 * answer to a request that was authentic has one. Whoever asked and speaks version 2 gets a `Holdfast-Version` with it,
 * what the answering node speaks; the signature is then over "holdfast-reply-2", and over the version behind the status.
 *
 * **Replays.** A receiver keeps for each session, in slot `counter mod REPLAY_SLOTS`, the highest counter that it took,
 * and refuses what is not above it. That remembers every nonce in bounded memory; what it also refuses is a request
 * that {@link REPLAY_SLOTS} later ones have overtaken. A session is forgotten when the clock window would refuse all
 * of its messages. Without a secret nonces are checked too: an HTTP client that sends a request again by itself when
 * a connection breaks (Deno's `fetch` does) must not make a command run twice.
 *
 * What this does not do: hide anything (TLS does), or stop a replay to a receiver that restarted within the window.
 */
import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import type { NodeId } from "../raft/types.ts";
import { PeerSecrets } from "./peer-secrets.ts";
import type { HeaderReader, PeerAuthenticator, PeerExchange } from "./peer-wire.ts";
import { FIRST_WIRE } from "./wire-version.ts";

/** A signed request is refused when its time and ours differ by more, in milliseconds. */
export const CLOCK_WINDOW_MS: number = 30_000;
/** Requests of one session that may overtake another one. */
export const REPLAY_SLOTS: number = 8192;
/** Sessions that are remembered (64 KiB each); further ones are refused until one has lapsed. */
export const SESSIONS_MAX: number = 64;

const VERSION_HEADER = "holdfast-version";
/** Of what is drawn for a session. */
const SESSION_CHARACTERS = 22;

const text = new TextEncoder();

export interface PeerAuthenticatorOptions {
  readonly self: NodeId;
  readonly clusterId: string;
  /** The first one signs, any of them is accepted. None: nothing is signed. `PeerSecrets` may change meanwhile. */
  readonly secrets: readonly string[] | PeerSecrets;
  /** Wall-clock milliseconds since 1970. */
  readonly wallNow: () => number;
  /** A signed request bears a time that is so many milliseconds ahead of ours; and whether it is refused for that. */
  readonly onClock?: (from: NodeId, offsetMs: number, isRefused: boolean) => void;
  /** The version that this node speaks; the first one where it isn't said. */
  readonly speaks?: number;
  /**
   * Told of every request and reply that is authentic: what its sender speaks. Of no refusal: without a secret,
   * anybody's is authentic.
   */
  readonly onHeard?: (from: NodeId, version: number) => void;
}

/** Creates the one authenticator of a node; both directions share it. */
export function createPeerAuthenticator(options: PeerAuthenticatorOptions): PeerAuthenticator {
  const { self, clusterId, wallNow, speaks = FIRST_WIRE, onHeard } = options;
  const secrets = PeerSecrets.of(options.secrets);
  const session = drawSession(speaks);
  const counters = new Map<NodeId, number>();
  const replays = new ReplayGuard();
  return {
    sealRequest(to, path, body) {
      const counter = (counters.get(to) ?? 0) + 1;
      counters.set(to, counter);
      const exchange = { from: self, to, path, nonce: `${session}.${counter}` };
      const headers: Record<string, string> = {
        "holdfast-cluster": clusterId,
        "holdfast-from": self,
        "holdfast-to": to,
        "holdfast-nonce": exchange.nonce,
      };
      const key = secrets.keys[0];
      if (key !== undefined) {
        const time = String(Math.round(wallNow()));
        headers["holdfast-time"] = time;
        headers["holdfast-signature"] = sign(key, requestHead(clusterId, exchange, time), body);
      }
      return { headers, exchange };
    },

    openRequest(headers, path, body) {
      const exchange = addressed(headers, path, options);
      if ("refused" in exchange) return exchange;
      const now = wallNow();
      const { keys } = secrets;
      const flaw = keys.length === 0
        ? null
        : sealFlaw(headers, { exchange, body, keys, now }, options);
      const refused = flaw ?? replays.take(exchange.from, exchange.nonce, now);
      if (refused !== null) return { refused };
      onHeard?.(exchange.from, versionIn(exchange.nonce));
      return exchange;
    },

    spokenBy: ({ nonce }) => versionIn(nonce),

    sealReply(exchange, status, body) {
      const key = secrets.keys[0];
      const version = versionIn(exchange.nonce) > FIRST_WIRE ? speaks : FIRST_WIRE;
      const said = version > FIRST_WIRE ? { [VERSION_HEADER]: String(version) } : {};
      if (key === undefined) return said;
      const head = replyHead(clusterId, exchange, status, version);
      return { ...said, "holdfast-signature": sign(key, head, body) };
    },

    isReplyAuthentic(exchange, status, headers, body) {
      const version = versionSaid(headers.get(VERSION_HEADER));
      if (version === null) return false;
      const head = replyHead(clusterId, exchange, status, version);
      if (secrets.keys.length > 0 && !isSigned(secrets.keys, headers, head, body)) return false;
      if (status === 200) onHeard?.(exchange.to, version);
      return true;
    },
  };
}

/** Who asks whom, as the headers say, where this node of this cluster is asked. */
function addressed(
  headers: HeaderReader,
  path: string,
  { self, clusterId }: Pick<PeerAuthenticatorOptions, "self" | "clusterId">,
): PeerExchange | { readonly refused: string } {
  if (headers.get("holdfast-cluster") !== clusterId) {
    return { refused: "Holdfast-Cluster is missing or names another cluster" };
  }
  if (headers.get("holdfast-to") !== self) {
    return { refused: `Holdfast-To is missing or names another node than ${self}` };
  }
  const from = headers.get("holdfast-from");
  if (from === null || !/^[A-Za-z0-9._-]{1,64}$/.test(from)) {
    return { refused: "Holdfast-From is missing or not a node id" };
  }
  const nonce = headers.get("holdfast-nonce");
  if (nonce === null) return { refused: "Holdfast-Nonce is missing" };
  return { from, to: self, path, nonce };
}

/** What is wrong with the time or the signature of a request that has to have them; null where nothing is. */
function sealFlaw(
  headers: HeaderReader,
  { exchange, body, keys, now }: {
    readonly exchange: PeerExchange;
    readonly body: Uint8Array;
    readonly keys: readonly KeyObject[];
    readonly now: number;
  },
  { clusterId, onClock }: PeerAuthenticatorOptions,
): string | null {
  const time = headers.get("holdfast-time");
  if (time === null || !/^[0-9]{1,15}$/.test(time)) {
    return "Holdfast-Time is missing or not a number of milliseconds";
  }
  if (!isSigned(keys, headers, requestHead(clusterId, exchange, time), body)) {
    return "Holdfast-Signature is missing or wrong";
  }
  const offsetMs = Number(time) - now;
  const isRefused = Math.abs(offsetMs) > CLOCK_WINDOW_MS;
  onClock?.(exchange.from, offsetMs, isRefused);
  return isRefused ? `Holdfast-Time is over ${CLOCK_WINDOW_MS} ms away from our clock` : null;
}

/** No field can hold a newline: header values don't, and the rest is ours. */
function requestHead(clusterId: string, exchange: PeerExchange, time: string): string {
  const { from, to, path, nonce } = exchange;
  return `holdfast-request-1\n${clusterId}\n${from}\n${to}\n${path}\n${time}\n${nonce}\n`;
}

function replyHead(
  clusterId: string,
  exchange: PeerExchange,
  status: number,
  version: number,
): string {
  const { from, to, path, nonce } = exchange;
  const head = `${clusterId}\n${from}\n${to}\n${path}\n${nonce}\n${status}\n`;
  return version === FIRST_WIRE
    ? `holdfast-reply-1\n${head}`
    : `holdfast-reply-2\n${head}${version}\n`;
}

function drawSession(speaks: number): string {
  const drawn = randomBytes(16).toString("base64url");
  return speaks === FIRST_WIRE ? drawn : `${drawn}-v${speaks}`;
}

/** What the sender of a request speaks. */
function versionIn(nonce: string): number {
  if (nonce[SESSION_CHARACTERS] !== "-") return FIRST_WIRE;
  const said = nonce.slice(SESSION_CHARACTERS, nonce.indexOf("."));
  return versionSaid(/^-v(.*)$/.exec(said)?.[1] ?? null) ?? FIRST_WIRE;
}

/** Null where it is none. */
function versionSaid(text: string | null): number | null {
  if (text === null) return FIRST_WIRE;
  return /^[1-9][0-9]{0,5}$/.test(text) && text !== "1" ? Number(text) : null;
}

function sign(key: KeyObject, head: string, body: Uint8Array): string {
  return createHmac("sha256", key).update(head).update(body).digest("base64url");
}

function isSigned(
  keys: readonly KeyObject[],
  headers: HeaderReader,
  head: string,
  body: Uint8Array,
): boolean {
  const signature = headers.get("holdfast-signature");
  // As text, not decoded: base64url has spare bits, and a signature has one spelling.
  if (signature === null || !/^[A-Za-z0-9_-]{43}$/.test(signature)) return false;
  const given = text.encode(signature);
  return keys.some((key) => timingSafeEqual(given, text.encode(sign(key, head, body))));
}

/** Remembers which nonces were taken. See the head of this file. */
class ReplayGuard {
  readonly #sessions = new Map<string, { readonly taken: Float64Array; lastUsed: number }>();

  /** Takes a nonce; returns why it is refused, or null. */
  take(from: NodeId, nonce: string, now: number): string | null {
    const parts = /^([A-Za-z0-9_-]{16,64})\.([1-9][0-9]{0,14})$/.exec(nonce);
    if (parts === null) return "Holdfast-Nonce is not a session and a counter";
    const counter = Number(parts[2]);
    const name = `${from} ${parts[1]}`;
    let session = this.#sessions.get(name);
    if (session === undefined) {
      this.#forget(now);
      if (this.#sessions.size >= SESSIONS_MAX) return `over ${SESSIONS_MAX} sessions at a time`;
      session = { taken: new Float64Array(REPLAY_SLOTS), lastUsed: now };
      this.#sessions.set(name, session);
    }
    session.lastUsed = now;
    const slot = counter % REPLAY_SLOTS;
    if (session.taken[slot]! >= counter) return "Holdfast-Nonce was used before";
    session.taken[slot] = counter;
    return null;
  }

  /** A message may bear a time up to one window ahead of ours, and is taken up to one window after that time. */
  #forget(now: number): void {
    for (const [name, { lastUsed }] of this.#sessions) {
      if (Math.abs(now - lastUsed) > 2 * CLOCK_WINDOW_MS) this.#sessions.delete(name);
    }
  }
}
