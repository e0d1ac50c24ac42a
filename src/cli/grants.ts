/** Grants on the command line: a line for people. */
import { toBase64 } from "../client/bytes.ts";
import type { GrantFields } from "../http/wire.ts";
import { shown } from "./output.ts";

/** `read,write prefix a/`; what is base64 says so. */
export function grantLine(grant: GrantFields): string {
  const { verbs, keyEncoding } = grant;
  const ranges = (["key", "prefix", "start", "end"] as const).flatMap((name) => {
    const given = grant[name];
    if (given === undefined) return [];
    const text = typeof given === "string" ? given : toBase64(given);
    return [`${name} ${keyEncoding === undefined ? shown(text) : `base64:${text}`}`];
  });
  return `${verbs.join(",")} ${ranges.length === 0 ? "all keys" : ranges.join(" ")}`;
}
