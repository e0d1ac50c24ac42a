/** What passes between this node and its peers. */
import type { PeerObserver } from "../../ports.ts";
import { latencyBuckets } from "./buckets.ts";
import type { Count, Distribution, Figures, Sample, SeriesOf } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

/** Peers that are told apart, at the most. Only who has shown that it is a peer is counted at all. */
const peersMax = 128;

/** The figures of one peer. */
interface PeerFigures {
  readonly sentBytes: Count;
  readonly receivedBytes: Count;
  readonly roundTrip: Distribution;
  readonly sent: Map<string, Count>;
  readonly failed: Map<string, Count>;
  readonly received: Map<string, Count>;
}

export class NetworkMetrics implements PeerObserver {
  readonly #sentBytes: SeriesOf<Count>;
  readonly #receivedBytes: SeriesOf<Count>;
  readonly #sent: SeriesOf<Count>;
  readonly #failed: SeriesOf<Count>;
  readonly #received: SeriesOf<Count>;
  readonly #roundTrip: SeriesOf<Distribution>;
  readonly #peers = new Map<string, PeerFigures>();

  constructor(figures: Figures<MetricsSource>) {
    this.#sentBytes = figures.counters(
      "holdfast_network_peer_sent_bytes_total",
      "Bytes of messages that a peer was sent, replies included, headers not.",
      ["to"],
    );
    this.#receivedBytes = figures.counters(
      "holdfast_network_peer_received_bytes_total",
      "Bytes of messages that came from a peer, replies included, headers not.",
      ["from"],
    );
    this.#sent = figures.counters(
      "holdfast_network_peer_sent_messages_total",
      "Requests that a peer was sent.",
      ["to", "type"],
    );
    this.#failed = figures.counters(
      "holdfast_network_peer_sent_failures_total",
      "Requests to a peer that were refused, lost or answered too late.",
      ["to", "type"],
    );
    this.#received = figures.counters(
      "holdfast_network_peer_received_messages_total",
      "Requests that came from a peer.",
      ["from", "type"],
    );
    this.#roundTrip = figures.histograms(
      "holdfast_network_peer_round_trip_time_seconds",
      "From a heartbeat to a peer until its reply, on a leader.",
      ["to"],
      latencyBuckets,
    );
    defineProgress(figures);
  }

  requestSent(to: string, type: string, bytes: number): void {
    const peer = this.#peer(to);
    peer.sentBytes.add(bytes);
    let count = peer.sent.get(type);
    if (count === undefined) peer.sent.set(type, count = this.#sent.of(to, type));
    count.add();
  }

  replyReceived(from: string, type: string, bytes: number, seconds: number): void {
    const peer = this.#peer(from);
    peer.receivedBytes.add(bytes);
    if (type === "heartbeat") peer.roundTrip.observe(seconds);
  }

  requestFailed(to: string, type: string): void {
    const peer = this.#peer(to);
    let count = peer.failed.get(type);
    if (count === undefined) peer.failed.set(type, count = this.#failed.of(to, type));
    count.add();
  }

  requestReceived(from: string, type: string, bytes: number): void {
    const peer = this.#peer(from);
    peer.receivedBytes.add(bytes);
    let count = peer.received.get(type);
    if (count === undefined) peer.received.set(type, count = this.#received.of(from, type));
    count.add();
  }

  replySent(to: string, bytes: number): void {
    this.#peer(to).sentBytes.add(bytes);
  }

  #peer(id: string): PeerFigures {
    const known = this.#peers.get(id);
    if (known !== undefined) return known;
    // Without a secret anybody may say to be anybody.
    if (this.#peers.size >= peersMax && id !== "other") return this.#peer("other");
    const peer: PeerFigures = {
      sentBytes: this.#sentBytes.of(id),
      receivedBytes: this.#receivedBytes.of(id),
      roundTrip: this.#roundTrip.of(id),
      sent: new Map(),
      failed: new Map(),
      received: new Map(),
    };
    this.#peers.set(id, peer);
    return peer;
  }
}

/** Of a leader's view of its peers; nothing elsewhere. */
function defineProgress(figures: Figures<MetricsSource>): void {
  figures.gauges(
    "holdfast_network_peer_match_index",
    "On a leader: the index up to which a peer is known to hold the log.",
    ["to"],
    ({ status: { progress } }) => progress.map(({ id, match }): Sample => [[id], match]),
  );
  figures.gauges(
    "holdfast_network_peer_last_reply_seconds",
    "On a leader: how long ago a peer replied last; missing where it has not yet.",
    ["to"],
    ({ status: { progress }, now }) =>
      progress.flatMap(({ id, lastReply }): Sample[] =>
        lastReply === null ? [] : [[[id], Math.max(0, now - lastReply) / 1000]]
      ),
  );
  figures.gauge(
    "holdfast_network_active_peers",
    "On a leader: other members that replied within the last two seconds.",
    ({ status: { role, progress }, now }) =>
      role === "leader"
        ? progress.filter(({ lastReply }) => lastReply !== null && now - lastReply <= activeMs)
          .length
        : null,
  );
}

/** A peer that has not replied for so long is not active, in milliseconds. */
const activeMs = 2000;
