/** Certificates and secrets: whether new ones could be used, and how long they last. */
import type { Count, Figures } from "./figures.ts";
import type { MetricsSource } from "./source.ts";

/** What files hold that may change. */
export type CredentialKind = "tls" | "secrets";

export class CredentialMetrics {
  readonly #reloads: Readonly<Record<CredentialKind, Readonly<Record<"ok" | "failed", Count>>>>;
  #until: number | null = null;

  constructor(figures: Figures<MetricsSource>) {
    const reloads = figures.counters(
      "holdfast_credential_reloads_total",
      "Times that files of certificates (tls) or secrets had changed, and whether they could be used.",
      ["what", "outcome"],
    );
    const both = (what: CredentialKind) => ({
      ok: reloads.of(what, "ok"),
      failed: reloads.of(what, "failed"),
    });
    this.#reloads = { tls: both("tls"), secrets: both("secrets") };
    figures.gauge(
      "holdfast_tls_certificate_not_after_timestamp_seconds",
      "When this node's certificate lapses, or one between it and its root, in seconds since 1970.",
      () => this.#until,
    );
  }

  reloaded(what: CredentialKind, outcome: "ok" | "failed"): void {
    this.#reloads[what][outcome].add();
  }

  /** @param until when the certificate lapses, in seconds since 1970. */
  lapses(until: number): void {
    this.#until = until;
  }
}
