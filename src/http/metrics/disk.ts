/** The disk: the write-ahead log, and snapshots on their way to it and to peers. */
import type { WalObserver } from "../../ports.ts";
import { latencyBuckets, transferBuckets } from "./buckets.ts";
import type { Count, Distribution, Figures, SeriesOf } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

export class DiskMetrics implements WalObserver {
  readonly #fsync: Distribution;
  readonly #write: Distribution;
  readonly #persist: Distribution;
  readonly #bytes: Count;

  constructor(figures: Figures<MetricsSource>) {
    this.#fsync = figures.histogram(
      "holdfast_disk_wal_fsync_duration_seconds",
      "Of each fdatasync of the WAL.",
      latencyBuckets,
    );
    this.#write = figures.histogram(
      "holdfast_disk_wal_write_duration_seconds",
      "Of each write to the WAL, until the system had it in its cache.",
      latencyBuckets,
    );
    this.#persist = figures.histogram(
      "holdfast_disk_wal_persist_duration_seconds",
      "From a write's hand-over to the WAL until it was durable, with the wait for those before it.",
      latencyBuckets,
    );
    this.#bytes = figures.counter(
      "holdfast_disk_wal_write_bytes_total",
      "Bytes that were written to the WAL, with its own headers.",
    );
  }

  written(seconds: number, bytes: number): void {
    this.#write.observe(seconds);
    this.#bytes.add(bytes);
  }

  synced(seconds: number): void {
    this.#fsync.observe(seconds);
  }

  persisted(seconds: number): void {
    this.#persist.observe(seconds);
  }
}

export class SnapshotMetrics {
  readonly #save: Distribution;
  readonly #sent: SeriesOf<Count>;
  readonly #sendFailed: SeriesOf<Count>;
  readonly #sendDuration: Distribution;
  readonly #received: Count;
  readonly #installDuration: Distribution;

  constructor(figures: Figures<MetricsSource>) {
    this.#save = figures.histogram(
      "holdfast_disk_backend_snapshot_duration_seconds",
      "From a snapshot's beginning until it was durable and read back.",
      transferBuckets,
    );
    this.#sent = figures.counters(
      "holdfast_network_snapshot_send_success_total",
      "Snapshots that a peer was sent and has put in place.",
      ["to"],
    );
    this.#sendFailed = figures.counters(
      "holdfast_network_snapshot_send_failures_total",
      "Snapshots that a peer was sent in vain, in part or as a whole.",
      ["to"],
    );
    this.#sendDuration = figures.histogram(
      "holdfast_network_snapshot_send_total_duration_seconds",
      "From a snapshot's first byte to a peer until that had put it in place.",
      transferBuckets,
    );
    this.#received = figures.counter(
      "holdfast_network_snapshot_receive_success_total",
      "Snapshots that came from a leader and were put in place here.",
    );
    this.#installDuration = figures.histogram(
      "holdfast_disk_snapshot_install_duration_seconds",
      "Of putting a received snapshot in place, once all of it was here.",
      transferBuckets,
    );
  }

  written(seconds: number): void {
    this.#save.observe(seconds);
  }

  sent(to: string, outcome: "ok" | "failed", seconds: number): void {
    if (outcome === "failed") return this.#sendFailed.of(to).add();
    this.#sent.of(to).add();
    this.#sendDuration.observe(seconds);
  }

  installed(seconds: number): void {
    this.#received.add();
    this.#installDuration.observe(seconds);
  }
}
