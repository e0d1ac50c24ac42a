/** What becomes of a node's files of certificates and secrets when they change. */
import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Credentials } from "../../runtimes/credentials.ts";
import type { TlsServer } from "../../runtimes/runtime.ts";
import type { ClientCredentials, ServerCredentials } from "../../src/adapters/tls-files.ts";
import { readNodeConfig } from "../../src/config.ts";
import { BadConfiguration } from "../../src/errors.ts";
import { CredentialMetrics } from "../../src/http/metrics/credentials.ts";
import { Figures } from "../../src/http/metrics/figures.ts";
import type { MetricsSource } from "../../src/http/metrics/source.ts";
import type { LogLevel } from "../../src/ports.ts";
import { Authority } from "../adapters/certificates.ts";
import { temporaryDirectory } from "../cli/processes.ts";

/** Of a node these figures ask nothing. */
const nothing = {} as MetricsSource;
const authority = new Authority("ours");
const [first, second] = [authority.issue("first"), authority.issue("second")];
const [OLD, NEW] = [
  "the old secret of thirty-two characters",
  "the new secret of thirty-two characters",
];

describe("files of certificates and secrets", { timeout: 60_000 }, () => {
  let directory = "";
  let remove = async (): Promise<void> => {};
  const told: [LogLevel, string][] = [];
  let news = (): void => {};
  const log = (level: LogLevel, message: string): void => {
    told.push([level, message]);
    news();
  };
  before(async () => {
    ({ path: directory, remove } = await temporaryDirectory());
  });
  after(() => remove());

  const at = (name: string): string => join(directory, name);
  /** As whoever renews them does: another file under the same name. */
  async function put(name: string, text: string): Promise<void> {
    await writeFile(at(`${name}.new`), text);
    await rename(at(`${name}.new`), at(name));
  }

  /** What was told since, once something was. */
  async function nextTold(): Promise<[LogLevel, string]> {
    const { promise, resolve } = Promise.withResolvers<void>();
    news = resolve;
    if (told.length === 0) await promise;
    const [one = assert.fail()] = told;
    told.length = 0;
    return one;
  }

  async function open(flags: Readonly<Record<string, string>>) {
    const all = new Figures<MetricsSource>();
    const metrics = new CredentialMetrics(all);
    const trusted: ClientCredentials[] = [];
    let retired = 0;
    const refuse = () => Promise.reject(new Error("nobody is asked"));
    const runtime = {
      peerFetch: refuse,
      peerFetchWith: (tls: ClientCredentials) => {
        trusted.push(tls);
        return { fetch: refuse, retire: () => void retired++ };
      },
    };
    const config = readNodeConfig(flags, {});
    const credentials = await Credentials.open({
      config,
      runtime,
      log,
      metrics,
      lookIntervalMs: 20,
    });
    const shown: ServerCredentials[] = [];
    const server: TlsServer = {
      replace: (next) => void shown.push(next),
      close: () => Promise.resolve(),
    };
    credentials.keepCurrent(server);
    /** How often files could be used, and how often not, as a scrape has it. */
    const figures = (what: string) =>
      ["ok", "failed"].map((outcome) =>
        all.text(nothing).split("\n").find((line) =>
          line.startsWith(`holdfast_credential_reloads_total{what="${what}",outcome="${outcome}"}`)
        )?.split(" ").at(-1)
      ).join();
    return { credentials, shown, trusted, retired: () => retired, figures };
  }

  it("gives new certificates to the server and to peers, and keeps the old where they are broken", async () => {
    await put("cert.pem", first.cert);
    await put("key.pem", first.key);
    await put("ca.pem", authority.ca);
    const flags = { tlsCert: at("cert.pem"), tlsKey: at("key.pem"), tlsCa: at("ca.pem") };
    const { credentials, shown, trusted, retired, figures } = await open(flags);
    assert.equal(credentials.server?.cert, first.cert);
    // A certificate without its key, as in the moment between two files.
    await put("cert.pem", second.cert);
    const [level, message] = await nextTold();
    assert.deepEqual([level, shown.length], ["error", 0]);
    assert.match(message, /what was there before stays/);
    await put("key.pem", second.key);
    assert.deepEqual(await nextTold(), ["info", "new certificates are in use"]);
    assert.equal(shown[0]?.cert, second.cert);
    assert.equal(trusted.at(-1)?.key, second.key);
    assert.equal(retired(), 1);
    await put("ca.pem", "nothing of the kind");
    assert.equal((await nextTold())[0], "error");
    assert.deepEqual([shown.length, trusted.length], [1, 2]);
    assert.equal(figures("tls"), "1,2");
    credentials.close();
  });

  it("takes the secrets that a file has at the moment", async () => {
    await put("secrets", `${OLD}\n`);
    const { credentials, figures } = await open({ secretFile: at("secrets") });
    const signing = () => credentials.secrets.keys[0]?.export().toString();
    assert.equal(signing(), OLD);
    await put("secrets", `\n  ${NEW}\r\n${OLD}`);
    assert.deepEqual(await nextTold(), ["info", "new secrets are in use"]);
    assert.deepEqual([signing(), credentials.secrets.keys.length], [NEW, 2]);
    for (const wrong of ["", "\n\n", "short", `${NEW}\nshort`, `${NEW},${OLD}`]) {
      await put("secrets", wrong);
      assert.equal((await nextTold())[0], "error");
      assert.equal(credentials.secrets.keys.length, 2);
    }
    assert.equal(figures("secrets"), "1,5");
    credentials.close();
  });

  it("names the flag and the file, and shows nothing of what it holds, where it begins with a wrong one", async () => {
    await put("cert.pem", first.cert);
    await put("key.pem", first.key);
    await put("other.pem", second.key);
    await put("junk.pem", "hunter2");
    const [cert, key, junk] = [at("cert.pem"), at("key.pem"), at("junk.pem")];
    const wrong: readonly (readonly [Record<string, string>, RegExp])[] = [
      [{ tlsCert: at("none.pem"), tlsKey: key }, /^--tls-cert: .*none\.pem.*ENOENT/],
      [{ tlsCert: junk, tlsKey: key }, /^--tls-cert: .*no certificate/],
      [{ tlsCert: cert, tlsKey: junk }, /^--tls-key: .*no private key/],
      [{ tlsCert: cert, tlsKey: at("other.pem") }, /^--tls-key: .*not the key of .*cert\.pem/],
      [{ tlsCert: cert, tlsKey: key, tlsClientCa: junk }, /^--tls-client-ca: .*no certificate/],
      [{ tlsCa: junk }, /^--tls-ca: .*no certificate/],
      [{ secretFile: junk }, /^--secret-file: .*line 1 is no secret/],
      [{ secretFile: at("none") }, /^--secret-file: .*ENOENT/],
    ];
    for (const [flags, words] of wrong) {
      await assert.rejects(open(flags), (error) => {
        assert.ok(error instanceof BadConfiguration);
        assert.match(error.message, words);
        assert.doesNotMatch(error.message, /hunter2|\n/);
        return true;
      });
    }
  });

  it("are what they are to peers where there are none", async () => {
    const { credentials, trusted } = await open({ secret: `${NEW},${OLD}` });
    assert.equal(credentials.secrets.keys.length, 2);
    assert.equal(credentials.server, null);
    assert.deepEqual(trusted, []);
    credentials.close();
  });
});
