/** A node's certificates and secrets: read before it opens, and again whenever their files change. */
import type { PeerFetch } from "../src/adapters/fetch-transport.ts";
import { PeerSecrets, readSecretFile } from "../src/adapters/peer-secrets.ts";
import {
  readTlsFiles,
  type ServerCredentials,
  type TlsMaterial,
} from "../src/adapters/tls-files.ts";
import { LOOK_INTERVAL_MS, watchFiles } from "../src/adapters/watched-files.ts";
import type { NodeConfig } from "../src/config.ts";
import type { CredentialMetrics } from "../src/http/metrics/credentials.ts";
import type { Logger } from "../src/ports.ts";
import type { Runtime, TlsPeerFetch, TlsServer } from "./runtime.ts";

export interface CredentialOptions {
  readonly config: NodeConfig;
  readonly runtime: Pick<Runtime, "peerFetch" | "peerFetchWith">;
  readonly log: Logger;
  readonly metrics: CredentialMetrics;
  /** Between two looks at the files, in milliseconds. */
  readonly lookIntervalMs?: number;
}

/** What is at hand at the moment, and what has to hear of it when it changes. */
export class Credentials {
  readonly secrets: PeerSecrets;
  /** What peers are reached by. */
  readonly peerFetch: PeerFetch;
  readonly #options: CredentialOptions;
  #tls: TlsMaterial;
  #toPeers: TlsPeerFetch | null = null;
  #server: TlsServer | null = null;
  readonly #ends: (() => void)[] = [];

  private constructor(options: CredentialOptions, tls: TlsMaterial, secrets: readonly string[]) {
    const { config, runtime } = options;
    this.#options = options;
    this.#tls = tls;
    this.secrets = new PeerSecrets(secrets);
    if (config.tls.ca === null && config.tls.cert === null) {
      this.peerFetch = runtime.peerFetch;
    } else {
      this.#toPeers = runtime.peerFetchWith(tls.client);
      const plain = runtime.peerFetch;
      this.peerFetch = (url, init) => (this.#toPeers?.fetch ?? plain)(url, init);
    }
    this.#tellLapse();
  }

  /** @throws {BadConfiguration} where a file is missing, or holds something else. */
  static async open(options: CredentialOptions): Promise<Credentials> {
    const { config } = options;
    const tls = await readTlsFiles(config.tls);
    const { secretFile } = config;
    const secrets = secretFile === null ? config.secrets : await readSecretFile(secretFile);
    const credentials = new Credentials(options, tls, secrets);
    await credentials.#watch();
    return credentials;
  }

  /** What the server shows; null where it serves without TLS. */
  get server(): ServerCredentials | null {
    return this.#tls.server;
  }

  /** Hands new certificates to `server` from now on. */
  keepCurrent(server: TlsServer): void {
    this.#server = server;
  }

  close(): void {
    for (const end of this.#ends) end();
  }

  async #watch(): Promise<void> {
    const { config: { tls, secretFile }, lookIntervalMs = LOOK_INTERVAL_MS } = this.#options;
    const watch = { intervalMs: lookIntervalMs };
    const paths = Object.values(tls).filter((path) => path !== null);
    if (paths.length > 0) {
      const onChange = () => this.#reload("tls", () => this.#reloadTls());
      this.#ends.push(await watchFiles({ ...watch, paths, onChange }));
    }
    if (secretFile !== null) {
      const onChange = () =>
        this.#reload("secrets", async () => {
          const secrets = await readSecretFile(secretFile);
          this.secrets.replace(secrets);
          return { count: secrets.length };
        });
      this.#ends.push(await watchFiles({ ...watch, paths: [secretFile], onChange }));
    }
  }

  /** What is wrong with new files leaves the old ones in force. */
  async #reload(
    what: "tls" | "secrets",
    read: () => Promise<Readonly<Record<string, unknown>>>,
  ): Promise<void> {
    const { log, metrics } = this.#options;
    try {
      const fields = await read();
      metrics.reloaded(what, "ok");
      log(
        "info",
        what === "tls" ? "new certificates are in use" : "new secrets are in use",
        fields,
      );
    } catch (error) {
      metrics.reloaded(what, "failed");
      const reason = error instanceof Error ? error.message : String(error);
      log("error", "what changed can't be used; what was there before stays in use", { reason });
    }
  }

  async #reloadTls(): Promise<Readonly<Record<string, unknown>>> {
    const { config, runtime } = this.#options;
    const next = await readTlsFiles(config.tls);
    if (next.server !== null) this.#server?.replace(next.server);
    const before = this.#toPeers;
    this.#tls = next;
    this.#toPeers = runtime.peerFetchWith(next.client);
    before?.retire();
    this.#tellLapse();
    return next.notAfterMs === null ? {} : { until: new Date(next.notAfterMs).toISOString() };
  }

  #tellLapse(): void {
    const { log, metrics } = this.#options;
    const { notAfterMs } = this.#tls;
    if (notAfterMs === null) return;
    metrics.lapses(notAfterMs / 1000);
    if (notAfterMs < Date.now()) {
      log("warn", "the certificate has lapsed", { until: new Date(notAfterMs).toISOString() });
    }
  }
}
