/** Options of who may come in, and how: certificates, secrets of peers, hosts and origins. */
import * as v from "valibot";
import type { Option } from "./option.ts";
import { onSchema, pathSchema } from "./schemas.ts";
import { tokenIdIn, tokenTakes } from "./token-text.ts";

/** The least length of a cluster secret, in characters. */
export const SECRET_CHARACTERS_MIN = 32;
/** Secrets that are accepted at a time. */
export const SECRETS_MAX = 8;
/** Hosts, and origins, that may be named. */
const NAMES_MAX = 256;

/** A secret that peers share. */
export const secretSchema: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.minLength(SECRET_CHARACTERS_MIN),
  v.maxLength(1024),
  v.regex(/^[^,\r\n]*$/),
);

/** A list with commas between. */
function listSchema(
  item: v.GenericSchema<string, string>,
  max: number,
): v.GenericSchema<string, readonly string[]> {
  return v.pipe(
    v.string(),
    v.transform((text) => text.split(",")),
    v.array(item),
    v.maxLength(max),
    v.check((all) => new Set(all).size === all.length),
  );
}

const hostSchema: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.regex(/^(\*|[A-Za-z0-9_-][A-Za-z0-9._-]{0,252})$/),
  v.transform((host) => host.toLowerCase()),
);

const originSchema: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.maxLength(512),
  v.check((text) => text === "*" || text === "null" || isOrigin(text)),
);

function isOrigin(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//.test(text) && URL.canParse(text) &&
    text === `${new URL(text).protocol}//${new URL(text).host}`;
}

/** What these options mean once they are read. */
export interface SecurityValues {
  readonly secret: readonly string[] | null;
  readonly secretFile: string | null;
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  readonly tlsCa: string | null;
  readonly tlsClientCa: string | null;
  readonly allowedHosts: readonly string[] | null;
  readonly allowedOrigins: readonly string[] | null;
  readonly auth: boolean;
  readonly rootToken: string | null;
  readonly recoverAccess: boolean;
  readonly insecure: boolean;
}

const file = { takes: "a file", default: null, schema: v.nullable(pathSchema) } as const;

/** The rows of the table. */
export const securityOptions: {
  readonly [Name in keyof SecurityValues]: Option<SecurityValues[Name]>;
} = {
  secret: {
    takes:
      `at least ${SECRET_CHARACTERS_MIN} characters without a comma, or up to ${SECRETS_MAX} such with commas between`,
    help:
      "signs peer messages, with the first of several; messages signed with any are taken; required unless every peer URL is loopback (default none)",
    default: null,
    schema: v.nullable(listSchema(secretSchema, SECRETS_MAX)),
    isSecret: true,
    parts: "list",
  },
  secretFile: {
    ...file,
    help: "has the secrets, one a line, instead of --secret; read again whenever it changes",
  },
  tlsCert: {
    ...file,
    help: "this node's certificate and those between it and the root, in PEM: it serves https",
  },
  tlsKey: { ...file, help: "the certificate's private key, in PEM, without a passphrase" },
  tlsCa: {
    ...file,
    help:
      "roots that peers' certificates have to lead to, in PEM (default those that the runtime knows)",
  },
  tlsClientCa: {
    ...file,
    help: "clients and peers have to present a certificate that leads to one of these roots",
  },
  allowedHosts: {
    takes: `up to ${NAMES_MAX} names without ports and with commas between, or *`,
    help:
      "further names that clients may call this node by (default those in members' URLs, those without a dot, and all addresses)",
    default: null,
    schema: v.nullable(listSchema(hostSchema, NAMES_MAX)),
    parts: "list",
  },
  allowedOrigins: {
    takes: `up to ${NAMES_MAX} origins with commas between, such as https://app.example, or *`,
    help: "whose web pages may use this node, beside its own (default none)",
    default: null,
    schema: v.nullable(listSchema(originSchema, NAMES_MAX)),
    parts: "list",
  },
  auth: {
    takes: "on or off",
    help: "requests need a token, and its roles have to allow them",
    default: "off",
    schema: onSchema,
    isSwitch: true,
  },
  rootToken: {
    takes: tokenTakes,
    help:
      "the cluster's first token, where it has none (default one is made, in <data>/root-token)",
    default: null,
    schema: v.nullable(
      v.pipe(v.string(), v.maxLength(256), v.check((text) => tokenIdIn(text) !== null)),
    ),
    isSecret: true,
  },
  recoverAccess: {
    takes: "on or off, and on a loopback address only",
    help: "serves whoever comes without a token as root: to make a root token where none is left",
    default: "off",
    schema: onSchema,
    isSwitch: true,
  },
  insecure: {
    takes: "on or off",
    help: "start beyond loopback also without --secret or --auth: whoever gets there does anything",
    default: "off",
    schema: onSchema,
    isSwitch: true,
  },
};
