/** The URL of a member, checked: every node of the cluster, and every client that is told of it, will send there. */
import * as v from "valibot";

/** The longest URL of a member. */
export const MEMBER_URL_CHARACTERS_MAX = 2048;

/** Where an app is mounted: segments that mean the same to every URL parser, router and proxy. */
const basePath = /^(\/(?!\.\.?(\/|$))[A-Za-z0-9._~-]+)*\/?$/;

/**
 * An http or https URL of nothing but an origin and perhaps the path below which a replica is mounted, without a slash
 * at its end. Its host is no link-local, unspecified, multicast or broadcast address, however it is spelled: none of
 * them names one machine to all others.
 */
export const memberUrlSchema: v.GenericSchema<string, string> = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const flaw = flawOf(dataset.value);
    if (flaw === null) return baseOf(dataset.value);
    addIssue({ message: flaw });
    return NEVER;
  }),
);

/** An origin, and the path behind it if there is one. */
export function baseOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname.replace(/\/+$/, "");
}

function flawOf(text: string): string | null {
  if (text.length > MEMBER_URL_CHARACTERS_MAX) {
    return `a URL of over ${MEMBER_URL_CHARACTERS_MAX} characters`;
  }
  const [, authority, rest = ""] = /^https?:\/\/([^/?#\\\s]+)(.*)$/is.exec(text) ?? [];
  if (authority === undefined) return "not a URL that begins with http:// or https:// and a host";
  if (authority.includes("@")) return "a URL with credentials";
  if (/[?#]/.test(rest)) return "a URL with a query or a fragment";
  if (!basePath.test(rest)) return "a URL with a path of other than A-Z a-z 0-9 . _ ~ - /";
  if (!URL.canParse(text)) return "not a URL";
  const { hostname, port } = new URL(text);
  if (port === "0") return "a URL with port 0";
  const kind = hostname.startsWith("[") ? kindOfV6(groupsOf(hostname)) : kindOfV4(hostname);
  return kind === null ? null : `a URL with ${kind} address`;
}

/** What is special about an IPv4 address; null for any other, and for a name. The URL's parser wrote it in full. */
function kindOfV4(host: string): string | null {
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(host)) return null;
  const [first = 0, second = 0] = host.split(".").map(Number);
  if (first === 0) return "an unspecified";
  if (first === 169 && second === 254) return "a link-local";
  if (first >= 224 && first <= 239) return "a multicast";
  return host === "255.255.255.255" ? "the broadcast" : null;
}

function kindOfV6(groups: readonly number[]): string | null {
  const [first = 0] = groups;
  if (groups.every((group) => group === 0)) return "an unspecified";
  if ((first & 0xffc0) === 0xfe80) return "a link-local";
  if (first >= 0xff00) return "a multicast";
  // ::ffff:a.b.c.d is that IPv4 address (RFC 4291, section 2.5.5.2).
  if (groups[5] !== 0xffff || groups.slice(0, 5).some((group) => group !== 0)) return null;
  const [high = 0, low = 0] = groups.slice(6);
  return kindOfV4([high >> 8, high & 255, low >> 8, low & 255].join("."));
}

/** The eight groups of an address in brackets, as the URL's parser writes it: hexadecimal, at most one `::`. */
function groupsOf(host: string): number[] {
  const [before = "", after] = host.slice(1, -1).split("::");
  const read = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const head = read(before);
  if (after === undefined) return head;
  const tail = read(after);
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}
