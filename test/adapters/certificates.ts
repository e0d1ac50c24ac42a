/** Certificates for tests, made on the spot: X.509 (RFC 5280) in DER, by hand, because nothing else is sure to be here. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** In PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

type Der = Uint8Array;

function der(tag: number, ...parts: readonly Der[]): Der {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const size: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) size.unshift(rest % 256);
  const head = length < 128 ? [tag, length] : [tag, 0x80 + size.length, ...size];
  return Buffer.concat([Uint8Array.from(head), ...parts]);
}

const bytes = (...all: number[]): Der => Uint8Array.from(all);
const sequence = (...parts: readonly Der[]): Der => der(0x30, ...parts);
const setOf = (...parts: readonly Der[]): Der => der(0x31, ...parts);
const octets = (part: Der): Der => der(0x04, part);
const bits = (part: Der): Der => der(0x03, bytes(0), part);
const text = (tag: number, value: string): Der => der(tag, Buffer.from(value));
const yes = bytes(0x01, 0x01, 0xff);

function oid(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const coded = rest.flatMap((arc) => {
    const groups = [arc & 127];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift(0x80 | (left & 127));
    return groups;
  });
  return der(0x06, bytes(40 * first + second, ...coded));
}

/** GeneralizedTime: `YYYYMMDDHHMMSSZ`. */
const time = (at: number): Der =>
  text(0x18, `${new Date(at).toISOString().replaceAll(/[-:T]|\.\d+/g, "")}`);

const ecdsaWithSha256 = sequence(oid("1.2.840.10045.4.3.2"));
const nameOf = (name: string): Der => sequence(setOf(sequence(oid("2.5.4.3"), text(0x0c, name))));
const extension = (id: string, value: Der, ...critical: Der[]): Der =>
  sequence(oid(id), ...critical, octets(value));

interface Asked {
  readonly name: string;
  readonly issuer: { readonly name: string; readonly key: KeyObject } | null;
  readonly validMs: readonly [from: number, to: number];
  readonly extensions: readonly Der[];
}

function issue({ name, issuer, validMs: [from, to], extensions }: Asked) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const keyId = createHash("sha1").update(spki).digest();
  const now = Date.now();
  const body = sequence(
    der(0xa0, bytes(0x02, 0x01, 0x02)),
    der(0x02, bytes(1), randomBytes(8)),
    ecdsaWithSha256,
    nameOf(issuer?.name ?? name),
    sequence(time(now + from), time(now + to)),
    nameOf(name),
    spki,
    der(0xa3, sequence(extension("2.5.29.14", octets(keyId)), ...extensions)),
  );
  const signature = sign("sha256", body, issuer?.key ?? privateKey);
  const whole = Buffer.from(sequence(body, ecdsaWithSha256, bits(signature)));
  const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
  const cert = `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { cert, key, privateKey };
}

const HOUR_MS = 3_600_000;

/** A root of trust, and what it vouches for. */
export class Authority {
  /** The root's certificate, in PEM. */
  readonly ca: string;
  readonly #name: string;
  readonly #key: KeyObject;

  constructor(name: string) {
    const extensions = [
      extension("2.5.29.19", sequence(yes), yes),
      extension("2.5.29.15", bytes(0x03, 0x02, 0x01, 0x06), yes),
    ];
    const validMs = [-HOUR_MS, 24 * HOUR_MS] as const;
    const { cert, privateKey } = issue({ name, issuer: null, validMs, extensions });
    this.#name = name;
    this.#key = privateKey;
    this.ca = cert;
  }

  /** A certificate for 127.0.0.1 and localhost, of servers and clients alike. */
  issue(name: string, validForMs: number = 12 * HOUR_MS): Certificate {
    const names = sequence(text(0x82, "localhost"), der(0x87, bytes(127, 0, 0, 1)));
    const uses = sequence(oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.5.5.7.3.2"));
    const extensions = [
      extension("2.5.29.17", names),
      extension("2.5.29.37", uses),
      extension("2.5.29.19", sequence(), yes),
    ];
    const issuer = { name: this.#name, key: this.#key };
    const validMs = [-HOUR_MS, validForMs] as const;
    const { cert, key } = issue({ name, issuer, validMs, extensions });
    return { cert, key };
  }
}
