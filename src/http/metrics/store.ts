/** The store: its keys, its past, its leases, its idempotency table, and who watches it. */
import type { Figures, Sample } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

export function defineStore(figures: Figures<MetricsSource>): void {
  figures.gauge(
    "holdfast_mvcc_current_revision",
    "The store's revision.",
    ({ revision }) => revision,
  );
  figures.gauge(
    "holdfast_mvcc_compact_revision",
    "The oldest revision that can be read.",
    ({ floor }) => floor,
  );
  figures.gauge("holdfast_mvcc_keys", "Keys in the store.", ({ usage }) => usage.keys);
  figures.gauge(
    "holdfast_mvcc_db_total_size_bytes",
    "Bytes of keys and values, with what is kept of each, in memory.",
    ({ usage }) => usage.bytes,
  );
  figures.gauge(
    "holdfast_mvcc_history_bytes",
    "Bytes of the changes that are kept.",
    ({ usage }) => usage.historyBytes,
  );
  figures.totals(
    "holdfast_mvcc_commands_total",
    "Commands that were applied here, by what they are.",
    ["type"],
    ({ usage: { applied } }) =>
      Object.entries(applied).map(([type, count]): Sample => [[type], count]),
  );
  figures.gauge("holdfast_leases", "Leases that have not ended.", ({ usage }) => usage.leases);
  figures.gauge(
    "holdfast_idempotency_sessions",
    "Sessions (idempotency keys) that are remembered.",
    ({ usage }) => usage.kept.sessions,
  );
  figures.gauge(
    "holdfast_idempotency_answers",
    "Answers that are kept for those who ask again.",
    ({ usage }) => usage.kept.answers,
  );
  figures.gauge(
    "holdfast_idempotency_bytes",
    "Bytes of the idempotency table.",
    ({ usage }) => usage.kept.bytes,
  );
  figures.gauge(
    "holdfast_idempotency_bytes_max",
    "With so many bytes in it the idempotency table takes no new session.",
    ({ usage }) => usage.kept.bytesMax,
  );
  defineWatchers(figures);
}

function defineWatchers(figures: Figures<MetricsSource>): void {
  figures.gauge(
    "holdfast_mvcc_watchers",
    "Watchers that are open.",
    ({ watchers }) => watchers.size,
  );
  figures.gauge(
    "holdfast_mvcc_watch_queued_bytes",
    "Bytes of changes that wait for watchers to read them.",
    ({ watchers }) => watchers.queuedBytes,
  );
  figures.total(
    "holdfast_mvcc_watch_sent_bytes_total",
    "Bytes of changes that were handed to watchers.",
    ({ watchers }) => watchers.handedBytes,
  );
  figures.total(
    "holdfast_mvcc_slow_watchers_total",
    "Watchers that were cut off: they read too slowly, or what they had yet to read is no more.",
    ({ watchers }) => watchers.cutOff,
  );
}
