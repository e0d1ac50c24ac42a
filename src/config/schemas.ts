/** How an option's text is read and checked. */
import * as v from "valibot";
import type { NodeId } from "../raft/types.ts";
import { type DnsName, dnsNameSchema } from "./dns-name.ts";
import { baseOf, memberUrlSchema } from "./member-url.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Members that `--peers` may name. */
export const PEERS_MAX = 31;

/** Where a node listens. */
export interface ListenAddress {
  /** A name, an IPv4 address or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

const number = /^\d+(\.\d+)?$/;
const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const sizeUnits: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KiB: KIB,
  MiB: MIB,
  GiB: KIB * MIB,
};

function scaled(text: string, units: Readonly<Record<string, number>>): number {
  const [, amount = "", unit = ""] = /^([\d.]+)([A-Za-z]*)$/.exec(text) ?? [];
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  return factor !== undefined && number.test(amount) ? Number(amount) * factor : NaN;
}

/** A schema of text that means a whole number from `min` to `max`, as `read` reads it. */
function whole(
  read: (text: string) => number,
  min: number,
  max: number,
): v.GenericSchema<string, number> {
  return v.pipe(v.string(), v.transform(read), v.integer(), v.minValue(min), v.maxValue(max));
}

const readCount = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : NaN);

/** Text such as `500ms`, `2s`, `1.5m`, `1h`, `7d`, from `min` to `max` milliseconds. */
export function durationSchema(min: number, max: number): v.GenericSchema<string, number> {
  return whole((text) => scaled(text, durationUnits), min, max);
}

/** Text such as `4096`, `64KiB`, `64MiB`, `1GiB`, from `min` to `max` bytes. */
export function sizeSchema(min: number, max: number): v.GenericSchema<string, number> {
  return whole((text) => scaled(text, sizeUnits), min, max);
}

/** Text that means a whole number from `min` to `max`. */
export function countSchema(min: number, max: number): v.GenericSchema<string, number> {
  return whole(readCount, min, max);
}

/** Text that means a fraction from `min` to `max`. */
export function fractionSchema(min: number, max: number): v.GenericSchema<string, number> {
  return v.pipe(
    v.string(),
    v.regex(number),
    v.transform(Number),
    v.minValue(min),
    v.maxValue(max),
  );
}

/** A node's id. */
export const idSchema: v.GenericSchema<string, NodeId> = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9._-]{1,64}$/),
);

/** An http(s) URL without query or credentials, of a node or what it is mounted in: where a client asks. */
export const originSchema: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.maxLength(512),
  v.regex(/^https?:\/\/[^/?#@\\\s]+[^?#@\\\s]*$/i),
  v.check((text) => URL.canParse(text)),
  v.transform(baseOf),
);

/** `host:port`. */
export const listenSchema: v.GenericSchema<string, ListenAddress> = v.pipe(
  v.string(),
  v.regex(/^(\[[0-9A-Fa-f:.]{2,}\]|[A-Za-z0-9.-]{1,253}):\d{1,5}$/),
  v.transform((text) => {
    const colon = text.lastIndexOf(":");
    const host = text.slice(0, colon).replace(/^\[|\]$/g, "");
    return { host, port: Number(text.slice(colon + 1)) };
  }),
  v.check(({ host, port }) => port >= 1 && port <= 65535 && URL.canParse(urlOf({ host, port }))),
);

/** Members with their URLs, as `--peers` names them. */
export const peersSchema: v.GenericSchema<string, Readonly<Record<NodeId, string>>> = v.pipe(
  v.string(),
  v.transform((text) =>
    text.split(",").map((peer) => {
      const equals = peer.indexOf("=");
      return [peer.slice(0, equals), peer.slice(equals + 1)] as const;
    })
  ),
  v.array(v.tuple([idSchema, memberUrlSchema])),
  v.maxLength(PEERS_MAX),
  v.check((peers) => new Set(peers.map(([id]) => id)).size === peers.length),
  v.check((peers) => new Set(peers.map(([, url]) => url)).size === peers.length),
  v.transform((peers) => Object.fromEntries(peers)),
);

/** Several members one by one, or a name that they are found by. */
export type Members = Readonly<Record<NodeId, string>> | DnsName;

/** See {@link Members}. */
export const membersSchema: v.GenericSchema<string, Members> = v.union([
  dnsNameSchema,
  peersSchema,
]);

/** A switch. */
export const onSchema: v.GenericSchema<string, boolean> = v.pipe(
  v.picklist(["on", "off", "true", "false", "1", "0"]),
  v.transform((text) => text === "on" || text === "true" || text === "1"),
);

/** A path of the file system. */
export const pathSchema: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.maxLength(4096),
  v.check((path) => !path.includes("\0")),
);

/** The URL of an address; an IPv6 host gets its brackets. */
export function urlOf({ host, port }: ListenAddress, scheme: "http" | "https" = "http"): string {
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
