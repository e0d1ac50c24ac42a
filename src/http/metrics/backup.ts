/** Backups that this node takes by itself. */
import type { Count, Figures } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

export class BackupMetrics {
  #lastAt: number | null = null;
  readonly #taken: Count;
  readonly #failed: Count;

  constructor(figures: Figures<MetricsSource>) {
    figures.gauge(
      "holdfast_backup_last_success_timestamp_seconds",
      "When the newest backup that this node knows of was taken, in seconds since 1970; absent before.",
      () => this.#lastAt === null ? null : this.#lastAt / 1000,
    );
    this.#taken = figures.counter(
      "holdfast_backup_taken_total",
      "Scheduled backups that this node took.",
    );
    this.#failed = figures.counter(
      "holdfast_backup_failures_total",
      "Scheduled backups that failed on this node.",
    );
  }

  /** One is there, of this time by the wall clock, in milliseconds since 1970. */
  known(takenAt: number): void {
    this.#lastAt = Math.max(this.#lastAt ?? 0, takenAt);
  }

  taken(): void {
    this.#taken.add();
  }

  failed(): void {
    this.#failed.add();
  }
}
