/** Certificates and keys as files in PEM, checked before anybody relies on them. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { BadConfiguration } from "../errors.ts";
import { flagOf } from "../config/options.ts";
import type { TlsPaths } from "../config.ts";

/** What a server shows, and asks for. All in PEM. */
export interface ServerCredentials {
  readonly cert: string;
  readonly key: string;
  /** Roots of the certificates that clients have to present; null where they needn't. */
  readonly clientCa: string | null;
}

/** What a client trusts, and shows where it is asked. All in PEM. */
export interface ClientCredentials {
  /** Null for the roots that the runtime knows. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

export interface TlsMaterial {
  readonly server: ServerCredentials | null;
  readonly client: ClientCredentials;
  /** When the certificate, or one between it and its root, lapses first: milliseconds since 1970. */
  readonly notAfterMs: number | null;
}

/** Larger files are none of certificates. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Reads all of them. @throws {BadConfiguration} one line that names the flag, the file and what is wrong. */
export async function readTlsFiles(paths: TlsPaths): Promise<TlsMaterial> {
  const cert = await readPem("tlsCert", paths.cert);
  const key = await readPem("tlsKey", paths.key);
  const ca = await readPem("tlsCa", paths.ca);
  const clientCa = await readPem("tlsClientCa", paths.clientCa);
  if (ca !== null) certificatesIn("tlsCa", ca);
  if (clientCa !== null) certificatesIn("tlsClientCa", clientCa);
  const client = { ca: ca?.text ?? null, cert: cert?.text ?? null, key: key?.text ?? null };
  if (cert === null || key === null) return { server: null, client, notAfterMs: null };
  const chain = certificatesIn("tlsCert", cert);
  checkKey(key, chain[0], cert.path);
  return {
    server: { cert: cert.text, key: key.text, clientCa: clientCa?.text ?? null },
    client,
    notAfterMs: Math.min(...chain.map(({ validTo }) => Date.parse(validTo))),
  };
}

type TlsOption = "tlsCert" | "tlsKey" | "tlsCa" | "tlsClientCa";

interface Pem {
  readonly path: string;
  readonly text: string;
}

async function readPem(name: TlsOption, path: string | null): Promise<Pem | null> {
  if (path === null) return null;
  try {
    const text = await readFile(path, "utf8");
    if (text.length <= FILE_BYTES_MAX) return { path, text };
  } catch (error) {
    refuse(name, path, error instanceof Error && "code" in error ? String(error.code) : "no file");
  }
  refuse(name, path, `over ${FILE_BYTES_MAX} bytes`);
}

function certificatesIn(name: TlsOption, { path, text }: Pem): readonly X509Certificate[] {
  const found = text.match(certificate) ?? [];
  if (found.length === 0) refuse(name, path, "it holds no certificate in PEM");
  try {
    return found.map((one) => new X509Certificate(one));
  } catch {
    refuse(name, path, "it holds a certificate that can't be read");
  }
}

function checkKey({ path, text }: Pem, own: X509Certificate | undefined, certPath: string): void {
  let isOwn: boolean;
  try {
    isOwn = own?.checkPrivateKey(createPrivateKey(text)) === true;
  } catch {
    // Whatever the reason says of the key's text, it is not to be shown.
    refuse("tlsKey", path, "it holds no private key in PEM that opens without a passphrase");
  }
  if (!isOwn) refuse("tlsKey", path, `it is not the key of the first certificate in ${certPath}`);
}

function refuse(name: TlsOption, path: string, why: string): never {
  throw new BadConfiguration(`${flagOf(name)}: ${JSON.stringify(path)} can't be used: ${why}`);
}
