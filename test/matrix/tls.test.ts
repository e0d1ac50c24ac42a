/** Clusters whose clients and peers all present certificates, which are replaced under load, and so are the secrets. */
import assert from "node:assert/strict";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { connect } from "node:tls";
import { createPeerAuthenticator } from "../../src/adapters/peer-signature.ts";
import { encodeHello, HELLO_CLUSTER, HELLO_PATH } from "../../src/adapters/peer-hello.ts";
import { newestVersion } from "../../src/kv/cluster-version.ts";
import { Authority } from "../adapters/certificates.ts";
import { Cluster, eventually, setups } from "./harness/cluster.ts";
import type { ClientTls } from "./harness/http-client.ts";
import { Load } from "./harness/load.ts";
import { type NodeProcess, temporaryDirectory } from "./harness/node-process.ts";

const OLD = "the old secret of thirty-two characters";
const NEW = "the new secret of thirty-two characters";

/** A directory of PEM files and secrets, all of them renewed as a certificate's keeper would do it. */
class Files implements Disposable {
  readonly authority: Authority = new Authority("the cluster's");
  readonly #temporary = temporaryDirectory();

  constructor() {
    mkdirSync(this.at("."), { recursive: true });
    this.put("ca.pem", this.authority.ca);
    this.put("secrets", OLD);
    this.certify("first");
  }

  at(name: string): string {
    return join(this.#temporary.path, name);
  }

  put(name: string, text: string): void {
    writeFileSync(this.at(`${name}.new`), text);
    renameSync(this.at(`${name}.new`), this.at(name));
  }

  certify(name: string): void {
    const { cert, key } = this.authority.issue(name);
    this.put("key.pem", key);
    this.put("cert.pem", cert);
  }

  get flags(): readonly string[] {
    return [
      ...["--tls-cert", this.at("cert.pem"), "--tls-key", this.at("key.pem")],
      ...["--tls-ca", this.at("ca.pem"), "--tls-client-ca", this.at("ca.pem")],
      ...["--secret-file", this.at("secrets")],
      // A machine that is slow for a while is nobody's failure here.
      ...["--election-timeout", "2s", "--request-timeout", "10s"],
    ];
  }

  [Symbol.dispose](): void {
    this.#temporary[Symbol.dispose]();
  }
}

/** Whose certificate a node shows to a new connection. */
function shownBy({ url }: NodeProcess, tls: ClientTls): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), ...tls }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

/** What a node answers to a hello that is signed with this secret. */
async function helloWith(cluster: Cluster, node: NodeProcess, secret: string): Promise<number> {
  const wallNow = () => Date.now();
  const speaks = newestVersion;
  const from = { self: "n9", clusterId: HELLO_CLUSTER, secrets: [secret], wallNow, speaks };
  const hello = { from: "n9", to: node.id, incarnation: "life", peers: null };
  const body = encodeHello(hello);
  const { headers } = createPeerAuthenticator(from).sealRequest(node.id, HELLO_PATH, body);
  const request = { method: "POST", body, headers };
  return (await cluster.http.request(`${node.url}${HELLO_PATH}`, request)).status;
}

/** Why requests fail from now on. */
function failuresOf({ http }: Cluster): readonly string[] {
  const failures: string[] = [];
  const send = http.request.bind(http);
  http.request = async (url, options) => {
    const since = performance.now();
    const told = (why: string): void =>
      void failures.push(
        `${options?.method ?? "GET"} ${url}: ${why}, ${Math.round(performance.now() - since)} ms`,
      );
    try {
      const answer = await send(url, options);
      if (answer.status >= 400) told(`${answer.status} ${answer.text()}`);
      return answer;
    } catch (error) {
      told(String(error));
      throw error;
    }
  };
  return failures;
}

/** A figure of a node's metrics. */
async function figure(cluster: Cluster, { url }: NodeProcess, name: string): Promise<number> {
  const text = (await cluster.http.request(`${url}/metrics`)).text();
  return Number(text.split("\n").find((line) => line.startsWith(name))?.split(" ").at(-1));
}

for (const { name, runtimes } of setups) {
  describe(`a cluster over TLS (${name})`, { timeout: 120_000 }, () => {
    it("serves on, without a failed request, while certificates and secrets are replaced", async () => {
      using files = new Files();
      const tls = { ca: files.authority.ca, ...files.authority.issue("a client") };
      await using cluster = await Cluster.start(runtimes, files.flags, tls);
      const { nodes } = cluster;
      assert.match(nodes[0]?.stdout ?? "", /listening on https:/);
      const failures = failuresOf(cluster);
      await using load = new Load(cluster, "tls");
      const lookedAt = (what: string, outcome: string) =>
        eventually(`${what} ${outcome} on all`, async () => {
          const metric = `holdfast_credential_reloads_total{what="${what}",outcome="${outcome}"}`;
          const counts = await Promise.all(nodes.map((node) => figure(cluster, node, metric)));
          return counts.every((count) => count > (before.get(metric) ?? 0)) ? true : undefined;
        });
      const before = new Map<string, number>();
      const note = async (what: string): Promise<void> => {
        const metric = `holdfast_credential_reloads_total{what="${what}",outcome="ok"}`;
        const counts = await Promise.all(nodes.map((node) => figure(cluster, node, metric)));
        before.set(metric, Math.max(...counts));
      };

      files.certify("second");
      await eventually("all show the new certificate", async () => {
        const shown = await Promise.all(nodes.map((node) => shownBy(node, tls)));
        return shown.every((one) => one === "second") ? true : undefined;
      });
      files.put("cert.pem", "broken");
      await lookedAt("tls", "failed");
      assert.equal(await shownBy(cluster.node("n1"), tls), "second");

      for (const secrets of [`${OLD}\n${NEW}`, `${NEW}\n${OLD}`, NEW]) {
        await note("secrets");
        files.put("secrets", secrets);
        await lookedAt("secrets", "ok");
      }
      await load.acknowledgedAfter(performance.now());
      await load.stop();
      const { done, ...failed } = load.fates;
      assert.deepEqual(failed, { notApplied: 0, unknown: 0 }, failures.join("\n"));
      assert.ok(done > 0);
      await load.readBack(nodes);
      assert.equal(load.history.flaw(), null);
      for (const node of nodes) {
        assert.equal(await helloWith(cluster, node, OLD), 401);
        assert.equal(await helloWith(cluster, node, NEW), 200);
      }
    });
  });
}
