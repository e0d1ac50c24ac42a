/** Options of a node as a program gives them: the flags' names, values as they mean or as the flags' text. */
import * as v from "valibot";
import { type NodeConfig, readNodeConfig } from "../src/config.ts";
import { DnsName, type DnsServer } from "../src/config/dns-name.ts";
import { flagOf, nodeOptions, type OptionName, type OptionValues } from "../src/config/options.ts";
import { BadConfiguration } from "../src/errors.ts";

/** What its own server is told. Whoever embeds a node listens and logs by themselves, and needs no token inside. */
const serving = ["config", "listen", "logLevel", "tlsClientCa", "recoverAccess"] as const;

type EmbedOptionName = Exclude<OptionName, (typeof serving)[number]>;

type Given<Value> = Value extends DnsName | readonly DnsServer[] ? string
  : Value extends number | boolean | Readonly<Record<string, string>> | readonly string[]
    ? Value | string
  : Value;

/**
 * The options of a node that have a sense without a server, each as its flag in camelCase. Durations are milliseconds or
 * text (`500`, `"500ms"`), sizes bytes or text (`"64MiB"`), members a record or text (`{ n1: "http://…/kv" }`). Members'
 * URLs are those that the app is served at, with the path that it is mounted below.
 *
 * `advertise` is what `peers` say of this node where it isn't given, and needed with `join`.
 */
export type EmbedOptions = {
  readonly [Name in EmbedOptionName]?: Given<NonNullable<OptionValues[Name]>> | undefined;
};

/** @throws {BadConfiguration} one line that names the flag and what it takes. */
export function readEmbedOptions(options: EmbedOptions): NodeConfig {
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(options)) {
    if (!isEmbedOption(name)) throw new BadConfiguration(`there is no option ${name}`);
    if (value !== undefined) texts[name] = textOf(name, value);
  }
  const { id = nodeOptions.id.default ?? "", peers, join } = texts;
  const members = v.safeParse(nodeOptions.peers.schema, peers ?? null);
  const named = members.success ? members.output : null;
  const urls = named instanceof DnsName ? {} : named ?? {};
  const advertise = texts["advertise"] ?? (Object.hasOwn(urls, id) ? urls[id] : undefined);
  // What `peers` is not, `readNodeConfig` says.
  if (advertise === undefined && members.success && (peers ?? join) !== undefined) {
    const { takes } = nodeOptions.advertise;
    throw new BadConfiguration(`${flagOf("advertise")} takes ${takes}; it is needed here`);
  }
  return readNodeConfig({ ...texts, advertise }, {});
}

function isEmbedOption(name: string): name is EmbedOptionName {
  return Object.hasOwn(nodeOptions, name) && !serving.some((other) => other === name);
}

/** As a flag would say it. */
function textOf(
  name: EmbedOptionName,
  value: string | number | boolean | readonly string[] | Readonly<Record<string, string>>,
): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "on" : "off";
  if (typeof value === "number") return `${value}${nodeOptions[name].unit ?? ""}`;
  if (isList(value)) return value.join(",");
  return Object.entries(value).map(([id, url]) => `${id}=${url}`).join(",");
}

/** `Array.isArray` doesn't know of lists that are only read. */
function isList(
  value: readonly string[] | Readonly<Record<string, string>>,
): value is readonly string[] {
  return Array.isArray(value);
}
