/** How far peers' wall clocks are from ours, as their signed messages say; and one line where that is too far. */
import type { Clock, Logger } from "../ports.ts";
import type { NodeId } from "../raft/types.ts";

/** A clock that stays too far away is told of this often, in milliseconds. */
const TELL_INTERVAL_MS = 60_000;
/** Peers that are remembered. Whoever signs with the secret may call himself as he likes. */
const PEERS_MAX = 256;

interface PeerClock {
  offsetMs: number;
  /** When it was last told that the peer is refused; null where it isn't. */
  toldAt: number | null;
}

export class PeerClocks {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #peers = new Map<NodeId, PeerClock>();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** A signed message bears a time that was `offsetMs` ahead of ours when it came; it is refused for that, or not. */
  heard(from: NodeId, offsetMs: number, isRefused: boolean): void {
    let peer = this.#peers.get(from);
    if (peer === undefined) {
      if (this.#peers.size >= PEERS_MAX) return;
      peer = { offsetMs, toldAt: null };
      this.#peers.set(from, peer);
    }
    peer.offsetMs = offsetMs;
    if (isRefused) this.#refused(from, peer);
    else if (peer.toldAt !== null) {
      peer.toldAt = null;
      this.#log("info", "a peer's clock agrees with ours again", { peer: from });
    }
  }

  /** In milliseconds, how far each peer's clock was ahead of ours at its last message. */
  offsets(): ReadonlyMap<NodeId, number> {
    return new Map([...this.#peers].map(([id, { offsetMs }]) => [id, offsetMs]));
  }

  #refused(from: NodeId, peer: PeerClock): void {
    const now = this.#clock.now();
    if (peer.toldAt !== null && now - peer.toldAt < TELL_INTERVAL_MS) return;
    peer.toldAt = now;
    this.#log("error", "a peer's clock and ours are too far apart: its messages are refused", {
      peer: from,
      aheadMs: Math.round(peer.offsetMs),
      advice: "set the clock that is wrong",
    });
  }
}
