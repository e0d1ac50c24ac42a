/**
 * Metrics in Prometheus' text format, named after etcd's where they mean the same, so that what watches one can be
 * pointed at the other. They are in `metrics/`, a file for each subject; what is counted costs an addition, and a scrape
 * reads what is at hand (`source.ts`).
 */
import type { PeerObserver, ReplicaObserver, WalObserver } from "../ports.ts";
import { BackupMetrics } from "./metrics/backup.ts";
import { CredentialMetrics } from "./metrics/credentials.ts";
import { DiskMetrics, SnapshotMetrics } from "./metrics/disk.ts";
import { Figures } from "./metrics/figures.ts";
import { NetworkMetrics } from "./metrics/network.ts";
import { type NodeBuild, ProcessMetrics } from "./metrics/process.ts";
import { RequestMetrics } from "./metrics/requests.ts";
import { RefusalMetrics } from "./metrics/refusals.ts";
import { type ProposalOutcome, type ReadOutcome, ServerMetrics } from "./metrics/server.ts";
import type { Bound } from "./problem.ts";
import type { MetricsSource } from "./metrics/source.ts";
import { defineStore } from "./metrics/store.ts";
import { WatchdogMetrics } from "./metrics/watchdog.ts";

export type { NodeBuild } from "./metrics/process.ts";
export type { RequestMetrics } from "./metrics/requests.ts";
export type { MetricsSource } from "./metrics/source.ts";

const nobody: NodeBuild = { id: "", version: "", runtime: "" };

/** Listens to a node, and writes down what it saw and what the node says of itself. */
export class Metrics implements ReplicaObserver, PeerObserver, WalObserver {
  /** Where whoever has more to tell defines it: once for each node. */
  readonly figures: Figures<MetricsSource> = new Figures();
  readonly backups: BackupMetrics = new BackupMetrics(this.figures);
  readonly requests: RequestMetrics = new RequestMetrics(this.figures);
  readonly credentials: CredentialMetrics = new CredentialMetrics(this.figures);
  /** Event loop, stalls, clocks, and room on the disk. */
  readonly watchdog: WatchdogMetrics = new WatchdogMetrics(this.figures);
  readonly #server = new ServerMetrics(this.figures);
  readonly #refusals = new RefusalMetrics(this.figures);
  readonly #network = new NetworkMetrics(this.figures);
  readonly #disk = new DiskMetrics(this.figures);
  readonly #snapshots = new SnapshotMetrics(this.figures);
  readonly #process: ProcessMetrics;

  constructor(build: NodeBuild = nobody) {
    defineStore(this.figures);
    this.#process = new ProcessMetrics(this.figures, build);
  }

  roleChanged(status: { readonly role: string; readonly leader: string | null }): void {
    this.#server.roleChanged(status);
  }

  persisted(seconds: number): void {
    this.#disk.persisted(seconds);
  }

  proposalEnded(outcome: ProposalOutcome, seconds: number): void {
    this.#server.proposalEnded(outcome, seconds);
  }

  applied(seconds: number): void {
    this.#server.applied(seconds);
  }

  readEnded(level: "linearizable" | "lease", outcome: ReadOutcome, seconds: number): void {
    this.#server.readEnded(level, outcome, seconds);
  }

  snapshotWritten(seconds: number): void {
    this.#snapshots.written(seconds);
  }

  snapshotSent(to: string, outcome: "ok" | "failed", seconds: number): void {
    this.#snapshots.sent(to, outcome, seconds);
  }

  snapshotInstalled(seconds: number): void {
    this.#snapshots.installed(seconds);
  }

  requestSent(to: string, type: string, bytes: number): void {
    this.#network.requestSent(to, type, bytes);
  }

  replyReceived(from: string, type: string, bytes: number, seconds: number): void {
    this.#network.replyReceived(from, type, bytes, seconds);
  }

  requestFailed(to: string, type: string): void {
    this.#network.requestFailed(to, type);
  }

  requestReceived(from: string, type: string, bytes: number): void {
    this.#network.requestReceived(from, type, bytes);
  }

  replySent(to: string, bytes: number): void {
    this.#network.replySent(to, bytes);
  }

  written(seconds: number, bytes: number): void {
    this.#disk.written(seconds, bytes);
  }

  synced(seconds: number): void {
    this.#disk.synced(seconds);
  }

  /** A request was refused as overloaded. */
  refused(bound: Bound): void {
    this.#refusals.refused(bound);
  }

  /** The text of a scrape. */
  async text(source: MetricsSource): Promise<string> {
    return this.figures.text(source) + await this.#process.text();
  }
}
